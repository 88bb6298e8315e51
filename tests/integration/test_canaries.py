"""Rows of nobody, planted at the edge of a rule's period: each check says what became of them."""

import json
import shutil
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from faults import ACTIVITY, SCHEMA, again, answer, leaves
from lethe import checking, deadlines
from lethe.canaries import Canaries
from lethe.checks.canaries import Bed
from lethe.checks.result import StoreChecked
from lethe.cli import main
from lethe.holds import Register
from lethe.model import Verdict
from lethe.run import Lethe
from lethe.stores.postgres import predicate
from lethe.stores.postgres.grants import grants
from lethe.tending import tend
from support import as_uri

OSLO = ZoneInfo("Europe/Oslo")
START = date(2025, 3, 3)
CANARIES = "canaries: {ex-customers: {name: Lethe Canary}}"


def sweep(lethe: Lethe, day: date, at: time = time(2)) -> None:
    """The nightly sweep, approved where it needs to be."""
    now = datetime.combine(day, at, OSLO)
    plan = lethe.plan("ex-customers", now, f"{day:%Y%m%d}")
    if plan.survey.of(Verdict.DUE):
        if plan.needs:
            answer(lethe, plan)
        lethe.carry_out(plan.digest, now, f"{day:%Y%m%d}")


def check(lethe: Lethe, day: date) -> StoreChecked:
    """The check in the morning, with the tending of canaries."""
    found = tend(lethe, checking.look(lethe, "crm", day))
    lethe.state.checked(lethe.policy, found, uuid4().hex)
    return found


def kinds(found: StoreChecked) -> set[str]:
    return {each.kind for each in found.findings}


def fates(found: StoreChecked) -> dict[str, int]:
    told = [each.fate for each in found.canaries]
    return {fate: told.count(fate) for fate in sorted(set(told))}


def planted(lethe: Lethe) -> list[tuple]:
    return lethe.state_database.rows(
        "SELECT part, key, planted_on, last, fate, ended_on FROM lethe.canary ORDER BY planted_on, part"
    )


def days(start: date, count: int) -> Iterator[date]:
    return (start + timedelta(days=number) for number in range(count))


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA, of_store=CANARIES)


def test_a_month_of_sweeps_and_each_meets_its_fate(lethe: Lethe) -> None:
    for day in days(START, 31):
        sweep(lethe, day)
        found = check(lethe, day)
        assert found.findings == (), day
        assert {each.rows for each in (rule.counts for rule in found.rules)} == {
            lethe.database.one("SELECT count(*) FROM customer WHERE name <> 'Lethe Canary'")
        }
    told = planted(lethe)
    assert {fate for *_, fate, _ in told} == {"gone", None}
    gone = {(part, (ended - first).days) for part, _, first, _, fate, ended in told if fate == "gone"}
    assert gone == {("due", 1), ("held", 8), ("not-due", 8)}
    assert sum(part == "due" for part, *_ in told) == 31
    assert all(int(key) < 0 for _, key, *_ in told), "none that a sequence would give"
    assert lethe.database.one("SELECT count(*) FROM customer WHERE name = 'Lethe Canary'") == 3
    assert lethe.state_database.one("SELECT count(*) FROM lethe.hold_event WHERE event = 'released'") == 3


