"""Reminds employees of old mail in their mailboxes, once a month; nothing is ever deleted behind their back."""

from __future__ import annotations

import os

from airflow.sdk import DAG, CronTriggerTimetable

from lethe_airflow.sweep import policy

RUNBOOK = """
Writes to each employee who has old mail: how many messages in which folder are older than what the policy names
(`upkeep` of offboarding.yaml), in their own language. On the first of each month, at `LETHE_REMIND_AT`. Nothing is
deleted, moved or marked, and no message is read: folders and dates are counted.

**remind** goes round all who are in the directory and have a mailbox. Who was reminded this month is not written to
again, whatever fails and is tried again; a worker that is killed just before it sends a letter leaves that one out
until next month. A mailbox that cannot be reached stops no other: the task fails in the end, and its next try comes
back to that one alone. The log has employee numbers and counts.
"""

found = policy().offboarding
if found is not None and found.upkeep is not None:
    from lethe_airflow import upkeep

    with DAG(
        "remind_of_old_mail",
        description="Reminds employees of old mail, monthly",
        doc_md=RUNBOOK,
        schedule=CronTriggerTimetable(
            os.environ.get("LETHE_REMIND_AT", "0 9 1 * *"), timezone=policy().organisation.zone.key
        ),
        **upkeep.settings(found.upkeep.obligation),
    ):
        upkeep.remind()
