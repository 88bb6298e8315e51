"""The steps of a departure as Airflow tasks: each calls one step of the desk, and passes on an id or counts.

What Airflow keeps of them (XCom, logs, run conf) are numbers of the directory, ids and counts; the names of folders of
which something is handed over stand in the question to those who approve.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from lethe import clock
from lethe.offboarding import letters
from lethe.offboarding.departures import Departure, Event, Word
from lethe.offboarding.desk import Desk, NotAllHandedOver
from lethe_airflow.approval import APPROVE, REJECT, Answered
from lethe_airflow.letters import NotSent, tell
from lethe_airflow.mail import desk_at_work, send
from lethe_airflow.roles import POOL

log = logging.getLogger("lethe")

HR, MANAGER, OFFICER = "HR", "Manager", "PrivacyOfficer"
LOOK_AGAIN = timedelta(hours=1)
"""How often a wait looks whether it is over sooner: the employee has answered, or stays."""
DONE = "Done"
ANSWERED = "The employee has answered"

Moment = Literal["last day", "notice", "deletion"]


def departure_of(run_id: str) -> str:
    """The id of a run's departure: the same for each try of the task that enters it."""
    return hashlib.sha256(f"departure {run_id}".encode()).hexdigest()[:32]


@task(pool=POOL)
def enter(*, params: dict[str, Any], dag_run: Any) -> str:
    """Hold the form to the directory and enter the departure; its id. What speaks against it is said all at once."""
    wanted = Departure(
        id=departure_of(dag_run.run_id),
        employee=params["employee"],
        manager=params["manager"],
        recipients=tuple(params["recipients"]),
        last_day=date.fromisoformat(params["last_day"]),
        lang=params["language"],
        picked=tuple(tuple(folder.split("/")) for folder in params["folders"]),
    )
    with desk_at_work() as desk:
        return desk.enter(wanted, clock.now(), Word(HR, starter(dag_run)))


def starter(dag_run: Any) -> str | None:
    """Who started the run, by Airflow's name of the user."""
    return getattr(dag_run, "triggering_user_name", None)


@task(pool=POOL)
def notice(departure: str) -> None:
    """Tell the employee and the manager what will happen, and when."""
    with desk_at_work() as desk:

        def tell(found: Departure, people: Any, day: date) -> None:
            for letter in letters.notice(found, people, day, desk.policy):
                send(letter)

        desk.notice(departure, clock.now(), tell)


