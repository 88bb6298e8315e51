"""`lethe` from the command line, against a real store: what it says, what it changes, and how it ends."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from faults import ACTIVITY, DUE, SCHEMA
from lethe.cli import main
from lethe.run import Lethe

DAY = "2025-03-01"


@pytest.fixture
def lethe(open_lethe: Callable[..., Lethe]) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA)


@pytest.fixture
def say(lethe: Lethe) -> Callable[..., Result]:
    """Runs a command as a database role, with the connections where Airflow would look for them."""

    def run(*arguments: str, role: str = "lethe_worker", **more: str) -> Result:
        environment = {
            "LETHE_POLICY": str(lethe.policy_dir),
            "AIRFLOW_CONN_CRM": lethe.database.conninfo("lethe_worker"),
            "AIRFLOW_CONN_LETHE_STATE": lethe.state_database.conninfo(role),
        }
        return CliRunner().invoke(main, arguments, env=environment | more, catch_exceptions=False)

    return run


def lethe_runs(lethe: Lethe) -> list[tuple]:
    return lethe.state_database.rows("SELECT state, plan FROM lethe.run WHERE state <> 'started' ORDER BY at")


def digest_of(say: Callable[..., Result]) -> str:
    found: str = json.loads(say("plan", "--now", DAY, "--json").stdout)[0]["plan"]
    return found


def test_plan_says_what_is_due_and_changes_nothing(lethe: Lethe, say: Callable[..., Result]) -> None:
    before = lethe.database.rows("SELECT * FROM customer ORDER BY id")
    said = say("plan", "--now", DAY)
    assert said.exit_code == 0
    assert "ex-customers (R08)  crm.customer" in said.stdout
    assert f"due      {DUE:>12}" in said.stdout
    assert "first plan of this rule as it now reads" in said.stdout
    assert lethe.database.rows("SELECT * FROM customer ORDER BY id") == before
    assert lethe.database.one("SELECT count(*) FROM lethe.outbox") == 0


def test_the_way_of_the_data_by_hand(lethe: Lethe, say: Callable[..., Result]) -> None:
    digest = digest_of(say)
    assert say("apply", digest).exit_code == 3
    assert lethe_runs(lethe) == []  # what may not begin is no run that failed
    answered = say("approve", digest[:10], role="lethe_officer").stdout
    assert f"due      {DUE:>12}" in answered
    assert answered.endswith(f"plan {digest[:12]}: approved as privacy-officer\n")
    applied = say("apply", "--json")
    assert applied.exit_code == 0
    done = {
        "plan": digest,
        "rows": DUE,
        "reach": 0,
        "batches": 1,
        "remaining": 0,
        "detached": [],
        "documents": 0,
        "findings": [],
    }
    assert json.loads(applied.stdout) == [done]
    assert say("verify", "--now", DAY).stdout == "ex-customers: 0 remain\n"
    assert "done" in say("plans").stdout


def test_applied_twice_it_has_nothing_left_to_do(lethe: Lethe, say: Callable[..., Result]) -> None:
    digest = digest_of(say)
    say("approve", digest, role="lethe_officer")
    say("apply")
    again = say("apply")
    assert (again.exit_code, again.stdout) == (0, "nothing is approved and waiting to be carried out\n")
    once_more = say("apply", digest)
    assert (once_more.exit_code, once_more.stdout) == (0, f"plan {digest[:12]}: it was carried out before\n")
    assert lethe.database.one("SELECT count(*) FROM lethe.outbox") == 1
    assert lethe_runs(lethe) == [("ended", digest)]


def test_verify_ends_with_1_while_something_remains(say: Callable[..., Result]) -> None:
    found = say("verify", "--now", DAY, "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout) == [
        {"rule": "ex-customers", "confirmed": True, "remaining": DUE, "detached": [], "documents": 0, "findings": []}
    ]


def test_a_rejected_plan_is_not_carried_out(say: Callable[..., Result]) -> None:
    digest = digest_of(say)
    assert "rejected" in say("approve", digest, "--reject", role="lethe_officer").stdout
    assert say("apply", digest).exit_code == 3
    assert say("approve", digest, role="lethe_officer").exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("plan", "--rule", "ex-customer"), 2, 'found no rule "ex-customer"; did you mean ex-customers?'),
        (("confirm", "nothing-like-it"), 2, 'found no rule "nothing-like-it"; expected one of: ex-customers'),
        (("plan", "--now", "0001-01-01"), 2, "expected a date from 1900 to 2999"),
        (("verify", "--now", "9999-12-31"), 2, "expected a date from 1900 to 2999"),
        (("plans", "--limit", "0"), 2, "0 is not in the range x>=1"),
        (("approve", ""), 4, "expected 8 or more hexadecimal digits"),
        (("apply", "_%"), 4, "expected 8 or more hexadecimal digits"),
        (("store", "grants", "state", "--role", "x; --"), 2, 'found role "x; --"'),
        (("plan", "--now", "yesterday"), 2, "expected a date such as 2025-03-01"),
        (("plan", "--now", "2025-03-01T10:00"), 2, "a time without zone"),
        (("approve", "ffffffff"), 4, "found none that start so"),
        (("confirm", "ex-customers"), 4, "there is nothing to confirm"),
        (("store", "grants", "nowhere"), 2, 'found no store "nowhere"'),
        (("sweep",), 2, "No such command"),
    ],
)
def test_bad_input_is_answered_in_words(
    say: Callable[..., Result], arguments: tuple[str, ...], code: int, words: str
) -> None:
    said = say(*arguments)
    assert (said.exit_code, words in said.stderr) == (code, True)
    assert "Traceback" not in said.output


def test_a_missing_connection_is_named_with_its_variable(say: Callable[..., Result]) -> None:
    said = say("plan", "--now", DAY, AIRFLOW_CONN_CRM="")
    assert said.exit_code == 5
    assert "AIRFLOW_CONN_CRM is not set" in said.stderr


def test_only_the_officers_sign_in_approves(say: Callable[..., Result]) -> None:
    said = say("approve", digest_of(say))
    assert said.exit_code == 3
    assert "this sign-in may not answer for a person" in said.stderr


def test_store_check_compares_without_changing(lethe: Lethe, say: Callable[..., Result]) -> None:
    assert say("store", "check").stdout.startswith("ex-customers: agrees with crm.customer")
    lethe.database.run("ALTER TABLE customer RENAME ended_on TO ended_at")
    said = say("store", "check")
    assert said.exit_code == 4
    assert "column public.customer.ended_on: not found in the database; did you mean ended_at?" in said.stdout


def test_what_store_grants_prints_can_be_run_again(lethe: Lethe, say: Callable[..., Result]) -> None:
    lethe.database.run(say("store", "grants", "crm").stdout)
    lethe.state_database.run(say("store", "grants", "state").stdout)


def test_an_approved_plan_is_carried_out_before_a_newer_one(lethe: Lethe, say: Callable[..., Result]) -> None:
    digest = digest_of(say)
    say("approve", digest, role="lethe_officer")
    assert json.loads(say("plan", "--now", "2025-03-02", "--json").stdout)[0]["plan"] != digest
    assert json.loads(say("apply", "--json").stdout)[0]["plan"] == digest


def test_apply_says_how_many_plans_wait(say: Callable[..., Result]) -> None:
    digest_of(say)
    said = say("apply")
    assert (said.exit_code, said.stdout) == (3, "nothing is approved; 1 plan waits for a person (lethe plans)\n")


def test_what_is_detached_and_not_settled_is_a_failure(lethe: Lethe, say: Callable[..., Result], monkeypatch) -> None:
    digest = digest_of(say)
    say("approve", digest, role="lethe_officer")
    remaining = Lethe.remaining
    left = ("public.customer_2024",)
    monkeypatch.setattr(Lethe, "remaining", lambda *asked: replace(remaining(*asked), detached=left))
    said = say("apply", digest)
    assert (said.exit_code, "partition public.customer_2024 is detached" in said.stdout) == (1, True)
    assert lethe_runs(lethe) == [("failed", digest)]


def test_a_stored_plan_is_shown_without_its_store(say: Callable[..., Result]) -> None:
    digest = digest_of(say)
    shown = say("plans", digest[:8], AIRFLOW_CONN_CRM="", role="lethe_officer")
    assert (shown.exit_code, "first plan of this rule as it now reads" in shown.stdout) == (0, True)
    assert json.loads(say("plans", digest, "--json", AIRFLOW_CONN_CRM="").stdout)["state"] == "waiting"


def test_an_assumed_period_is_told_as_what_is_missing(open_lethe: Callable[..., Lethe]) -> None:
    lethe = open_lethe(
        ACTIVITY.replace(
            "keep: P1Y", "keep: {assume: P1Y, because: nobody has named one, confirm_by: privacy-officer}"
        ),
        SCHEMA,
    )
    environment = {
        "LETHE_POLICY": str(lethe.policy_dir),
        "AIRFLOW_CONN_CRM": lethe.database.conninfo("lethe_worker"),
        "AIRFLOW_CONN_LETHE_STATE": lethe.state_database.conninfo("lethe_worker"),
    }
    planned = CliRunner().invoke(main, ("plan", "--now", DAY), env=environment)
    needs = f"needs    privacy-officer confirms the assumed period, {DUE} rows wait (lethe confirm ex-customers)"
    assert needs in planned.stdout
    asked = CliRunner().invoke(main, ("verify", "--now", DAY), env=environment)
    assert asked.stdout == "ex-customers: not judged: its period is not confirmed\n"
    as_json = CliRunner().invoke(main, ("verify", "--now", DAY, "--json"), env=environment)
    assert json.loads(as_json.stdout)[0]["confirmed"] is False


def test_version_and_short_help(say: Callable[..., Result]) -> None:
    assert say("--version").stdout.startswith("lethe, commit ")
    assert say("-h").exit_code == 0


def test_a_connection_of_another_kind_is_refused(say: Callable[..., Result]) -> None:
    said = say("plan", "--now", DAY, AIRFLOW_CONN_CRM='{"conn_type": "mysql", "host": "h"}')
    assert (said.exit_code, "cannot be read as a PostgreSQL connection" in said.stderr) == (5, True)
