"""House rules that hold for every DAG of the project."""

import ast
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.exceptions import ParamValidationError
from airflow.sdk import TaskGroup
from airflow.sdk.exceptions import AirflowFailException

from lethe.model import Anonymise, Delete, Dependent
from lethe_airflow import seal, way
from lethe_airflow.sweep import SWEEP_AT, policy, refuse_unknown

ROOT = Path(__file__).parents[2]
CARRIES_OUT = {"retention_sweep": Delete, "anonymize_ex_customers": Anonymise}
"""The DAGs that carry out rules, and what theirs do."""

both = pytest.mark.parametrize("name", CARRIES_OUT)


@pytest.fixture(scope="module")
def dags() -> dict:
    bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    return bag.dags


def test_the_dags_are_those_that_are_documented(dags: dict) -> None:
    assert set(dags) == {
        "retention_sweep",
        "anonymize_ex_customers",
        "approve_plans",
        "offboard_mailbox",
        "remind_of_old_mail",
        "seal_evidence",
        "verify_no_expired_data",
    }


def test_every_dag_has_a_runbook_tags_and_access_for_named_roles_only(dags: dict) -> None:
    for dag in dags.values():
        assert len(dag.doc_md) > 300
        assert "lethe" in dag.tags
        assert set(dag.access_control) <= {"Platform", "PrivacyOfficer", "HR", "Manager"}


def test_no_dag_catches_up_on_days_that_are_past(dags: dict) -> None:
    assert not any(dag.catchup for dag in dags.values())


def test_every_task_has_an_owner_of_the_organisation_and_is_retried(dags: dict) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            assert task.owner in ("platform-team", "privacy-officer"), task.task_id
            assert task.retries, task.task_id


def groups(dag) -> list[str]:
    """The rules that the DAG has a task group for."""
    return [name for name, child in dag.task_group.children.items() if isinstance(child, TaskGroup)]


def test_every_rule_of_the_policy_is_in_one_dag_and_its_action_says_which(dags: dict) -> None:
    for name, action in CARRIES_OUT.items():
        assert groups(dags[name]) == [rule.name for rule in policy().rules.values() if isinstance(rule.action, action)]
    told = [rule for name in CARRIES_OUT for rule in groups(dags[name])]
    assert sorted(told) == sorted(policy().rules)
    assert all(groups(dags[name]) for name in CARRIES_OUT)


def test_what_only_one_of_them_does_is_said_by_its_tags(dags: dict) -> None:
    assert ["C1" in dags[name].tags for name in CARRIES_OUT] == [True, False]
    assert ["C3" in dags[name].tags for name in CARRIES_OUT] == [False, True]


@both
def test_the_platform_team_may_start_it_and_the_officer_may_only_look(dags: dict, name: str) -> None:
    assert {who: set(may["DAG Runs"]) for who, may in dags[name].access_control.items()} == {
        "Platform": {"can_create", "can_read"},
        "PrivacyOfficer": {"can_read"},
    }


@both
def test_it_begins_by_the_clock_that_the_site_sets_and_when_a_plan_was_approved(dags: dict, name: str) -> None:
    timetable = dags[name].timetable
    assert (timetable.timetable.expression, timetable.timetable.timezone) == (SWEEP_AT, "Europe/Oslo")
    assert [asset.name for asset in timetable.asset_condition.objects] == ["lethe_approvals"]
    assert dags[name].is_paused_upon_creation is None  # as Airflow is set up: paused


def test_without_a_rule_of_its_kind_it_is_not_scheduled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way, "rules_of", lambda dag: {})
    assert {way.shared(name)["schedule"] for name in CARRIES_OUT} == {None}


@pytest.mark.parametrize(
    ("name", "other"), [("retention_sweep", "anonymize_ex_customers"), ("anonymize_ex_customers", "retention_sweep")]
)
def test_a_rule_of_the_other_dag_is_refused_and_where_it_belongs_is_said(dags: dict, name: str, other: str) -> None:
    asked = dags[name].params.get_param("rules")
    assert asked.schema["items"]["enum"] == groups(dags[name])
    assert asked.resolve(groups(dags[name])[:2]) == groups(dags[name])[:2]
    stranger = groups(dags[other])[0]
    with pytest.raises(ParamValidationError, match=rf"(?s)'{stranger}' is not one of .*all others\b.*\b{other}\b"):
        asked.resolve([stranger])


