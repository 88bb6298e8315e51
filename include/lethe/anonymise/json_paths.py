"""Values inside a JSON document made to say nothing of a person, by path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from lethe.anonymise.changes import changed, is_changed
from lethe.anonymise.encoded import redact_stored
from lethe.anonymise.find import Finder
from lethe.anonymise.paths import Json, at_path
from lethe.model import Generalise, Put, Redact, Surrogate

OF_NOBODY = "[slettet]"
"""What is left of a text where no name of its data subject is known: nobody could be found in it, so all of it goes."""
Inside = Put | Generalise | Surrogate | Redact
"""What can become of a value inside a document."""
_UTC = ZoneInfo("UTC")


def changed_by_path(
    document: Json,
    paths: Mapping[str, Inside],
    finder: Callable[[Redact], Finder | None],
) -> Json:
    """A copy of the document with each path's change made, in their order.

    `finder` gives what finds the data subject of a redaction, None where nothing says who that is. A number that a
    redaction finds somebody in goes whole, and what cannot be made coarser goes too.
    """
    for path, change in paths.items():
        document = at_path(document, path, _change(change, finder))
    return document


def _change(change: Inside, finder: Callable[[Redact], Finder | None]) -> Callable[[Json], Json]:
    if isinstance(change, Put):
        return lambda _: change.value
    if isinstance(change, Generalise):
        return lambda value: _coarser(value, change)
    if isinstance(change, Surrogate):
        return _surrogate
    return _redaction(finder(change))


def _coarser(value: Json, change: Generalise) -> Json:
    """JSON has no dates: what is written as one is read as one."""
    if value is None or isinstance(value, bool | list | dict):
        return None
    plain: Any = value
    try:
        if change.to in ("month", "year"):
            plain = date.fromisoformat(str(value)[:10])
        elif change.to == "band":
            plain = Decimal(str(value))
        coarse = changed(str(plain) if change.to == "region" else plain, change, _UTC)
    except (ValueError, ArithmeticError):
        return None
    return int(coarse) if change.to == "band" else str(coarse)


def _surrogate(value: Json) -> Json:
    if value is None or (isinstance(value, str) and is_changed(value, Surrogate(), _UTC)):
        return value
    return str(changed("", Surrogate(), _UTC))


def _redaction(finder: Finder | None) -> Callable[[Json], Json]:
    def redacted(value: Json) -> Json:
        if isinstance(value, list):
            return [redacted(item) for item in value]
        if isinstance(value, dict):
            return {key: redacted(item) for key, item in value.items()}
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return OF_NOBODY if finder is None else redact_stored(value, finder).text
        return None if finder is None or finder.find(str(value)) else value

    return redacted
