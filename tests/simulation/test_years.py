# ruff: noqa: S311 - an invented office, not cryptography
"""Years of daily sweeps over a store in memory, in seconds."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta

from lethe.model import Policy, Reason, Verdict
from lethe.plan import make_plan
from lethe.policy import load
from lethe.stores.memory import Memory, MemoryStore, Row
from support import write_policy

ACTIVITY = """
serves: [R08]
datasets:
  cases:
    in: crm
    table: cases
    key: id
    personal_data: {subject: user.content.private}
  messages:
    in: crm
    table: messages
    key: id
    personal_data: {body: user.content.private}
    refers_to: {case: {to: cases, by: case_id}}
    follows: case
floors:
  booked: {obligation: R08, of: cases, law: bokføringsloven § 13, clock: invoiced, when: {kind: sale},
           keep: {after: fiscal-year-end, period: P3Y6M}}
rules:
  closed-cases:
    obligation: R08
    of: cases
    title: {nb: Saker, en: Cases}
    clock: closed
    keep: KEEP
    then: delete
    limits: {rows: 100_000, share: 100%}
"""


@dataclass
class World:
    """An office that opens and closes cases, and now and then a lawyer."""

    rng: random.Random
    memory: Memory
    born: dict[int, Row] = field(default_factory=dict)

    def live(self, today: date) -> None:
        """A day's arrivals, holds and releases."""
        for _ in range(self.rng.choice([0, 0, 1, 1])):
            self._arrive(today)
        here = [row["id"] for row in self.memory.tables["cases"]]
        if here and self.rng.random() < 0.3:
            place, number = self.rng.choice([("cases", 1), ("messages", 10)])
            kind = self.rng.choice([Reason.HELD, Reason.RESTRICTED])
            self.memory.holds.add((place, str(self.rng.choice(here) * number), kind))
        for hold in sorted(self.memory.holds):
            if self.rng.random() < 0.03:
                self.memory.holds.remove(hold)

    def _arrive(self, today: date) -> None:
        """A case that is closed today, or was entered late, or bears a date that is wrong or missing."""
        number = len(self.born) + 1
        late = timedelta(days=self.rng.choice([0, 0, 0, 1, 31, 400, -1, -40]))
        row = {
            "id": number,
            "closed": None if self.rng.random() < 0.05 else today - late,
            "kind": self.rng.choice(["sale", "question", "question", None]),
            "invoiced": today - timedelta(days=self.rng.choice([0, 700, 1500, 3000])),
            "subject": "hei",
        }
        self.born[number] = dict(row)
        self.memory.tables["cases"].append(row)
        self.memory.tables["messages"].append({"id": number * 10, "case_id": number, "body": "hei"})


def _ends(row: Row, months: int, days: int) -> date | None:
    """The first day on which the case may be gone, told by a calendar that is not Lethe's."""
    if row["closed"] is None:
        return None
    return row["closed"] + relativedelta(months=months) + timedelta(days=days + 1)


def _protected(world: World, row: Row, today: date) -> bool:
    number = row["id"]
    held = any(
        (place, str(key)) in {h[:2] for h in world.memory.holds}
        for place, key in (("cases", number), ("messages", number * 10))
    )
    if row["kind"] == "question":
        return held
    over = date(row["invoiced"].year, 12, 31) + relativedelta(years=3, months=6)
    return held or today <= over


def _sweep(store: MemoryStore, policy: Policy, today: date) -> int:
    rule = policy.rules["closed-cases"]
    plan = make_plan(policy, rule, store.survey(rule, today, confirmed=True), today, None)
    for shard in plan.survey.shards:
        while store.apply(plan, shard, run="0" * 32) is not None:
            pass
    assert store.remaining(rule, today, confirmed=True).rows == 0
    return plan.survey.of(Verdict.DUE)


@pytest.mark.parametrize(
    ("keep", "months", "days", "seed"),
    [("P1M", 1, 0, 1), ("P30D", 0, 30, 2), ("P2M3D", 2, 3, 3), ("P1Y", 12, 0, 4)],
)
def test_nothing_goes_before_its_day_and_nothing_stays_after_it(
    tmp_path: Path, keep: str, months: int, days: int, seed: int
) -> None:
    """From November 2023 to March 2025: a leap day, month ends of every length, and both changes of the clocks."""
    policy = load(write_policy(tmp_path / "policy", ACTIVITY.replace("KEEP", keep)))
    today, swept = date(2023, 11, 1), 0
    zone = policy.organisation.zone
    memory = Memory({"cases": [], "messages": []}, moment=lambda: datetime.combine(today, time(3), tzinfo=zone))
    world = World(random.Random(seed), memory)
    store = MemoryStore(policy.stores["crm"], policy, memory, batch_rows=2)
    while today < date(2025, 3, 15):
        world.live(today)
        before = {row["id"] for row in memory.tables["cases"]}
        swept += _sweep(store, policy, today)
        after = {row["id"] for row in memory.tables["cases"]}
        for number in before:
            row = world.born[number]
            end = _ends(row, months, days)
            due = end is not None and end <= today and not _protected(world, row, today)
            assert (number not in after) == due, (today, row)
        assert {row["case_id"] for row in memory.tables["messages"]} == after
        today += timedelta(days=1)
    _tell_it_was_worth_it(world, memory, swept)


def _tell_it_was_worth_it(world: World, memory: Memory, swept: int) -> None:
    """Much was born, much went, some was kept for a reason, and the evidence counts every case that went."""
    assert len(world.born) > 200
    assert swept == len(world.born) - len(memory.tables["cases"]) > 30
    assert memory.holds
    sums: dict[str, Any] = {"rows": 0}
    for done in memory.progress.values():
        sums["rows"] += done.rows
    assert sums["rows"] == swept
