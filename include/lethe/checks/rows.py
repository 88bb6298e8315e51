"""Rows that a check puts into a table itself: what speaks against it, and keys that nobody has."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import uuid4

from psycopg.sql import Identifier

from lethe.checks.questions import SESSION
from lethe.model import Dataset

WRITING = f"{SESSION} -c lock_timeout=2s -c statement_timeout=1min -c idle_in_transaction_session_timeout=2min"
NUMBERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63, "numeric": 2**31}
"""How far below zero keys of these types go, at least."""
_TEXTS = ("text", "character varying")

_TABLE = """
SELECT has_table_privilege(c.oid, 'INSERT') AND has_table_privilege('lethe.hold', 'INSERT'), c.relkind IN ('r', 'p'),
    EXISTS (SELECT FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree(c.oid) UNION SELECT c.oid)
        AND NOT tgisinternal AND tgenabled <> 'D') OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid),
    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attgenerated = '' ORDER BY a.attnum)
FROM pg_class c WHERE c.oid = to_regclass(%s)
"""


class NotPut(Exception):
    """Why no row can be put in, in words without its values."""


def columns_of(conn: Any, dataset: Dataset) -> list[str]:
    """The columns that a new row of the table can have; NotPut for what speaks against one."""
    found = conn.execute(_TABLE, (Identifier(dataset.schema, dataset.table).as_string(),)).fetchone()
    may, is_table, reacts, columns = found or (False, False, False, [])
    if not is_table:
        raise NotPut("it is no table")
    if not may:
        raise NotPut("this user may not insert; see `lethe store grants`")
    if reacts:
        raise NotPut("the table has triggers or rules, which would do who knows what")
    return list(columns)


def new_key(kind: str) -> str:
    """A key of a type that nobody has: a number is below zero, where no sequence counts. NotPut for other types."""
    if kind == "uuid":
        return str(uuid4())
    if kind in _TEXTS:
        return f"lethe-{uuid4().hex}"
    if kind not in NUMBERS:
        raise NotPut(f"no new key of the type {kind} can be made up")
    return str(-1 - secrets.randbelow(NUMBERS[kind] - 1))
