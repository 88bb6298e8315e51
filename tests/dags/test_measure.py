"""Groups that stay too small fail the run in words and numbers: of data that never had a person, and after a rule."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException

from faults import act as carry_out
from faults import approved, leaves
from lethe.run import Lethe
from lethe_airflow import sweep

RUN = "a" * 32
SURVEYS = """
CREATE TABLE answer (id int PRIMARY KEY, sector text);
INSERT INTO answer SELECT n, CASE WHEN n <= 3 THEN 'kirke' ELSE 'privat' END FROM generate_series(1, 20) n;
CREATE TABLE vote (id int PRIMARY KEY, sector text);
INSERT INTO vote SELECT n, 'privat' FROM generate_series(1, 20) n;
CREATE TABLE orders (id int PRIMARY KEY, name text, postcode text, ended_on date);
INSERT INTO orders SELECT n, 'Kari ' || n, '5003', '2020-01-01' FROM generate_series(1, 4) n;
"""
ACTIVITY = """
serves: [R08]
datasets:
  answers:
    {in: crm, table: answer, key: id, personal_data: {}, anonymity: {obligation: R08, k: 5, by: [sector]}}
  votes:
    {in: crm, table: vote, key: id, personal_data: {}, anonymity: {obligation: R08, k: 5, by: [sector]}}
  orders:
    in: crm
    table: orders
    key: id
    personal_data: {name: user.name, postcode: user.contact.address.postal_code}
    anonymity: {k: 5, by: [postcode]}
rules:
  ex-customers:
    obligation: R08
    of: orders
    title: {nb: Bestillinger, en: Orders}
    clock: ended_on
    keep: P1Y
    then: {anonymise: {name: blank, postcode: {generalise: region}}}
    limits: {rows: 100, share: 100%}
"""


@pytest.fixture
def lethe(open_lethe, monkeypatch: pytest.MonkeyPatch) -> Lethe:
    """Lethe at work in a run that the clock started."""
    lethe = open_lethe(ACTIVITY, SURVEYS)
    monkeypatch.setattr(sweep, "lethe_at_work", lambda: nullcontext(lethe))
    monkeypatch.setattr(sweep, "is_answer", lambda: False)
    monkeypatch.setattr(sweep, "run_id", lambda: RUN)
    return lethe


def measure(*, dry_run: bool = False) -> None:
    """The task that comes after all rules."""
    sweep.measure.function(params={"dry_run": dry_run})


def risks(lethe: Lethe) -> list[tuple[str, int]]:
    """What the evidence says of it: each dataset, and its rows in small groups."""
    return [(leaf["dataset"], leaf["small"]) for leaf in leaves(lethe.database) if leaf["kind"] == "risk"]


def test_groups_that_are_too_small_fail_the_task_by_name_when_all_are_measured(lethe: Lethe) -> None:
    with pytest.raises(AirflowFailException) as told:  # not one that is retried
        measure()
    assert str(told.value) == "answers: 3 rows stand in groups of fewer than 5, the smallest of 3"
    assert risks(lethe) == [("answers", 3), ("votes", 0)]


def test_groups_that_are_large_enough_are_written_down_and_fail_nothing(lethe: Lethe) -> None:
    lethe.database.run("UPDATE answer SET sector = 'privat'")
    measure()
    assert risks(lethe) == [("answers", 0), ("votes", 0)]


def test_a_dry_run_fails_too_and_writes_nothing(lethe: Lethe) -> None:
    with pytest.raises(AirflowFailException, match="answers: 3 rows"):
        measure(dry_run=True)
    assert risks(lethe) == []


def test_a_run_that_an_approval_started_measures_nothing(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "is_answer", lambda: True)
    measure()
    assert risks(lethe) == []


def test_groups_that_a_rule_left_too_small_fail_its_verification(lethe: Lethe) -> None:
    plan = approved(lethe)
    assert carry_out(lethe, plan) == 4
    verify = SimpleNamespace(task_id="ex-customers.verify", xcom_pull=lambda **_: plan.digest)
    with pytest.raises(AirflowFailException, match=r"^0 rows remain.*; 4 rows stand in groups of fewer than 5"):
        sweep.verify.function(ti=verify)
    assert risks(lethe) == [("orders", 4)]
