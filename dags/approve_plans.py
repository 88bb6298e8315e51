"""Asks the privacy officer about one plan; an approval starts the DAG that carries it out."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from lethe_airflow.approval import AskOfficer, record_answer
from lethe_airflow.roles import OFFICER
from lethe_airflow.sweep import APPROVAL_DAG

RUNBOOK = """
One run asks about one plan: its sentence, its numbers, and why a person must look at it. Only a user with the role
PrivacyOfficer may answer. **Approve** starts the sweep or the anonymisation for this plan, `retention_sweep` where the
rule deletes and `anonymize_ex_customers` where it anonymises; **Reject** ends it. While that DAG is paused the answer
starts nothing: the next approval after it is switched on takes the plan along, or `lethe apply` carries it out.

Unanswered after twenty hours, the question is withdrawn: the next day's plan asks again with the next day's numbers.
The answer is kept as evidence under a random id and the role, never a name.
"""

with DAG(
    APPROVAL_DAG,
    description="Asks the privacy officer whether a plan may be carried out",
    doc_md=RUNBOOK,
    schedule=None,
    is_paused_upon_creation=False,  # an unanswered question must not look like silence
    max_active_runs=1000,
    tags=["lethe", "approval"],
    access_control={
        "PrivacyOfficer": {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_read"}},
        "Platform": {"DAGs": {"can_read"}, "DAG Runs": {"can_read"}},
    },
    default_args={"owner": "privacy-officer", "retries": 2, "retry_delay": timedelta(seconds=30)},
    params={"plan": Param("0" * 64, type="string", pattern="^[0-9a-f]{64}$", description="The plan's digest")},
):
    asked = AskOfficer(
        task_id="ask",
        subject="May a plan be carried out?",
        assigned_users=[{"id": OFFICER, "name": "Privacy officer"}],
        response_timeout=timedelta(hours=20),  # shorter than the day after which the rule is planned anew
    )
    record_answer(asked.output)
