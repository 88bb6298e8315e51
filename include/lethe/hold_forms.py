"""Holds as JSON: what is asked of the API, and what it and `lethe hold list --json` tell."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from lethe.holds import ALL, BY_LAW, Because, Hold, State, Target


class Form(BaseModel):
    """A mapping with known keys and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _by_law(because: Because) -> Because:
    if because not in BY_LAW:
        raise PydanticCustomError("enum", "Input should be a reason of the law's; canaries are held by Lethe itself")
    return because


LawfulReason = Annotated[
    Because, AfterValidator(_by_law), WithJsonSchema({"type": "string", "enum": [str(each) for each in BY_LAW]})
]


class Row(Form):
    """One row, by its dataset and its key. A hold covers all that hangs on the row, too."""

    dataset: str
    """Its name in the policy."""
    key: str = Field(min_length=1)
    """The key exactly as the store shows it. It names a person."""


class Placing(Form):
    """A hold to place: on rows, on whole datasets, on rules, or on several of these."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "because": "legal-claim",
                    "review": "2026-06-30",
                    "rows": [{"dataset": "portal-customers", "key": "1042"}],
                }
            ]
        }
    )

    because: LawfulReason
    """The law's reason: GDPR 17(3)(e), 17(3)(b), and 18(1)(a) to (d), in this order."""
    review: date
    """When to look at it again, a day to come. The hold stays in force until it is released, also past this day."""
    rows: tuple[Row, ...] = ()
    """Rows that stay. Each is there, unless its store cannot be asked from here."""
    datasets: tuple[str, ...] = ()
    """Datasets that stay as a whole, by their names in the policy."""
    rules: tuple[str, ...] = ()
    """Rules that do nothing meanwhile, by their names in the policy."""


class Reviewing(Form):
    """That a hold was looked at and is still needed."""

    review: date
    """When to look at it again, a day to come."""


class TargetTold(Form):
    """What a hold is on, in one store."""

    store: str
    """The store's name in the policy."""
    dataset: str
    """The dataset's name in the policy, or `rule:` and the name of a rule."""
    whole: bool
    """Whether it is on all of the dataset, or on all that the rule would do; else on one row."""
    key: str | None = None
    """The key of the row, where keys are asked for; null once it was forgotten, a year after the release."""
    in_force_at: datetime | None
    """Since when the store has it; null while it does not, and then nothing is done there."""
    lifted_at: datetime | None
    """When the store let go of it."""

    @classmethod
    def of(cls, target: Target, *, keys: bool) -> Self:
        """The target, with its key only where keys are asked for."""
        key = {"key": target.key} if keys else {}
        return cls(
            store=target.store,
            dataset=target.dataset,
            whole=target.key == ALL,
            in_force_at=target.in_force_at,
            lifted_at=target.lifted_at,
            **key,
        )


class HoldTold(Form):
    """A hold as the register has it."""

    hold: str
    """Its id, which is random."""
    because: Because
    """The law's reason."""
    kind: Literal["held", "restricted"]
    """Restricted is the data subject's right under GDPR 18, and every reader of the store can see it."""
    role: str
    """The role that placed it, never a name."""
    state: State
    """Waits until every store that it is about has it; being lifted until every store has let go of it."""
    placed_at: datetime
    """When it was placed."""
    review: date
    """When to look at it again."""
    past_review: bool
    """Whether somebody should have looked at it by now."""
    released_at: datetime | None
    """When it was released."""
    targets: tuple[TargetTold, ...]
    """What it is on."""

    warnings: tuple[str, ...] = ()
    """What could not be done at once, after something was said: a row not looked for, a store that lacks the hold."""

    @classmethod
    def of(cls, found: Hold, today: date, *, keys: bool = False, **more: tuple[str, ...]) -> Self:
        """The hold, with the keys of its rows only where they are asked for, and warnings where there may be any."""
        return cls(
            hold=found.id,
            because=found.because,
            kind=found.because.kind,
            role=found.role,
            state=found.state,
            placed_at=found.placed_at,
            review=found.review,
            past_review=found.past_review(today),
            released_at=found.released_at,
            targets=tuple(TargetTold.of(each, keys=keys) for each in found.targets),
            **more,
        )
