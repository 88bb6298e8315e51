"""An employee leaves: notice → closing → choice → approval → hand-over → deletion, started by HR's form."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param

from lethe_airflow.sweep import policy

RUNBOOK = """
Hands over what belongs to the work from the mailbox of an employee who leaves, and deletes the rest with the account.
Started by HR, with numbers of the directory; names are looked up there. Nothing is ever forwarded.

**enter** holds the form to the directory, and says all that speaks against it at once. **notice** tells the employee
and the manager. After the last day, **close** blocks sign-in, ends sessions and sets the automatic reply. When the
notice is over, or HR says under **answer** that the employee has answered, **choose** picks by the policy
(`offboarding.yaml`); private and sensitive mail is out. **ask_manager**, and past the policy's limit **ask_officer**,
approve numbers and folders, never the one who started the run. **hand_over** copies and reads back; messages that are
gone meanwhile, or that the recipient's mailbox refuses, are the privacy officer's to accept under **ask_exceptions**.
**conclude** writes down that all is handed over. When the reply and the time after that are over, **delete** deletes
the account and **verify** looks again. HR confirms under **page** and **phone** what no program can do.

**Waiting** takes no worker. Each wait looks hourly whether the employee stays after all: then the account is given
back, and the rest of the run is skipped. Enter that in the directory. A question that is still open then ends when HR
answers it.

**When a task failed**, its last log line says what was found and what to do. Run it again: each step goes on where it
was. A legal hold on the employee fails **delete** until it is released. A run that was rejected goes on when
**ask_manager** is cleared.
"""

if policy().offboarding is not None:
    from lethe_airflow import offboard  # mail takes a while to load, and not every company has Lethe see to it

    with DAG(
        "offboard_mailbox",
        description="Hands over and deletes the mailbox of an employee who leaves",
        doc_md=RUNBOOK,
        schedule=None,
        catchup=False,
        tags=["lethe", "offboarding", "C2"],
        access_control={
            "HR": {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_create", "can_read"}},
            "Manager": {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_read"}},
            "PrivacyOfficer": {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_read"}},
            "Platform": {"DAGs": {"can_read"}, "DAG Runs": {"can_read"}},
        },
        default_args={
            "owner": "platform-team",
            "retries": 5,
            "retry_delay": timedelta(minutes=1),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(hours=1),
            "execution_timeout": timedelta(hours=12),
        },
        params={
            "employee": Param("", type="string", minLength=1, maxLength=50, description="The employee's number"),
            "last_day": Param(
                "", type="string", format="date", description="The last working day, as in the directory"
            ),
            "manager": Param("", type="string", minLength=1, maxLength=50, description="The number of who approves"),
            "recipients": Param(
                [],
                type="array",
                items={"type": "string", "minLength": 1, "maxLength": 50},
                minItems=1,
                uniqueItems=True,
                description="The numbers of colleagues who get what is handed over",
            ),
            "folders": Param(
                [],
                type="array",
                items={"type": "string", "minLength": 1, "maxLength": 500},
                description="Folders that are handed over by choice, as Projects/North; private mail stays out",
            ),
            "language": Param("nb", enum=["nb", "en"], description="What the employee is written to in"),
        },
    ):
        asking = {"execution_timeout": None, "retries": 20, "retry_delay": timedelta(minutes=1)}
        departure = offboard.enter()
        told = offboard.notice(departure)
        answer = offboard.Ask(
            task_id="answer",
            departure=departure,
            event="answered",
            role=offboard.HR,
            words="Has the employee answered the notice?",
            option=offboard.ANSWERED,
            response_timeout=timedelta(days=60),
            **asking,
        )
        left = offboard.Wait(task_id="last_day", departure=departure, until="last day")
        closed = offboard.close(departure)
        noticed = offboard.Wait(task_id="notice_over", departure=departure, until="notice")
        heard = EmptyOperator(task_id="heard")
        may_choose = EmptyOperator(task_id="may_choose", trigger_rule="one_success")
        chosen = offboard.choose(departure)
        manager = offboard.Ask(
            task_id="ask_manager", departure=departure, event="approved", role=offboard.MANAGER, **asking
        )
        approved = offboard.say.override(task_id="approve")(departure, manager.output, "approved", offboard.MANAGER)
        officer = offboard.Ask(
            task_id="ask_officer",
            departure=departure,
            event="officer-approved",
            role=offboard.OFFICER,
            trigger_rule="none_failed",
            **asking,
        )
        allowed = offboard.say.override(task_id="allow")(
            departure, officer.output, "officer-approved", offboard.OFFICER
        )
        handed = offboard.hand_over.override(trigger_rule="none_failed_min_one_success")(departure)
        exceptions = offboard.Ask(
            task_id="ask_exceptions", departure=departure, event="exceptions-accepted", role=offboard.OFFICER, **asking
        )
        accepted = offboard.say.override(task_id="accept")(
            departure, exceptions.output, "exceptions-accepted", offboard.OFFICER
        )
        concluded = offboard.conclude.override(trigger_rule="none_failed_min_one_success")(departure)
        later = offboard.Wait(task_id="deletion_due", departure=departure, until="deletion")
        deleted, verified = offboard.delete(departure), offboard.verify(departure)
        ended = offboard.end(departure)
        told >> answer
        said = offboard.say.override(task_id="answered")(departure, answer.output, "answered", offboard.HR)
        [said, closed] >> heard >> may_choose
        told >> left >> closed >> noticed >> may_choose >> chosen >> manager >> approved >> officer
        [chosen, approved, allowed] >> handed >> exceptions >> accepted
        [handed, accepted] >> concluded >> later >> deleted >> verified >> ended
        for name, event, words in (
            ("page", "page-taken-down", "Are name and title of the employee taken off the web pages?"),
            ("phone", "phone-cleared", "Are the call lists on the employee's phone deleted?"),
        ):
            asked = offboard.Ask(
                task_id=name,
                departure=departure,
                event=event,
                role=offboard.HR,
                words=words,
                option=offboard.DONE,
                **asking,
            )
            closed >> asked
            offboard.say.override(task_id=f"{name}_done")(departure, asked.output, event, offboard.HR) >> ended
