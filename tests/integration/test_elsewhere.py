"""A rule is read from another store: its verdicts are as sure as within one, and where it cannot be asked all stays."""

import threading
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import pytest

from faults import NOW, act, again, approved, carry_out, wait_until
from lethe.errors import Behind, HoldError, SchemaMismatch, Stale, StoreUnreachable
from lethe.holding import Placed, bring_up, place
from lethe.holds import Because, targets_of
from lethe.model import Reason, Verdict, Way
from lethe.policy import load
from lethe.run import Lethe
from lethe.stores.postgres import apply, drop
from lethe.stores.postgres.grants import grants
from sealing import RUN, company
from support import Database
from two_stores import DATASETS, REGISTER, RULE, by_contract

TEXTS = "ALTER TABLE customer ALTER number TYPE text"
SCHEMA = """
CREATE TABLE cases (id int PRIMARY KEY, customer bigint, contract int, name text);
INSERT INTO cases SELECT n, (n + 1) / 2, (n + 1) / 2, 'Kunde ' || n FROM generate_series(1, 42) n;
CREATE TABLE message (id int PRIMARY KEY, case_id int REFERENCES cases, body text);
INSERT INTO message SELECT n, n, 'Hei' FROM generate_series(1, 42) n;
"""
MESSAGES = """
  messages:
    in: crm
    table: message
    key: id
    personal_data: {body: user.content.private}
    refers_to: {case: {to: cases, by: case_id}}
    follows: case
"""
ACTIVITY = DATASETS.rstrip("\n") + MESSAGES + RULE.lstrip("\n")
BY_CONTRACT = by_contract(ACTIVITY)
ANONYMISING = ACTIVITY.replace("then: delete", "then: {anonymise: {name: blank}}")


def cases(lethe: Lethe, where: str = "true") -> list[int]:
    return [number for (number,) in lethe.database.rows(f"SELECT id FROM cases WHERE {where} ORDER BY id")]


@pytest.fixture(params=[ACTIVITY, BY_CONTRACT], ids=["one step", "two steps"])
def lethe(open_lethe, request) -> Lethe:
    return open_lethe(request.param, SCHEMA, elsewhere=REGISTER)


def test_what_the_other_store_says_is_due_goes_with_what_follows(lethe: Lethe) -> None:
    plan = lethe.plan("ex-customers", NOW, "run")
    counts = plan.survey.counts
    assert (plan.survey.of(Verdict.DUE), sum(counts.values())) == (30, 42)
    assert counts[Reason.UNDATED | Reason.CONDITION] == 12  # ten of customers that are none any more, two of nobody's
    assert carry_out(lethe) == 30
    assert cases(lethe) == list(range(31, 43))
    assert lethe.database.one("SELECT count(*) FROM message") == 12
    assert lethe.remaining("ex-customers", NOW.date()).is_nothing


def test_fields_go_and_nothing_of_the_other_store_is_left_behind(open_lethe) -> None:
    lethe = open_lethe(ANONYMISING, SCHEMA, elsewhere=REGISTER)
    assert carry_out(lethe) == 30
    assert cases(lethe, "name IS NULL") == list(range(1, 31))
    assert lethe.plan("ex-customers", NOW, "again").survey.of(Verdict.DUE) == 0
    assert (
        lethe.database.one("SELECT count(*) FROM pg_class WHERE relname LIKE 'elsewhere%' AND relpersistence <> 't'")
        == 0
    )


def test_who_came_back_since_the_plan_keeps_the_rows(lethe: Lethe) -> None:
    plan = approved(lethe)
    lethe.register.run("UPDATE customer SET ended_on = NULL, status = 'A' WHERE number <= 3")
    assert act(lethe, plan) == 24
    assert cases(lethe, "id <= 30") == [1, 2, 3, 4, 5, 6]


def test_who_comes_back_while_a_batch_works_waits_or_keeps_the_rows(lethe: Lethe) -> None:
    """Somebody has changed the customer and not committed: the batch waits, and then sees it."""
    plan = approved(lethe)
    done = list[int]()
    with lethe.register.connect() as other, other.transaction():
        other.execute("UPDATE customer SET ended_on = NULL, status = 'A' WHERE number = 3")
        runner = threading.Thread(target=lambda: done.append(act(lethe, plan)))
        runner.start()
        wait_until(lambda: waits(lethe.register))
    runner.join()
    assert (done, cases(lethe, "id <= 30")) == ([28], [5, 6])


