"""What becomes of one field, and whether it has: the plain twin of what a store does in SQL.

A row is done when every field of its rule is. So each change can be told from its result: a constant is there, a
generalised value is its own generalisation, a surrogate bears a mark.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from lethe.anonymise.generalise import band, month, postcode, year
from lethe.deadlines import Unbounded, start_of
from lethe.model import ByPath, Change, Generalise, Put, Redact

MARK = "anon-"
"""What a surrogate text begins with; a surrogate UUID is of version 8, which applications leave alone (RFC 9562)."""
FIRST, LAST = date(1, 1, 2), date(9999, 12, 31)
"""Dates from the first to before the last are made coarser."""
_SURROGATE = re.compile(MARK + "[0-9a-f]{32}")


def changed(value: Any, change: Change, zone: ZoneInfo) -> Any:
    """The value that takes this one's place; NULL is generalised to itself, and gets no surrogate. Not for text."""
    if isinstance(change, Put):
        return change.value
    if value is None:
        return None
    if isinstance(change, Generalise):
        return _coarser(value, change, zone)
    return value if is_changed(value, change, zone) else _surrogate(value)


def is_changed(value: Any, change: Change, zone: ZoneInfo, *, redacted: bool = False) -> bool:
    """Whether the field is as the change would leave it; of a text, whether it is as its redaction left it."""
    if isinstance(change, Put):
        return _is(value, change.value)
    if value is None:
        return True
    if isinstance(change, Redact | ByPath):
        return redacted
    if isinstance(change, Generalise):
        coarser = _coarser(value, change, zone)
        return coarser is value or bool(coarser == value)  # NaN equals nothing in Python, and itself in PostgreSQL
    if isinstance(value, UUID):
        return value.version == 8
    return _SURROGATE.fullmatch(value) is not None


def _is(value: object, target: str | None) -> bool:
    if value is None or target is None:
        return value is target
    return value == Decimal(target) if isinstance(value, Decimal) else as_text(value) == target


def as_text(value: object) -> str:
    """A value as PostgreSQL writes it when cast to text, for the types that conditions compare."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _coarser(value: Any, change: Generalise, zone: ZoneInfo) -> Any:
    if change.to in ("month", "year"):
        return _earlier(value, month if change.to == "month" else year, zone)
    if change.to == "region":
        return postcode(value)
    return value if isinstance(value, Decimal) and not value.is_finite() else band(value, change.width)


def _earlier(value: Any, first: Any, zone: ZoneInfo) -> Any:
    """The first moment of the month or year; of one without a zone, as it is written.

    9999-12-31 means "none", wherever it stands, and must go on meaning that: the ends of the calendar stay as they are.
    """
    if isinstance(value, Unbounded) or not FIRST <= _day(value) < LAST:
        return value
    if not isinstance(value, datetime):
        return first(value)
    if value.tzinfo is None:
        return datetime.combine(first(value), datetime.min.time())
    day: date = first(value.astimezone(zone))
    return start_of(day, zone)


def _day(value: date) -> date:
    """The date as it is written, that of a moment with a zone in UTC."""
    if not isinstance(value, datetime):
        return value
    return (value.astimezone(UTC) if value.tzinfo else value).date()


def _surrogate(value: object) -> object:
    if isinstance(value, UUID):
        number = uuid4().int & ~(0xF << 76) | 8 << 76
        return UUID(int=number)
    return MARK + uuid4().hex
