"""A whole partition goes at once, or goes back: killed between any two steps, the next run ends it exactly once."""

import subprocess
import threading
from datetime import timedelta

import pytest

from faults import NOW, accounted, act, acting, again, answer, environment, wait_until, waiting
from lethe.errors import BoundExceeded, Stale, StoreRefused, StoreUnreachable
from lethe.model import Plan, Verdict, Way
from lethe.run import Lethe
from lethe.stores.postgres import drop

SCHEMA = """
CREATE TABLE visit (id bigint, name text, seen_at timestamptz NOT NULL, PRIMARY KEY (id, seen_at))
    PARTITION BY RANGE (seen_at);
CREATE TABLE visit_2022 PARTITION OF visit FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
CREATE TABLE visit_2023 PARTITION OF visit FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE visit_2024 PARTITION OF visit FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO visit SELECT n, 'Kari', '2022-06-01 12:00+00'::timestamptz + n % 10 * interval 'P1D'
    FROM generate_series(1, 40) n;
INSERT INTO visit SELECT n, 'Kari', '2024-02-01 12:00+00'::timestamptz + n % 10 * interval 'P1D'
    FROM generate_series(41, 70) n;
CREATE TABLE tally (day date PRIMARY KEY, visits bigint NOT NULL);
"""
OWNED = "".join(
    f"ALTER TABLE {name} OWNER TO lethe_worker;" for name in ("visit", "visit_2022", "visit_2023", "visit_2024")
)
ACTIVITY = """
serves: [R08]
datasets:
  visits: {in: crm, table: visit, key: id, personal_data: {name: user.name}}
rules:
  old-visits:
    obligation: R08
    of: visits
    title: {nb: Besøk, en: Visits}
    clock: seen_at
    keep: P1Y
    then:
      - aggregate: {into: tally, by: {day: day(seen_at)}, count: visits, suppress_below: 2}
      - delete
    limits: {rows: 1000, share: 100%}
"""
ALL, IN_PARTITION = 70, 40


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA + OWNED)


def ways(plan: Plan) -> dict[str, Way]:
    return {shard.relation: shard.way for shard in plan.survey.shards}


def approve(lethe: Lethe, now=NOW) -> Plan:
    plan = lethe.plan("old-visits", now, "run")
    assert answer(lethe, plan)
    return plan


def attached(lethe: Lethe) -> list[str]:
    return [
        name
        for (name,) in lethe.database.rows("SELECT relid::text FROM pg_partition_tree('visit') WHERE isleaf ORDER BY 1")
    ]


def tables(lethe: Lethe) -> list[str]:
    return [
        name
        for (name,) in lethe.database.rows("SELECT relname FROM pg_class WHERE relname ~ '^visit_20..$' ORDER BY 1")
    ]


def ended(lethe: Lethe, rows: int = ALL, left: int = 0) -> bool:
    """Whether `rows` went with their evidence and statistics, each once, and nothing hangs between two states."""
    assert accounted(lethe.database, rows)
    assert lethe.database.one("SELECT coalesce(sum(visits), 0) FROM tally") == rows
    assert lethe.database.one("SELECT count(*) FROM visit") == left
    assert attached(lethe) == tables(lethe)
    remaining = lethe.remaining("old-visits", NOW.date())
    return (remaining.rows, remaining.detached) == (0, ())


def test_a_partition_that_is_over_is_dropped_and_the_rest_is_deleted(lethe: Lethe) -> None:
    plan = approve(lethe)
    assert ways(plan) == {"public.visit_2022": Way.PARTITION, "public.visit_2024": Way.BLOCKS}
    assert act(lethe, plan) == ALL
    assert tables(lethe) == ["visit_2023", "visit_2024"]
    assert ended(lethe)
    assert act(lethe, plan) == 0


def test_what_is_left_is_cleaned_up_after_a_drop(lethe: Lethe) -> None:
    plan = approve(lethe)
    act(lethe, plan, run="run")
    lethe.finish(plan.digest, NOW, "run")
    assert lethe.verify(plan.digest, "run").findings == ()


