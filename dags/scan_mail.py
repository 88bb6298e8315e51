"""Looks into employees' new mail for identity numbers and health words, and tells the owners; it copies nothing."""

from __future__ import annotations

import os

from airflow.sdk import DAG, CronTriggerTimetable

from lethe_airflow.sweep import policy

RUNBOOK = """
Counts messages with national identity numbers or health words (`sensitive` of offboarding.yaml) in mail that came
since the last scan, weekly at `LETHE_SCAN_AT`. It exists when the policy has `scan`. What is found is counted and
forgotten: nothing is copied, stored, moved or marked as read.

**scan** goes round all who are in the directory and have a mailbox. The owner is told in which folders; the privacy
officer, by the ways that `notify` of the policy has for the role, gets numbers by employee number. Whoever has no such
way has a failed task, and is told when there is one: the numbers wait. A mailbox that cannot be reached stops no other;
the task fails in the end, and is tried again.
"""

found = policy().offboarding
if found is not None and found.scan is not None:
    from lethe_airflow import upkeep

    with DAG(
        "scan_mail",
        description="Looks into new mail for sensitive content, and tells its owners by number",
        doc_md=RUNBOOK,
        schedule=CronTriggerTimetable(
            os.environ.get("LETHE_SCAN_AT", "0 3 * * 0"), timezone=policy().organisation.zone.key
        ),
        **upkeep.settings(found.scan),
    ):
        upkeep.scan()
