"""What the checks of a store found: numbers, and words about what could not be asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import rfc8785

from lethe.checks.finding import IDENTITY, Finding
from lethe.checks.identity import Identity, estranged
from lethe.checks.questions import Counts
from lethe.checks.trial import Tried


@dataclass(frozen=True)
class Checked:
    """What a store answered about one rule.

    Unknown, with why, where it could not be asked; blind, with why, where it saw too little to prove anything;
    unconfirmed where rows are left because nobody has said yet that the rule may act.
    """

    rule: str
    state: Literal["clean", "remaining", "blind", "unconfirmed", "unknown"]
    counts: Counts | None = None
    problem: str = ""
    stale: int | None = None
    """How many dates of rows that are gone the server's statistics keep; None where that could not be asked."""
    trial: Tried | None = None
    """Whether the question told rows apart that were put in and rolled back; None where it was not asked at all."""


@dataclass(frozen=True)
class StoreChecked:
    """All answers of one store on a day, and the validation as Great Expectations tells it."""

    store: str
    today: date
    rules: tuple[Checked, ...]
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    page: str = field(default="", repr=False)
    """The same for people, in HTML."""
    grace: int = 1
    """How many days the sweep had to come by."""
    identity: Identity | None = None
    """Who answered; None when nobody did."""
    before: Identity | None = None
    """Who was to answer; None when nobody ever did."""
    gaps: tuple[Finding, ...] | None = None
    """What the store holds and the policy does not name; None when nobody could look."""
    unread: frozenset[str] = frozenset()
    """The tables that did not let themselves be looked into."""
    problem: str = ""
    """Why the store as a whole could not be asked, or not be looked into."""

    @property
    def canonical(self) -> str:
        """The validation in canonical JSON."""
        return rfc8785.dumps(dict(self.document)).decode()

    @property
    def digest(self) -> str | None:
        """SHA-256 of that; None when nothing could be asked."""
        return hashlib.sha256(self.canonical.encode()).hexdigest() if self.document else None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the check holds against the store; one that does not answer is one finding."""
        whole = (Finding(self.store, "unknown", self.store, self.problem),) if self.problem else ()
        if self.identity is None:
            return whole
        strange = estranged(self.store, self.identity, self.before) if self.before is not None else ()
        return (*whole, *strange, *self._of_rules(), *(self.gaps or ()))

    def _of_rules(self) -> tuple[Finding, ...]:
        return tuple(
            Finding(self.store, each.state, each.rule, each.problem or _remaining(each.counts))
            for each in self.rules
            if each.state in ("remaining", "blind", "unknown")
        ) + tuple(self._beside())

    def _beside(self) -> Iterator[Finding]:
        """What else is told of rules, whatever remains."""
        for each in self.rules:
            if each.trial is not None and each.trial.state == "missed":
                yield Finding(self.store, "trial-missed", each.rule, each.trial.why)
            if each.stale:
                yield Finding(self.store, "statistics", each.rule, f"{each.stale} dates; ANALYZE the table")

    def unseen(self, finding: Finding) -> bool:
        """Whether the check could not look at what the finding is about: then it stays open."""
        if self.identity is None:
            return True
        rule = next((each for each in self.rules if each.rule == finding.subject), None)
        if rule is None and finding.kind not in IDENTITY:
            return self.gaps is None or any(f"{finding.subject}.".startswith(f"{table}.") for table in self.unread)
        if rule is None or rule.state == "unknown":
            return rule is not None
        if finding.kind == "statistics":
            return rule.stale is None
        return finding.kind == "trial-missed" and rule.trial is not None and rule.trial.state == "untried"

    @property
    def is_clean(self) -> bool:
        """Whether every rule was asked about, where it was meant to be, and nothing remains that may go."""
        return not self.findings and all(each.state in ("clean", "unconfirmed") for each in self.rules)

    @property
    def is_known(self) -> bool:
        """Whether every rule could be asked about, and the store be looked into."""
        return not self.problem and all(each.state != "unknown" for each in self.rules)


def _remaining(counts: Counts | None) -> str:
    return f"{counts.remaining} rows" if counts is not None else ""
