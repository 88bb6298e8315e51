"""Whether a table takes the values that anonymising puts into it: asked before anything is changed.

What depends on the other columns of each row, as a check over several does, the server says when it comes to it: then
the batch is undone, and the error names the constraint.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from lethe.anonymise.changes import MARK
from lethe.model import Anonymise, ByPath, Change, Generalise, Put, Redact, Surrogate
from lethe.sql import queries
from lethe.stores.postgres.live import CLOCK_TYPES, Column, Table

_SQL = queries("schema")
_TEXTS = ("text", "character varying")
_TYPES: dict[str, tuple[str, ...]] = {
    "month": CLOCK_TYPES,
    "year": CLOCK_TYPES,
    "region": _TEXTS,
    "band": ("smallint", "integer", "bigint", "numeric"),
    "surrogate": ("uuid", *_TEXTS),
    "json": ("json", "jsonb"),
    "redact": ("text",),  # of a limited length a mark could be too long for what it stands for
}
_KINDS = {Surrogate: "surrogate", Redact: "redact", ByPath: "json"}
_EXAMPLES = {"uuid": "00000000-0000-8000-8000-000000000000"}


def refusals(conn: psycopg.Connection, table: Table, action: Anonymise) -> Iterator[str]:
    """Everything that stands against the changes, each with what to do."""
    for name, change in action.fields.items():
        column = table.columns[name]
        found = [
            *_of_column(name, column, change),
            *_of_type(conn, name, column, change),
            *_of_keys(table, name),
        ]
        found += _outbound(conn, table, name, change)
        yield from found
        if not found:
            yield from _of_unique(table, name, action)
    yield from _checks(conn, table, action)


def _of_column(name: str, column: Column, change: Change) -> Iterator[str]:
    if _empties(change) and column.not_null:
        yield f"column {name}: found NOT NULL, so it cannot be blanked; give it a constant or relax the column"
    if column.generated:
        yield f"column {name}: is computed by the database; anonymise the columns it is computed from"


def _empties(change: Change) -> bool:
    return isinstance(change, Put) and change.value is None


def _of_type(conn: psycopg.Connection, name: str, column: Column, change: Change) -> Iterator[str]:
    kind = change.to if isinstance(change, Generalise) else _KINDS.get(type(change))
    if kind is not None and column.type not in _TYPES[kind]:
        yield f"column {name}: found type {column.type}, expected {', '.join(_TYPES[kind])} for {kind}"
    elif (value := _value(column, change)) is not None and not _takes(conn, column, value):
        what = "a surrogate" if kind else "this constant"
        yield f"column {name}: found type {column.declared}, which does not take {what}; give it another, or blank it"


def _value(column: Column, change: Change) -> str | None:
    """A value as the change puts it there; None where it is NULL, or hangs on the old one."""
    if isinstance(change, Put):
        return change.value
    if isinstance(change, Surrogate):
        return _EXAMPLES.get(column.type, MARK + "0" * 32)
    return None


def _takes(conn: psycopg.Connection, column: Column, value: str) -> bool:
    """Whether the type has the value, uncut: not so for an enum without it, a domain that refuses it, a short text."""
    cast = SQL("{}::{}").format(Literal(value), SQL(column.declared))
    test = "{}::text = {}" if column.type in (*_TEXTS, "character") else "{} IS NOT NULL"
    uncut = SQL(test).format(cast, Literal(value))
    return _answer(conn, SQL("SELECT {}").format(uncut)) is True


def _of_keys(table: Table, name: str) -> Iterator[str]:
    for key in (key for key in table.inbound if name in key.to):
        yield f"column {name}: foreign key {key.name} of {key.table} refers to it, so it cannot be anonymised"


def _outbound(conn: psycopg.Connection, table: Table, name: str, change: Change) -> Iterator[str]:
    if _empties(change):
        return
    for key, other, columns in conn.execute(_SQL["outbound"], {"oid": table.oid}).fetchall():
        if name in columns:
            yield f"column {name}: by foreign key {key} its values are those of {other}; blank it, or unlink it"


def _of_unique(table: Table, name: str, action: Anonymise) -> Iterator[str]:
    """Two rows would get the same value: NULL only counts as one where the index says so."""
    for columns, nulls_too in table.unique:
        if name == min(columns) and all(
            _same_for_all(action.fields.get(each), nulls_too=nulls_too) for each in columns
        ):
            yield (
                f"column {name}: found UNIQUE on ({', '.join(columns)}), and several rows would get the same value; "
                "blank one of them, or give it a surrogate"
            )


def _same_for_all(change: Change | None, *, nulls_too: bool) -> bool:
    if change is None or isinstance(change, Surrogate | Redact | ByPath):
        return False
    return nulls_too or not _empties(change)


def _checks(conn: psycopg.Connection, table: Table, action: Anonymise) -> Iterator[str]:
    """Checks that only read changed columns whose new value is known."""
    for name, expression, columns in conn.execute(_SQL["checks"], {"oid": table.oid}).fetchall():
        values = {each: _known(table.columns[each], action.fields.get(each)) for each in columns}
        known: dict[str, Composable] = {each: value for each, value in values.items() if value is not None}
        if len(known) == len(columns) and not _passes(conn, expression, known):
            changed = ", ".join(columns)
            yield f"column {changed}: check {name} refuses the new value; give it another, or relax the check"


def _known(column: Column, change: Change | None) -> Composable | None:
    if change is None or isinstance(change, Generalise | Redact | ByPath):
        return None
    return SQL("{}::{}").format(Literal(_value(column, change)), SQL(column.declared))


def _passes(conn: psycopg.Connection, expression: str, values: dict[str, Composable]) -> bool:
    given = SQL(", ").join(SQL("{} AS {}").format(value, Identifier(name)) for name, value in values.items())
    query = SQL("SELECT ({}) IS NOT FALSE FROM (SELECT {}) AS t").format(SQL(expression), given)
    return _answer(conn, query) is not False  # a value that the type does not take is told by itself


def _answer(conn: psycopg.Connection, query: Composed) -> bool | None:
    """What the query says; None when the server cannot even read it."""
    try:
        with conn.transaction(force_rollback=True):
            found = conn.execute(query).fetchone()
    except psycopg.Error:
        if conn.closed:
            raise
        return None
    return bool(found and found[0])
