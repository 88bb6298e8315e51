"""Can a check see? Which tables and columns a session may read, whose database it is, and how the clocks are filled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lethe.errors import SchemaMismatch
from lethe.model import Dataset

COLUMNS = """
SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
"""


@dataclass(frozen=True)
class Seen:
    """The columns that a session may read, by schema, table and name, with their types."""

    columns: Mapping[tuple[str, str, str], str]

    @classmethod
    def by(cls, conn: Any) -> Seen:
        """What this session may read."""
        return cls({(schema, table, name): kind for schema, table, name, kind in conn.execute(COLUMNS).fetchall()})

    def type_of(self, dataset: Dataset, column: str) -> str:
        """The type of a dataset's column; SchemaMismatch where this session sees none."""
        found = self.columns.get((dataset.schema, dataset.table, column))
        if found is None:
            place = f"{dataset.schema}.{dataset.table}"
            what = "column" if any(key[:2] == (dataset.schema, dataset.table) for key in self.columns) else "table"
            named = f"{place}.{column}" if what == "column" else place
            raise SchemaMismatch((f"{what} {named} (dataset {dataset.name}): not there, or closed to this user",))
        return found
