"""What the checks of a store found: numbers, and words about what could not be asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import rfc8785

from lethe.checks.canaries import Judged
from lethe.checks.finding import WHOLE, Finding
from lethe.checks.identity import Identity, estranged
from lethe.checks.kept import Lawful
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
    held_gone: Mapping[str, int] = field(default_factory=dict)
    """How many rows that holds name are not there, by schema.table; without what could not be asked."""
    lawful: Mapping[str, Lawful] = field(default_factory=dict)
    """The rows under floors, by rule; without what could not be asked."""
    canaries: tuple[Judged, ...] = ()
    """The planted rows, and what became of each."""
    unplanted: Mapping[str, str] = field(default_factory=dict)
    """Why no row can be planted, by rule."""

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
        held = (
            Finding(self.store, "held-gone", table, f"{rows} rows") for table, rows in self.held_gone.items() if rows
        )
        return (*whole, *strange, *held, *self._of_rules(), *self._of_canaries(), *(self.gaps or ()))

    def _of_canaries(self) -> Iterator[Finding]:
        for kind, fate in (("canary-died", "died"), ("canary-lives", "lives")):
            for rule in sorted({each.canary.rule for each in self.canaries if each.fate == fate}):
                told = (str(each) for each in self.canaries if (each.canary.rule, each.fate) == (rule, fate))
                yield Finding(self.store, kind, rule, "; ".join(told))
        yield from (Finding(self.store, "canary-unplanted", rule, why) for rule, why in self.unplanted.items())

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
            if (kept := self.lawful.get(each.rule)) is not None and kept.gone:
                since = f"of {kept.count.rows} rows on {kept.count.since}"
                yield Finding(self.store, "floor-gone", each.rule, f"{kept.gone} {since}, with floors beyond today")
            if each.stale:
                yield Finding(self.store, "statistics", each.rule, f"{each.stale} dates; ANALYZE the table")

    def unseen(self, finding: Finding) -> bool:
        """Whether the check could not look at what the finding is about: then it stays open."""
        if self.identity is None:
            return True
        if finding.kind in WHOLE:
            return finding.kind == "held-gone" and finding.subject not in self.held_gone
        rule = next((each for each in self.rules if each.rule == finding.subject), None)
        if rule is None:
            return self.gaps is None or any(f"{finding.subject}.".startswith(f"{table}.") for table in self.unread)
        return rule.state == "unknown" or self._unseen_of(rule, finding.kind)

    def _unseen_of(self, rule: Checked, kind: str) -> bool:
        """Whether that one thing could not be seen about a rule that was asked about."""
        if kind.startswith("canary"):
            return any(each.fate == "unseen" for each in self.canaries if each.canary.rule == rule.rule)
        return {
            "statistics": rule.stale is None,
            "trial-missed": rule.trial is not None and rule.trial.state == "untried",
            "floor-gone": rule.rule not in self.lawful,
        }.get(kind, False)

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
