"""Checks by Great Expectations: what remains is found, and what cannot be asked is unknown, never clean."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from faults import ACTIVITY, NOW, SCHEMA, act, approved
from lethe import checking
from lethe.checks.result import StoreChecked
from lethe.cli import main
from lethe.model import Verdict
from lethe.run import Lethe
from support import as_uri


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA)


def check(
    lethe: Lethe, conninfo: str | None = None, grace: int = 1, unconfirmed: frozenset[str] = frozenset()
) -> StoreChecked:
    from lethe.checks.suite import Asked, check_store

    asked = Asked(lethe.policy, "crm", tuple(lethe.policy.rules.values()), NOW.date(), grace, unconfirmed)
    return check_store(asked, conninfo or lethe.database.conninfo("lethe_worker"))


def test_what_remains_is_found_and_what_is_due_since_yesterday_is_due(lethe: Lethe) -> None:
    (found,) = check(lethe).rules
    assert (found.state, found.counts.rows, found.counts.over) == ("remaining", 100, 60)
    assert (found.counts.due, found.counts.remaining) == (2, 58)  # those of 28 and 29 February: the sweep comes tonight
    (found,) = check(lethe, grace=0).rules
    assert (found.counts.due, found.counts.remaining) == (0, 60)
    act(lethe, approved(lethe))
    assert check(lethe).is_clean


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_the_ends_of_the_calendar_mean_none_and_are_done_as_they_are(open_lethe, kind: str) -> None:
    """23:00 in UTC on the last day of 9999 is another year in Oslo, and the sweep leaves it alone."""
    coarse = ACTIVITY.replace("then: delete", "then: {anonymise: {born: {generalise: year}}}")
    coarse = (
        coarse.replace("    personal_data:", "    unzoned: {born: UTC}\n    personal_data:")
        if kind == "timestamp"
        else coarse
    )
    lethe = open_lethe(coarse, f"CREATE TABLE customer (id int PRIMARY KEY, name text, ended_on date, born {kind});")
    ends = "'9999-12-31 23:00Z'), ({}, '', '2020-01-01', '0001-01-01'), ({}, '', '2020-01-01', 'infinity"
    lethe.database.run(f"INSERT INTO customer VALUES (1, '', '2020-01-01', {ends.format(2, 3)}')")
    counts = check(lethe).rules[0].counts
    assert (counts.over, counts.kept["done"], counts.remaining) == (3, 3, 0)
    assert lethe.plan("ex-customers", NOW, "run").survey.of(Verdict.DUE) == 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("DELETE FROM customer", "ex-customers: BLIND: found 0 rows, expected at least 1; 0 of 0 rows over"),
        (
            "ALTER TABLE customer ADD shoe text",
            "WARNING: public.customer: its columns are not those it had (columns",
        ),
        (
            "CREATE TABLE patient (email text)",
            "NOT COVERED by the policy: 1 closed, 1 personal; see `lethe discover",
        ),
        ("ANALYZE customer; DELETE FROM customer WHERE id < 61", "statistics keep 57 dates of rows that are gone"),
    ],
)
def test_the_command_tells_why_it_does_not_end_well(lethe: Lethe, monkeypatch, change: str, line: str) -> None:
    for name in ("crm", "lethe_state"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", as_uri(lethe.addresses[name]))
    checking.remember(lethe, "crm")
    lethe.database.run(change)
    words = ["check", "--now", "2025-03-01", "--policy", str(lethe.policy_dir)]
    said = CliRunner().invoke(main, words)
    assert said.exit_code == 1
    assert line in said.output
    lethe.addresses["crm"] = "host=127.0.0.1 port=1 connect_timeout=1"
    monkeypatch.setenv("AIRFLOW_CONN_CRM", as_uri(lethe.addresses["crm"]))
    said = CliRunner().invoke(main, words)
    assert (said.exit_code, said.output.startswith("crm\n  unknown: store crm: no connection")) == (5, True)


def test_a_store_that_is_down_is_unknown(lethe: Lethe) -> None:
    found = check(lethe, "host=127.0.0.1 port=1 connect_timeout=1")
    assert [(each.state, each.counts) for each in found.rules] == [("unknown", None)]
    assert "no connection to the server" in found.rules[0].problem
    assert not found.is_clean


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE customer RENAME TO customers", "table public.customer (dataset customers): not there, or closed"),
        (
            "ALTER TABLE customer RENAME ended_on TO ended",
            "column public.customer.ended_on (dataset customers): not there",
        ),
        (
            "REVOKE SELECT ON customer FROM lethe_worker",
            "column public.customer.ended_on (dataset customers): not there, or closed",
        ),
        (
            "REVOKE SELECT ON lethe.hold FROM lethe_worker",
            "store crm: the database answered InsufficientPrivilege (42501)",
        ),
    ],
)
def test_what_cannot_be_asked_is_unknown(lethe: Lethe, change: str, words: str) -> None:
    lethe.database.run(change)
    (found,) = check(lethe).rules
    assert (found.state, found.counts) == ("unknown", None)
    assert words in found.problem


def test_an_error_tells_no_value(lethe: Lethe) -> None:
    lethe.database.run("ALTER TABLE customer ALTER ended_on TYPE text; UPDATE customer SET ended_on = 'Kari Hemmelig'")
    found = check(lethe)
    assert found.rules[0].state == "unknown"
    assert "Hemmelig" not in str(found.document) + found.rules[0].problem


def test_the_validation_tells_the_rule_in_words_and_numbers_only(lethe: Lethe) -> None:
    result, seen = check(lethe).document["results"]
    assert result["expectation_config"]["description"] == (
        "Kunder eldre enn ett år slettes. / Customers older than 1 year are deleted."
    )
    assert result["result"]["observed_value"] == 58
    assert seen["result"]["observed_value"] == "enough"
    assert "Kunde 1" not in str([result, seen])


def test_a_mistake_in_the_sweeps_arithmetic_is_found(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep believes that a period is a day longer; its own verification may believe it too."""
    from lethe import deadlines
    from lethe.stores.postgres import predicate

    monkeypatch.setattr(predicate, "cutoff", lambda *args: deadlines.cutoff(*args) - timedelta(days=1))
    act(lethe, approved(lethe))
    (found,) = check(lethe, grace=0).rules
    assert (found.state, found.counts.remaining) == ("remaining", 1)