def waits(database) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(database.one(query))


def test_what_a_verdict_was_read_from_stays_until_the_deed_is_done(lethe: Lethe) -> None:
    """The customer cannot come back between the look at it and the commit."""
    plan = approved(lethe)
    came_back = list[str]()
    with lethe.database.connect() as other, other.transaction():
        other.execute("LOCK TABLE lethe.progress IN SHARE MODE")  # the batch waits with its last step
        runner = threading.Thread(target=lambda: act(lethe, plan))
        runner.start()
        wait_until(lambda: waits(lethe.database))
        change = "UPDATE customer SET ended_on = NULL WHERE number = 3"
        person = threading.Thread(target=lambda: came_back.append(str(lethe.register.run(change))))
        person.start()
        wait_until(lambda: waits(lethe.register))
    runner.join()
    person.join()
    assert len(came_back) == 1
    assert cases(lethe, "id <= 30") == []


@pytest.mark.parametrize("when", ["plan", "act"])
def test_where_the_other_store_cannot_be_asked_nothing_goes(lethe: Lethe, when: str) -> None:
    plan = approved(lethe) if when == "act" else None
    lethe.addresses["register"] = "host=127.0.0.1 port=1 connect_timeout=1"
    with again(lethe) as later, pytest.raises(StoreUnreachable, match="register"):
        act(later, plan) if plan else later.plan("ex-customers", NOW, "run")
    assert len(cases(lethe)) == 42


def end_sessions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker's sessions in a database end just before a batch is sealed."""
    seal = apply.seal

    def end(*args: Any) -> int:
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
        database.run(f"{query} AND usename = 'lethe_worker'")
        return seal(*args)

    monkeypatch.setattr(apply, "seal", end)


