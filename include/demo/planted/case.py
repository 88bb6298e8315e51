"""The truth table: planted cases, each with the fate it must meet on 1 March 2025. Every date here is written by hand.

A case is one subject of one rule: its rows, the clock the rule reads, and what must happen. Rows of a case that are
not `subject` (the company behind a contact, the lines of an order) must stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal
from unicodedata import normalize
from uuid import UUID

TODAY = date(2025, 3, 1)
FIRST_KEY = 900_000_000_000  # beyond every row of the filler, whatever its size

Fate = Literal["due", "kept", "done"]
Reason = Literal["not_due", "undated", "future", "held", "restricted", "floor", "condition", "unconfirmed"]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One planted row. `subject` rows meet the case's fate; `after` is what another rule makes of a row that stays."""

    table: str
    values: Values
    subject: bool = False
    after: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Situation:
    """One line of a rule's table; `more` are arguments for the rows' maker."""

    name: str
    clock: str | None
    expect: Fate
    reason: Reason | None = None
    more: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One planted subject; the first row is the one the rule decides on, `reason` is among the reasons given."""

    store: str
    rule: str
    situation: Situation
    rows: tuple[Row, ...]

    @property
    def table(self) -> str:
        return self.rows[0].table

    @property
    def key(self) -> str:
        first = self.rows[0].values
        return str(first["fakturanr"] if self.table == "faktura" else first["id"])


@dataclass(frozen=True)
class Hold:
    """One row of a store's mirror of the holds."""

    store: str
    dataset: str
    table: str
    key: str
    kind: str


def due(name: str, clock: str | None, **more: Any) -> Situation:
    return Situation(name, clock, "due", None, more)


def kept(reason: Reason, name: str, clock: str | None, **more: Any) -> Situation:
    return Situation(name, clock, "kept", reason, more)


def done(name: str, clock: str | None, **more: Any) -> Situation:
    return Situation(name, clock, "done", None, more)


def around(last_due: str, last_day: str) -> list[Situation]:
    """The seconds about midnight (in winter) of the newest due day and of the day whose period ends today."""
    return [
        due("due since today 00:00, first second of the day", f"{last_due}T00:00:00+01:00"),
        due("due since today 00:00, one second before midnight", f"{last_due}T23:59:59+01:00"),
        kept("not_due", "due tomorrow: midnight in Norway, in UTC still the day before", f"{last_day}T00:00:00+01:00"),
        kept("not_due", "last day of its period, last second", f"{last_day}T23:59:59+01:00"),
    ]


def exempt(old: str) -> list[Situation]:
    """Clocks long over whose rows a hold keeps."""
    return [
        kept("held", "held for a legal claim", old, hold="held"),
        kept("restricted", "restricted by its data subject", old, hold="restricted"),
    ]


UNDATED = kept("undated", "undated", None)
FUTURE = kept("future", "future-dated", "2025-09-01T12:00:00+02:00")
FUTURE_DAY = kept("future", "future-dated", "2025-12-31")

# One year that ends on or before 28 February 2025: the leap day is the newest.
YEAR_OF_DAYS = [
    due("due long since", "2022-05-17"),
    due("due since yesterday", "2024-02-27"),
    due("due since today 00:00", "2024-02-28"),
    due("leap day: its year ends on 28 February", "2024-02-29"),
    kept("not_due", "due tomorrow: the last day of its period", "2024-03-01"),
    kept("not_due", "due the day after tomorrow", "2024-03-02"),
    kept("not_due", "ended lately", "2025-02-28"),
]
YEAR_OF_MOMENTS = [
    due("due long since", "2022-05-17T10:00:00+02:00"),
    due("day before the leap day, which ends on the same day", "2024-02-28T23:30:00+01:00"),
    due("leap day in Norway, in UTC the day before", "2024-02-29T00:30:00+01:00"),
    *around("2024-02-29", "2024-03-01"),
    UNDATED,
    FUTURE,
]


NAMED = [
    due("whose names are common words", "2021-06-30", who="Dag Stein Berg"),
    due("with a double surname, hyphenated", "2021-06-30", who="Kari Bråthen-Østby"),
    due("with a double surname in two words", "2021-06-30", who="Anne Vik Solheim"),
    due("with æøå as letters of their own", "2021-06-30", who="Åse Ærlig Ødegård"),
    due("with æøå as letters and marks (NFD)", "2021-06-30", who=normalize("NFD", "Åse Ærlig Ødegård")),
    due("in capitals", "2021-06-30", who="ÅSE ÆRLIG ØDEGÅRD"),
    due("with a ligature (NFKC tells it from two letters)", "2021-06-30", who="Ste\ufb00en Lie"),
    due("who is the contact of two companies, at the one that left", "2023-11-30", who="Inger Bakken"),
    kept("not_due", "who is the contact of two companies, at the other one", "2024-11-30", who="Inger Bakken"),
]
"""People whose names are hard to find again, over whom an ex-customer's rules go as over anybody."""


def uuid(n: int) -> str:
    return str(UUID(int=(0xFEED << 112) + n))


def number(n: int) -> int:
    return FIRST_KEY + n


def name(n: int) -> str:
    return f"Planta Prøve {n}"


def mail(n: int) -> str:
    return f"planta.prove.{n}@post.example"