class Wait(BaseOperator):
    """Wait without a worker until a day of the departure has come; looks each hour whether it is sooner, or never."""

    def __init__(self, *, departure: Any, until: Moment, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.departure, self.until = departure, until

    template_fields = ("departure",)

    def execute(self, context: Any, event: Any = None) -> None:  # noqa: ARG002 - as Airflow calls it
        """Go on when the day has come; else be woken up again."""
        now = clock.now()
        with desk_at_work() as desk:
            found, _ = desk.standing(self.departure, now)
            day, zone = _day_of(desk, found, self.until), desk.policy.organisation.zone
        begins = datetime.combine(day, time(), zone)
        if now < begins:
            self.defer(trigger=DateTimeTrigger(moment=min(begins, now + LOOK_AGAIN)), method_name="execute")


def _day_of(desk: Desk, departure: Departure, until: Moment) -> date:
    if until == "last day":
        return departure.last_day + timedelta(days=1)
    return desk.acts_on(departure) if until == "notice" else desk.deletes_on(departure)


@task(pool=POOL)
def close(departure: str) -> None:
    """Block sign-in, end sessions, set the automatic reply, and look whether it is so."""
    with desk_at_work() as desk:
        desk.close(departure, clock.now())


@task(pool=POOL)
def choose(departure: str) -> dict[str, int]:
    """Choose what is handed over by the policy; how many messages came to what."""
    with desk_at_work() as desk:
        counts = dict(desk.choose(departure, clock.now()))
    log.info("%s", ", ".join(f"{number} {what}" for what, number in sorted(counts.items())))
    return counts


class Ask(HITLOperator):
    """Ask somebody of a role whether an event may happen, or has; returns an Answered. What needs no answer is skipped.

    With `words` it is something that HR confirms by one option: that the employee has answered, that a name was taken
    down. Without, it is whether what was chosen may be handed over: the manager, and past the limit the officer.
    """

    def __init__(
        self, *, departure: Any, event: Event, role: str, words: str = "", option: str = APPROVE, **kwargs: Any
    ) -> None:
        who = [{"id": f"role:{role}", "name": role}]
        options = [option] if words else [option, REJECT]
        super().__init__(options=options, multiple=False, assigned_users=who, subject=words or "A departure", **kwargs)
        self.departure, self.event, self.role, self.words = departure, event, role, words

    template_fields = ("departure",)

    def question(self, desk: Desk, departure: Departure) -> tuple[str, str] | None:
        """Subject and text; None when there is nothing to ask."""
        if departure.has(self.event) or (self.event == "officer-approved" and not desk.needs_officer(departure.id)):
            return None
        if self.words:
            return self.words, "Say so when it is done."
        if self.event == "exceptions-accepted":
            found = desk.exceptions(departure.id)
            return ("Go on without some messages?", _EXCEPTIONS.format_map(found)) if found.total() else None
        counts = desk.state.departures.counts(departure.id, "chosen")
        return f"May {counts.get('chosen', 0)} messages be handed over?", _proposal(counts, desk.proposal(departure.id))

    def execute(self, context: Any) -> Any:
        """Ask, and wait."""
        with desk_at_work() as desk:
            found, _ = desk.standing(self.departure, clock.now())
            asked = self.question(desk, found)
        if asked is None:
            raise AirflowSkipException("there is nothing to ask")
        self.subject, self.body = asked
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Take the answer, but for one of whoever started the run; the name of who gave it stays in Airflow's table."""
        if event.get("error_type") == "timeout":
            raise AirflowSkipException("nobody answered in time")
        answer = super().execute_complete(context, event)
        user = answer.get("responded_by_user") or {}
        if not self.words and starter(context["dag_run"]) in (user.get("id"), user.get("name")):
            raise AirflowException("found an answer of whoever started the run, expected somebody else's; asked again")
        return Answered(approved=answer["chosen_options"] != [REJECT], user=str(user.get("id")))


_EXCEPTIONS = """{gone} chosen messages are not in the mailbox any more, and {refused} were refused by the recipient's.

Approve: the rest counts as handed over, and all is deleted in its time. Reject: nothing is deleted."""
_LEFT = {"private": "private", "sensitive": "with identity numbers or health words", "left": "that nothing speaks for"}


def _proposal(counts: Mapping[str, int], folders: Mapping[tuple[str, ...], int]) -> str:
    """What is handed over, in numbers; no subject and no correspondent: these would be access to somebody's mail."""
    rows = "\n".join(f"| {' / '.join(folder).replace('|', '¦')} | {number} |" for folder, number in folders.items())
    left = ", ".join(f"{counts.get(what, 0)} {words}" for what, words in _LEFT.items())
    return f"| folder | messages |\n|---|---|\n{rows}\n\nNot handed over, and deleted with the account: {left}."


@task(retries=5)
def say(departure: str, answered: Answered, event: Event, role: str) -> None:
    """Keep a person's word as evidence; a no ends the run where it is."""
    with desk_at_work() as desk:
        said: Event = event if answered["approved"] else "rejected"
        desk.say(departure, said, clock.now(), Word(role, answered["user"]))
    if not answered["approved"]:
        raise AirflowFailException("it was rejected: nothing is handed over or deleted until it is approved")


@task(pool=POOL)
def hand_over(departure: str) -> dict[str, int]:
    """Hand over what was chosen, and read it back; goes on where an earlier try stopped.

    What cannot be handed over is the privacy officer's to accept, who is asked next.
    """
    with desk_at_work() as desk:
        try:
            counts = desk.hand_over(departure, clock.now(), lambda count: log.info("%d messages", count))
        except NotAllHandedOver as why:
            log.warning("%s", why)
            counts = desk.exceptions(departure)
    return dict(counts)


@task(pool=POOL)
def conclude(departure: str) -> dict[str, int]:
    """Write down that all is handed over that can be; from now on the time to the deletion runs."""
    with desk_at_work() as desk:
        return dict(desk.hand_over(departure, clock.now()))


@task(pool=POOL)
def delete(departure: str) -> None:
    """Delete the account and all its mail."""
    with desk_at_work() as desk:
        desk.delete(departure, clock.now())


@task(pool=POOL)
def verify(departure: str) -> dict[str, int]:
    """Look again, by other means, and tell HR, where the policy has a way to its role, and the manager."""
    with desk_at_work() as desk:
        counts = desk.verify(departure, clock.now())
        found, people = desk.standing(departure, clock.now())
        _tell_hr(desk, found, counts["confirmed"])
        for letter in letters.ended(people, counts["confirmed"], desk.policy):
            send(letter)
    return dict(counts)


def _tell_hr(desk: Desk, departure: Departure, confirmed: int) -> None:
    role, organisation = desk.hr, desk.policy.organisation
    if role is not None and role in organisation.notify:
        try:
            tell(desk.policy, role, *letters.to_hr(departure, confirmed, organisation.languages[0]))
        except NotSent as error:
            raise AirflowException(str(error)) from None


@task
def end(departure: str) -> None:
    """End the departure, once everything is confirmed."""
    with desk_at_work() as desk:
        missing = desk.end(departure, clock.now())
    if missing:
        raise AirflowFailException(f"not confirmed yet: {', '.join(missing)}")
