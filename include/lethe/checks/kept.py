"""What had to stay: a row for every hold, and as many rows as a law kept when they were counted last.

A sweep that ignores a hold or a floor leaves nothing behind that could be counted. So it is counted before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from psycopg.sql import SQL, Composable, Identifier, Literal

from lethe.checks.questions import Question, TypeOf
from lethe.model import Dataset

COUNTED_FOR = timedelta(days=7)
"""How long a count is held against the store: rows whose floor ends before that are not in it."""


@dataclass(frozen=True)
class Floored:
    """How many rows a law keeps through the day `until` that were over their rule's period before the day `since`.

    `digest` is the rule's meaning when they were counted: the rows of another meaning are others.
    """

    since: date
    until: date
    digest: str
    rows: int

    @property
    def as_json(self) -> dict[str, Any]:
        """As it is remembered."""
        return {"since": str(self.since), "until": str(self.until), "digest": self.digest, "rows": self.rows}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Floored:
        """As it was remembered."""
        since, until = map(date.fromisoformat, (told["since"], told["until"]))
        return cls(since, until, told["digest"], told["rows"])


@dataclass(frozen=True)
class Lawful:
    """One rule's rows under a floor: how many are `gone` since they were counted, and what to remember now."""

    rule: str
    gone: int
    count: Floored


def lawful(conn: Any, question: Question, before: Floored | None) -> Lawful | None:
    """How many rows under a floor are gone; None for a rule whose floors depend on more than a date.

    A count stays, once rows are gone, for as long as it holds: what is gone does not come back by being counted anew.
    """
    rule, today = question.rule, question.today
    if not any(floor.until is None and not floor.when for floor in rule.floors):
        return None

    def counted(since: date, until: date) -> int:
        return int(conn.execute(question.under_floors(since, until)).fetchone()[0])

    if before is not None and before.digest == rule.digest and before.since <= today <= before.until:
        gone = before.rows - counted(before.since, before.until)
        if gone > 0:
            return Lawful(rule.name, gone, before)
    until = today + COUNTED_FOR
    return Lawful(rule.name, 0, Floored(today, until, rule.digest, counted(today, until)))


def gone_on_hold(conn: Any, dataset: Dataset, type_of: TypeOf) -> int:
    """How many rows that a hold names are not there."""
    held = SQL("SELECT FROM lethe.hold WHERE dataset = {} AND key <> '*'").format(Literal(dataset.name))
    if conn.execute(SQL("SELECT EXISTS ({})").format(held)).fetchone() == (False,):
        return 0
    asked = SQL(
        "SELECT count(DISTINCT h.key) FROM lethe.hold AS h WHERE h.dataset = {} AND h.key <> '*'"
        " AND NOT EXISTS (SELECT FROM {} AS r WHERE {})"
    ).format(Literal(dataset.name), Identifier(dataset.schema, dataset.table), _is_key(dataset, type_of))
    return int(conn.execute(asked).fetchone()[0])


def _is_key(dataset: Dataset, type_of: TypeOf) -> Composable:
    """The row `r` has the key that the hold `h` names: one column as text, several as a JSON array."""
    one = len(dataset.key) == 1
    parts = (
        SQL("r.{} = ({})::{}").format(
            Identifier(column), SQL("h.key") if one else SQL("h.key::jsonb ->> {}").format(Literal(number)),
            SQL(type_of(dataset, column)),
        )
        for number, column in enumerate(dataset.key)
    )  # fmt: skip
    return SQL(" AND ").join(parts)
