"""House rules that hold for every DAG of the project."""

import ast
from datetime import date
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException

from lethe_airflow import seal
from lethe_airflow.sweep import policy, refuse_unknown

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dags() -> dict:
    bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    return bag.dags


def test_the_dags_are_those_that_are_documented(dags: dict) -> None:
    assert set(dags) == {"retention_sweep", "approve_plans", "seal_evidence"}


def test_every_dag_has_a_runbook_tags_and_access_for_named_roles_only(dags: dict) -> None:
    for dag in dags.values():
        assert len(dag.doc_md) > 300
        assert "lethe" in dag.tags
        assert set(dag.access_control) <= {"Platform", "PrivacyOfficer", "HR"}


def test_no_dag_catches_up_on_days_that_are_past(dags: dict) -> None:
    assert not any(dag.catchup for dag in dags.values())


def test_every_task_has_an_owner_of_the_organisation_and_is_retried(dags: dict) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            assert task.owner in ("platform-team", "privacy-officer"), task.task_id
            assert task.retries, task.task_id


def test_a_sweep_that_is_switched_on_waits_for_its_hour(dags: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow itself would run it at once for up to a tenth of a day after the hour."""
    from airflow.timetables import trigger
    from pendulum import datetime

    schedule = dags["retention_sweep"].timetable.timetable
    timetable = trigger.CronTriggerTimetable(
        schedule.expression, timezone=schedule.timezone, run_immediately=schedule.run_immediately
    )
    monkeypatch.setattr(trigger, "utcnow", lambda: datetime(2026, 11, 25, 2, 30, tz="UTC"))
    assert timetable._calc_first_run() == datetime(2026, 11, 26, 2, tz="UTC")


def test_the_sweep_runs_one_at_a_time_and_each_task_has_an_end(dags: dict) -> None:
    sweep = dags["retention_sweep"]
    assert sweep.max_active_runs == 1
    assert all(task.execution_timeout for task in sweep.tasks)


def test_each_rule_of_the_policy_has_its_own_way_and_only_act_is_expanded(dags: dict) -> None:
    sweep = dags["retention_sweep"]
    for rule in policy().rules:
        steps = {step: sweep.get_task(f"{rule}.{step}") for step in ("plan", "gate", "ask", "act", "verify", "record")}
        assert steps["plan"].downstream_task_ids >= {f"{rule}.gate"}
        assert steps["gate"].downstream_task_ids == {f"{rule}.ask", f"{rule}.act"}
        assert steps["act"].downstream_task_ids == {f"{rule}.verify"}
        assert steps["record"].upstream_task_ids == {"select", f"{rule}.ask", f"{rule}.verify"}
        assert [name for name, step in steps.items() if step.is_mapped] == ["act"]
        assert steps["record"].trigger_rule == "all_done"


def test_a_misspelled_parameter_is_refused_by_name(dags: dict) -> None:
    refuse_unknown({"as_of": "2025-03-01", "dry_run": True}, dags["retention_sweep"].params)
    refuse_unknown(None, dags["retention_sweep"].params)
    with pytest.raises(AirflowFailException, match="found parameters dryrun, rule, expected only rules, as_of"):
        refuse_unknown({"rule": [], "dryrun": True}, dags["retention_sweep"].params)


def test_no_rule_waits_for_another_rule(dags: dict) -> None:
    last = ("tell_sealing", "conclude")
    tasks = [task for task in dags["retention_sweep"].tasks if task.task_id not in last]
    for task in tasks:
        rule = task.task_id.rpartition(".")[0]
        assert all(up == "select" or up.startswith(f"{rule}.") for up in task.upstream_task_ids), task.task_id


def test_sealing_goes_on_whatever_a_step_before_it_came_to_and_is_never_switched_off_at_first(dags: dict) -> None:
    sealing = dags["seal_evidence"]
    steps = [task.task_id for task in sealing.topological_sort()]
    assert steps == ["tell", "list_erased", "collect", "checkpoint", "anchor", "conclude"]
    assert {sealing.get_task(step).trigger_rule for step in ("collect", "checkpoint")} == {"all_done"}
    assert sealing.is_paused_upon_creation is False
    assert sealing.max_active_runs == 1


def test_the_end_of_every_sweep_is_told_to_sealing_even_of_one_that_failed(dags: dict) -> None:
    told = dags["retention_sweep"].get_task("tell_sealing")
    assert told.trigger_rule == "all_done"
    assert told.upstream_task_ids == {f"{rule}.record" for rule in policy().rules}
    assert [asset.name for asset in told.outlets] == ["lethe_swept"]
    assert dags["retention_sweep"].get_task("conclude").trigger_rule == "none_failed"
    assert {task.task_id for task in dags["retention_sweep"].leaves} == {"tell_sealing", "conclude"}


@pytest.mark.parametrize(
    ("schedule", "day", "runs"),
    [
        ("0 3 * * *", date(2025, 3, 1), True),
        ("0 3 * * 1", date(2025, 3, 1), False),
        ("0 3 * * 1", date(2025, 3, 3), True),
        ("0 0 * * *", date(2025, 3, 30), True),
        ("30 2 * * *", date(2025, 3, 30), True),  # an hour that the clock jumps over
    ],
)
def test_a_manifest_expects_what_the_sweeps_own_schedule_has(monkeypatch, schedule: str, day: date, runs: bool) -> None:
    monkeypatch.setattr(seal, "SWEEP_AT", schedule)
    assert bool(seal.scheduled_on(day)) is runs


def test_tasks_that_work_on_stores_share_a_pool(dags: dict) -> None:
    pools = {task.task_id.rpartition(".")[2]: task.pool for task in dags["retention_sweep"].tasks}
    assert {step for step, pool in pools.items() if pool == "lethe_stores"} == {"plan", "act", "verify"}


def test_a_question_is_withdrawn_before_the_next_day_asks_its_own(dags: dict) -> None:
    ask = dags["approve_plans"].get_task("ask")
    assert ask.response_timeout.total_seconds() < 24 * 3600
    assert (ask.options, ask.multiple) == (["Approve", "Reject"], False)
    assert not getattr(ask, "inherits_from_skipmixin", False)  # a rejection reaches the task that keeps it
    assert ask.assigned_users == [{"id": "role:PrivacyOfficer", "name": "Privacy officer"}]


@pytest.mark.parametrize("file", sorted((ROOT / "dags").glob("*.py")), ids=lambda file: file.name)
def test_dag_files_are_wiring(file: Path) -> None:
    """No SQL, no functions, no more than a page or two."""
    source = file.read_text()
    assert len(source.splitlines()) <= 150
    tree = ast.parse(source)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    words = source.replace(tree.body[0].value.value, "")
    assert not [word for word in ("SELECT ", "DELETE FROM", "UPDATE ", "INSERT ") if word in words]
