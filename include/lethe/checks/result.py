"""What the checks of a store found: numbers, and words about what could not be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from lethe.checks.questions import Counts


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


@dataclass(frozen=True)
class StoreChecked:
    """All answers of one store on a day, and the validation as Great Expectations tells it."""

    store: str
    today: date
    rules: tuple[Checked, ...]
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_clean(self) -> bool:
        """Whether every rule was asked about, and nothing remains that may go."""
        return all(each.state in ("clean", "unconfirmed") for each in self.rules)

    @property
    def is_known(self) -> bool:
        """Whether every rule could be asked about."""
        return all(each.state != "unknown" for each in self.rules)
