"""After a sweep: ANALYZE clears old values out of the statistics, VACUUM out of the pages where many rows went."""

from __future__ import annotations

import psycopg
from psycopg import errors
from psycopg.sql import SQL, Identifier, Literal

from lethe.model import Verdict
from lethe.reach import changed_by
from lethe.stores.postgres.apply import Work
from lethe.stores.postgres.live import read_dataset
from lethe.stores.postgres.predicate import table_name

PURGE_ROWS = 1_000
_CLEAR = """
    SELECT pg_clear_attribute_stats(schemaname, tablename, attname, inherited) FROM pg_stats
    WHERE (schemaname, tablename) IN (
        SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %(oid)s)
"""


def purge(conn: psycopg.Connection, work: Work) -> int:
    """Vacuum every table that the plan touched; how many, 0 when one was left out.

    After few rows 0 is told, and the pages are left to autovacuum, for a VACUUM costs as much as the table is large.
    Only the statistics, which keep values readable, are made anew then. A table that the user may not vacuum, or that
    somebody has locked, is left to autovacuum: the server only warns.
    """
    large = work.plan.survey.of(Verdict.DUE) >= PURGE_ROWS
    what = SQL("VACUUM (ANALYZE, SKIP_LOCKED) {}" if large else "ANALYZE (SKIP_LOCKED) {}")
    conn.execute(SQL("SET lock_timeout = {}").format(Literal(work.lock_timeout)))
    tables, left_out = list(changed_by(work.rule)), list[str]()

    def note(said: psycopg.errors.Diagnostic) -> None:
        left_out.append(said.severity_nonlocalized or "")

    conn.add_notice_handler(note)
    try:
        for dataset in tables:
            conn.execute(what.format(table_name(dataset)))
            now = read_dataset(conn, dataset)  # without the partitions that the plan dropped
            for part in now.parts if now else ():
                _clear_when_empty(conn, Identifier(part.schema, part.table), part.oid)
    except (errors.InsufficientPrivilege, errors.LockNotAvailable, errors.UndefinedFunction):
        return 0
    finally:
        conn.remove_notice_handler(note)
    return len(tables) if large and "WARNING" not in left_out else 0


def _clear_when_empty(conn: psycopg.Connection, part: Identifier, oid: int) -> None:
    """ANALYZE leaves the statistics of a table without rows as they were: they are cleared, which PostgreSQL 18 can."""
    if conn.execute(SQL("SELECT EXISTS (SELECT FROM ONLY {})").format(part)).fetchone() == (False,):
        conn.execute(_CLEAR, {"oid": oid})