def test_a_session_that_holds_rows_and_is_lost_undoes_the_batch(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = approved(lethe)
    end_sessions(lethe.register, monkeypatch)
    with pytest.raises(StoreUnreachable, match="register"):
        act(lethe, plan)
    assert len(cases(lethe)) == 42
    monkeypatch.undo()
    assert act(lethe, plan) == 30


def hold(lethe: Lethe, *rows: tuple[str, str], datasets: tuple[str, ...] = ()) -> str:
    targets = tuple(targets_of(lethe.policy, rows, datasets))
    with again(lethe, "lethe_officer") as officer:
        until = date(2999, 1, 1)
        return officer.state.holds.place(Because.LEGAL_CLAIM, targets, until, role="privacy-officer", via="cli")


def test_a_hold_covers_what_hangs_on_its_row_in_every_store(lethe: Lethe) -> None:
    plan = approved(lethe)
    placed = hold(lethe, ("customers", "3"))
    assert act(lethe, plan) == 28
    assert cases(lethe, "id <= 30") == [5, 6]
    lethe.finish(plan.digest, NOW, "run")
    lethe.record(plan.rule, "run", digest=plan.digest)
    with again(lethe, "lethe_officer") as officer:
        officer.state.holds.release(placed, role="privacy-officer", via="cli")
    assert carry_out(lethe) == 2


def test_a_row_is_looked_for_in_its_own_store_and_held_in_every_store(lethe: Lethe) -> None:
    def placed(*rows: tuple[str, str]) -> Placed:
        return place(lethe, Because.LEGAL_CLAIM, targets_of(lethe.policy, rows), date(2999, 1, 1), via="airflow")

    with pytest.raises(HoldError, match="row 2: customers has no row"):
        placed(("customers", "3"), ("customers", "99"))
    assert placed(("customers", "3"), ("cases", "1")).unasked == ()
    assert [str(each) for each in bring_up(lethe, ("crm", "register", "crm"))] == [
        "crm: has the holds in force",
        "register: has the holds in force",
    ]


def test_a_hold_on_a_whole_dataset_elsewhere_keeps_all_that_hangs_on_it(lethe: Lethe) -> None:
    plan = approved(lethe)
    hold(lethe, datasets=("customers",))
    assert act(lethe, plan) == 0
    assert len(cases(lethe)) == 42


def test_a_hold_from_before_the_relation_was_declared_covers_what_hangs_on_it_now(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA, elsewhere=REGISTER)
    placed = hold(lethe, ("customers", "3"))
    lethe.state_database.run(f"DELETE FROM lethe.hold_target WHERE store = 'crm' AND hold = '{placed}'")
    plan = lethe.plan("ex-customers", NOW, "run")
    assert plan.survey.counts[Reason.HELD] == 2
    assert lethe.database.rows("SELECT dataset, key FROM lethe.hold") == [("customers", "3")]


def test_one_question_explains_a_person_in_every_store(lethe: Lethe) -> None:
    found = lethe.explain(lethe.policy.datasets["customers"], "3", NOW.date(), 20)
    told = {each.dataset.name: each for each in found.told}
    assert {name: each.total for name, each in told.items()} == {
        "customers": 1,
        "contracts": 1,
        "cases": 2,
        "messages": 2,
    }
    assert all(row.judged[0].verdict is Verdict.DUE for name in ("cases", "messages") for row in told[name].rows)
    assert {row.judged[0].start for row in told["cases"].rows} == {date(2020, 1, 1)}


def test_what_a_store_that_is_down_holds_of_a_person_is_told_as_not_known(lethe: Lethe) -> None:
    lethe.addresses["crm"] = "host=127.0.0.1 port=1 connect_timeout=1"
    with Lethe.open(lethe.policy_dir, lethe.addresses.__getitem__) as later:
        told = {
            each.dataset.name: each
            for each in later.explain(later.policy.datasets["customers"], "3", NOW.date(), 20).told
        }
    assert told["customers"].total == 1
    assert "store crm: no connection to the server" in told["cases"].problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE customer RENAME status TO state", "column public.customer.status: not found in the database"),
        (
            "ALTER TABLE customer ALTER number TYPE text",
            "found type bigint of customer and text of customers.number in",
        ),
        ("ALTER TABLE customer ALTER ended_on TYPE text", "found type text, expected date or timestamp"),
        ("DROP TABLE customer CASCADE", "table public.customer (dataset customers): not found in the database"),
    ],
)
def test_the_other_store_is_held_to_the_policy_too(open_lethe, change: str, words: str) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA, elsewhere=REGISTER)
    plan = approved(lethe)
    lethe.register.run(change)
    with pytest.raises(SchemaMismatch) as told, again(lethe) as later:
        act(later, plan)
    assert words in str(told.value)


def test_keys_of_other_types_are_compared_as_text(open_lethe) -> None:
    activity = ACTIVITY.replace("{to: customers, by: customer}", "{to: customers, by: customer, as_text: true}")
    lethe = open_lethe(activity, SCHEMA, elsewhere=REGISTER + TEXTS)
    lethe.database.run("UPDATE cases SET customer = NULL WHERE id = 2")
    assert carry_out(lethe) == 29


def test_values_of_the_other_store_are_copied_to_the_letter(open_lethe) -> None:
    """Enums, domains and types that only the other database has; tabs, backslashes and words that COPY knows."""
    register = (
        REGISTER
        + r"""
    CREATE TYPE state AS ENUM ('S', 'A'); ALTER TABLE customer ALTER status TYPE state USING status::state;
    CREATE DOMAIN day AS date; ALTER TABLE customer ALTER ended_on TYPE day;
    CREATE TABLE person (id text PRIMARY KEY, ended_on timestamptz, status char(3));
    INSERT INTO person VALUES (E'a\tb', '2020-01-01', 'S'), (E'c\\N', '2020-01-01', 'S'), ('\N', '2020-01-01', 'S');
    """
    )
    assert carry_out(open_lethe(ACTIVITY, SCHEMA, elsewhere=register)) == 30
    odd = (
        SCHEMA
        + r"ALTER TABLE cases ALTER customer TYPE text; UPDATE cases SET customer = NULL;"
        + "".join(
            f"UPDATE cases SET customer = {key} WHERE id = {n};"
            for n, key in ((1, r"E'a\tb'"), (2, r"E'c\\N'"), (3, r"'\N'"))
        )
    )
    activity = ACTIVITY.replace(
        "table: customer, key: number, personal_data: {name: user.name}", "table: person, key: id, personal_data: {}"
    )
    activity = activity.replace("    refers_to: {customer: {to: customers, by: customer_number}}\n", "")
    lethe = open_lethe(activity, odd, elsewhere=register)
    assert carry_out(lethe) == 3


