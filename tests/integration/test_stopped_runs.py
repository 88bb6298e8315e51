"""A run that is killed at any moment, and the one after it: every row once, every batch once, no number missing."""

import random
import subprocess
import time

import pytest

from faults import ACTIVITY, BLOCKY, NOW, accounted, act, acting, approved, at_pace, customers, environment
from lethe.model import Way
from lethe.run import Lethe
from lethe.stores.postgres.apply import Pace

STATISTICS = ACTIVITY.replace(
    "then: delete",
    "then:\n      - aggregate: {into: tally, by: {day: day(ended_on)}, count: customers, suppress_below: 2}\n"
    "      - delete",
)
TALLY = "CREATE TABLE tally (day date PRIMARY KEY, customers bigint NOT NULL);"
SLOW = """
import time
from lethe.stores.postgres import apply
seal = apply.seal
def slow(*args):
    time.sleep(0.01)
    seq = seal(*args)
    time.sleep(0.01)
    return seq
apply.seal = slow
"""
"""Batches last long enough that most kills meet one, before its evidence or after."""


def killed_after(lethe: Lethe, plan, seconds: float, run: str) -> bool:
    """Whether the run was still at work when it was killed, `seconds` after it began."""
    process = subprocess.Popen(acting(lethe, plan, run, SLOW), env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        time.sleep(seconds)
        process.kill()
        process.wait(10)
    return process.returncode == -9


def told_once(lethe: Lethe, rows: int) -> bool:
    gone = rows - customers(lethe)
    assert accounted(lethe.database, gone)
    assert lethe.database.one("SELECT coalesce(sum(customers), 0) FROM tally") == gone
    assert lethe.database.one("SELECT coalesce(sum(rows), 0) FROM lethe.progress") == gone
    return True


def kill_until_done(lethe: Lethe, seed: int, rounds: int) -> int:
    """Kill that many runs at random moments, looking at the account each time, then let one come to its end."""
    chance, killed = random.Random(seed), 0  # noqa: S311  (moments, not secrets)
    plan = approved(lethe)
    rows = customers(lethe)
    for number in range(rounds):
        killed += killed_after(lethe, plan, chance.uniform(0, 0.25), f"run{number}")
        assert told_once(lethe, rows)
    before = customers(lethe)
    assert act(lethe, plan) == before
    assert told_once(lethe, rows)
    assert customers(lethe) == 0
    return killed


def test_killed_at_random_moments_nothing_is_done_or_told_twice(open_lethe) -> None:
    lethe = open_lethe(STATISTICS, BLOCKY.replace("(1, 100)", "(1, 400)") + TALLY)
    assert kill_until_done(lethe, seed=1, rounds=4) >= 2


def test_so_it_is_over_several_shards(open_lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lethe.stores.postgres.survey.SHARD_ROWS", 100)
    lethe = open_lethe(STATISTICS, BLOCKY.replace("(1, 100)", "(1, 300)") + TALLY)
    assert len(lethe.plan("ex-customers", NOW, "run").survey.shards) == 3
    assert kill_until_done(lethe, seed=2, rounds=3) >= 1


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(3, 23))
def test_many_kills(open_lethe, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr("lethe.stores.postgres.survey.SHARD_ROWS", [500, 1500, 250_000][seed % 3])
    lethe = open_lethe(STATISTICS, BLOCKY.replace("(1, 100)", "(1, 2000)") + TALLY)
    assert kill_until_done(lethe, seed, rounds=12) >= 6


def test_on_the_index_way_it_is_the_same(open_lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = BLOCKY + "UPDATE customer SET ended_on = ended_on + id::int; CREATE INDEX ON customer (ended_on);"
    lethe = open_lethe(STATISTICS, schema + "INSERT INTO customer SELECT n FROM generate_series(1001, 3000) n;" + TALLY)
    plan = approved(lethe)
    assert {shard.way for shard in plan.survey.shards} == {Way.INDEX}
    at_pace(lethe, 7)
    stops = iter(range(100))

    class Stopped(BaseException):
        pass

    def stop(_) -> None:
        if next(stops) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        act(lethe, plan, each=stop)
    gone = 2100 - customers(lethe)
    assert gone == 4 * 8  # a batch ends with the day that its last row lies in
    assert accounted(lethe.database, gone)
    assert act(lethe, plan, run="another") == 68
    assert accounted(lethe.database, 100)
    assert lethe.database.one("SELECT sum(customers) FROM tally") == 100


def test_an_interrupt_between_the_deed_and_its_evidence_undoes_the_deed(open_lethe, monkeypatch) -> None:
    from lethe.stores.postgres import apply

    lethe = open_lethe(STATISTICS, BLOCKY + TALLY)
    plan = approved(lethe)
    seal = apply.seal

    def interrupted(*args):
        seal(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(apply, "seal", interrupted)
    with pytest.raises(KeyboardInterrupt):
        act(lethe, plan)
    assert told_once(lethe, 100)
    assert customers(lethe) == 100
    monkeypatch.setattr(apply, "seal", seal)
    assert act(lethe, plan) == 100
    assert told_once(lethe, 100)


def test_batches_grow_and_shrink_towards_their_time() -> None:
    pace = Pace(seconds=2.0)
    start = pace.size[Way.BLOCKS]
    pace.learn(Way.BLOCKS, 0.001)
    assert pace.size[Way.BLOCKS] == 2 * start  # never more than double
    pace.learn(Way.BLOCKS, 2.0)
    assert pace.size[Way.BLOCKS] == 2 * start
    pace.learn(Way.BLOCKS, 2.5)
    assert pace.size[Way.BLOCKS] == int(2 * start * 0.8)
    pace.learn(Way.BLOCKS, 1000)
    assert pace.size[Way.BLOCKS] == int(int(2 * start * 0.8) / 2)  # never less than half
    assert pace.size[Way.INDEX] == Pace().size[Way.INDEX]
    for _ in range(50):
        pace.learn(Way.BLOCKS, 1000)
    assert pace.size[Way.BLOCKS] > 0
    assert Pace().size[Way.BLOCKS] == start


def test_what_is_left_for_the_last_batch_does_not_make_the_next_one_larger(open_lethe) -> None:
    """Or a process that lives for months, with little to do each day, would one day take all at once."""
    pace = Pace(seconds=2.0)
    pace.learn(Way.INDEX, 0.001, is_full=False)
    assert pace.size == Pace().size
    pace.learn(Way.INDEX, 4.0, is_full=False)
    assert pace.size[Way.INDEX] == Pace().size[Way.INDEX] / 2
    lethe = open_lethe(ACTIVITY, BLOCKY)
    pace = lethe.store(lethe.policy.rules["ex-customers"]).pace
    assert act(lethe, approved(lethe)) == 100
    assert pace.size == Pace().size


def test_a_store_learns_its_pace_while_it_works(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, BLOCKY)
    store = lethe.store(lethe.rule("ex-customers"))
    store.pace.size[Way.BLOCKS] = before = 5
    act(lethe, approved(lethe))
    assert store.pace.size[Way.BLOCKS] > before
