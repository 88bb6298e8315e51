"""What becomes of one field, and whether it has, as SQL; anonymise/changes.py is the judge of it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from lethe.anonymise.changes import FIRST, LAST, MARK
from lethe.model import Change, Generalise, Put
from lethe.stores.postgres.live import Column

_NOT_COMPARED = ("json", "xml")
"""Types without an equality."""


def changed(column: Composable, of: Column, change: Change, zone: ZoneInfo) -> Composable:
    """The expression for the value that takes the column's place."""
    if isinstance(change, Put):
        return Literal(change.value)
    if isinstance(change, Generalise):
        return _coarser(column, of, change, zone)
    return SQL("CASE WHEN {} THEN {} ELSE {} END").format(_is_surrogate(column, of), column, _surrogate(of))


def is_redacted(column: Composable, dataset: str, key: Composable, field: str) -> Composable:
    """Whether the text is as its redaction left it, or there is none."""
    return SQL(
        "({0} IS NULL OR EXISTS (SELECT FROM lethe.redacted AS r WHERE r.dataset = {1} AND r.key = {2}"
        " AND r.field = {3} AND r.digest = sha256(convert_to({0}::text, 'UTF8'))))"
    ).format(column, Literal(dataset), key, Literal(field))


def is_changed(column: Composable, of: Column, change: Change, zone: ZoneInfo) -> Composable:
    """Whether the column holds what the change would make of it; not for text that is redacted."""
    if isinstance(change, Put):
        return _is(column, of, change.value)
    if isinstance(change, Generalise):
        return SQL("{} IS NOT DISTINCT FROM {}").format(column, _coarser(column, of, change, zone))
    return _is_surrogate(column, of)


def _is(column: Composable, of: Column, value: str | None) -> Composable:
    """The column holds what the constant becomes in it: 0 is 0.00 there, say."""
    if value is None:
        return SQL("{} IS NULL").format(column)
    text = SQL("::text" if of.type in _NOT_COMPARED else "")
    constant = SQL("{}::{}").format(Literal(value), SQL(of.declared))
    return SQL("{}{} IS NOT DISTINCT FROM {}{}").format(column, text, constant, text)


def _coarser(column: Composable, of: Column, change: Generalise, zone: ZoneInfo) -> Composed:
    if change.to == "region":
        coarse = SQL("left(btrim({0}), 2) || regexp_replace(substr(btrim({0}), 3), '[0-9]', '0', 'g')").format(column)
    elif change.to == "band":
        whole = of.type != "numeric"
        band = "{0} - (({0} % {1}) + {1}) % {1}" if whole else "floor({0} / {1}) * {1}"  # whole numbers are quicker so
        coarse = SQL(band).format(column, SQL("{}::bigint" if whole else "{}").format(Literal(change.width)))
    else:
        zoned = of.type == "timestamp with time zone"
        first = SQL("date_trunc({}, {}, {})" if zoned else "date_trunc({}, {}::timestamp)").format(
            *(Literal(change.to), column, *([Literal(zone.key)] if zoned else []))
        )
        coarse = SQL("CASE WHEN {0} >= {1} AND {0} < {2} THEN {3} ELSE {0} END").format(
            column, SQL(f"'{FIRST}'"), SQL(f"'{LAST}'"), first
        )
    return SQL("({})::{}").format(coarse, SQL(of.declared))


def _is_surrogate(column: Composable, of: Column) -> Composed:
    if of.type == "uuid":
        return SQL("coalesce(substr({}::text, 15, 1) = '8', true)").format(column)
    return SQL("coalesce({} ~ {}, true)").format(column, Literal(f"^{MARK}[0-9a-f]{{32}}$"))


def _surrogate(of: Column) -> Composed:
    """Random, and of its own for each row: the function is volatile."""
    if of.type == "uuid":
        return SQL("overlay(gen_random_uuid()::text PLACING '8' FROM 15)::uuid").format()
    return SQL("{} || replace(gen_random_uuid()::text, '-', '')").format(Literal(MARK))


def assignment(name: str, of: Column, change: Change, zone: ZoneInfo) -> Composed:
    """The column's part of an UPDATE of `t`."""
    value = changed(SQL("t.{}").format(Identifier(name)), of, change, zone)
    return SQL("{} = {}").format(Identifier(name), value)
