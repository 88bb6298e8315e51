"""A DAG with the access of offboard_mailbox: HR starts it, a manager answers, and nobody sees another by it."""

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG

ACCESS = {
    "HR": {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_create", "can_read"}},
    "Manager": {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_read"}},
}

with DAG("leave", schedule=None, is_paused_upon_creation=False, access_control=ACCESS):
    ApprovalOperator(
        task_id="ask_manager",
        subject="May it be handed over?",
        assigned_users=[{"id": "role:Manager", "name": "Manager"}],
    )
