"""Can a check see? Which tables and columns a session may read, how the clocks are filled, and what statistics keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Identifier, Literal

from lethe.checks.questions import Counts, Question
from lethe.errors import SchemaMismatch
from lethe.model import Dataset, Delete

COLUMNS = """
SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
"""

DATED = ("date", "timestamp without time zone", "timestamp with time zone")
KEPT = """
SELECT DISTINCT value FROM pg_stats s JOIN pg_namespace n ON n.nspname = s.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename
CROSS JOIN LATERAL unnest(
    coalesce(s.most_common_vals::text::{kind}[], '{{}}') || coalesce(s.histogram_bounds::text::{kind}[], '{{}}')
) AS value
WHERE c.oid IN (SELECT relid FROM pg_partition_tree({name}::regclass) UNION SELECT {name}::regclass)
    AND s.attname = {column} AND isfinite(value) AND (value::date + {period}::interval)::date < {today}::date - {days}
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


def kept_by_statistics(conn: Any, question: Question) -> int:
    """How many dates over the rule's period the statistics of its clock keep that are in no row any more.

    The server samples all columns at once: where it keeps the dates of deleted rows, it keeps their names as well.
    """
    rule, dataset = question.rule, question.rule.dataset
    column, table = rule.clock.at.column, Identifier(dataset.schema, dataset.table)
    kind = question.type_of(dataset, column) if not rule.clock.at.path else ""
    if not isinstance(rule.action, Delete) or kind not in DATED:
        return 0  # what is anonymised keeps its date
    kept = SQL(KEPT).format(
        kind=SQL(kind),
        name=Literal(table.as_string()),
        column=Literal(column),
        period=Literal(str(rule.keep)),
        today=Literal(question.today),
        days=Literal(question.grace + 1),  # a day for the zones
    )
    values = [value for (value,) in conn.execute(kept).fetchall()]
    if not values:
        return 0
    found = SQL("SELECT count(DISTINCT {column}) FROM {table} WHERE {column} = ANY(%s::{kind}[])").format(
        column=Identifier(column), table=table, kind=SQL(kind)
    )
    return len(values) - int(conn.execute(found, (values,)).fetchone()[0])
