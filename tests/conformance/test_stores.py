# ruff: noqa: D102 - Estate says what its kinds do
"""What every kind of store does, whatever it is made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

import jsonschema
import pytest

from lethe import clock
from lethe.errors import BoundExceeded, SchemaMismatch, Stale
from lethe.evidence.leaf import schema
from lethe.model import Bounds, Plan, Policy, Reason, Receipt, Rule, Verdict, Way
from lethe.plan import finish_shard, make_plan
from lethe.policy import load
from lethe.stores import DataStore
from lethe.stores.memory import Memory, MemoryStore, Row
from lethe.stores.postgres.store import PostgresStore
from support import Database, write_policy

TODAY = date(2025, 3, 1)
RUN = "0123456789abcdef0123456789abcdef"

ACTIVITY = """
serves: [R08]
datasets:
  cases:
    in: crm
    table: cases
    key: id
    personal_data: {subject: user.content.private}
    held_when: {dispute: tvist}
  messages:
    in: crm
    table: messages
    key: id
    personal_data: {body: user.content.private}
    refers_to: {case: {to: cases, by: case_id}}
    follows: case
    held_when: {flag: tvist}
floors:
  archived-first: {obligation: R08, of: cases, law: arkivlova § 9, when: {public: true}, until: delivered}
rules:
  closed-cases:
    obligation: R08
    of: cases
    title: {nb: Saker, en: Cases}
    clock: closed
    keep: P1Y
    when: {status: closed}
    then: delete
    order: 2
    limits: {rows: 10_000, share: 100%}
  subjects:
    obligation: R08
    of: cases
    title: {nb: Emner, en: Subjects}
    clock: closed
    keep: P1Y
    then: {anonymise: {subject: {constant: anonymisert}, note: delete}}
    order: 1
    limits: {rows: 10_000, share: 100%}
  assumed:
    obligation: R08
    of: messages
    title: {nb: Meldinger, en: Messages}
    clock: sent
    keep: {assume: P1Y, because: nothing is said, confirm_by: privacy-officer}
    then: delete
    order: 3
    limits: {rows: 10_000, share: 100%}
"""
SCHEMA = """
CREATE TABLE cases (id int PRIMARY KEY, closed date, status text, dispute text, public bool, delivered date,
    subject text, note text);