def test_an_approval_is_bound_to_where_the_other_store_is(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA, elsewhere=REGISTER)
    stores = lethe.policy_dir / "stores.yaml"
    stores.write_text(stores.read_text().replace("connection: register", "connection: another"))
    assert load(lethe.policy_dir).rules["ex-customers"].digest != lethe.policy.rules["ex-customers"].digest


def test_a_store_that_is_another_one_than_was_planned_for_stops_the_plan(
    open_lethe, new_database: Callable[..., Database]
) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA, elsewhere=REGISTER)
    plan, copy = approved(lethe), new_database()
    copy.run(REGISTER + grants(lethe.policy, lethe.policy.stores["register"]))
    lethe.addresses["register"] = copy.conninfo("lethe_worker")
    with again(lethe) as later, pytest.raises(Stale, match="a store that it is read from, is not the one"):
        act(later, plan)
    assert len(cases(lethe)) == 42


CALLS = """
CREATE TABLE call (id int, customer bigint, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE call_2020 PARTITION OF call FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE call_2025 PARTITION OF call FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO call SELECT n, n, '2020-05-01' FROM generate_series(1, 30) n;
ALTER TABLE call OWNER TO lethe_worker; ALTER TABLE call_2020 OWNER TO lethe_worker;
"""
CALLS_GO = """
serves: [R08]
datasets:
  customers: {in: register, table: customer, key: number, personal_data: {name: user.name}}
  calls:
    in: crm
    table: call
    key: id
    personal_data: {}
    refers_to: {customer: {to: customers, by: customer}}
rules:
  ex-customers:
    obligation: R08
    of: calls
    title: {nb: Samtaler, en: Calls}
    clock: at
    keep: P1Y
    then: delete
    limits: {rows: 1000, share: 100%}
"""


def test_a_partition_with_a_row_whose_customer_came_after_the_plan_and_is_held_stays(
    open_lethe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The customer and the hold on it are younger than what the session copied: nothing is dropped unseen."""
    lethe = open_lethe(CALLS_GO, CALLS, elsewhere=REGISTER)
    plan, detach = approved(lethe), drop._detach
    assert [shard.way for shard in plan.survey.shards] == [Way.PARTITION]

    def arrive(*args) -> None:
        lethe.register.run("INSERT INTO customer VALUES (25, 'Ny', 'A', NULL)")
        hold(lethe, ("customers", "25"))
        lethe.bring_up_holds("crm", "run")
        detach(*args)

    monkeypatch.setattr(drop, "_detach", arrive)
    assert act(lethe, plan) == 29
    assert lethe.database.rows("SELECT id FROM call") == [(25,)]


def test_a_store_that_was_put_back_is_not_read_from(open_lethe, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = company(partial(open_lethe, elsewhere=REGISTER), tmp_path, monkeypatch, ACTIVITY, SCHEMA)
    lethe = found.lethe
    hold(lethe, ("customers", "20"))
    lethe.bring_up_holds("register", RUN)
    found.seal()
    found.sealing.close()
    plan = approved(lethe)
    lethe.register.run("DELETE FROM lethe.outbox; UPDATE lethe.store SET seq = 0")
    with pytest.raises(Behind, match="lethe restore register"):
        act(lethe, plan)
    assert len(cases(lethe)) == 42


def test_a_session_that_broke_gets_its_copies_again(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same process goes on with the same plan a moment later."""
    plan = approved(lethe)
    end_sessions(lethe.database, monkeypatch)
    with pytest.raises(StoreUnreachable, match="store crm"):
        act(lethe, plan)
    monkeypatch.undo()
    assert act(lethe, plan) == 30


def test_a_hold_is_about_every_store_where_something_hangs_on_its_row(lethe: Lethe) -> None:
    targets = tuple(targets_of(lethe.policy, [("customers", "3"), ("cases", "5")], ["contracts"]))
    assert [(each.store, each.dataset) for each in targets] == [
        ("register", "customers"), ("crm", "customers"), ("crm", "cases"), ("register", "contracts"),
        *([("crm", "contracts")] if "contract" in lethe.policy.datasets["cases"].relations else []),
    ]  # fmt: skip
