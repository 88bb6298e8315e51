"""Asks every store by other means whether anything expired remains: check each store → findings → evidence."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param

from lethe_airflow import check, letters, roles, sweep

RUNBOOK = """
Asks every store again whether anything expired remains, by Great Expectations and SQL that the sweep knows nothing of:
daily at `LETHE_VERIFY_AT`, and when a sweep has ended. Nothing is changed in any store.

**check_STORE** asks one store about all its rules. What is due since the last sweep is due; what the sweep should have
taken remains. A table in which there is too little to see proves nothing: that is blind, not clean. A store that does
not answer is tried again, and then unknown. It also looks into the store for what the policy does not name: columns and
tables, logs, copies, views. `lethe discover STORE` tells of them at length.

**findings** tells what is open. A finding opens once, and is gone when a check that could look sees it no more; both
are evidence. Alarms and warnings fail the run: `lethe findings` lists them with the role that answers for each, and
`lethe check STORE` asks anew after something was mended.

**letters** tells each role that the policy has a mail address or a webhook for (`notify`) of what it answers for, once
and then weekly, through Airflow's connections `smtp_default` and those that the webhooks name. What one of them did not
take fails the task, and is told by that one again.

**Parameters.** `as_of`: ask as of this day.

**Who looks.** *remains*: the platform team, why the sweep did not come by or was stopped; the privacy officer, whether
somebody must be told. *sees too little*: was the table emptied, renamed or replaced? *could not be asked*: the task's
log says what the store answered and what to do.
"""

policy = sweep.policy()
schedule = AssetOrTimeSchedule(
    timetable=CronTriggerTimetable(
        os.environ.get("LETHE_VERIFY_AT", "0 6 * * *"),
        timezone=policy.organisation.zone.key,
        run_immediately=timedelta(0),
    ),
    assets=[sweep.SWEPT],
)

with DAG(
    "verify_no_expired_data",
    description="Asks every store by other means whether anything expired remains",
    doc_md=RUNBOOK,
    schedule=schedule,
    catchup=False,
    max_active_runs=1,
    tags=["lethe", "checks", "C4"],
    access_control=roles.RUN_BY_PLATFORM,
    params={
        "as_of": Param(
            None, type=["null", "string"], format="date", description="Ask as of this day; today when empty"
        ),
    },
    default_args={
        "owner": "platform-team",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=3),
    },
):
    asked = [check.check.override(task_id=f"check_{store.replace('-', '_')}")(store) for store in policy.stores]
    told, mailed = check.findings(), letters.letters()
    asked >> told >> check.tell_sealing()
    asked >> mailed
    [*asked, told, mailed] >> check.conclude()
