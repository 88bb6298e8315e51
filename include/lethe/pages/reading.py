"""What the pages read from lethe_state: plans with their answers and their runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from lethe.errors import PlanError
from lethe.model import Plan
from lethe.plan import from_json
from lethe.sql import queries
from lethe.state import Answer, Listed, State
from lethe.stores.postgres.connection import telling

_SQL = queries("pages")

STATES = ("waiting", "ready", "approved", "done", "stopped", "rejected", "nothing", "altered")
"""What can have become of a plan, in the order in which a person wants to know."""


class Ran(NamedTuple):
    """How one run of the plan ended, and what all runs together had done of it by then."""

    run: str
    state: str
    at: datetime
    rows: int
    reach: int


@dataclass(frozen=True)
class Entry:
    """A plan with its answer; `digest` is the one it was stored under."""

    digest: str
    listed: Listed
    answered_at: datetime | None
    ended: bool
    """Whether a run carried the plan out to its end."""

    @property
    def plan(self) -> Plan:
        """The plan itself."""
        return self.listed.plan

    @property
    def state(self) -> str:
        """One of STATES. A plan that was given up is finished too, but nobody may read that as done."""
        if self.plan.digest != self.digest:
            return "altered"
        if self.listed.answer.finished and not self.ended:
            return "stopped"
        return self.listed.state


class Reading(State):
    """lethe_state as the pages see it; they need no more than SELECT."""

    @telling
    def latest(self, limit: int, rule: str | None = None) -> tuple[Entry, ...]:
        """The latest plans, newest first; of one rule if it is named."""
        params = {"rule": rule, "digest": None, "limit": limit}
        return tuple(_entry(row) for row in self._connection.get().execute(_SQL["plans"], params).fetchall())

    @telling
    def entry(self, digest: str) -> Entry | None:
        """The plan with this digest, None when there is none; PlanError when its text is not what it was."""
        params = {"rule": None, "digest": digest, "limit": 1}
        row = self._connection.get().execute(_SQL["plans"], params).fetchone()
        if row is None:
            return None
        if (found := _entry(row)).state == "altered":
            raise PlanError(f"plan {digest}: its stored text has another digest; it was changed after it was made")
        return found

    @telling
    def runs(self, digest: str) -> tuple[Ran, ...]:
        """The runs of the plan, first to last."""
        return tuple(Ran(*row) for row in self._connection.get().execute(_SQL["runs"], {"digest": digest}).fetchall())


def _entry(row: tuple[Any, ...]) -> Entry:
    digest, body, made_at, approved, role, via, answered_at, finished_at, ended = row
    try:
        plan = from_json(json.loads(body))
    except (KeyError, TypeError, ValueError):
        raise PlanError(f"plan {digest}: its stored text is not a plan as this version of Lethe writes it") from None
    listed = Listed(plan, made_at, Answer(approved, finished_at is not None), role, via)
    return Entry(digest, listed, answered_at, ended)
