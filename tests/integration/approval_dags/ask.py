"""A DAG that asks a person: which person is what test_roles.py is about."""

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG

ACCESS = {
    "PrivacyOfficer": {"DAGs": {"can_read", "can_edit"}},
    "Platform": {"DAGs": {"can_read", "can_edit"}},
}

with DAG("ask", schedule=None, is_paused_upon_creation=False, access_control=ACCESS):
    ApprovalOperator(
        task_id="officer_only",
        subject="May it be forgotten?",
        assigned_users=[{"id": "role:PrivacyOfficer", "name": "Privacy officer"}],
    )
    ApprovalOperator(task_id="anybody", subject="May it be forgotten?")
