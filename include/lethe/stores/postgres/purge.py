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


def purge(conn: psycopg.Connection, work: Work) -> bool:
    """Vacuum every table that the plan touched; False when it was too small to matter or the user may not.

    Left to autovacuum then, so a refusal is no error.
    """
    if work.plan.survey.of(Verdict.DUE) < PURGE_ROWS:
        return False
    conn.execute(SQL("SET lock_timeout = {}").format(Literal(work.lock_timeout)))
    try:
        for dataset in changed_by(work.rule):
            conn.execute(SQL("VACUUM (ANALYZE, SKIP_LOCKED) {}").format(table_name(dataset)))
    except (errors.InsufficientPrivilege, errors.LockNotAvailable):
        return False
    return True