@both
def test_a_run_that_is_switched_on_waits_for_its_hour(dags: dict, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Airflow itself would run it at once for up to a tenth of a day after the hour."""
    from airflow.timetables import trigger
    from pendulum import datetime

    schedule = dags[name].timetable.timetable
    timetable = trigger.CronTriggerTimetable(
        schedule.expression, timezone=schedule.timezone, run_immediately=schedule.run_immediately
    )
    monkeypatch.setattr(trigger, "utcnow", lambda: datetime(2026, 11, 25, 2, 30, tz="UTC"))
    assert timetable._calc_first_run() == datetime(2026, 11, 26, 2, tz="UTC")


@both
def test_it_runs_one_at_a_time_and_each_task_has_an_end(dags: dict, name: str) -> None:
    assert dags[name].max_active_runs == 1
    assert all(task.execution_timeout for task in dags[name].tasks)


@pytest.mark.parametrize("rule", policy().rules)
def test_each_rule_of_the_policy_has_its_own_way_and_only_act_is_expanded(dags: dict, rule: str) -> None:
    (dag,) = [dags[name] for name in CARRIES_OUT if rule in groups(dags[name])]
    steps = {step: dag.get_task(f"{rule}.{step}") for step in ("plan", "gate", "ask", "act", "verify", "record")}
    assert steps["plan"].downstream_task_ids >= {f"{rule}.gate"}
    assert steps["gate"].downstream_task_ids == {f"{rule}.ask", f"{rule}.act"}
    assert steps["act"].downstream_task_ids == {f"{rule}.verify"}
    assert steps["record"].upstream_task_ids == {"select", f"{rule}.ask", f"{rule}.verify"}
    assert [name for name, step in steps.items() if step.is_mapped] == ["act"]
    assert steps["record"].trigger_rule == "all_done"


@both
def test_a_misspelled_parameter_is_refused_by_name(dags: dict, name: str) -> None:
    refuse_unknown({"as_of": "2025-03-01", "dry_run": True}, dags[name].params)
    refuse_unknown(None, dags[name].params)
    with pytest.raises(AirflowFailException, match="found parameters dryrun, rule, expected only rules, as_of"):
        refuse_unknown({"rule": [], "dryrun": True}, dags[name].params)


@both
def test_no_rule_waits_for_another_rule(dags: dict, name: str) -> None:
    last = ("measure", "tell_sealing", "conclude")
    tasks = [task for task in dags[name].tasks if task.task_id not in last]
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


@both
def test_the_end_of_every_run_is_told_to_sealing_even_of_one_that_failed(dags: dict, name: str) -> None:
    told = dags[name].get_task("tell_sealing")
    assert told.trigger_rule == "all_done"
    measured = {"measure"} if name == "anonymize_ex_customers" else set()
    assert told.upstream_task_ids == {f"{rule}.record" for rule in groups(dags[name])} | measured
    assert dags[name].get_task("conclude").upstream_task_ids == told.upstream_task_ids
    assert [asset.name for asset in told.outlets] == ["lethe_swept"]
    assert dags[name].get_task("conclude").trigger_rule == "none_failed"
    assert {task.task_id for task in dags[name].leaves} == {"tell_sealing", "conclude"}


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
def test_a_manifest_expects_what_the_schedule_of_both_has(monkeypatch, schedule: str, day: date, runs: bool) -> None:
    monkeypatch.setattr(seal, "SWEEP_AT", schedule)
    assert sorted(seal.scheduled_on(day)) == (sorted(policy().rules) if runs else [])


@both
def test_tasks_that_work_on_stores_share_a_pool(dags: dict, name: str) -> None:
    pools = {task.task_id.rpartition(".")[2]: task.pool for task in dags[name].tasks}
    shared = {step for step, pool in pools.items() if pool == "lethe_stores"}
    assert shared == {"plan", "act", "verify"} | ({"measure"} & set(pools))


def test_what_has_no_names_is_measured_at_the_end_whatever_the_rules_came_to(dags: dict) -> None:
    measure = dags["anonymize_ex_customers"].get_task("measure")
    assert measure.trigger_rule == "all_done"
    assert measure.upstream_task_ids == {f"{rule}.record" for rule in groups(dags["anonymize_ex_customers"])}


def test_a_question_is_withdrawn_before_the_next_day_asks_its_own(dags: dict) -> None:
    ask = dags["approve_plans"].get_task("ask")
    assert ask.response_timeout.total_seconds() < 24 * 3600
    assert (ask.options, ask.multiple) == (["Approve", "Reject"], False)
    assert not getattr(ask, "inherits_from_skipmixin", False)  # a rejection reaches the task that keeps it
    assert ask.assigned_users == [{"id": "role:PrivacyOfficer", "name": "Privacy officer"}]


def test_reading_the_dag_files_loads_nothing_heavy() -> None:
    """Airflow reads them before each task: what takes seconds is loaded where it is used."""
    read = "import runpy, sys\nfor file in sys.argv[1:]: runpy.run_path(file)\nprint(*sys.modules)"
    files = map(str, (ROOT / "dags").glob("*.py"))
    environment = os.environ | {"PYTHONPATH": str(ROOT / "include")}
    told = subprocess.run(
        [sys.executable, "-c", read, *files], env=environment, check=True, capture_output=True, text=True
    )
    loaded = set(told.stdout.split())
    assert "lethe_airflow.way" in loaded
    assert not loaded & {"great_expectations", "airflow.models.dagrun", "airflow.models.taskinstance", "pandas"}


@pytest.mark.parametrize("file", sorted((ROOT / "dags").glob("*.py")), ids=lambda file: file.name)
def test_dag_files_are_wiring(file: Path) -> None:
    """No SQL, no functions, no more than a page or two."""
    source = file.read_text()
    assert len(source.splitlines()) <= 150
    tree = ast.parse(source)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    words = source.replace(tree.body[0].value.value, "")
    assert not [word for word in ("SELECT ", "DELETE FROM", "UPDATE ", "INSERT ") if word in words]


def test_a_rule_whose_rows_wait_for_another_is_planned_when_that_one_has_ended() -> None:
    from airflow.sdk import DAG

    from lethe_airflow import sweep

    first, second = list(way.rules_of(way.ANONYMISING).values())[:2]
    waits = replace(second, dependents=(Dependent(first.name, first.dataset, ("case",)),))
    with DAG("waits"):
        chosen, ended = sweep.select((first.name, waits.name)), sweep.conclude()
        way.lay_all({rule.name: rule for rule in (waits, first)}, after=chosen, before=[ended])
    planned = chosen.operator.dag.get_task(f"{waits.name}.plan")
    assert planned.upstream_task_ids == {"select", f"{first.name}.record"}
    assert planned.trigger_rule == "all_done_min_one_success"
    assert chosen.operator.dag.get_task(f"{first.name}.plan").trigger_rule == "all_success"
