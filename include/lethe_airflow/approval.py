"""The question to the privacy officer: a plan's sentence and numbers, answered in Airflow by a person of that role."""

from __future__ import annotations

import logging
from typing import Any, TypedDict

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from lethe.cli.show import plan_as_text
from lethe_airflow.sweep import APPROVALS, lethe_at_work

log = logging.getLogger("lethe")


class Answered(TypedDict):
    """What Airflow keeps of an answer: no name, only Airflow's own number of the user."""

    approved: bool
    user: str


APPROVE, REJECT = "Approve", "Reject"


class AskOfficer(HITLOperator):
    """Ask the privacy officer whether the plan in the run's conf may be carried out.

    Returns an Answered. An approval that nobody answers in time is skipped: tomorrow's plan asks again. Not Airflow's
    own ApprovalOperator: that one skips what comes after a rejection, and the rejection would be kept nowhere.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(options=[APPROVE, REJECT], multiple=False, **kwargs)

    def execute(self, context: Any) -> Any:
        """Show the plan as `lethe plan` shows it, and wait."""
        with lethe_at_work() as lethe:
            plan = lethe.state.plan(context["params"]["plan"])
            if lethe.gate(plan.digest).state != "waiting":
                raise AirflowSkipException(f"plan {plan.digest[:12]} waits for nobody")
            rule = lethe.policy.rules[plan.rule]
            text = plan_as_text(plan, lethe.gate(plan.digest), lethe.policy, "en")
        self.subject = f"{rule.obligation}: may {rule.name} be carried out?"
        self.body = f"```\n{text}```\n\n[All plans](/lethe/plans) · [This plan](/lethe/plans/{plan.digest})"
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Take the answer; the name of who gave it stays in Airflow's own table."""
        if event.get("error_type") == "timeout":
            raise AirflowSkipException("nobody answered in time; the next plan asks again")
        answer = super().execute_complete(context, event)
        user = (answer.get("responded_by_user") or {}).get("id")
        return Answered(approved=answer["chosen_options"] == [APPROVE], user=str(user))


@task(outlets=[APPROVALS], trigger_rule="none_failed", retries=5)
def record_answer(answered: Answered | None, *, params: dict[str, Any]) -> None:
    """Keep the answer as evidence; only an approval goes on to start what carries it out."""
    if answered is None:
        raise AirflowSkipException("there is no answer")
    with lethe_at_work() as lethe:
        role = lethe.policy.organisation.privacy_officer
        lethe.answer(params["plan"], answered["approved"], via="airflow", role=role, person=answered["user"])
    if not answered["approved"]:
        raise AirflowSkipException("the plan was rejected")