def test_evidence_and_the_command_line_tell_of_them_in_numbers(lethe: Lethe, monkeypatch) -> None:
    sweep(lethe, START)
    check(lethe, START)
    check(lethe, START)
    *_, leaf = [each for each in leaves(lethe.state_database) if each["kind"] == "check"]
    assert leaf["canaries"] == {"stays": 3}
    assert "Canary" not in str(leaf)
    for name in ("crm", "lethe_state"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", as_uri(lethe.addresses[name]))
    where = ["check", "--policy", str(lethe.policy_dir), "--now", str(START)]
    told = CliRunner().invoke(main, where)
    assert "canaries: 3 stays" in told.output
    assert json.loads(CliRunner().invoke(main, [*where, "--json"]).output)[0]["canaries"] == {"stays": 3}
    assert planted(lethe)[0][1] not in told.output


def test_no_person_gives_their_reason(lethe: Lethe) -> None:
    told = CliRunner().invoke(main, ["hold", "place", "--because", "canary", "--review", "2999-01-01", "--rule", "x"])
    assert (told.exit_code, "'canary' is not one of" in told.output) == (2, True)


def test_a_rule_that_nobody_confirmed_is_not_tried(open_lethe) -> None:
    assumed = ACTIVITY.replace("keep: P1Y", "keep: {assume: P1Y, confirm_by: privacy-officer, because: nobody said}")
    lethe = open_lethe(assumed, SCHEMA, of_store=CANARIES)
    check(lethe, START)
    assert planted(lethe) == []


def test_the_grants_let_them_be_planted(lethe: Lethe) -> None:
    assert 'GRANT INSERT ON "public"."customer" TO "lethe_worker"' in grants(lethe.policy, lethe.policy.stores["crm"])


def test_a_sweep_that_forgets_them_is_found(lethe: Lethe) -> None:
    """The sweep does not come by: what is due is not gone after its own interval."""
    sweep(lethe, START)
    assert [kinds(check(lethe, day)) for day in days(START, 3)] == [set(), set(), {"canary-lives", "remaining"}]
    sweep(lethe, START + timedelta(days=3))
    assert kinds(check(lethe, START + timedelta(days=3))) == set()
    (lives,) = [each for each in lethe.state.findings.known(gone=True) if each.kind == "canary-lives"]
    assert lives.gone_at is not None


def test_a_sweep_that_knows_them_and_leaves_them_is_found(lethe: Lethe) -> None:
    check(lethe, START)
    rule = "DELETE FROM customer WHERE name <> 'Lethe Canary' AND (ended_on + interval '1 year')::date < '{}'"
    for day in days(START + timedelta(days=1), 2):
        lethe.database.run(rule.format(day))
        found = check(lethe, day)
    assert kinds(found) == {"canary-lives"}
    assert "the due one of 2025-03-03, which had to stay through 2025-03-03" in found.findings[0].detail


@pytest.mark.parametrize(("early", "dies"), [(1, {"not-due"}), (7, {"not-due"})])
def test_a_cutoff_that_is_days_early_is_found(lethe: Lethe, monkeypatch, early: int, dies: set[str]) -> None:
    monkeypatch.setattr(predicate, "cutoff", lambda *args: deadlines.cutoff(*args) + timedelta(days=early))
    found = []
    for day in days(START, 9):
        sweep(lethe, day)
        found += [(each.canary.part, day) for each in check(lethe, day).canaries if each.fate == "died"]
    assert {part for part, _ in found} == dies
    assert min(day for _, day in found) == START + timedelta(days=8 - early)


def test_a_sweep_in_another_time_zone_is_found(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, "CREATE TABLE customer (id int PRIMARY KEY, name text, ended_on timestamptz)",
                       of_store=CANARIES)  # fmt: skip
    far = lethe.policy_dir.with_name("far")
    shutil.copytree(lethe.policy_dir, far)
    organisation = far / "organisation.yaml"
    organisation.write_text(organisation.read_text().replace("Europe/Oslo", "America/New_York"))
    with again(lethe, policy_dir=far) as sweeper:
        sweeper.database, sweeper.state_database = lethe.database, lethe.state_database
        sweeper.addresses, sweeper.policy_dir = lethe.addresses, far
        died = set()
        for day in days(START, 9):
            sweep(sweeper, day, time(12))
            died |= {each.canary.part for each in check(lethe, day).canaries if each.fate == "died"}
    assert died == {"not-due"}


def test_a_sweep_that_ignores_holds_is_found(lethe: Lethe, monkeypatch) -> None:
    check(lethe, START)
    day = START + timedelta(days=1)
    lethe.plan("ex-customers", datetime.combine(day, time(1), OSLO), "run")  # the hold comes into force
    lethe.database.run("DELETE FROM customer WHERE (ended_on + interval '1 year')::date < '2025-03-04'")
    found = check(lethe, day)
    assert kinds(found) == {"canary-died", "held-gone"}
    for name in ("crm", "lethe_state"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", as_uri(lethe.addresses[name]))
    said = CliRunner().invoke(main, ["check", "--policy", str(lethe.policy_dir), "--now", str(day)])
    assert (said.exit_code, "ALARM: ex-customers: a planted row went too early (the held one of" in said.output) == (
        1,
        True,
    )
    for later in days(START + timedelta(days=2), 6):
        sweep(lethe, later)
        assert kinds(check(lethe, later)) == {"canary-died"}
    sweep(lethe, later := START + timedelta(days=8))
    assert kinds(check(lethe, later)) == set(), "told for a week"


def test_a_hold_that_the_officer_releases_is_no_early_death(lethe: Lethe) -> None:
    check(lethe, START)
    (hold,) = lethe.state.holds.holds()
    assert hold.because == "canary"
    lethe.state.holds.release(hold.id, role="privacy-officer", via="airflow")
    lethe.state_database.run("UPDATE lethe.hold_event SET at = '2025-03-03 12:00Z' WHERE event = 'released'")
    for day in days(START + timedelta(days=1), 2):
        lethe.database.run("DELETE FROM customer WHERE (ended_on + interval '1 year')::date < '2025-03-04'")
        assert "canary-died" not in kinds(check(lethe, day))


def test_a_rule_on_hold_keeps_them_without_an_alarm(lethe: Lethe) -> None:
    check(lethe, START)
    lethe.database.run("INSERT INTO lethe.hold VALUES ('rule:ex-customers', '', 'held')")
    for day in days(START + timedelta(days=1), 4):
        assert "canary-lives" not in kinds(check(lethe, day))


class Stopped(Exception):
    pass


def stopped_at(lethe: Lethe, monkeypatch: pytest.MonkeyPatch, what: type, name: str) -> None:
    """A first check that is stopped where it would do something."""

    def stop(*_: object, **__: object) -> None:
        raise Stopped

    with monkeypatch.context() as context:
        context.setattr(what, name, stop)
        with pytest.raises(Stopped):
            check(lethe, START)


@pytest.mark.parametrize("step", ["intend", "planted"])
def test_a_planting_that_is_stopped_goes_on(lethe: Lethe, monkeypatch, step: str) -> None:
    stopped_at(lethe, monkeypatch, Canaries, step)
    for day in days(START, 10):
        sweep(lethe, day)
        assert kinds(check(lethe, day)) == set(), day
    assert lethe.database.one("SELECT count(*) FROM customer WHERE name = 'Lethe Canary'") == 3
    lost = [fate for *_, fate, _ in planted(lethe)].count("lost")
    assert lost == 0, "the row is there, and is looked after from then on"


def test_an_insert_that_never_happened_is_no_death(lethe: Lethe, monkeypatch) -> None:
    sweep(lethe, START)
    stopped_at(lethe, monkeypatch, Bed, "plant")
    assert kinds(check(lethe, START)) == set()
    assert [fate for *_, fate, _ in planted(lethe)].count("lost") == 1


def test_a_hold_that_was_not_placed_in_time_is_placed_by_the_next_check(lethe: Lethe, monkeypatch) -> None:
    sweep(lethe, START)
    stopped_at(lethe, monkeypatch, Register, "place")
    assert lethe.state.holds.holds() == ()
    check(lethe, START)
    assert [each.because for each in lethe.state.holds.holds()] == ["canary"]


NO_DEFAULT = "ALTER TABLE customer ADD phone text NOT NULL DEFAULT 'x'; ALTER TABLE customer ALTER phone DROP DEFAULT"
LOUD = """
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'Kari'; END $$;
CREATE TRIGGER loud BEFORE INSERT ON customer FOR EACH ROW EXECUTE FUNCTION loud();
"""


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        ("REVOKE INSERT ON customer FROM lethe_worker", "this user may not insert"),
        (NO_DEFAULT, "NotNullViolation"),
        (LOUD, "triggers or rules"),
        ("ALTER TABLE customer ADD CHECK (name <> 'Lethe Canary')", "CheckViolation"),
    ],
)
def test_what_cannot_be_planted_is_a_finding_that_says_why(lethe: Lethe, statements: str, why: str) -> None:
    lethe.database.run(statements)
    sweep(lethe, START)
    for _ in range(2):
        (finding,) = [each for each in check(lethe, START).findings if each.kind == "canary-unplanted"]
        assert why in finding.detail
        assert "Canary" not in finding.detail
    assert lethe.database.one("SELECT count(*) FROM customer WHERE name = 'Lethe Canary'") == 0


