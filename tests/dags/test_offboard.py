"""The DAG of a departure: HR's form, who is asked, what is skipped; its tasks over a desk with mail in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from lethe.offboarding.departures import Withdrawn
from lethe.offboarding.desk import Desk, NotAllHandedOver
from lethe.offboarding.directory import Directory
from lethe.offboarding.memory import MemoryPlatform
from lethe.offboarding.platform import Mailbox
from lethe.policy import load
from lethe.state import State
from lethe.stores.postgres.connection import Connection
from lethe_airflow import offboard, sweep
from lethe_airflow.letters import NotSent
from support import Database

DAGS = Path(__file__).parents[2] / "dags"
START = datetime(2025, 3, 3, 12, tzinfo=UTC)
DIRECTORY = """
CREATE TABLE employees (employee_no int PRIMARY KEY, mailbox text, name text, manager_no int, language text,
    employed_from date, last_day date, departure text);
INSERT INTO employees VALUES
    (1007, 'kari@tindheim.example', 'Kari Blåfjell', 1001, 'nb', '2019-01-01', '2025-03-31', 'leaving'),
    (1001, 'ola@tindheim.example', 'Ola Sjef', 1000, 'nb', '2010-01-01', NULL, NULL),
    (1002, 'per@tindheim.example', 'Per Kollega', 1001, 'en', '2015-01-01', NULL, NULL);
GRANT SELECT ON employees TO lethe_worker;
"""
FORM = {
    "employee": "1007",
    "manager": "1001",
    "recipients": ["1002"],
    "last_day": "2025-03-31",
    "language": "nb",
    "folders": ["Prosjekter/Nord"],
}
RUN = SimpleNamespace(run_id="manual__x", triggering_user_name="hilde")
KARI, PER = Mailbox("kari@tindheim.example"), Mailbox("per@tindheim.example")


@pytest.fixture(scope="module")
def policy():
    return load(Path(__file__).parents[2] / "include" / "policy")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    time = SimpleNamespace(now=START)
    monkeypatch.setattr(offboard, "clock", SimpleNamespace(now=lambda: time.now))
    return time


@pytest.fixture
def crm(new_database: Callable[..., Database]) -> Database:
    database = new_database()
    database.run(DIRECTORY)
    return database


@pytest.fixture
def desk(policy, crm: Database, new_database, monkeypatch: pytest.MonkeyPatch, clock) -> Iterator[Desk]:
    """The desk that the tasks find."""
    platform = MemoryPlatform()
    for mailbox in (KARI, PER, Mailbox("ola@tindheim.example")):
        platform.create(mailbox)
    state = State(new_database(state=True).conninfo("lethe_worker"))
    connection = Connection("contact-centre", crm.conninfo("lethe_worker"))
    desk = Desk(policy, state, Directory(connection, policy.offboarding.directory), platform)

    @contextmanager
    def at_work() -> Iterator[Desk]:
        try:
            yield desk
        except Withdrawn as why:
            raise AirflowSkipException(str(why)) from None

    monkeypatch.setattr(offboard, "desk_at_work", at_work)
    yield desk
    connection.close()
    state.close()


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> list:
    sent = []
    monkeypatch.setattr(offboard, "send", sent.append)
    return sent


def put(desk: Desk, folder: str, *subjects: str) -> None:
    for subject in subjects:
        message = f"From: kunde@fjord.example\r\nSubject: {subject}\r\n\r\nHei\r\n".encode()
        desk.platform.deposit(KARI, tuple(folder.split("/")), message, [], START - timedelta(days=5))


def answered(task: offboard.Ask, user: str, option: str = "Approve") -> dict:
    """What a person's answer makes of the task."""
    event = {"chosen_options": [option], "params_input": {}, "responded_by_user": {"id": user, "name": user}}
    event |= {"responded_at": START}
    return task.execute_complete({"dag_run": RUN}, event)


def asked(desk: Desk, task: offboard.Ask) -> tuple[str, str] | None:
    return task.question(desk, desk.state.departures.find(task.departure))


@pytest.fixture(scope="module")
def dag():
    bag = DagBag(str(DAGS / "offboard_mailbox.py"))
    assert bag.import_errors == {}
    return bag.dags["offboard_mailbox"]


def task(dag, name: str, departure: str):
    found = dag.get_task(name)
    found.departure = departure
    return found


def test_without_the_policy_s_section_there_is_no_such_dag(policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "policy", lambda: replace(policy, offboarding=None))
    bag = DagBag(str(DAGS / "offboard_mailbox.py"))
    assert (bag.import_errors, bag.dags) == ({}, {})


