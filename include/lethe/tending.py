"""Tending the canaries of a store: what a check found of them is written down, and where one is missing, it is planted.

intended ─▶ planted ─▶ (held ─▶ released) ─▶ gone, or died
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from uuid import uuid4

from lethe import clock, holding
from lethe.checks.canaries import PARTS, THERE, WEEK, Bed, Canary, Judged, Part, Unplanted, bed
from lethe.holds import Because, targets_of
from lethe.model import Rule
from lethe.run import Lethe


def tend(lethe: Lethe, store: str, judged: tuple[Judged, ...], today: date) -> Iterator[tuple[str, str]]:
    """Write down what a check found, release and plant; each rule for which nothing can be planted, and why.

    A rule that nobody has confirmed, or that the policy does not try so any more, gets no new ones.
    """
    register = lethe.state.canaries
    for each in judged:
        if each.fate in ("gone", "died", "lost") and each.canary.died_on is None:
            register.ended(each, today)
        if each.fate in THERE:
            _look_after(lethe, each.canary, today, is_there=each.fate != "unseen")
    present = {(each.canary.rule, each.canary.part) for each in judged if each.fate in THERE}
    for name in lethe.policy.stores[store].canaries:
        rule = lethe.policy.rules[name]
        missing = [part for part in PARTS if (name, part) not in present]
        if missing and lethe.state.is_confirmed(rule):
            try:
                with bed(lethe.address(store), store, rule) as there:
                    for part in missing:
                        _plant(lethe, there, rule, part, today)
            except Unplanted as why:
                yield name, str(why)


def _look_after(lethe: Lethe, canary: Canary, today: date, *, is_there: bool) -> None:
    """Hold what is to be held, and release it after a week, or when the policy does not try its rule any more."""
    if is_there and not canary.planted:  # its planting was stopped half-way
        lethe.state.canaries.planted(canary)
    if is_there and canary.part == "held" and canary.hold is None and today <= canary.last:
        _hold(lethe, canary, lethe.policy.rules[canary.rule])
    is_tried = any(canary.rule in store.canaries for store in lethe.policy.stores.values())
    if canary.hold is not None and canary.is_held and (today >= canary.planted_on + WEEK or not is_tried):
        holding.release(lethe, canary.hold, via="airflow")
        lethe.state.canaries.released(canary, today)


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