KILLED = """
import os, signal
from lethe.stores.postgres import drop
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
"""
STEPS = {
    "after the intent, before the detaching": "drop._detach = die\n",
    "after the detaching, before the look at its rows": "drop._settle = die\n",
    "after the look, before the drop": "drop.add_up = die\n",
    "after the drop, before its evidence": "drop.seal = die\n",
    "after the evidence, before the commit": (
        "seal = drop.seal\ndef sealed(*args):\n    seal(*args)\n    die()\ndrop.seal = sealed\n"
    ),
    "after the commit": (
        "settle = drop._settle\ndef settled(*args):\n    settle(*args)\n    die()\ndrop._settle = settled\n"
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_killed_between_two_steps_the_next_run_ends_it_once(lethe: Lethe, step: str) -> None:
    plan = approve(lethe)
    killed = subprocess.run(
        acting(lethe, plan, prelude=KILLED + STEPS[step]), env=environment(), capture_output=True, check=False
    )
    assert killed.returncode == -9, killed.stderr.decode()
    remaining = lethe.remaining("old-visits", NOW.date())
    if step == "after the commit":
        assert remaining.detached == ()
        assert accounted(lethe.database, IN_PARTITION)
    else:
        assert remaining.detached == ('"public"."visit_2022"',)
        assert accounted(lethe.database, 0)
        assert tables(lethe) == ["visit_2022", "visit_2023", "visit_2024"]
    assert ("visit_2022" in attached(lethe)) == (step == "after the intent, before the detaching")
    assert act(lethe, plan) == (ALL - IN_PARTITION if step == "after the commit" else ALL)
    assert ended(lethe)


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend", "lock_timeout"])
def test_a_detaching_that_was_broken_off_halfway_is_finished(lethe: Lethe, how: str) -> None:
    plan = approve(lethe)
    store = lethe.store(lethe.rule("old-visits"))
    object.__setattr__(store._planned(plan, "run"), "lock_timeout", "200ms" if how == "lock_timeout" else "30s")
    caught: list[Exception] = []

    def run() -> None:
        try:
            act(lethe, plan)
        except (StoreRefused, StoreUnreachable) as error:
            caught.append(error)

    with lethe.database.connect() as other, other.transaction():
        other.execute("SELECT count(*) FROM visit")  # a long transaction that the detaching has to wait for
        thread = threading.Thread(target=run)
        thread.start()
        pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"
        wait_until(lambda: lethe.database.one(pending) == 1)
        if how != "lock_timeout":
            wait_until(lambda: waiting(lethe.database))
            lethe.database.one(f"SELECT {how}({waiting(lethe.database)[0]})")
        thread.join(20)
        assert lethe.database.one(pending) == 1
    (error,) = caught
    assert str(error).startswith("store crm, rule old-visits: ")
    assert lethe.remaining("old-visits", NOW.date()).detached == ('"public"."visit_2022"',)
    assert act(lethe, plan) == ALL
    assert ended(lethe)


def test_a_row_held_since_the_plan_brings_its_partition_back(lethe: Lethe) -> None:
    plan = approve(lethe)
    lethe.database.run("INSERT INTO lethe.hold VALUES ('visits', '7', 'held')")
    assert act(lethe, plan) == ALL - 1
    assert lethe.database.rows("SELECT id, tableoid::regclass::text FROM visit") == [(7, "visit_2022")]
    assert ended(lethe, ALL - 1, left=1)
    ways_used = lethe.database.rows("SELECT DISTINCT leaf::jsonb ->> 'way' FROM lethe.outbox")
    assert ways_used == [("blocks",)]


def test_a_row_held_while_its_partition_was_off_brings_it_back_too(lethe: Lethe) -> None:
    plan = approve(lethe)
    command = acting(lethe, plan, prelude=KILLED + "drop._settle = die\n")
    subprocess.run(command, env=environment(), capture_output=True, check=False)
    lethe.database.run("INSERT INTO lethe.hold VALUES ('visits', '7', 'restricted')")
    assert act(lethe, plan) == ALL - 1
    assert lethe.database.rows("SELECT id, tableoid::regclass::text FROM visit") == [(7, "visit_2022")]
    assert ended(lethe, ALL - 1, left=1)


def test_a_row_that_no_longer_meets_the_rules_condition_brings_it_back(open_lethe) -> None:
    conditional = ACTIVITY.replace("    keep: P1Y\n", "    keep: P1Y\n    when: {name: Kari}\n")
    lethe = open_lethe(conditional, SCHEMA + OWNED)
    plan = approve(lethe)
    lethe.database.run("UPDATE visit SET name = NULL WHERE id = 7")
    assert act(lethe, plan) == ALL - 1
    assert lethe.database.rows("SELECT id, tableoid::regclass::text FROM visit") == [(7, "visit_2022")]


@pytest.mark.parametrize("held", [False, True], ids=["dropped", "attached again"])
def test_two_runs_at_once_settle_a_partition_once(lethe: Lethe, monkeypatch: pytest.MonkeyPatch, held: bool) -> None:
    """The other run comes when this one has written its intent and not yet detached."""
    plan = approve(lethe)
    if held:
        lethe.database.run("INSERT INTO lethe.hold VALUES ('visits', '7', 'held')")
    alone, others = drop._alone_with, []

    def later(*args):
        if not others:
            others.append(0)
            with again(lethe) as other:
                others.append(act(other, plan, run="other"))
        return alone(*args)

    monkeypatch.setattr(drop, "_alone_with", later)
    rows = ALL - held
    assert act(lethe, plan) + others[1] == rows
    assert others[1] == rows
    assert ended(lethe, rows, left=int(held))


def test_a_second_run_waits_while_the_first_is_detaching(lethe: Lethe) -> None:
    plan, done = approve(lethe), []

    def run(name: str) -> None:
        with again(lethe) as other:
            object.__setattr__(other.store(other.rule("old-visits"))._planned(plan, name), "lock_timeout", "30s")
            done.append(act(other, plan, run=name))

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    with lethe.database.connect() as other, other.transaction():
        other.execute("SELECT count(*) FROM visit")
        for thread in threads:
            thread.start()
        wait_until(lambda: lethe.database.one("SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == 1)
    for thread in threads:
        thread.join(30)
    assert sum(done) == ALL
    assert ended(lethe)


def left_detached(lethe: Lethe) -> None:
    plan = approve(lethe)
    command = acting(lethe, plan, prelude=KILLED + "drop._settle = die\n")
    subprocess.run(command, env=environment(), capture_output=True, check=False)
    assert "visit_2022" not in attached(lethe)


def test_what_a_plan_left_detached_goes_back_when_the_next_plan_is_made(lethe: Lethe) -> None:
    left_detached(lethe)
    later = lethe.plan("old-visits", NOW + timedelta(days=1), "run")
    assert later.survey.of(Verdict.DUE) == ALL
    assert later.survey.warnings == ()
    assert attached(lethe) == tables(lethe) == ["visit_2022", "visit_2023", "visit_2024"]
    assert lethe.remaining("old-visits", NOW.date()).detached == ()
    assert act(lethe, later, now=NOW + timedelta(days=1)) == ALL
    assert ended(lethe)


def test_what_a_run_is_busy_with_is_not_put_back(lethe: Lethe) -> None:
    left_detached(lethe)
    with lethe.database.connect() as other:
        other.execute("""SELECT pg_advisory_lock(hashtextextended('detach "public"."visit_2022"', 0))""")
        later = lethe.plan("old-visits", NOW + timedelta(days=1), "run")
    assert later.survey.of(Verdict.DUE) == ALL - IN_PARTITION
    assert "visit_2022" not in attached(lethe)


def test_what_cannot_be_put_back_is_a_warning_that_says_how(lethe: Lethe) -> None:
    left_detached(lethe)
    lethe.database.run("ALTER TABLE visit OWNER TO postgres; GRANT SELECT, DELETE, UPDATE ON visit TO lethe_worker")
    (warning,) = lethe.plan("old-visits", NOW + timedelta(days=1), "run").survey.warnings
    assert warning.startswith('partition "public"."visit_2022" was taken off its table by a run that was stopped')
    lethe.database.run(warning[warning.index("ALTER TABLE") :])
    later = lethe.plan("old-visits", NOW + timedelta(days=2), "run")
    assert (later.survey.warnings, later.survey.of(Verdict.DUE)) == ((), ALL)
    assert lethe.remaining("old-visits", NOW.date()).detached == ()


@pytest.mark.parametrize("owned", [OWNED, ""], ids=["partition", "blocks"])
def test_a_partition_that_somebody_else_took_off_is_left_alone(open_lethe, owned: str) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA + owned)
    plan = approve(lethe)
    assert plan.survey.shards[0].way is (Way.PARTITION if owned else Way.BLOCKS)
    lethe.database.run("ALTER TABLE visit DETACH PARTITION visit_2022")
    with pytest.raises(Stale, match=r"public\.visit_2022 is no longer a part"):
        act(lethe, plan)
    assert lethe.database.one("SELECT count(*) FROM visit_2022") == IN_PARTITION


def test_a_partition_that_outgrew_its_approval_goes_back(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY.replace("rows: 1000", "rows: 10"), SCHEMA + OWNED)
    plan = approve(lethe)
    lethe.database.run("INSERT INTO visit SELECT n, 'Kari', '2022-07-01' FROM generate_series(101, 140) n")
    with pytest.raises(BoundExceeded):
        act(lethe, plan)
    assert attached(lethe) == tables(lethe) == ["visit_2022", "visit_2023", "visit_2024"]
    assert lethe.database.one("SELECT count(*) FROM visit") == ALL + 40
    assert lethe.remaining("old-visits", NOW.date()).detached == ()
    assert act(lethe, approve(lethe)) == ALL + 40
    assert ended(lethe, ALL + 40)


ROW_WAY = {
    "a partition that still takes rows that are not due": (
        "DELETE FROM visit_2022;" + OWNED,
        {"public.visit_2024": Way.BLOCKS},
    ),
    "beside a default partition": (
        "CREATE TABLE visit_rest PARTITION OF visit DEFAULT; ALTER TABLE visit_rest OWNER TO lethe_worker;" + OWNED,
        {"public.visit_2022": Way.BLOCKS, "public.visit_2024": Way.BLOCKS},
    ),
    "when somebody else owns the table": ("", {"public.visit_2022": Way.BLOCKS, "public.visit_2024": Way.BLOCKS}),
    "when somebody else owns the partition": (
        OWNED.replace("ALTER TABLE visit_2022 OWNER TO lethe_worker;", ""),
        {"public.visit_2022": Way.BLOCKS, "public.visit_2024": Way.BLOCKS},
    ),
    "when one row of it is not due": (
        "INSERT INTO lethe.hold VALUES ('visits', '7', 'held');" + OWNED,
        {"public.visit_2022": Way.BLOCKS, "public.visit_2024": Way.BLOCKS},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ROW_WAY)
def test_row_by_row(open_lethe, case: str) -> None:
    statements, expected = ROW_WAY[case]
    lethe = open_lethe(ACTIVITY, SCHEMA)
    lethe.database.run(statements or "SELECT 1")
    before = tables(lethe)
    plan = approve(lethe)
    assert ways(plan) == expected
    due = plan.survey.of(Verdict.DUE)
    assert act(lethe, plan) == due
    assert tables(lethe) == attached_named(lethe) == before
    assert accounted(lethe.database, due)


def attached_named(lethe: Lethe) -> list[str]:
    return [name for name in attached(lethe) if name != "visit_rest"]


def test_only_a_partition_that_ended_by_the_cutoff_is_dropped(open_lethe) -> None:
    """Due on 1 March 2025 are visits up to the end of 29 February 2024 in Oslo, an hour before that in UTC."""
    edges = {"visit_a": "2024-02-29 23:00+00", "visit_b": "2024-02-29 23:00:01+00"}
    for name, end in edges.items():
        lethe = open_lethe(
            ACTIVITY,
            "CREATE TABLE visit (id bigint, name text, seen_at timestamptz NOT NULL, PRIMARY KEY (id, seen_at))"
            f" PARTITION BY RANGE (seen_at); CREATE TABLE {name} PARTITION OF visit"
            f" FOR VALUES FROM ('2024-01-01') TO ('{end}');"
            "INSERT INTO visit VALUES (1, NULL, '2024-02-01');"
            "CREATE TABLE tally (day date PRIMARY KEY, visits bigint);"
            f"ALTER TABLE visit OWNER TO lethe_worker; ALTER TABLE {name} OWNER TO lethe_worker",
        )
        expected = Way.PARTITION if name == "visit_a" else Way.BLOCKS
        assert ways(lethe.plan("old-visits", NOW, "run")) == {f"public.{name}": expected}