def test_nothing_is_planted_in_a_database_that_is_not_the_one_that_is_meant(lethe: Lethe) -> None:
    sweep(lethe, START)
    lethe.state.checked(lethe.policy, checking.look(lethe, "crm", START), "f" * 32)
    lethe.database.run("UPDATE lethe.store SET id = gen_random_uuid()")
    assert kinds(check(lethe, START)) == {"another-database"}
    assert planted(lethe) == []


def test_a_store_that_is_down_says_nothing_of_them(lethe: Lethe) -> None:
    check(lethe, START)
    lethe.addresses["crm"], up = "host=127.0.0.1 port=1 connect_timeout=1", lethe.addresses["crm"]
    found = check(lethe, START + timedelta(days=1))
    assert (kinds(found), fates(found)) == ({"unknown"}, {"unseen": 3})
    lethe.addresses["crm"] = up
    sweep(lethe, START + timedelta(days=1))
    assert fates(check(lethe, START + timedelta(days=1))) == {"gone": 1, "stays": 2}


def test_a_table_with_nothing_but_canaries_is_as_blind_as_an_empty_one(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY + "    expect: {rows: 1, newest: P1M}\n", SCHEMA, of_store=CANARIES)
    check(lethe, START)
    lethe.database.run("DELETE FROM customer WHERE name <> 'Lethe Canary'")
    assert "blind" in kinds(check(lethe, START))


