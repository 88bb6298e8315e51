"""What runs on one row: each rule that can end it, from which day, and what becomes of each of its fields. Pure.

    store ──▶ Row: Judged by each Ending ──▶ due_from, fates ──▶ words, JSON

The store says what it found of a row, never what stands in it: reasons, the dates of clocks, which floors stand in the
way. Rules compete only where they touch the same field; there the earlier day wins, then the declared order. A floor
always wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from lethe.deadlines import YearEnd, last_day, next_day
from lethe.model import NO_REASON, Anonymise, Change, Dataset, Floor, Kin, Policy, Reason, Rule, Verdict

BY_DATE = Reason.NOT_DUE | Reason.FLOOR
"""Reasons that end by themselves on a day that can be named."""


@dataclass(frozen=True)
class Ending:
    """A rule that can end rows of a dataset: one of its own, or one that takes them along with what they follow.

    `path` is the relations from the row up to the rule's; empty for a rule over the dataset itself.
    """

    rule: Rule
    path: tuple[str, ...] = ()
    goes_with: str | None = None
    """The dataset that the rows follow."""

    def touches(self, column: str) -> bool:
        """Whether it changes the column, or takes the row with it."""
        return not isinstance(self.rule.action, Anonymise) or column in self.rule.action.fields

    @property
    def fields(self) -> Mapping[str, Change]:
        """What becomes of the fields that it changes; empty where the row goes."""
        return self.rule.action.fields if isinstance(self.rule.action, Anonymise) else {}


@dataclass(frozen=True)
class Standing:
    """A floor that stands in the way now, over the row or one that shares its fate, with the latest date it counts."""

    floor: Floor
    day: date | None


@dataclass(frozen=True)
class Held:
    """A hold that covers a row: on itself or on what it hangs on, on all of a dataset, or in the system's own words."""

    kind: Reason
    on: str
    by: Literal["row", "dataset", "system"]


@dataclass(frozen=True)
class Judged:
    """What a store says of a row under one ending: every reason, and the local date that the period counts from."""

    ending: Ending
    reasons: Reason
    start: date | None
    floors: tuple[Standing, ...] = ()
    rule_held: Reason = NO_REASON
    """What a hold on all that the rule would do is."""

    @property
    def verdict(self) -> Verdict:
        """Due, done or kept."""
        return self.reasons.verdict

    @property
    def last_day(self) -> date | None:
        """The last day of the period; None without a date, or when it lies past the calendar."""
        return _last_day(self.start, self.ending.rule)

    def due_from(self, year_end: YearEnd) -> date | None:
        """The day from which nothing that ends by itself keeps the row; None when no such day can be named."""
        days = [self.last_day, *(standing_until(each, year_end) for each in self.floors)]
        known = [day for day in days if day is not None]
        return next_day(max(known)) if len(known) == len(days) and max(known) < date.max else None


@dataclass(frozen=True)
class Row:
    """A row of the subject's; `number` is its place among those of its dataset."""

    number: int
    key: str = field(repr=False)
    holds: tuple[Held, ...]
    judged: tuple[Judged, ...]


@dataclass(frozen=True)
class Told:
    """The rows of one dataset that are the subject's, or hang on it: the first one by one, the rest as counts."""

    dataset: Dataset
    paths: tuple[tuple[str, ...], ...]
    """The ways of relations that lead to the subject's row; one empty way for the row itself."""
    total: int | None = None
    """None when the rows cannot be read."""
    rows: tuple[Row, ...] = ()
    rest: tuple[tuple[Ending, Mapping[Reason, int]], ...] = ()
    stopped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Rules that cannot be judged: what the live schema has that the policy does not say, or the other way round."""
    problem: str = ""
    """Why the rows cannot be read."""
    outside: bool = False
    """No rule has to do with the dataset, and so Lethe was not given it to read."""


@dataclass(frozen=True)
class Explained:
    """Everything that runs on one row of a subject and on what hangs on it, on one day."""

    subject: Dataset
    today: date
    told: tuple[Told, ...]
    behind: int
    """Holds of the register that the store's mirror has not yet, or still has."""


