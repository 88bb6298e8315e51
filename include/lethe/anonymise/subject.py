"""One data subject as the record has them: what a text is searched for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

_NO_VALUE = frozenset({"", "-", "none", "null", "n/a", "nan", "ukjent"})


@dataclass(frozen=True)
class Identifiers:
    """Names, e-mail addresses, phone numbers and postal addresses of one person; what holds no value is dropped."""

    names: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _with_value(getattr(self, field.name)))


def _with_value(values: Iterable[str | None]) -> tuple[str, ...]:
    stripped = (value.strip() for value in values if value is not None)
    return tuple(value for value in stripped if value.casefold() not in _NO_VALUE)
