"""Placing a hold, looking at it again, releasing it: what the command line and the API do alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import NamedTuple
from uuid import uuid4

from lethe import clock
from lethe.errors import HoldError, HoldReleased, StoreError, StoreUnreachable
from lethe.holds import ALL, Because, Hold, Target, Via
from lethe.run import Lethe


class Placed(NamedTuple):
    """The id of a hold that was placed, and a sentence for each row that its store could not be asked for."""

    hold: str
    unasked: tuple[str, ...]


class Reached(NamedTuple):
    """Whether the mirror of a store has what the register says now, or why not."""

    store: str
    error: StoreError | None

    def __str__(self) -> str:
        if self.error is None:
            return f"{self.store}: has the holds in force"
        return f"{self.store}: not yet; nothing is done there before it has it: {self.error}"


def place(
    lethe: Lethe, because: Because, targets: Iterable[Target], until: date, *, via: Via, person: str | None = None
) -> Placed:
    """Register a hold as the privacy officer's; HoldError when it would hold nothing, or its date is not ahead.

    `person` is Airflow's number of the user; None is who signed in to the database.
    """
    wanted = tuple(targets)
    if not wanted:
        raise HoldError("found nothing to hold, expected rows, a dataset or a rule; nothing was placed")
    unasked = tuple(_missing_answers(lethe, wanted))
    _require_ahead(lethe, until)
    role = lethe.policy.organisation.privacy_officer
    hold = lethe.state.holds.place(because, wanted, until, role=role, via=via, person=person)
    return Placed(hold, unasked)


def review(lethe: Lethe, start: str, until: date, *, via: Via, person: str | None = None) -> Hold:
    """Say that the hold whose id begins so is still needed, until it is looked at again; the hold as it was."""
    found = _unreleased(lethe, start)
    _require_ahead(lethe, until)
    role = lethe.policy.organisation.privacy_officer
    lethe.state.holds.review(found.id, until, role=role, via=via, person=person)
    return found


def release(lethe: Lethe, start: str, *, via: Via, person: str | None = None) -> Hold:
    """Say that the hold whose id begins so is over; the hold as it was."""
    found = _unreleased(lethe, start)
    lethe.state.holds.release(found.id, role=lethe.policy.organisation.privacy_officer, via=via, person=person)
    return found


def bring_up(lethe: Lethe, stores: Iterable[str]) -> Iterator[Reached]:
    """Bring the mirror in each of these stores up to the register, one after the other."""
    for store in sorted(set(stores)):
        try:
            lethe.bring_up_holds(store, uuid4().hex)
        except StoreError as error:
            yield Reached(store, error)
        else:
            yield Reached(store, None)


def _missing_answers(lethe: Lethe, targets: Iterable[Target]) -> Iterator[str]:
    """A mistyped hold holds nothing: each row is there, unless its store cannot be asked from here, which is told.

    Other stores have it as a target for what hangs on it there, and not the row.
    """
    keyed = [(each, each.key) for each in targets if each.key is not None and each.key != ALL]
    declared = [(lethe.policy.datasets[each.dataset], each.store, key) for each, key in keyed]
    rows = [(dataset, key) for dataset, store, key in declared if store == dataset.store]
    for number, (dataset, key) in enumerate(rows, 1):
        try:
            found = lethe.mirror(dataset.store).has_row(dataset, key)
        except StoreUnreachable:
            yield f"row {number}: whether {dataset.name} has it cannot be asked from here"
        else:
            if not found:
                raise HoldError(f"row {number}: {dataset.name} has no row with this key; nothing was placed")


def _require_ahead(lethe: Lethe, until: date) -> None:
    today = lethe.today(clock.now())
    if until <= today:
        raise HoldError(f"found {until} for the next look, expected a day after today, {today}")


def _unreleased(lethe: Lethe, start: str) -> Hold:
    found = lethe.state.holds.hold(start)
    if found.released_at is not None:
        raise HoldReleased(f"hold {found.id[:12]}: it was released before, on {found.released_at:%Y-%m-%d}")
    return found
