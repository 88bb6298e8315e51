"""An approval starts both DAGs that carry out rules: each takes up its own, and one that has none writes nothing."""

from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from faults import ACTIVITY, NOW, SCHEMA, approved, leaves
from lethe.run import Lethe
from lethe_airflow import sweep


class Instance:
    """The task instance of `select`, which keeps the run's id for the tasks after it."""

    def xcom_push(self, **_: str) -> None:
        """Nothing."""


def select(rules: tuple[str, ...]) -> list[str]:
    """What the first task of a DAG with these rules lets run."""
    params = {"rules": [], "as_of": None, "dry_run": False}
    made = SimpleNamespace(dag_id="retention_sweep", run_id=f"asset_triggered__{NOW.isoformat()}_Ab1", conf={})
    run = SimpleNamespace(run_type="asset_triggered", **vars(made))
    return sweep.select.function(rules, params=params, ti=Instance(), dag=SimpleNamespace(params=params), dag_run=run)


@pytest.fixture
def answered(open_lethe, monkeypatch: pytest.MonkeyPatch) -> Lethe:
    """Lethe at work in a run that an approval of the rule ex-customers started."""
    lethe = open_lethe(ACTIVITY, SCHEMA)
    approved(lethe)
    monkeypatch.setattr(sweep, "lethe_at_work", lambda: nullcontext(lethe))
    monkeypatch.setattr(sweep, "is_answer", lambda: True)
    monkeypatch.setattr(sweep.clock, "now", lambda: datetime(2025, 3, 2, tzinfo=UTC))
    return lethe


def test_the_dag_that_has_the_rule_takes_it_up_and_no_other_rule(answered: Lethe) -> None:
    assert select(("another-rule", "ex-customers")) == ["ex-customers.plan", "ex-customers.record"]
    begun = [leaf for leaf in leaves(answered.state_database) if leaf["kind"] == "run"]
    assert [(leaf["rule"], leaf["state"], leaf["dag"]) for leaf in begun] == [
        ("ex-customers", "scheduled", "retention_sweep")
    ]


def test_the_dag_that_has_it_not_runs_no_rule_and_writes_nothing(answered: Lethe) -> None:
    before = leaves(answered.state_database), answered.state_database.rows("SELECT * FROM lethe.run")
    assert select(("another-rule",)) == []
    assert (leaves(answered.state_database), answered.state_database.rows("SELECT * FROM lethe.run")) == before
