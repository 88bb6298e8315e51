"""Tending the canaries of a store: what a check found of them is written down, and where one is missing, it is planted.

    intended ─▶ planted ─▶ (held ─▶ released) ─▶ gone, or died

Each step is written down in lethe_state around what is done in the store; a check that comes after a stop goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from uuid import uuid4

from lethe import clock, holding
from lethe.checks.canaries import PARTS, THERE, WEEK, Bed, Canary, Part, bed
from lethe.checks.result import StoreChecked
from lethe.checks.rows import NotPut
from lethe.holds import Because, targets_of
from lethe.model import Rule
from lethe.run import Lethe


def tend(lethe: Lethe, found: StoreChecked) -> StoreChecked:
    """Write down what a check found of a store's canaries, release and plant; the same check, with what went wrong.

    A rule that nobody has confirmed, or that the policy does not try so any more, gets no new ones. Nothing is done in
    a database that is not the one that is meant.
    """
    if found.identity is None or any(each.kind in ("another-database", "gone-back") for each in found.findings):
        return found
    for each in found.canaries:
        if each.fate in THERE:
            _look_after(lethe, each.canary, found.today, is_there=each.fate != "unseen")
        elif each.canary.died_on is None:
            lethe.state.canaries.ended(each, found.today)
            _let_go(lethe, each.canary, found.today)
    return replace(found, unplanted=dict(_plant_missing(lethe, found)))


def _look_after(lethe: Lethe, canary: Canary, today: date, *, is_there: bool) -> None:
    """Hold what is to be held, and release it after a week, or when the policy does not try its rule any more."""
    if is_there and not canary.planted:  # its planting was stopped half-way
        lethe.state.canaries.planted(canary)
    if is_there and canary.part == "held" and canary.hold is None and today <= canary.last:
        _hold(lethe, canary, lethe.policy.rules[canary.rule])
    is_tried = any(canary.rule in store.canaries for store in lethe.policy.stores.values())
    if today >= canary.planted_on + WEEK or not is_tried:
        _let_go(lethe, canary, today)


def _let_go(lethe: Lethe, canary: Canary, today: date) -> None:
    """Release the hold on it, if there is one."""
    if canary.hold is not None and canary.is_held:
        holding.release(lethe, canary.hold, via="airflow")
        lethe.state.canaries.released(canary, today)


def _plant_missing(lethe: Lethe, found: StoreChecked) -> Iterator[tuple[str, str]]:
    """Plant what is missing; each rule for which that cannot be done, and why."""
    present = {(each.canary.rule, each.canary.part) for each in found.canaries if each.fate in THERE}
    for name in lethe.policy.stores[found.store].canaries:
        rule = lethe.policy.rules[name]
        missing = [part for part in PARTS if (name, part) not in present]
        if missing and lethe.state.is_confirmed(rule):
            try:
                with bed(lethe.address(found.store), found.store, rule) as there:
                    for part in missing:
                        _plant(lethe, there, rule, part, found.today)
            except NotPut as why:
                yield name, str(why)


def _plant(lethe: Lethe, there: Bed, rule: Rule, part: Part, today: date) -> None:
    seed = there.seed(today + WEEK if part == "not-due" else today)
    canary = Canary(uuid4().hex, rule.name, part, seed.key, today, seed.last)
    lethe.state.canaries.intend(rule.dataset.store, canary)
    there.plant(seed, lethe.policy.stores[rule.dataset.store].canaries[rule.name], lethe.policy.organisation.zone.key)
    lethe.state.canaries.planted(canary)
    if part == "held":
        _hold(lethe, replace(canary, planted=True), rule)


def _hold(lethe: Lethe, canary: Canary, rule: Rule) -> None:
    """Like any other hold, through the register: the way from there to the sweep is what is tried."""
    targets = targets_of(lethe.policy, [(rule.dataset.name, canary.key)])
    review = max(canary.planted_on, lethe.today(clock.now())) + 2 * WEEK
    holding.place(lethe, Because.CANARY, targets, review, via="airflow")
