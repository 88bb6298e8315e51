"""After a large sweep: VACUUM (ANALYZE), which clears old values out of the table's pages and out of the statistics."""

from __future__ import annotations

import psycopg
from psycopg import errors
from psycopg.sql import SQL, Literal

from lethe.model import Verdict
from lethe.reach import changed_by
from lethe.stores.postgres.apply import Work
from lethe.stores.postgres.predicate import table_name

PURGE_ROWS = 1_000


def purge(conn: psycopg.Connection, work: Work) -> int:
    """Vacuum every table that the plan touched; how many, 0 when it was too small to matter or one was left out.

    A table that the user may not vacuum, or that somebody has locked, is left to autovacuum: the server only warns.
    """
    if work.plan.survey.of(Verdict.DUE) < PURGE_ROWS:
        return 0
    conn.execute(SQL("SET lock_timeout = {}").format(Literal(work.lock_timeout)))
    tables, left_out = list(changed_by(work.rule)), list[str]()

    def note(said: psycopg.errors.Diagnostic) -> None:
        left_out.append(said.severity_nonlocalized or "")

    conn.add_notice_handler(note)
    try:
        for dataset in tables:
            conn.execute(SQL("VACUUM (ANALYZE, SKIP_LOCKED) {}").format(table_name(dataset)))
    except (errors.InsufficientPrivilege, errors.LockNotAvailable):
        return 0
    finally:
        conn.remove_notice_handler(note)
    return 0 if "WARNING" in left_out else len(tables)