def test_what_nobody_has_confirmed_is_counted_and_held_against_nobody(open_lethe) -> None:
    assumed = "keep: {assume: P1Y, confirm_by: privacy-officer, because: nobody said}"
    lethe = open_lethe(ACTIVITY.replace("keep: P1Y", assumed), SCHEMA)
    found = check(lethe, unconfirmed=frozenset({"ex-customers"}))
    assert (found.rules[0].state, found.rules[0].counts.remaining, found.is_clean) == ("unconfirmed", 58, True)


def test_the_command_tells_what_remains_and_ends_with_its_code(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("crm", "lethe_state"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", as_uri(lethe.addresses[name]))

    def say(*words: str):
        return CliRunner().invoke(main, ["check", *words, "--now", "2025-03-01", "--policy", str(lethe.policy_dir)])

    said = say()
    expected = "crm\n  ex-customers: 58 REMAIN; 60 of 100 rows over their period, 2 due since the last sweep"
    expected += "; not tried: this user may not insert; see `lethe store grants`\n  all is covered\n"
    assert (said.exit_code, said.output) == (1, expected)
    act(lethe, approved(lethe))
    said = say("crm", "--json")
    assert said.exit_code == 0
    assert json.loads(said.output)[0]["rules"][0]["counts"]["over"] == 0
    lethe.database.run("ALTER TABLE customer RENAME TO customers")
    assert say().exit_code == 5
    assert say("nowhere").exit_code == 2


@pytest.mark.parametrize(
    ("expect", "change", "words"),
    [
        ("", "DELETE FROM customer", "found 0 rows, expected at least 1"),
        ("rows: 101", "", "found 100 rows, expected at least 101"),
        (
            "dated: 95%",
            "UPDATE customer SET ended_on = NULL WHERE id <= 6",
            "found a date in 94.0 % of the rows, expected 95 %",
        ),
        (
            "newest: P30D",
            "DELETE FROM customer WHERE ended_on > '2024-03-09'",
            "found no date of the last P30D, expected one",
        ),
    ],
)
def test_a_check_that_sees_too_little_is_blind_and_not_clean(open_lethe, expect: str, change: str, words: str) -> None:
    lethe = open_lethe(ACTIVITY + f"    expect: {{{expect}}}\n", SCHEMA)
    lethe.database.run(f"UPDATE customer SET ended_on = '2025-02-20' WHERE id <= 60; {change}")
    (found,) = check(lethe).rules
    assert (found.state, words in found.problem) == ("blind", True), found


def test_what_is_declared_and_there_is_seen(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY + "    expect: {rows: 100, dated: 94%, newest: P30D}\n", SCHEMA)
    lethe.database.run("UPDATE customer SET ended_on = '2025-02-20' WHERE id <= 60")
    lethe.database.run("UPDATE customer SET ended_on = NULL WHERE id <= 6")
    assert check(lethe).is_clean


def test_an_empty_table_that_may_be_empty_is_clean(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY + "    expect: {rows: 0, dated: 95%}\n", SCHEMA)
    lethe.database.run("DELETE FROM customer")
    assert check(lethe).is_clean
