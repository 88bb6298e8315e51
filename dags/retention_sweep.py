"""The retention sweep: for each rule of the policy, plan → gate → act → verify → record."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param, TaskGroup

from lethe_airflow import sweep

RUNBOOK = """
Deletes or anonymises what the policy says is due, rule by rule, and writes down what it did.

**Each rule** goes its own way: *plan* counts what is due and why the rest is kept, *gate* asks whether the plan may be
carried out, *act* does it in batches, *verify* asks the store anew, *record* writes down how it ended. One rule that
fails stops no other; the run ends failed.

**Waiting.** A rule's first plan, and one past its limits, needs the privacy officer. Its branch ends here, and
`approve_plans` asks. The answer starts a run of this DAG for what was approved.

**Parameters.** `rules`: only these. `as_of`: plan for this day, never a day to come. `dry_run`: stop after the plan.

**When a task failed**, its last log line says what was found and what to do. Run the task again: it goes on where it
was, nothing is done twice. Errors that would come back in the same words (the policy, the schema, an approval that no
longer fits) are not retried.
"""

policy = sweep.policy()
zone = policy.organisation.zone.key

with DAG(
    "retention_sweep",
    description="Forgets what the policy says is due, and proves it",
    doc_md=RUNBOOK,
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(
            sweep.SWEEP_AT,
            timezone=zone,
            run_immediately=timedelta(0),  # switched on a little after its hour, it waits for the next one
        ),
        assets=[sweep.APPROVALS],
    ),
    catchup=False,
    max_active_runs=1,
    tags=["lethe", "retention", "C1"],
    access_control={
        "Platform": {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_create", "can_read"}},
        "PrivacyOfficer": {"DAGs": {"can_read"}, "DAG Runs": {"can_read"}},
    },
    default_args={
        "owner": "platform-team",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
        "execution_timeout": timedelta(hours=6),
    },
    params={
        "rules": Param([], type="array", items={"enum": list(policy.rules)}, description="Only these; all when empty"),
        "as_of": Param(None, type=["null", "string"], format="date", description="Plan for this day; today when empty"),
        "dry_run": Param(False, type="boolean", description="Stop after the plan"),
    },
):
    chosen = sweep.select(tuple(policy.rules))
    swept = [sweep.tell_sealing(), sweep.conclude()]
    for rule in policy.rules.values():
        with TaskGroup(rule.name, tooltip=f"{rule.obligation} {rule.title['en']}"):
            planned = sweep.plan(rule.name)
            passed = sweep.gate()
            asked = sweep.ask()
            acted = sweep.act.expand(piece=planned)
            verified = sweep.verify()
            recorded = sweep.record(rule.name)
            chosen >> [planned, recorded]
            planned >> passed >> [asked, acted]
            acted >> verified
            [asked, verified] >> recorded
            recorded >> swept
