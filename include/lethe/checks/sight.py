"""Can a check see? Which tables and columns a session may read, whose database it is, and how the clocks are filled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lethe.checks.questions import Counts
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


def unseen(counts: Counts, rows: int, dated: float, newest: str | None) -> Iterator[str]:
    """Why an answer proves nothing: too few rows, too small a share with a date, none of the last period."""
    if counts.rows < rows:
        yield f"found {counts.rows} rows, expected at least {rows}"
    if counts.rows and counts.dated < dated * counts.rows:
        share = 100 * counts.dated / counts.rows
        yield f"found a date in {share:.1f} % of the rows, expected {100 * dated:g} % at least"
    if not counts.fresh:
        yield f"found no date of the last {newest}, expected one"
