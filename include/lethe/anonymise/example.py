"""One invented record, before and after: what a person who approves a plan is shown in place of somebody's data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from lethe.anonymise.changes import MARK, changed
from lethe.model import Anonymise, ByPath, Change, Generalise, Redact, Rule, Surrogate, WriteDown

_UTC = ZoneInfo("UTC")
_NAME = "Kari Bråten"
_BY_CATEGORY = {
    "user.name": _NAME,
    "user.contact.email": "kari.braten@example.no",
    "user.contact.phone_number": "+47 400 00 001",
    "user.contact.address.postal_code": "5003",
    "user.contact.address": "Lyngveien 7, 5003 Bergen",
    "user.content": "Hei, ring meg i morgen. Hilsen Kari",
    "user.unique_id": "4711",
    "user.job_title": "daglig leder",
}
_BY_KIND: dict[str, Any] = {"month": date(2021, 5, 17), "year": date(2021, 5, 17), "region": "5003", "band": 4711}
_OTHER = "…"


def example(rule: Rule) -> Iterator[tuple[str, str, str | None]]:
    """Each field that the rule changes, with an invented value before and after; None for a field that is emptied."""
    if isinstance(rule.action, Anonymise):
        for column, change in rule.action.fields.items():
            before = _invented(rule.dataset.personal_data.get(column, ""), change)
            yield column, str(before), _after(before, change)


def _invented(category: str, change: Change) -> Any:
    if isinstance(change, WriteDown):
        return _OTHER
    if isinstance(change, ByPath):
        return "{…}"
    if isinstance(change, Generalise):
        return _BY_KIND[change.to]
    keys = [key for key in _BY_CATEGORY if category == key or category.startswith(f"{key}.")]
    return _BY_CATEGORY[max(keys, key=len)] if keys else _OTHER


def _after(before: Any, change: Change) -> str | None:
    if isinstance(change, WriteDown):
        return f"= {change.of}"
    if isinstance(change, ByPath):
        return f"{{…}} ({', '.join(change.paths)})"
    if isinstance(change, Redact):
        from lethe.anonymise.redact import redact  # the numbering plans are loaded by who redacts
        from lethe.anonymise.subject import Identifiers

        return redact(before, Identifiers(names=(_NAME,))).text
    if isinstance(change, Surrogate):
        return f"{MARK}…"  # another each time: a plan reads the same however often it is shown
    after = changed(before, change, _UTC)
    return None if after is None else str(after)