CREATE TABLE messages (id int PRIMARY KEY, case_id int REFERENCES cases, sent date, flag text, body text);
"""

LAST = date(2024, 2, 29)  # a year later there is no such day: 28 February 2025 is the period's last
PLANTED: dict[str, tuple[Row, Reason]] = {
    "due since today": ({}, Reason(0)),
    "due for long": ({"closed": date(2001, 1, 1)}, Reason(0)),
    "last day is today": ({"closed": date(2024, 3, 1)}, Reason.NOT_DUE),
    "undated": ({"closed": None}, Reason.UNDATED),
    "future": ({"closed": date(2025, 3, 2)}, Reason.FUTURE),
    "held by its status": ({"dispute": "tvist"}, Reason.HELD),
    "not closed": ({"status": "open"}, Reason.CONDITION),
    "not delivered": ({"public": True}, Reason.FLOOR),
    "nobody knows whether public": ({"public": None}, Reason.FLOOR),
    "delivered": ({"public": True, "delivered": date(2024, 1, 1)}, Reason(0)),
    "held by the mirror": ({}, Reason.HELD),
    "restricted": ({}, Reason.RESTRICTED),
    "held by a message": ({}, Reason.HELD),
    "message held by the mirror": ({}, Reason.HELD),
    "everything at once": (
        {"closed": None, "status": None, "dispute": "tvist", "public": True},
        Reason(2 | 8 | 32 | 64),
    ),
}
IDS = {name: number for number, name in enumerate(PLANTED, start=1)}
MORE = 200
"""Plain due cases behind the planted ones, so that the work takes several batches."""


def planted() -> dict[str, list[Row]]:
    """A case for each reason, plain due ones behind them, and two messages for each."""
    plain = {"closed": LAST, "status": "closed", "dispute": None, "public": False, "delivered": None}
    subject = {"subject": "x" * 400, "note": "ring tilbake"}
    cases = [{"id": IDS[name], **plain, **subject, **changes} for name, (changes, _) in PLANTED.items()]
    cases += [{"id": 1000 + n, **plain, **subject} for n in range(MORE)]
    messages = [
        {"id": 2 * case["id"] + n, "case_id": case["id"], "sent": LAST, "flag": None, "body": "hei"}
        for case in cases
        for n in (0, 1)
    ]
    next(m for m in messages if m["case_id"] == IDS["held by a message"])["flag"] = "tvist"
    return {"cases": cases, "messages": messages}


HOLDS = [
    ("cases", str(IDS["held by the mirror"]), Reason.HELD),
    ("cases", str(IDS["restricted"]), Reason.RESTRICTED),
    ("messages", str(2 * IDS["message held by the mirror"] + 1), Reason.HELD),
]
DUE = {IDS[name] for name, (_, reasons) in PLANTED.items() if not reasons} | {1000 + n for n in range(MORE)}


class Estate(Protocol):
    """One kind of store with the planted rows in it."""

    policy: Policy

    def open(self) -> DataStore:
        """A store over these rows, in batches of a few rows; several can be open."""

    def rows(self, dataset: str) -> list[Row]:
        """The rows as they are now."""

    def hold(self, dataset: str, key: str, kind: Reason) -> None:
        """Put a hold in force."""

    def restore(self) -> None:
        """Say that the store came back from a backup."""

    def outbox(self) -> list[dict[str, Any]]:
        """The evidence, in its order."""


class InMemory:
    def __init__(self, policy: Policy) -> None:
        self.policy, self.memory = policy, Memory(planted(), holds=set(HOLDS))

    def open(self) -> DataStore:
        return MemoryStore(self.policy.stores["crm"], self.policy, self.memory, batch_rows=60)

    def rows(self, dataset: str) -> list[Row]:
        return [dict(row) for row in self.memory.tables[dataset]]

    def hold(self, dataset: str, key: str, kind: Reason) -> None:
        self.memory.holds.add((dataset, key, kind))

    def restore(self) -> None:
        self.memory.epoch += 1

    def outbox(self) -> list[dict[str, Any]]:
        return [json.loads(leaf) for leaf in self.memory.outbox]


class InPostgres:
    def __init__(self, policy: Policy, database: Database) -> None:
        from lethe.stores.postgres.grants import grants

        self.policy, self.database, self._opened = policy, database, []
        database.run(SCHEMA)
        with database.connect() as connection:
            for table, rows in planted().items():
                values = ", ".join(f"%({column})s" for column in rows[0])
                connection.cursor().executemany(f"INSERT INTO {table} VALUES ({values})", rows)
        database.run(grants(policy, policy.stores["crm"]))
        for hold in HOLDS:
            self.hold(*hold)

    def open(self) -> DataStore:
        store = PostgresStore(self.policy.stores["crm"], self.policy, lambda _: self.database.conninfo("lethe_worker"))
        store.pace.size[Way.BLOCKS] = 3
        self._opened.append(store)
        return store

    def close(self) -> None:
        for store in self._opened:
            store.__exit__(None, None, None)

    def rows(self, dataset: str) -> list[Row]:
        return [row for (row,) in self.database.rows(f"SELECT to_jsonb(t) FROM {dataset} t ORDER BY id")]

    def hold(self, dataset: str, key: str, kind: Reason) -> None:
        self.database.run(f"INSERT INTO lethe.hold VALUES ('{dataset}', '{key}', '{str(kind.name).lower()}')")

    def restore(self) -> None:
        self.database.run("UPDATE lethe.store SET epoch = epoch + 1")

    def outbox(self) -> list[dict[str, Any]]:
        return [json.loads(leaf) for (leaf,) in self.database.rows("SELECT leaf FROM lethe.outbox ORDER BY seq")]


@pytest.fixture(params=["memory", "postgres"])
def estate(request: pytest.FixtureRequest, new_database: Callable[..., Database], tmp_path: Path) -> Iterator[Estate]:
    policy = load(write_policy(tmp_path / "policy", ACTIVITY))
    if request.param == "memory":
        yield InMemory(policy)
        return
    made = InPostgres(policy, new_database())
    yield made
    made.close()


def _rule(estate: Estate, name: str = "closed-cases") -> Rule:
    return estate.policy.rules[name]


def _plan(estate: Estate, name: str = "closed-cases", today: date = TODAY) -> Plan:
    rule = _rule(estate, name)
    return make_plan(estate.policy, rule, estate.open().survey(rule, today, confirmed=True), today, None)


def _work_off(store: DataStore, plan: Plan) -> list[Receipt]:
    """Every batch of the plan, the finish included."""
    receipts = []
    for shard in (*plan.survey.shards, finish_shard("public.cases")):
        while (receipt := store.apply(plan, shard, run=RUN)) is not None:
            receipts.append(receipt)
            assert len(receipts) < 1_000, "a plan comes to its end"
    return receipts


def _ids(estate: Estate, dataset: str = "cases") -> set[int]:
    return {row["id"] for row in estate.rows(dataset)}


def test_a_survey_gives_every_row_one_verdict_and_all_its_reasons(estate: Estate) -> None:
    survey = estate.open().survey(_rule(estate), TODAY, confirmed=True)
    expected: dict[Reason, int] = {Reason(0): MORE}
    for _, reasons in PLANTED.values():
        expected[reasons] = expected.get(reasons, 0) + 1
    assert dict(survey.counts) == expected
    assert sum(survey.of(verdict) for verdict in Verdict) == survey.total == len(PLANTED) + MORE


def test_a_survey_names_what_is_oldest_what_is_newest_and_what_goes_along(estate: Estate) -> None:
    survey = estate.open().survey(_rule(estate), TODAY, confirmed=True)
    assert (survey.oldest, survey.newest) == (date(2001, 1, 1), LAST)
    assert dict(survey.reach) == {"messages": 2 * len(DUE)}


def test_a_survey_changes_nothing_and_can_be_repeated(estate: Estate) -> None:
    before = estate.rows("cases"), estate.rows("messages")
    assert _plan(estate).digest == _plan(estate).digest
    assert (estate.rows("cases"), estate.rows("messages")) == before
    assert estate.outbox() == []


def test_a_value_that_occurs_nowhere_is_reported(estate: Estate) -> None:
    rule = _rule(estate)
    misspelled = replace(rule.when[0], values=("closed", "cloesd"))
    survey = estate.open().survey(replace(rule, when=(misspelled,)), TODAY, confirmed=True)
    assert survey.unseen == ("public.cases.status = cloesd",)


def test_exactly_what_is_due_goes_with_all_that_follows_it(estate: Estate) -> None:
    everything = _ids(estate)
    _work_off(estate.open(), _plan(estate))
    assert _ids(estate) == everything - DUE
    assert {row["case_id"] for row in estate.rows("messages")} == everything - DUE


def test_what_stays_stays_as_it_was(estate: Estate) -> None:
    before = {row["id"]: row for row in estate.rows("cases")}
    _work_off(estate.open(), _plan(estate))
    assert all(row == before[row["id"]] for row in estate.rows("cases"))


def test_an_approval_of_one_day_deletes_nothing_that_became_due_later(estate: Estate) -> None:
    plan = _plan(estate, today=date(2025, 2, 28))
    _work_off(estate.open(), plan)
    assert {IDS["due since today"], 1000} <= _ids(estate)
    assert IDS["due for long"] not in _ids(estate)


def test_receipts_sum_up_to_what_the_survey_counted(estate: Estate) -> None:
    plan = _plan(estate)
    receipts = _work_off(estate.open(), plan)
    assert sum(receipt.rows for receipt in receipts) == plan.survey.of(Verdict.DUE) == len(DUE)
    assert sum(receipt.reach.get("messages", 0) for receipt in receipts) == plan.survey.reach["messages"]
    done = estate.open().done(plan)
    assert (done.rows, done.reach) == (len(DUE), 2 * len(DUE))


def test_every_batch_leaves_evidence_of_the_closed_form_without_a_gap(estate: Estate) -> None:
    receipts = _work_off(estate.open(), _plan(estate))
    leaves = estate.outbox()
    for leaf in leaves:
        jsonschema.validate(leaf, schema(), format_checker=jsonschema.FormatChecker())
    assert [leaf["outbox"]["seq"] for leaf in leaves] == list(range(1, len(leaves) + 1))
    told = [(r.seq, r.shard, r.batch, r.rows, dict(r.reach)) for r in receipts if r.seq]
    assert [(x["outbox"]["seq"], x["shard"], x["batch"], x["rows"], x["reach"]) for x in leaves] == told
    assert len(told) > 1


def test_a_plan_carried_out_to_its_end_does_nothing_more(estate: Estate) -> None:
    plan = _plan(estate)
    _work_off(estate.open(), plan)
    after, evidence = estate.rows("cases"), estate.outbox()
    assert _work_off(estate.open(), plan) == []
    assert (estate.rows("cases"), estate.outbox()) == (after, evidence)


def test_another_run_goes_on_where_one_was_stopped(estate: Estate) -> None:
    plan = _plan(estate)
    first = estate.open().apply(plan, plan.survey.shards[0], run=RUN)
    assert first is not None
    assert 0 < first.rows < len(DUE)
    rest = _work_off(estate.open(), plan)
    assert first.rows + sum(receipt.rows for receipt in rest) == len(DUE)
    assert [receipt.batch for receipt in rest if receipt.shard == 0] == list(range(2, len(rest) + 1))


def test_two_stores_at_once_do_every_batch_once(estate: Estate) -> None:
    plan = _plan(estate)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(_work_off, [estate.open(), estate.open()], [plan, plan]))
    assert sum(receipt.rows for receipts in both for receipt in receipts) == len(DUE)
    keys = [(leaf["shard"], leaf["batch"]) for leaf in estate.outbox()]
    assert len(keys) == len(set(keys))
    assert sum(leaf["rows"] for leaf in estate.outbox()) == len(DUE)


@pytest.mark.parametrize("bounds", [Bounds(0, 10_000), Bounds(10_000, 0)], ids=["rows", "reach"])
def test_a_batch_past_the_approved_bounds_is_undone(estate: Estate, bounds: Bounds) -> None:
    plan = replace(_plan(estate), bounds=bounds)
    before = estate.rows("cases"), estate.rows("messages")
    with pytest.raises(BoundExceeded):
        estate.open().apply(plan, plan.survey.shards[0], run=RUN)
    assert (estate.rows("cases"), estate.rows("messages")) == before
    assert estate.outbox() == []


def test_bounds_are_for_all_batches_together_and_may_be_reached(estate: Estate) -> None:
    plan = replace(_plan(estate), bounds=Bounds(len(DUE) - 1, 10_000))
    store = estate.open()
    assert store.apply(plan, plan.survey.shards[0], run=RUN) is not None
    with pytest.raises(BoundExceeded):
        _work_off(store, plan)
    exact = replace(_plan(estate), digest="f" * 64, bounds=Bounds(10_000, 2 * len(_ids(estate) & DUE)))
    _work_off(store, exact)
    assert not _ids(estate) & DUE


def test_a_hold_placed_after_the_plan_keeps_its_row(estate: Estate) -> None:
    plan = _plan(estate)
    estate.hold("cases", "1000", Reason.HELD)
    estate.hold("messages", "2002", Reason.RESTRICTED)  # of case 1001
    _work_off(estate.open(), plan)
    assert _ids(estate) & DUE == {1000, 1001}
    assert {2000, 2001, 2002, 2003} <= _ids(estate, "messages")


@pytest.mark.parametrize("hold", [("cases", "1000"), ("cases", "*"), ("rule:assumed", "*")], ids=" ".join)
def test_a_hold_covers_what_hangs_on_its_row_and_all_of_a_dataset_or_rule(
    estate: Estate, hold: tuple[str, str]
) -> None:
    estate.hold(*hold, Reason.RESTRICTED)
    kept = estate.open().survey(_rule(estate, "assumed"), TODAY, confirmed=True)
    everything = 2 * (len(PLANTED) + MORE)
    assert kept.because(Reason.RESTRICTED) == (everything if hold[1] == "*" else 4)  # two hang on one held before
    assert kept.unseen == ()


def test_a_hold_placed_between_two_batches_keeps_its_row(estate: Estate) -> None:
    """Of a kind that the store knew none of for this dataset when the work began."""
    plan, store = _plan(estate), estate.open()
    assert store.apply(plan, plan.survey.shards[0], run=RUN) is not None
    last = max(_ids(estate) & DUE)
    estate.hold("messages", str(2 * last), Reason.RESTRICTED)
    _work_off(store, plan)
    assert _ids(estate) & DUE == {last}


def test_verification_counts_what_is_due_before_and_nothing_after(estate: Estate) -> None:
    assert estate.open().remaining(_rule(estate), TODAY, confirmed=True).rows == len(DUE)
    _work_off(estate.open(), _plan(estate))
    assert estate.open().remaining(_rule(estate), TODAY, confirmed=True).rows == 0


def test_verification_sees_what_a_sweep_did_not_reach(estate: Estate) -> None:
    plan = _plan(estate, today=date(2025, 2, 28))
    _work_off(estate.open(), plan)
    left = estate.open().remaining(_rule(estate), TODAY, confirmed=True).rows
    assert left == len(DUE & _ids(estate)) > 0


def test_anonymised_rows_are_done_and_not_changed_again(estate: Estate) -> None:
    plan = _plan(estate, "subjects")
    due = plan.survey.of(Verdict.DUE)
    _work_off(estate.open(), plan)
    changed = [row for row in estate.rows("cases") if (row["subject"], row["note"]) == ("anonymisert", None)]
    again = estate.open().survey(_rule(estate, "subjects"), TODAY, confirmed=True)
    assert len(changed) == due == again.of(Verdict.DONE) > MORE
    assert again.of(Verdict.DUE) == 0
    assert len(_ids(estate)) == len(PLANTED) + MORE


def test_an_unconfirmed_assumption_makes_nothing_due(estate: Estate) -> None:
    store, rule = estate.open(), _rule(estate, "assumed")
    assert store.survey(rule, TODAY, confirmed=True).of(Verdict.DUE) > 0
    survey = store.survey(rule, TODAY, confirmed=False)
    assert survey.of(Verdict.DUE) == 0
    assert survey.because(Reason.UNCONFIRMED) == survey.total
    assert store.remaining(rule, TODAY, confirmed=False).rows == 0


def test_a_restored_store_asks_for_a_new_plan(estate: Estate) -> None:
    plan = _plan(estate)
    estate.restore()
    with pytest.raises(Stale):
        estate.open().apply(plan, plan.survey.shards[0], run=RUN)
    assert len(_ids(estate)) == len(PLANTED) + MORE


def test_nothing_is_done_ahead_of_the_stores_own_clock(estate: Estate) -> None:
    plan = _plan(estate, today=clock.now().date() + timedelta(days=3))
    with pytest.raises(Stale, match="clock"):
        estate.open().apply(plan, plan.survey.shards[0], run=RUN)


def test_a_clock_that_is_no_date_is_refused(estate: Estate) -> None:
    rule = _rule(estate)
    wrong = replace(rule, clock=replace(rule.clock, at=replace(rule.clock.at, column="subject")))
    with pytest.raises(SchemaMismatch, match="clock subject: found type"):
        estate.open().check(wrong)
    assert estate.open().check(rule) == ()
