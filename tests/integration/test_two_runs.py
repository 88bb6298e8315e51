"""Two runs at once share the work, and a hold that is placed meanwhile is honoured by the next batch."""

import subprocess
import threading

import pytest

from faults import (
    ACTIVITY,
    BLOCKY,
    accounted,
    act,
    acting,
    again,
    approved,
    at_pace,
    customers,
    environment,
    leaves,
    wait_until,
)
from lethe.errors import StoreRefused
from lethe.stores.postgres.apply import HOLDS_LOCK


@pytest.mark.parametrize("shards", [1, 4])
def test_two_runs_at_once_do_each_batch_once(open_lethe, monkeypatch: pytest.MonkeyPatch, shards: int) -> None:
    monkeypatch.setattr("lethe.stores.postgres.survey.SHARD_ROWS", 400 // shards)
    lethe = open_lethe(ACTIVITY, BLOCKY.replace("(1, 100)", "(1, 400)"))
    plan = approved(lethe)
    assert len(plan.survey.shards) == shards
    commands = [acting(lethe, plan, run) for run in ("one", "two")]
    runs = [subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) for command in commands]
    try:
        outputs = [run.communicate(timeout=60)[0] for run in runs]
    finally:
        for run in runs:
            run.kill()
            run.wait()
    assert [run.returncode for run in runs] == [0, 0]
    rows = [int(output.split()[-1]) for output in outputs]
    assert sum(rows) == 400
    assert customers(lethe) == 0
    assert accounted(lethe.database, 400)


def test_two_runs_take_turns_batch_by_batch(open_lethe) -> None:
    """The second comes between the first one's batches, and both come to the end."""
    lethe = open_lethe(ACTIVITY, BLOCKY)
    plan, others = approved(lethe), []

    def other_too(_) -> None:
        if len(others) == 0:
            others.append(0)
            with again(lethe) as other:
                others.append(act(at_pace(other, 3), plan, run="other"))

    assert act(at_pace(lethe), plan, each=other_too) == 5
    assert others[1] == 95
    assert accounted(lethe.database, 100)
    assert {leaf["run"] for leaf in leaves(lethe.database)} == {"run", "other"}


