"""What the DAGs that carry out rules share: whose rules are whose, when they run, and the way that each rule goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, TaskGroup

from lethe.model import Anonymise, Rule
from lethe_airflow import sweep
from lethe_airflow.roles import RUN_BY_PLATFORM

DELETING = "retention_sweep"
ANONYMISING = "anonymize_ex_customers"


class Laid(NamedTuple):
    """Where a rule's way, as it is laid, begins and ends."""

    planned: Any
    recorded: Any


def dag_of(rule: Rule) -> str:
    """The DAG that carries out a rule: its action alone says which, so none is in two and none is in neither."""
    return ANONYMISING if isinstance(rule.action, Anonymise) else DELETING


def rules_of(dag: str) -> Mapping[str, Rule]:
    """The rules of the policy that a DAG carries out, by name, in the policy's order."""
    return {name: rule for name, rule in sweep.policy().rules.items() if dag_of(rule) == dag}


def shared(dag: str) -> dict[str, Any]:
    """What such a DAG is made with besides its own words: when it runs, who may start it, what it can be asked.

    With no rule of its kind in the policy it is not scheduled.
    """
    return {
        "schedule": _schedule() if rules_of(dag) else None,
        "catchup": False,
        "max_active_runs": 1,
        "access_control": RUN_BY_PLATFORM,
        "default_args": {
            "owner": "platform-team",
            "retries": 3,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=15),
            "execution_timeout": timedelta(hours=6),
        },
        "params": _params(dag),
    }


def lay_all(rules: Mapping[str, Rule], *, after: Any, before: Sequence[Any]) -> None:
    """Lay every rule's way; one whose rows wait for other rules is planned when these have ended, well or not."""
    ways = {name: _lay(rule, after=after, before=before) for name, rule in rules.items()}
    for name, rule in rules.items():
        for first in {each.rule for each in rule.dependents} & set(ways):
            ways[first].recorded >> ways[name].planned


def _lay(rule: Rule, *, after: Any, before: Sequence[Any]) -> Laid:
    """A rule's own way, plan → gate → act → verify → record, between what chooses rules and what ends the run.

    Only act is expanded: Airflow 3.3 expands nothing within an expanded group, so there is a group for each rule.
    """
    with TaskGroup(rule.name, tooltip=f"{rule.obligation} {rule.title['en']}"):
        trigger_rule = "all_done_min_one_success" if rule.dependents else "all_success"
        planned = sweep.plan.override(trigger_rule=trigger_rule)(rule.name)
        passed = sweep.gate()
        asked = sweep.ask()
        acted = sweep.act.expand(piece=planned)
        verified = sweep.verify()
        recorded = sweep.record(rule.name)
        after >> [planned, recorded]
        planned >> passed >> [asked, acted]
        acted >> verified
        [asked, verified] >> recorded
        recorded >> before
    return Laid(planned, recorded)


def _schedule() -> AssetOrTimeSchedule:
    """By the clock, and whenever a person has approved a plan: of which DAG, only the run itself finds out."""
    clock = CronTriggerTimetable(
        sweep.SWEEP_AT,
        timezone=sweep.policy().organisation.zone.key,
        run_immediately=timedelta(0),  # switched on a little after its hour, it waits for the next one
    )
    return AssetOrTimeSchedule(timetable=clock, assets=[sweep.APPROVALS])


def _params(dag: str) -> dict[str, Param]:
    other = ANONYMISING if dag == DELETING else DELETING
    # Airflow refuses another rule before the run begins, and shows the description after what is allowed.
    known = {"enum": list(rules_of(dag)), "description": f"The rules of {dag}; all others are in {other}"}
    return {
        "rules": Param([], type="array", items=known, description="Only these; all when empty"),
        "as_of": Param(None, type=["null", "string"], format="date", description="Plan for this day; today when empty"),
        "dry_run": Param(False, type="boolean", description="Stop after the plan"),
    }
