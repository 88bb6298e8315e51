"""Seals the evidence: tell → list_erased → collect → checkpoint → anchor, hourly, after sweeps and after checks."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable

from lethe_airflow import check, roles, seal, sweep

RUNBOOK = """
What a deed wrote down lies in its store's outbox until this DAG has sealed it: *collect* takes it over into the log in
`lethe_evidence`, *checkpoint* signs the log after the commit, *anchor* brings the signature to every place outside that
the policy names. Before that *list_erased* keeps outside, encrypted, whose records went, where the policy gives
receipts, and *tell* says once a day that the log lives, and which rules should have run the day before and did not.

**Nothing here stops a sweep** but one thing: evidence that has waited longer than `evidence.stop_after` of the policy.
`lethe evidence status` says what waits, and since when.

**When a task failed**, its last log line says what was found and what to do. Every task can be run again: each finds
out how far the last one came. An anchor that is down is tried again every hour, and shown as *unanchored since*.

**"was restored from a backup"**: a database holds less than was published of it. Its owner declares the restore
(`lethe restore`), then `lethe replay` deletes again what came back. Until then nothing is written or done there.
"""

policy = sweep.policy()
schedule = AssetOrTimeSchedule(
    timetable=CronTriggerTimetable(
        os.environ.get("LETHE_SEAL_AT", "17 * * * *"),
        timezone=policy.organisation.zone.key,
        run_immediately=timedelta(0),
    ),
    assets=sweep.SWEPT | check.VERIFIED,
)

with DAG(
    "seal_evidence",
    description="Collects, signs and anchors the evidence of all runs",
    doc_md=RUNBOOK,
    schedule=schedule if policy.organisation.evidence else None,  # a policy may leave evidence where it is written
    catchup=False,
    is_paused_upon_creation=False,  # evidence that nobody seals stops the sweeps in the end
    max_active_runs=1,
    tags=["lethe", "evidence", "C5"],
    access_control=roles.RUN_BY_PLATFORM,
    default_args={
        "owner": "platform-team",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(hours=2),
    },
):
    seal.tell() >> seal.list_erased() >> seal.collect() >> seal.checkpoint() >> seal.anchor() >> seal.conclude()