def test_hr_alone_starts_it(dag) -> None:
    may = {who: set(access.get("DAG Runs", ())) for who, access in dag.access_control.items()}
    assert [who for who, what in may.items() if "can_create" in what] == ["HR"]
    assert len(dag.doc_md) > 300
    assert dag.schedule is None
    assert not dag.catchup


def test_what_hr_says_of_an_answer_ends_the_notice_at_once(dag) -> None:
    """And not when the wait looks next, within the hour."""
    either, heard = dag.get_task("may_choose"), dag.get_task("heard")
    assert (either.trigger_rule, either.upstream_task_ids) == ("one_success", {"notice_over", "heard"})
    assert (heard.trigger_rule, heard.upstream_task_ids) == ("all_success", {"answered", "close"})
    assert "may_choose" in dag.get_task("choose").upstream_task_ids
    assert dag.get_task("choose").trigger_rule == "all_success"


def test_nobody_forwards_anything() -> None:
    words = [each.read_text("utf-8") for each in (DAGS / "offboard_mailbox.py", Path(offboard.__file__))]
    assert not [text for text in words if "forward(" in text or "redirect" in text]


@pytest.mark.parametrize(
    ("name", "value"),
    [("employee", ""), ("last_day", "31.03.2025"), ("recipients", []), ("recipients", ["1", "1"]), ("language", "de"),
     ("manager", 7), ("folders", [""])],
)  # fmt: skip
def test_a_form_that_is_wrong_in_itself_is_refused_by_airflow(dag, name: str, value: object) -> None:
    from airflow.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)


def test_a_departure_goes_its_way(dag, desk: Desk, letters: list, clock) -> None:
    put(desk, "Overlevering", "Avtale", "Privat")
    put(desk, "Prosjekter/Nord", "Plan")
    put(desk, "INBOX", "Fest")
    departure = offboard.enter.function(params=FORM, dag_run=RUN)
    assert offboard.enter.function(params=FORM, dag_run=RUN) == departure, "a retry enters it once"
    offboard.notice.function(departure)
    offboard.notice.function(departure)
    assert [letter.to for letter in letters] == [KARI, "ola@tindheim.example"]
    assert "31. mars 2025" in letters[0].text
    assert "1. april 2025" in letters[0].text
    wait = task(dag, "last_day", departure)
    with pytest.raises(TaskDeferred) as deferred:
        wait.execute({})
    assert deferred.value.trigger.moment == START + timedelta(hours=1)
    clock.now = datetime(2025, 4, 1, 4, tzinfo=UTC)
    wait.execute({}, event={})
    offboard.close.function(departure)
    task(dag, "notice_over", departure).execute({})
    counts = offboard.choose.function(departure)
    assert (counts["chosen"], counts["private"], counts["left"]) == (2, 1, 1)
    manager = task(dag, "ask_manager", departure)
    subject, body = asked(desk, manager)
    assert subject == "May 2 messages be handed over?"
    assert "| Prosjekter / Nord | 1 |" in body
    assert not [word for word in ("Avtale", "Privat", "Plan", "kunde@", "Fest") if word in body]
    offboard.say.function(departure, answered(manager, "mona"), "approved", offboard.MANAGER)
    assert asked(desk, manager) is None
    assert asked(desk, task(dag, "ask_officer", departure)) is None
    assert offboard.hand_over.function(departure) == {"confirmed": 2}
    assert asked(desk, task(dag, "ask_exceptions", departure)) is None
    assert offboard.conclude.function(departure) == {"confirmed": 2}
    wait = task(dag, "deletion_due", departure)
    with pytest.raises(TaskDeferred):
        wait.execute({})
    clock.now = datetime(2025, 5, 2, 4, tzinfo=UTC)
    wait.execute({})
    offboard.delete.function(departure)
    assert offboard.verify.function(departure) == {"confirmed": 2, "there": 2}
    assert "2 meldinger" in letters[-1].text
    with pytest.raises(AirflowFailException, match="page-taken-down, phone-cleared"):
        offboard.end.function(departure)
    for name, event in (("page", "page-taken-down"), ("phone", "phone-cleared")):
        answer = answered(task(dag, name, departure), "hilde", offboard.DONE)
        offboard.say.function(departure, answer, event, offboard.HR)
    offboard.end.function(departure)
    assert KARI not in desk.platform.accounts
    assert desk.state.departures.find(departure).state == "ended"


@pytest.fixture
def chosen(desk: Desk, letters: list, clock) -> str:
    put(desk, "Overlevering", "Avtale", "Tilbud")
    departure = offboard.enter.function(params=FORM, dag_run=RUN)
    offboard.notice.function(departure)
    clock.now = datetime(2025, 4, 1, 4, tzinfo=UTC)
    offboard.close.function(departure)
    offboard.choose.function(departure)
    return departure