def test_runs_in_threads_do_each_batch_once(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, BLOCKY.replace("(1, 100)", "(1, 300)"))
    plan, done = approved(lethe), []

    def run(name: str) -> None:
        with again(lethe) as other:
            done.append(act(at_pace(other), plan, run=name))

    threads = [threading.Thread(target=run, args=(f"run{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 3
    assert sum(done) == 300
    assert accounted(lethe.database, 300)


def test_a_hold_placed_between_two_batches_is_honoured_by_the_next(open_lethe) -> None:
    lethe = at_pace(open_lethe(ACTIVITY, BLOCKY))
    plan, batches = approved(lethe), []

    def place(receipt) -> None:
        batches.append(receipt)
        if len(batches) == 2:
            with lethe.database.connect() as officer, officer.transaction():
                officer.execute(f"SELECT pg_advisory_xact_lock({HOLDS_LOCK})")
                officer.execute(
                    "INSERT INTO lethe.hold VALUES ('customers', '11', 'held'), ('customers', '99', 'restricted')"
                )

    assert act(lethe, plan, each=place) == 98
    assert lethe.database.rows("SELECT id FROM customer ORDER BY id") == [(11,), (99,)]
    assert accounted(lethe.database, 98)


def test_a_hold_placed_between_plan_and_act_is_honoured(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, BLOCKY)
    plan = approved(lethe)
    lethe.database.run("INSERT INTO lethe.hold VALUES ('customers', '1', 'held')")
    assert act(lethe, plan) == 99
    assert lethe.database.rows("SELECT id FROM customer") == [(1,)]


def test_a_hold_released_between_plan_and_act_lets_the_row_go(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, BLOCKY)
    lethe.database.run("INSERT INTO lethe.hold VALUES ('customers', '1', 'held')")
    plan = approved(lethe)
    lethe.database.run("DELETE FROM lethe.hold")
    assert act(lethe, plan) == 100


def test_a_hold_of_another_dataset_or_key_keeps_nothing(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, BLOCKY)
    lethe.database.run("INSERT INTO lethe.hold VALUES ('contacts', '1', 'held'), ('customers', '01', 'held')")
    assert act(lethe, approved(lethe)) == 100


def test_while_a_hold_is_being_placed_no_batch_begins(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, BLOCKY)
    plan = approved(lethe)
    store = lethe.store(lethe.rule("ex-customers"))
    object.__setattr__(store._planned(plan, "run"), "lock_timeout", "100ms")
    with lethe.database.connect() as officer, officer.transaction():
        officer.execute(f"SELECT pg_advisory_xact_lock({HOLDS_LOCK})")
        with pytest.raises(StoreRefused, match=r"store crm, rule ex-customers.*55P03"):
            act(lethe, plan)
        officer.execute("INSERT INTO lethe.hold VALUES ('customers', '1', 'held')")
    assert accounted(lethe.database, 0)
    assert act(lethe, plan) == 99


def test_placing_a_hold_waits_for_the_batch_that_is_under_way(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, BLOCKY)
    plan, rows = approved(lethe), []
    thread = threading.Thread(target=lambda: rows.append(act(lethe, plan)))
    with lethe.database.connect() as application, lethe.database.connect() as officer:
        with application.transaction():
            application.execute("SELECT * FROM customer WHERE id = 50 FOR UPDATE")
            thread.start()
            locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted"
            wait_until(lambda: lethe.database.one(locks))
            assert not officer.execute(f"SELECT pg_try_advisory_lock({HOLDS_LOCK})").fetchone()[0]
        thread.join(20)
        assert officer.execute(f"SELECT pg_try_advisory_lock({HOLDS_LOCK})").fetchone()[0]
    assert rows == [100]


def test_a_row_that_changes_under_the_batch_is_judged_as_it_then_is(open_lethe) -> None:
    """The application brings a customer back while the batch waits for the row's lock."""
    lethe = open_lethe(ACTIVITY, BLOCKY)
    plan, rows = approved(lethe), []
    thread = threading.Thread(target=lambda: rows.append(act(lethe, plan)))
    with lethe.database.connect() as application:
        with application.transaction():
            application.execute("UPDATE customer SET ended_on = NULL WHERE id = 50")
            thread.start()
            locks = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            wait_until(lambda: lethe.database.one(locks))
        thread.join(20)
    assert rows == [99]
    assert lethe.database.rows("SELECT id FROM customer") == [(50,)]
    assert accounted(lethe.database, 99)


def test_a_second_run_waits_for_the_batch_that_is_under_way(open_lethe) -> None:
    """With a larger pace it would otherwise do that batch's rows and more under the same number."""
    lethe = open_lethe(ACTIVITY, BLOCKY)
    plan, done = approved(lethe), []

    def run(name: str, size: int) -> None:
        with again(lethe) as other:
            done.append(act(at_pace(other, size), plan, run=name))

    threads = [threading.Thread(target=run, args=args) for args in (("one", 1), ("two", 10))]
    busy = (
        "SELECT count(DISTINCT pid) FROM pg_stat_activity JOIN pg_locks USING (pid)"
        " WHERE application_name = 'lethe' AND locktype = 'advisory' AND mode = 'ShareLock'"
        " AND datname = current_database()"
    )
    with lethe.database.connect() as application, application.transaction():
        application.execute("SELECT * FROM customer WHERE id = 3 FOR UPDATE")
        for number, thread in enumerate(threads, 1):
            thread.start()
            wait_until(lambda number=number: lethe.database.one(busy) == number)
    for thread in threads:
        thread.join(30)
    assert len(done) == 2
    assert sum(done) == 100
    assert accounted(lethe.database, 100)
