"""Canaries: rows of nobody, planted to see what becomes of them. The sweep takes them for any other row.

    due       its last day is the day on which it is planted ─▶ goes with the next sweep
    held      the same, on hold for a week ───────────────────▶ stays that long, goes once it is released
    not-due   its last day is a week ahead ───────────────────▶ stays that long, goes the day after

They stand at the edge of the period: a sweep that is a day early takes one that had to stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple, get_args

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier
from psycopg.sql import Literal as Value

from lethe.checks.questions import Question
from lethe.checks.rows import WRITING, NotPut, columns_of, new_key
from lethe.checks.sight import Seen
from lethe.errors import SchemaMismatch
from lethe.model import Rule
from lethe.stores.postgres.connection import tell

Part = Literal["due", "held", "not-due"]
PARTS: tuple[Part, ...] = get_args(Part)
Fate = Literal["stays", "gone", "lives", "died", "lost", "unseen"]
"""There, as it should be; gone, as it should be; there and should be gone; gone too early; never planted; not asked."""
THERE = ("stays", "lives", "unseen")
"""Fates of canaries that are in no need of another."""
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Canary:
    """A row that was planted for a rule, or was about to be: `planted` says whether it is known to have been there.

    `last` is the last day of its period. `hold` is the hold on it, `released_on` the day on which that was released.
    """

    id: str
    rule: str
    part: Part
    key: str
    planted_on: date
    last: date
    planted: bool = False
    hold: str | None = None
    released_on: date | None = None
    died_on: date | None = None

    @property
    def is_held(self) -> bool:
        """Whether a hold keeps it."""
        return self.hold is not None and self.released_on is None

    def fate(self, today: date, grace: int, *, is_there: bool, is_kept: bool) -> Fate:
        """What became of it, if a check on this day found it there, or kept by something that is not its own."""
        if self.died_on is not None:
            return "died"
        end = max(self.last, self.released_on or self.last)
        if is_there:
            is_late = not self.is_held and not is_kept and today > end + timedelta(days=grace)
            return "lives" if is_late else "stays"
        if not self.planted:
            return "lost"
        may_go_from = max(self.last + timedelta(days=1), self.released_on or date.min)
        return "died" if self.is_held or today < may_go_from else "gone"


class Judged(NamedTuple):
    """A canary and what became of it."""

    canary: Canary
    fate: Fate

    def __str__(self) -> str:
        canary = self.canary
        end = "until its hold is released" if canary.is_held else f"through {canary.released_on or canary.last}"
        return f"the {canary.part} one of {canary.planted_on}, which had to stay {end}"


def judge(conn: Any, question: Question, canary: Canary) -> Judged:
    """What became of a rule's canary, asked about by its key; unseen where that cannot be asked."""
    try:
        row = conn.execute(replace(question, only=canary.key).sql()).fetchone()
    except (psycopg.Error, SchemaMismatch):
        return Judged(canary, "unseen")
    counts = Question.answered(row)
    is_kept = any(counts.kept.values())
    return Judged(canary, canary.fate(question.today, question.grace, is_there=counts.rows > 0, is_kept=is_kept))


class Seed(NamedTuple):
    """The key of a row to plant, the day of its clock, and the last day of its period."""

    key: str
    day: date
    last: date


@contextmanager
def bed(conninfo: str, store: str, rule: Rule) -> Iterator[Bed]:
    """Where rows of a rule can be planted; NotPut for whatever speaks against it."""
    try:
        with psycopg.connect(conninfo, connect_timeout=10, options=WRITING, autocommit=True) as conn:
            yield Bed(conn, rule)
    except psycopg.Error as error:
        raise NotPut(str(tell(store, error, rule.name))) from None
    except SchemaMismatch as error:
        raise NotPut(str(error)) from None


class Bed:
    """A table that a rule takes rows from, over a session that may insert."""

    def __init__(self, conn: psycopg.Connection[Any], rule: Rule) -> None:
        self._conn, self._rule, self._dataset = conn, rule, rule.dataset
        self._table = Identifier(rule.dataset.schema, rule.dataset.table)
        columns_of(conn, rule.dataset)
        seen, (key,) = Seen.by(conn), rule.dataset.key
        self._kinds = {name: seen.type_of(rule.dataset, name) for name in (key, rule.clock.at.column)}

    def seed(self, last: date) -> Seed:
        """A new key, and the day from which the period ends on `last`, or on the nearest day before it."""
        day, ends = self._one(
            SQL(
                "SELECT d, (d + {keep}::interval)::date FROM (SELECT d::date AS d FROM generate_series("
                "({last}::date - {keep}::interval)::date - 4, ({last}::date - {keep}::interval)::date + 4, '1 day') d"
                ") AS days WHERE (d + {keep}::interval)::date <= {last} ORDER BY d DESC LIMIT 1"
            ).format(last=Value(last), keep=Value(str(self._rule.keep)))
        )
        return Seed(new_key(self._kinds[self._dataset.key[0]]), day, ends)

    def plant(self, seed: Seed, values: Mapping[str, str], zone: str) -> None:
        """Put the row in, and commit; its clock stands at the beginning of its day in the organisation's zone.

        There a sweep that counts in another zone is a day early.
        """
        (key,), clock = self._dataset.key, self._rule.clock.at.column
        row: dict[str, Composable] = {name: Value(value) for name, value in values.items()}
        row[key], row[clock] = SQL("{}::{}").format(Value(seed.key), SQL(self._kinds[key])), self._clock(seed.day, zone)
        self._conn.execute(
            SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
                self._table, SQL(", ").join(map(Identifier, row)), SQL(", ").join(row.values())
            )
        )

    def _clock(self, day: date, zone: str) -> Composable:
        kind, unzoned = self._kinds[self._rule.clock.at.column], self._rule.clock.zone
        if kind == "date":
            return SQL("{}::date").format(Value(day))
        first = SQL("({}::date + time '00:30') AT TIME ZONE {}").format(Value(day), Value(zone))
        if kind == "timestamp with time zone":
            return first
        return SQL("({}) AT TIME ZONE {}").format(first, Value(unzoned.key if unzoned else "UTC"))

    def _one(self, query: Composed) -> tuple[Any, ...]:
        found = self._conn.execute(query).fetchone()
        assert found is not None
        return tuple(found)
