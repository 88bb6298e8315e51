"""What the fault tests share: a table of customers, its rule, and the account of what is gone against what is told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lethe.model import Plan, Receipt, Verdict
from lethe.run import Lethe
from lethe.stores.postgres.apply import Pace
from support import Database

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)

SCHEMA = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, ended_on date);
INSERT INTO customer SELECT n, 'Kunde ' || n, date '2023-12-31' + n FROM generate_series(1, 100) n;
"""
DUE = 60
"""Customers of SCHEMA that are due on the day of NOW: those who ended from 1 January to 29 February 2024."""

DATASET = """
serves: [R08]
datasets:
  customers:
    in: crm
    table: customer
    key: id
    personal_data: {name: user.name}
"""
RULE = """
rules:
  ex-customers:
    obligation: R08
    of: customers
    title: {nb: Kunder, en: Customers}
    clock: ended_on
    keep: P1Y
    then: delete
    limits: {rows: 1000, share: 100%}
"""
ACTIVITY = DATASET + RULE

BLOCKY = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, ended_on date);
ALTER TABLE customer ALTER name SET STORAGE PLAIN;
INSERT INTO customer SELECT n, rpad('Kunde ' || n, 1500), date '2020-01-01' FROM generate_series(1, 100) n;
"""
"""A hundred customers, all due, five in a block."""


class Steady(Pace):
    """Batches of one size, however long they take."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.size = dict.fromkeys(self.size, size)

    def learn(self, *_: Any, **__: Any) -> None:
        """Nothing."""


def at_pace(lethe: Lethe, size: int = 1) -> Lethe:
    """Let the store `crm` work in batches of `size` blocks or rows."""
    rule = next(iter(lethe.policy.rules.values()))
    lethe.store(rule).pace = Steady(size)
    return lethe


def again(lethe: Lethe, role: str = "lethe_worker", policy_dir: Path | None = None) -> Lethe:
    """The same policy and databases, opened anew as `role`: another process, in effect."""
    where = getattr(lethe, "addresses", {})  # none of a Lethe that a test made by itself
    addresses = {**where, "crm": lethe.database.conninfo(role), "lethe_state": lethe.state_database.conninfo(role)}
    return Lethe.open(policy_dir or lethe.policy_dir, addresses.__getitem__, url=where.__getitem__)


def answer(lethe: Lethe, plan: Plan, *, approved: bool = True) -> bool:
    """What the privacy officer says to the plan at the command line, signed in to lethe_state."""
    with again(lethe, "lethe_officer") as officer:
        return officer.answer(plan.digest, approved, via="cli", role="privacy-officer")


def approved(lethe: Lethe, rule: str = "ex-customers", now: datetime = NOW) -> Plan:
    """A plan that the privacy officer approved."""
    plan = lethe.plan(rule, now, "run")
    assert answer(lethe, plan)
    return plan


def act(
    lethe: Lethe, plan: Plan, now: datetime = NOW, run: str = "run", each: Callable[[Receipt], None] | None = None
) -> int:
    """Act on all shards of the plan, in order; the rows that went, batch by batch told to `each` too."""
    receipts: list[Receipt] = []

    def note(receipt: Receipt) -> None:
        receipts.append(receipt)
        if each is not None:
            each(receipt)

    for shard in plan.survey.shards:
        lethe.act(plan.digest, shard.number, now, run, note)
    return sum(receipt.rows for receipt in receipts)


def carry_out(lethe: Lethe, rule: str = "ex-customers") -> int:
    """Plan the rule, have it approved where it needs to be, carry it out and verify; the rows of its own dataset."""
    plan = lethe.plan(rule, NOW, "run")
    if plan.survey.of(Verdict.DUE):
        if plan.needs:
            answer(lethe, plan)
        rows = act(lethe, plan)
        lethe.finish(plan.digest, NOW, "run")
        assert lethe.verify(plan.digest, "run").is_nothing
        lethe.record(rule, "run", digest=plan.digest)
        return rows
    return 0


def leaves(database: Database) -> list[dict[str, Any]]:
    """The evidence that a store holds, in order."""
    return [json.loads(leaf) for (leaf,) in database.rows("SELECT leaf FROM lethe.outbox ORDER BY seq")]


def customers(lethe: Lethe) -> int:
    """How many customers there are."""
    return int(lethe.database.one("SELECT count(*) FROM customer"))


def accounted(database: Database, gone: int) -> bool:
    """Whether the evidence tells of exactly the rows that are gone: each batch once, no number missing."""
    told = leaves(database)
    batches = [(leaf["plan"], leaf["shard"], leaf["batch"]) for leaf in told]
    assert [leaf["outbox"]["seq"] for leaf in told] == list(range(1, len(told) + 1))
    assert database.one("SELECT seq FROM lethe.store") == len(told)
    assert len(set(batches)) == len(batches)
    assert sum(leaf["rows"] for leaf in told) == gone
    return True


def wait_until(condition: Callable[[], Any], seconds: float = 15) -> None:
    """Wait for what another session or process is about to do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def waiting(database: Database, on: str = "Lock") -> list[int]:
    """The sessions of Lethe in this database that wait for a lock (or another kind of event)."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lethe'"
        f" AND state = 'active' AND wait_event_type = '{on}'"
    )
    return [pid for (pid,) in database.rows(query)]


ACTS = """
import sys
from pathlib import Path
from faults import act, at_pace
from lethe.run import Lethe

policy, store, state, digest, run = sys.argv[1:6]
addresses = {"crm": store, "lethe_state": state}
with Lethe.open(Path(policy), addresses.__getitem__) as lethe:
    at_pace(lethe)
    plan = lethe.state.plan(digest)
    print("ready", flush=True)
    print("rows", act(lethe, plan, run=run), flush=True)
"""


def acting(lethe: Lethe, plan: Plan, run: str = "other", prelude: str = "") -> list[str]:
    """The command line of a process that acts on the plan, in batches of one block; `prelude` is Python run before."""
    where = (lethe.policy_dir, lethe.database.conninfo("lethe_worker"), lethe.state_database.conninfo("lethe_worker"))
    return [sys.executable, "-c", prelude + ACTS, *map(str, where), plan.digest, run]


def environment() -> dict[str, str]:
    """The variables such a process needs."""
    import os

    root = Path(__file__).resolve().parents[1]
    return {**os.environ, "PYTHONPATH": f"{root / 'include'}:{root / 'tests'}"}