def test_a_rule_that_is_tried_no_longer_lets_go_of_them(lethe: Lethe, monkeypatch) -> None:
    check(lethe, START)
    for store in lethe.policy.stores.values():
        monkeypatch.setitem(store.__dict__, "canaries", {})
    check(lethe, START)
    assert lethe.state.holds.holds() == (), "released at once"
    for day in days(START + timedelta(days=1), 9):
        sweep(lethe, day)
        assert kinds(check(lethe, day)) == set()
    assert lethe.database.one("SELECT count(*) FROM customer WHERE name = 'Lethe Canary'") == 0


@pytest.mark.parametrize(
    ("schema", "activity"),
    [
        ("id uuid PRIMARY KEY, name text, ended_on timestamptz", ACTIVITY),
        ("id text PRIMARY KEY, name text, ended_on timestamp",
         ACTIVITY.replace("    personal_data", "    unzoned: {ended_on: America/New_York}\n    personal_data")),
        ("id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, ended_on date",
         ACTIVITY.replace("keep: P1Y", "keep: P1M")),
        ("id smallint PRIMARY KEY, name text, ended_on date", ACTIVITY.replace("keep: P1Y", "keep: P26M")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("start", [date(2025, 3, 29), date(2024, 2, 27), date(2025, 10, 24)])
def test_keys_clocks_and_month_ends(open_lethe, schema: str, activity: str, start: date) -> None:
    lethe = open_lethe(activity, f"CREATE TABLE customer ({schema});", of_store=CANARIES)
    for day in days(start, 10):
        sweep(lethe, day)
        assert kinds(check(lethe, day)) <= {"blind"}, day
    assert "gone" in {fate for *_, fate, _ in planted(lethe)}


AGGREGATE = """
    then:
      - aggregate:
          into: statistics
          by: {day: day(ended_on)}
          count: customers
          suppress_below: 1
          unless: {name: Lethe Canary}
      - delete
"""


def test_statistics_do_not_count_them(open_lethe) -> None:
    lethe = open_lethe(
        ACTIVITY.replace("    then: delete\n", AGGREGATE.lstrip("\n")),
        SCHEMA + "CREATE TABLE statistics (day date UNIQUE NULLS NOT DISTINCT, customers bigint);",
        of_store=CANARIES,
    )
    for day in days(START, 3):
        sweep(lethe, day)
        check(lethe, day)
    gone = 100 - lethe.database.one("SELECT count(*) FROM customer WHERE name <> 'Lethe Canary'")
    assert gone > 60
    assert [fate for *_, fate, _ in planted(lethe)].count("gone") == 2
    assert lethe.database.one("SELECT sum(customers) FROM statistics") == gone