@pytest.mark.parametrize("name", ["ask_manager", "ask_officer"])
def test_who_started_it_does_not_approve_it(dag, chosen: str, name: str) -> None:
    with pytest.raises(AirflowException, match="expected somebody else's"):
        answered(task(dag, name, chosen), "hilde")


def test_hr_is_told_in_the_end_by_the_role_that_answers_for_the_directory(
    desk: Desk, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr(offboard, "tell", lambda policy, role, *words: told.append((role, *words)))
    offboard._tell_hr(desk, desk.state.departures.find(chosen), 7)
    assert told == [], "the shipped policy has no way to the role: HR sees the run's end"
    organisation = replace(desk.policy.organisation, notify={"hr-manager": ("hr@tindheim.example",)})
    with_hr = replace(desk, policy=replace(desk.policy, organisation=organisation))
    offboard._tell_hr(with_hr, desk.state.departures.find(chosen), 7)
    ((role, subject, text),) = told
    assert (role, subject) == ("hr-manager", "E-postkassen til ansatt 1007 er slettet")
    assert "7 meldinger" in text
    assert "Kari" not in text

    def refuse(*_: object) -> None:
        raise NotSent("not told: hr-manager by mail")

    monkeypatch.setattr(offboard, "tell", refuse)
    with pytest.raises(AirflowException, match="not told: hr-manager by mail"):
        offboard._tell_hr(with_hr, desk.state.departures.find(chosen), 7)


def test_what_cannot_be_handed_over_is_the_officer_s_to_accept(dag, desk: Desk, chosen: str) -> None:
    """And nothing of it fails: the run waits, and goes on when it is accepted."""
    accept = task(dag, "ask_exceptions", chosen)
    assert asked(desk, accept) is None
    box = desk.platform.accounts[KARI].folders["Overlevering",]
    box.pop(next(iter(box)))
    offboard.say.function(chosen, answered(task(dag, "ask_manager", chosen), "mona"), "approved", offboard.MANAGER)
    assert offboard.hand_over.function(chosen) == {"gone": 1, "refused": 0}
    subject, body = asked(desk, accept)
    assert subject == "Go on without some messages?"
    assert body.startswith("1 chosen messages are not in the mailbox any more, and 0 were refused")
    with pytest.raises(NotAllHandedOver, match="1 messages are not in the mailbox any more"):
        offboard.conclude.function(chosen)
    assert not desk.state.departures.find(chosen).has("handed-over")
    offboard.say.function(chosen, answered(accept, "odd"), "exceptions-accepted", offboard.OFFICER)
    assert offboard.conclude.function(chosen) == {"confirmed": 1, "gone": 1}
    assert asked(desk, accept) is None
    assert accept.assigned_users == [{"id": "role:PrivacyOfficer", "name": "PrivacyOfficer"}]
    concluded = dag.get_task("conclude")
    assert concluded.upstream_task_ids >= {"hand_over", "accept"}
    assert dag.get_task("deletion_due").upstream_task_ids >= {"conclude"}


def test_past_the_limit_the_officer_is_asked_too(dag, desk: Desk, chosen: str, monkeypatch) -> None:
    monkeypatch.setattr(Desk, "rules", replace(desk.rules, messages=1))
    assert asked(desk, task(dag, "ask_officer", chosen)) is not None


def test_a_no_ends_it_where_it_is(dag, desk: Desk, chosen: str) -> None:
    answer = answered(task(dag, "ask_manager", chosen), "mona", "Reject")
    with pytest.raises(AirflowFailException, match="rejected"):
        offboard.say.function(chosen, answer, "approved", offboard.MANAGER)
    assert desk.state.departures.find(chosen).has("rejected")
    assert not desk.state.departures.find(chosen).has("approved")


def test_who_stays_after_all_gets_the_account_back_and_the_rest_is_skipped(dag, desk: Desk, crm, chosen: str) -> None:
    crm.run("UPDATE employees SET departure = 'withdrawn'")
    for step in (offboard.hand_over, offboard.delete):
        with pytest.raises(AirflowSkipException):
            step.function(chosen)
    with pytest.raises(AirflowSkipException):
        task(dag, "deletion_due", chosen).execute({})
    with pytest.raises(AirflowSkipException):
        task(dag, "ask_manager", chosen).execute({})
    assert desk.platform.account(KARI).may_sign_in


def test_no_task_logs_or_hands_on_who_it_is_about(desk: Desk, chosen: str, caplog: pytest.LogCaptureFixture) -> None:
    counts = offboard.choose.function(chosen)
    assert set(map(type, counts.values())) == {int}
    assert not [word for word in ("Kari", "kari@", "Avtale", "Overlevering") if word in caplog.text]


def test_two_runs_are_two_departures() -> None:
    ids = {offboard.departure_of(run) for run in ("manual__a", "manual__b")}
    assert len(ids) == 2
