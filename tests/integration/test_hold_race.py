"""A hold at every point of a plan's way: from the moment that it is acknowledged, what it covers stays as it is."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from faults import NOW, act, again, answer, at_pace, wait_until, waiting
from lethe.holds import Because, targets_of
from lethe.run import Lethe
from lethe.stores.postgres import apply

SCHEMA = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, ended_on date);
ALTER TABLE customer ALTER name SET STORAGE PLAIN;
INSERT INTO customer SELECT n, rpad('Kunde ' || n, 1500), date '2020-01-01' FROM generate_series(1, 40) n;
CREATE TABLE note (id bigint PRIMARY KEY, customer_id bigint REFERENCES customer, body text);
INSERT INTO note SELECT n, n, 'Hei' FROM generate_series(1, 40) n;
"""
ACTIVITY = """
serves: [R08]
datasets:
  customers: {in: crm, table: customer, key: id, personal_data: {name: user.name}REFERS}
  notes:
    in: crm
    table: note
    key: id
    personal_data: {body: user.content.private}
    refers_to: {customer: {to: customers, by: customer_id}}
    follows: customer
rules:
  ex-customers:
    obligation: R08
    of: customers
    title: {nb: Kunder, en: Customers}
    clock: ended_on
    keep: P1Y
    then: THEN
    limits: {rows: 1000, share: 100%}
"""
REGISTER = "CREATE TABLE company (number bigint PRIMARY KEY); INSERT INTO company SELECT generate_series(1, 40);"
COMPANIES = "  companies: {in: register, table: company, key: number, personal_data: {}}\nrules:"


@dataclass(frozen=True)
class Way:
    """What the rule does, and which dataset's row is held; the row's number is that of the customer."""

    then: str
    held: str
    elsewhere: str = ""

    def activity(self) -> str:
        """The policy's activity."""
        refers = ", refers_to: {company: {to: companies, by: id}}" if self.elsewhere else ""
        text = ACTIVITY.replace("REFERS", refers).replace("THEN", self.then)
        return text.replace("rules:", COMPANIES, 1) if self.elsewhere else text


WAYS = {
    "deleted": Way("delete", "customers"),
    "deleted, its follower is held": Way("delete", "notes"),
    "anonymised": Way("{anonymise: {name: blank}}", "customers"),
    "deleted, held in another store": Way("delete", "companies", REGISTER),
    "anonymised, held in another store": Way("{anonymise: {name: blank}}", "companies", REGISTER),
}
ROWS = (1, 12, 40)
"""One of the first batch, one of the third, and one of the last: five rows are in a block, and a block is a batch."""


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param


@pytest.fixture
def lethe(open_lethe: Callable[..., Lethe], way: Way) -> Lethe:
    return at_pace(open_lethe(way.activity(), SCHEMA, elsewhere=way.elsewhere))


def state(lethe: Lethe, number: int) -> list[Any]:
    """What a hold on the row, or on what it hangs on, covers."""
    return [
        lethe.database.rows(f"SELECT * FROM customer WHERE id = {number}"),
        lethe.database.rows(f"SELECT * FROM note WHERE customer_id = {number}"),
    ]


def hold(lethe: Lethe, way: Way) -> dict[int, list[Any]]:
    """Hold some rows, in every store at once; how each of them was when that was acknowledged."""
    targets = tuple(targets_of(lethe.policy, [(way.held, str(number)) for number in ROWS]))
    with again(lethe, "lethe_officer") as officer:
        until = date(2999, 1, 1)
        officer.state.holds.place(Because.LEGAL_CLAIM, targets, until, role="privacy-officer", via="cli")
    with again(lethe) as placing:
        for store in {target.store for target in targets}:
            placing.bring_up_holds(store, "run")
    return {number: state(lethe, number) for number in ROWS}


@pytest.mark.parametrize("point", ["before the plan", "after the plan", "after the approval", *range(1, 9)])
def test_nothing_that_is_held_is_touched_from_then_on(lethe: Lethe, way: Way, point: str | int) -> None:
    """The numbers are how many batches were done when the hold came."""
    was: dict[int, list[Any]] = {}
    batches = 0

    def come(here: str | int) -> None:
        if here == point:
            was.update(hold(lethe, way))

    def count(_: object) -> None:
        nonlocal batches
        batches += 1
        come(batches)

    come("before the plan")
    plan = lethe.plan("ex-customers", NOW, "run")
    come("after the plan")
    assert answer(lethe, plan)
    come("after the approval")
    act(lethe, plan, each=count)
    assert was
    assert {number: state(lethe, number) for number in ROWS} == was
    lethe.finish(plan.digest, NOW, "run")
    assert {number: state(lethe, number) for number in ROWS} == was
    assert lethe.remaining("ex-customers", NOW.date()).is_nothing


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_a_hold_that_comes_while_a_batch_works_is_acknowledged_after_it(
    lethe: Lethe, way: Way, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    was: dict[int, list[Any]] = {}
    placing = threading.Thread(target=lambda: was.update(hold(lethe, way)))
    seal, seen = apply.seal, 0

    def come(*args: Any) -> int:
        nonlocal seen
        seen += 1
        if seen == batch:
            placing.start()
            wait_until(lambda: waiting(lethe.database))
            assert not was
        return seal(*args)

    plan = lethe.plan("ex-customers", NOW, "run")
    assert answer(lethe, plan)
    monkeypatch.setattr(apply, "seal", come)
    act(lethe, plan, each=lambda _: placing.join() if seen == batch else None)
    assert {number: state(lethe, number) for number in ROWS} == was