@dataclass(frozen=True)
class Fate:
    """What becomes of one field: what ends it first, what has ended it, which floors keep it now."""

    column: str
    category: str
    first: Judged | None
    done: tuple[Judged, ...]
    floors: tuple[Standing, ...]


def endings_of(policy: Policy, dataset: Dataset) -> tuple[Ending, ...]:
    """Every rule that can end rows of the dataset, in the declared order, its own before those that take it along."""
    found = [Ending(rule) for rule in policy.rules.values() if rule.dataset.name == dataset.name]
    for rule in policy.rules.values():
        found += (
            Ending(rule, path, kin.relation.to)
            for kin, path in _ways_up(rule.followers, ())
            if kin.dataset.name == dataset.name
        )
    return tuple(sorted(found, key=lambda ending: (ending.rule.order or 0, len(ending.path), ending.rule.name)))


def _ways_up(followers: Iterable[Kin], path: tuple[str, ...]) -> Iterator[tuple[Kin, tuple[str, ...]]]:
    for kin in followers:
        up = (kin.relation.name, *path)
        yield kin, up
        yield from _ways_up(kin.kin, up)


def standing_until(standing: Standing, year_end: YearEnd) -> date | None:
    """The last day that a floor keeps; None when it has no date to count from, or ends past the calendar."""
    floor, day = standing.floor, standing.day
    if day is None:
        return None
    if floor.period is None:
        return day - timedelta(days=1)  # it ends when that day has come
    try:
        return last_day(year_end.of(day), floor.period)
    except (OverflowError, ValueError):
        return None


def _last_day(start: date | None, rule: Rule) -> date | None:
    try:
        return None if start is None else last_day(start, rule.keep)
    except (OverflowError, ValueError):  # such a period never ends
        return None


def ends_on(judged: Judged, year_end: YearEnd) -> date | None:
    """The day from which the rule ends the row; None when something that has no end of its own keeps it."""
    return judged.due_from(year_end) if not judged.reasons & ~BY_DATE else None


def fates(dataset: Dataset, row: Row, year_end: YearEnd) -> Iterator[Fate]:
    """What becomes of each field of personal data, by column."""
    for column, category in sorted(dataset.personal_data.items()):
        judged = [each for each in row.judged if each.ending.touches(column)]
        left = [each for each in judged if each.verdict is not Verdict.DONE]
        yield Fate(
            column,
            category,
            first=min(left, key=lambda each: _turn(each, year_end), default=None),
            done=tuple(each for each in judged if each.verdict is Verdict.DONE),
            floors=tuple(_floors_on(column, dataset, row)),
        )


def _turn(judged: Judged, year_end: YearEnd) -> tuple[date, date, int, str]:
    """Which comes first: what is due, what will be on a known day, what may be; among equals the declared order."""
    rule, ends = judged.ending.rule, ends_on(judged, year_end)
    if judged.verdict is Verdict.DUE:
        return date.min, date.min, rule.order or 0, rule.name
    return ends or date.max, judged.due_from(year_end) or date.max, rule.order or 0, rule.name


def _floors_on(column: str, dataset: Dataset, row: Row) -> Iterator[Standing]:
    """The floors over the field that stand now, each once."""
    seen = set[str]()
    for standing in (each for judged in row.judged for each in judged.floors):
        floor = standing.floor
        over = floor.dataset == dataset.name and (not floor.fields or column in floor.fields)
        if over and floor.name not in seen:
            seen.add(floor.name)
            yield standing


def once(floors: Iterable[Standing]) -> list[Standing]:
    """Each floor once: several ways can lead to the rows that it is over."""
    return list({standing.floor.name: standing for standing in floors}.values())


def by_kin(judged: Judged, row: Row) -> Reason:
    """Holds that are on none of what the row is or hangs on, nor on the rule: on what shares its fate."""
    own = NO_REASON
    for held in row.holds:
        own |= held.kind
    return judged.reasons & (Reason.HELD | Reason.RESTRICTED) & ~own & ~judged.rule_held
