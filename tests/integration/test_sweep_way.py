"""The way of the data once through, on a small real store."""

from datetime import UTC, datetime

from lethe.model import Verdict

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)

SCHEMA = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, ended_on date);
INSERT INTO customer SELECT n, 'Kunde ' || n, date '2024-02-20' + n FROM generate_series(1, 20) n;
"""
ACTIVITY = """
serves: [R08]
datasets:
  customers:
    in: crm
    table: customer
    key: id
    personal_data: {name: user.name}
rules:
  ex-customers:
    obligation: R08
    of: customers
    title: {nb: Kunder, en: Customers}
    clock: ended_on
    keep: P1Y
    then: delete
    limits: {rows: 100, share: 100%}
"""


def test_what_is_due_goes_and_the_rest_stays(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = lethe.plan("ex-customers", NOW, "run")
    assert plan.survey.of(Verdict.DUE) == 9
    assert lethe.gate(plan.digest).state == "waiting"
