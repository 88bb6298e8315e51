"""A departure from end to end over a directory and a mail platform in memory: what happens when, and what stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from lethe.deadlines import Period
from lethe.errors import StoreError, StoreUnreachable
from lethe.holds import Because, Target
from lethe.offboarding import rules
from lethe.offboarding.departures import Departure, DepartureError, Withdrawn, Word
from lethe.offboarding.desk import Desk, Held, NotAllHandedOver, TooEarly
from lethe.offboarding.directory import Directory
from lethe.offboarding.memory import MemoryPlatform
from lethe.offboarding.platform import Mailbox
from lethe.policy import load
from lethe.state import State
from lethe.stores.postgres.connection import Connection
from support import Database

NOW = datetime(2025, 3, 3, 12, tzinfo=UTC)
HR, MANAGER = Word("HR", "17"), Word("Manager", "18")
SCHEMA = """
CREATE TABLE employee (no text PRIMARY KEY, mail text, name text, boss text, lang text, hired date, last_day date,
    status text);
INSERT INTO employee VALUES
    ('1007', 'kari@tindheim.example', 'Kari Blåfjell', '1001', 'nb', '2019-01-01', '2025-03-31', 'leaving'),
    ('1001', 'boss@tindheim.example', 'Ola Sjef', '1000', 'nb', '2010-01-01', NULL, NULL),
    ('1002', 'per@tindheim.example', 'Per Kollega', '1001', 'en', '2015-01-01', NULL, NULL),
    ('1003', 'liv@tindheim.example', 'Liv Leaves', '1001', 'nb', '2015-01-01', '2025-03-15', 'leaving'),
    ('1004', NULL, 'Nils Nomail', '1001', 'nb', '2015-01-01', NULL, NULL),
    ('1005', 'future@tindheim.example', 'Fia Future', '1001', 'nb', '2025-09-01', NULL, NULL),
    ('1006', 'stays@tindheim.example', 'Siv Stays', '1001', 'nb', '2015-01-01', '2025-03-31', 'withdrawn');
GRANT SELECT ON employee TO lethe_worker;
"""
KARI, BOSS, PER = (Mailbox(f"{name}@tindheim.example") for name in ("kari", "boss", "per"))
WANTED = Departure("", "1007", "1001", ("1002",), date(2025, 3, 31), "nb")

RULES = rules.Offboarding(
    obligation="R10",
    directory=rules.Directory("crm", "public", "employee", "no", "mail", "name", "boss", "lang", "hired", "last_day",
                              "status", ("withdrawn",)),
    platform="imap",
    connection="mail",
    last_day=rules.LastDay(Period.parse("P1Y"), Period.parse("P90D")),
    notice=Period.parse("P7D"),
    reply=rules.AutomaticReply(Period.parse("P30D"), "recipient", {"nb": "{name} har sluttet", "en": "{name} has left"},
                               {"nb": "Skriv til {contact}.", "en": "Write to {contact}, {controller}."}),
    delete_after=Period.parse("P14D"),
    hand_over=rules.HandOver((), (), (), None, Period.parse("P2Y"), "both"),
    private=rules.Private((), (), (), (), ()),
    health_words={"nb": (), "en": ()},
    messages=100,
)  # fmt: skip


@pytest.fixture
def crm(new_database: Callable[..., Database]) -> Database:
    database = new_database()
    database.run(SCHEMA)
    return database


@pytest.fixture
def desk(new_database: Callable[..., Database], crm: Database, shipped) -> Iterator[Desk]:
    platform = MemoryPlatform()
    for mailbox in (KARI, BOSS, PER, Mailbox("liv@tindheim.example")):
        platform.create(mailbox)
    for number in range(5):
        platform.deposit(KARI, ("Overlevering",), f"Subject: {number}\r\n\r\n".encode(), [], NOW)
    state = State(new_database(state=True).conninfo("lethe_worker"))
    connection = Connection("crm", crm.conninfo("lethe_worker"))
    yield Desk(shipped, state, Directory(connection, RULES.directory), platform)
    connection.close()
    state.close()


@pytest.fixture(scope="module")
def shipped():
    from pathlib import Path

    policy = load(Path(__file__).parents[2] / "include" / "policy")
    dataset = replace(policy.datasets["agents"], store="crm", schema="public", table="employee")
    return replace(policy, offboarding=RULES, datasets={**policy.datasets, "agents": dataset})


def days(count: int) -> datetime:
    return NOW + timedelta(days=count)


def told(_: object, __: object, ___: date) -> None:
    """A letter that nobody reads."""


def choose(desk: Desk, departure: str) -> None:
    folder = ("Overlevering",)
    desk.state.departures.handed(departure, "1002").choose(folder, desk.platform.refs(KARI, folder))
    desk.state.departures.happened(departure, "chosen", NOW, {"chosen": 5})


def closed(desk: Desk) -> str:
    departure = desk.enter(WANTED, NOW, HR)
    desk.notice(departure, NOW, told)
    desk.close(departure, days(29))
    return departure


def handed_over(desk: Desk) -> str:
    departure = closed(desk)
    choose(desk, departure)
    desk.say(departure, "approved", days(30), MANAGER)
    desk.hand_over(departure, days(30))
    return departure


def test_from_the_form_to_the_end(desk: Desk) -> None:
    letters = []
    departure = desk.enter(WANTED, NOW, HR)
    desk.notice(departure, NOW, lambda *given: letters.append(given))
    ((_, people, day),) = letters
    assert (people.employee.name, day) == ("Kari Blåfjell", date(2025, 4, 1))
    with pytest.raises(TooEarly, match="last working day is 2025-03-31"):
        desk.close(departure, days(28))
    assert desk.platform.account(KARI).may_sign_in
    desk.close(departure, days(29))
    box = desk.platform.accounts[KARI]
    assert (box.may_sign_in, box.session) == (False, 1)
    assert box.reply.subject == "Kari Blåfjell har sluttet / Kari Blåfjell has left"
    assert box.reply.text == "Skriv til per@tindheim.example.\n\nWrite to per@tindheim.example, Tindheim Drift AS."
    assert box.reply.ends.date() == date(2025, 5, 2)
    with pytest.raises(TooEarly, match="manager has not approved"):
        desk.hand_over(departure, days(29))
    choose(desk, departure)
    desk.say(departure, "approved", days(30), MANAGER)
    assert desk.hand_over(departure, days(30)) == {"confirmed": 5}
    (folder,) = [each for each in desk.platform.folders(PER) if each.messages]
    assert folder.path == ("Handed over from Kari Blåfjell",)
    with pytest.raises(TooEarly, match="deleted from 2025-05-02 on"):
        desk.delete(departure, days(59))
    desk.delete(departure, days(60))
    assert KARI not in desk.platform.accounts
    assert desk.verify(departure, days(60)) == {"confirmed": 5, "there": 5}
    assert desk.end(departure, days(60)) == ("page-taken-down", "phone-cleared")
    for event in ("page-taken-down", "phone-cleared"):
        desk.say(departure, event, days(60), HR)
    assert desk.end(departure, days(60)) == ()
    assert desk.state.departures.find(departure).state == "ended"


def test_every_step_again_changes_nothing(desk: Desk) -> None:
    departure = handed_over(desk)
    before = desk.state.departures.find(departure).events
    desk.notice(departure, days(31), told)
    desk.close(departure, days(31))
    desk.hand_over(departure, days(31))
    assert desk.platform.accounts[KARI].session == 1
    assert desk.state.departures.find(departure).events == before
    for _ in range(2):
        desk.delete(departure, days(90))
        desk.verify(departure, days(90))
    assert len(desk.platform.refs(PER, ("Handed over from Kari Blåfjell",))) == 5


def put(desk: Desk, folder: str, *messages: str) -> None:
    for text in messages:
        desk.platform.deposit(KARI, tuple(folder.split("/")), text.replace("\n", "\r\n").encode(), [], days(-10))


MAIL = {
    "Overlevering": ["Subject: Avtale\n\nHei\n", "Subject: Privat\n\nHei\n", "Subject: x\n\nFnr 01819000049\n",
                     "Subject: y\n\nJeg er sykmeldt\n"],
    "INBOX": ["From: k@kunde.example\nSubject: Tilbud\n\nHei\n", "From: venn@annet.example\nSubject: Fest\n\nHei\n",
              "From: k@kunde.example\nSubject: privat\n\nHei\n", "Subject: Sak TD-12345\n\nHei\n"],
    "Privat/Kunder": ["From: k@kunde.example\nSubject: Tilbud\n\nHei\n"],
    "Prosjekter": ["Subject: Plan\n\nHei\n"],
}  # fmt: skip
CHOOSING = replace(
    RULES,
    hand_over=rules.HandOver(("Overlevering",), ("TD-#####",), ("kunde.example",), None, Period.parse("P2Y"), "both"),
    private=rules.Private(("privat",), ("privat",), (), (), ()),
    health_words={"nb": ("sykmeld*",), "en": ()},
)


def test_what_is_handed_over_is_chosen_by_the_policy_and_told_in_numbers(desk: Desk) -> None:
    desk = replace(desk, policy=replace(desk.policy, offboarding=CHOOSING))
    del desk.platform.accounts[KARI].folders["Overlevering",]
    for folder, messages in MAIL.items():
        put(desk, folder, *messages)
    departure = desk.enter(replace(WANTED, picked=(("Prosjekter",),)), NOW, HR)
    desk.notice(departure, NOW, told)
    with pytest.raises(TooEarly, match="not closed yet"):
        desk.choose(departure, days(28))
    desk.close(departure, days(29))
    counts = desk.choose(departure, days(29))
    assert counts == {
        "recipients": 1, "folders": 4, "messages": 10, "chosen": 4, "private": 3, "sensitive": 2, "left": 1,
    }  # fmt: skip
    assert desk.proposal(departure) == {("INBOX",): 2, ("Overlevering",): 1, ("Prosjekter",): 1}
    put(desk, "Overlevering", "Subject: late\n\nHei\n")
    assert desk.choose(departure, days(30)) == counts, "once"
    desk.say(departure, "approved", days(30), MANAGER)
    assert desk.hand_over(departure, days(30)) == {"confirmed": 4}
    into = ("Handed over from Kari Blåfjell",)
    subjects = {desk.platform.read(PER, into, ref).split(b"Subject: ")[1][:5] for ref in desk.platform.refs(PER, into)}
    assert subjects == {b"Avtal", b"Tilbu", b"Sak T", b"Plan\r"}


def test_nothing_is_looked_at_while_the_notice_lasts(desk: Desk) -> None:
    departure = desk.enter(WANTED, days(28), HR)
    desk.notice(departure, days(28), told)
    desk.close(departure, days(29))
    with pytest.raises(TooEarly, match="nothing is looked at before 2025-04-08"):
        desk.choose(departure, days(35))
    desk.say(departure, "answered", days(30), HR)
    desk.choose(departure, days(30))


def test_past_the_limit_the_privacy_officer_must_approve_too(desk: Desk) -> None:
    desk = replace(desk, policy=replace(desk.policy, offboarding=replace(RULES, messages=4)))
    departure = closed(desk)
    choose(desk, departure)
    assert desk.needs_officer(departure)
    desk.say(departure, "approved", days(30), MANAGER)
    with pytest.raises(TooEarly, match="privacy officer has not approved"):
        desk.hand_over(departure, days(30))
    desk.say(departure, "officer-approved", days(30), Word("PrivacyOfficer", "19"))
    desk.hand_over(departure, days(30))


def test_at_the_limit_the_manager_alone_approves(desk: Desk) -> None:
    desk = replace(desk, policy=replace(desk.policy, offboarding=replace(RULES, messages=5)))
    departure = closed(desk)
    choose(desk, departure)
    assert not desk.needs_officer(departure)


BAD = {
    "unknown employee": ({"employee": "9999"}, "employee: found nobody with this number"),
    "no departure in the directory": (
        {"employee": "1002", "recipients": ("1001",)},
        "found no departure in the directory",
    ),
    "a departure that was withdrawn": ({"employee": "1006"}, "found a departure that was withdrawn"),
    "a future hire": ({"employee": "1005"}, "found somebody who has not begun yet"),
    "the manager is the employee": ({"manager": "1007"}, "manager: found the employee"),
    "an unknown manager": ({"manager": "9999"}, "manager: found nobody with this number"),
    "a manager who leaves too": ({"manager": "1003"}, "manager: found somebody who leaves too"),
    "a recipient who leaves too": ({"recipients": ("1002", "1003")}, "recipient 2: found somebody who leaves too"),
    "a recipient without a mailbox": ({"recipients": ("1004",)}, "recipient 1: found no mailbox"),
    "a recipient who has not begun": ({"recipients": ("1005",)}, "recipient 1: found somebody who has not begun"),
    "the employee as a recipient": ({"recipients": ("1007",)}, "recipient 1: found the employee"),
    "no recipient": ({"recipients": ()}, "recipients: found none"),
    "a recipient twice": ({"recipients": ("1002", "1002")}, "recipients: found somebody twice"),
    "another last day": ({"last_day": date(2025, 3, 30)}, "expected the directory's, 2025-03-31"),
    "a last day far ahead": ({"last_day": date(2027, 3, 30)}, "expected no later than P1Y from today"),
    "a last day long ago": ({"last_day": date(2024, 3, 30)}, "expected no longer ago than P90D"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_speaks_against_it_is_said_and_nothing_is_entered(desk: Desk, case: str) -> None:
    change, says = BAD[case]
    with pytest.raises(DepartureError) as caught:
        desk.enter(replace(WANTED, **change), NOW, HR)
    assert says in str(caught.value)
    assert desk.state.departures.all() == ()
    assert not [name for name in ("Kari", "tindheim", "1007", "1002") if name in str(caught.value)]


def test_everything_is_said_at_once(desk: Desk) -> None:
    with pytest.raises(DepartureError) as caught:
        desk.enter(replace(WANTED, manager="1007", recipients=("9999", "1003")), NOW, HR)
    assert str(caught.value).count(": found") == 3


def test_a_mailbox_that_the_platform_does_not_have_is_said(desk: Desk) -> None:
    desk.platform.delete(PER)
    with pytest.raises(DepartureError, match="recipient 1: found no such account on the mail platform, expected"):
        desk.enter(WANTED, NOW, HR)


def test_not_twice_at_once(desk: Desk) -> None:
    desk.enter(WANTED, NOW, HR)
    with pytest.raises(DepartureError, match="departure of this employee that is open"):
        desk.enter(WANTED, NOW, HR)


def test_the_notice_is_waited_for_unless_the_employee_answers(desk: Desk) -> None:
    departure = desk.enter(WANTED, days(26), HR)
    desk.notice(departure, days(26), told)
    found = desk.state.departures.find(departure)
    assert desk.acts_on(found) == date(2025, 4, 6)
    desk.say(departure, "answered", days(27), HR)
    assert desk.acts_on(desk.state.departures.find(departure)) == date(2025, 4, 1)


STEPS = {
    "noticed": lambda desk, departure: None,
    "closed": lambda desk, departure: desk.close(departure, days(29)),
    "handed over": lambda desk, departure: (
        desk.close(departure, days(29)), choose(desk, departure), desk.say(departure, "approved", days(30), MANAGER),
        desk.hand_over(departure, days(30)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", ["by HR", "in the directory", "gone from the directory"])
@pytest.mark.parametrize("step", STEPS)
def test_a_withdrawal_gives_the_account_back_at_any_step(desk: Desk, crm: Database, step: str, how: str) -> None:
    departure = desk.enter(WANTED, NOW, HR)
    desk.notice(departure, NOW, told)
    STEPS[step](desk, departure)
    if how == "by HR":
        desk.withdraw(departure, days(31), HR)
    else:
        crm.run("UPDATE employee SET " + ("status = 'withdrawn'" if how == "in the directory" else "last_day = NULL"))
    for step_ in (desk.close, desk.hand_over, desk.delete):
        with pytest.raises(Withdrawn):
            step_(departure, days(90))
    box = desk.platform.accounts[KARI]
    assert (box.may_sign_in, box.reply) == (True, None)
    assert {"withdrawn", "given-back", "ended"} <= set(desk.state.departures.find(departure).events)


def test_an_old_withdrawal_opens_nothing_that_a_later_departure_closed(desk: Desk) -> None:
    first = closed(desk)
    desk.withdraw(first, days(30), HR)
    second = desk.enter(WANTED, days(31), HR)
    desk.notice(second, days(31), told)
    desk.close(second, days(31))
    with pytest.raises(Withdrawn):
        desk.hand_over(first, days(32))
    desk.withdraw(first, days(32), HR)
    assert not desk.platform.account(KARI).may_sign_in
    assert desk.platform.accounts[KARI].reply is not None


def test_who_stays_gets_the_account_back_whoever_else_has_left_the_directory(desk: Desk, crm: Database) -> None:
    departure = closed(desk)
    crm.run("DELETE FROM employee WHERE no = '1002'; UPDATE employee SET status = 'withdrawn' WHERE no = '1007'")
    with pytest.raises(Withdrawn):
        desk.choose(departure, days(30))
    assert desk.platform.account(KARI).may_sign_in


def test_once_the_deletion_began_there_is_no_way_back(desk: Desk, crm: Database) -> None:
    departure = handed_over(desk)
    desk.state.departures.happened(departure, "deleting", days(60))
    with pytest.raises(DepartureError, match="being deleted or is gone"):
        desk.withdraw(departure, days(60), HR)
    crm.run("UPDATE employee SET status = 'withdrawn'")
    desk.delete(departure, days(60))
    assert KARI not in desk.platform.accounts


@pytest.mark.parametrize("key", ["1007", "*"])
def test_a_hold_stops_the_deletion_and_not_the_closing(desk: Desk, key: str) -> None:
    register = desk.state.holds
    hold = register.place(
        Because.LEGAL_CLAIM, [Target("crm", "agents", key)], date(2099, 1, 1), role="privacy-officer", via="airflow"
    )
    departure = handed_over(desk)
    with pytest.raises(Held, match="legal hold"):
        desk.delete(departure, days(90))
    assert KARI in desk.platform.accounts
    register.release(hold, role="privacy-officer", via="airflow")
    desk.delete(departure, days(90))
    assert KARI not in desk.platform.accounts


def test_a_hold_on_somebody_else_holds_nothing(desk: Desk) -> None:
    target = Target("crm", "agents", "1002")
    desk.state.holds.place(Because.LEGAL_CLAIM, [target], date(2099, 1, 1), role="privacy-officer", via="airflow")
    desk.delete(handed_over(desk), days(90))


def test_nothing_is_deleted_while_a_message_has_no_receipt(desk: Desk) -> None:
    departure = handed_over(desk)
    desk.platform.deposit(KARI, ("Overlevering",), b"Subject: late\r\n\r\n", [], NOW)
    folder = ("Overlevering",)
    desk.state.departures.handed(departure, "1002").choose(folder, desk.platform.refs(KARI, folder))
    with pytest.raises(DepartureError, match="1 chosen messages have no confirmed receipt"):
        desk.delete(departure, days(90))
    assert KARI in desk.platform.accounts
    desk.hand_over(departure, days(90))
    desk.delete(departure, days(90))


def test_what_is_gone_or_refused_takes_a_person(desk: Desk) -> None:
    departure = closed(desk)
    choose(desk, departure)
    desk.say(departure, "approved", days(30), MANAGER)
    messages = desk.platform.accounts[KARI].folders["Overlevering",]
    ref = next(iter(messages))
    moved = messages.pop(ref)
    with pytest.raises(DepartureError, match="1 messages are not in the mailbox any more and 0 were refused"):
        desk.hand_over(departure, days(30))
    with pytest.raises(TooEarly):
        desk.delete(departure, days(90))
    desk.say(departure, "exceptions-accepted", days(31), Word("PrivacyOfficer"))
    assert desk.hand_over(departure, days(31)) == {"confirmed": 4, "gone": 1}
    messages[ref] = moved  # what is back after the end is in no root, and stays behind as was accepted
    assert desk.hand_over(departure, days(32)) == {"confirmed": 4, "gone": 1}
    desk.delete(departure, days(90))


def test_what_is_back_or_taken_now_is_handed_over_and_nobody_has_to_accept_anything(desk: Desk) -> None:
    departure = closed(desk)
    choose(desk, departure)
    desk.say(departure, "approved", days(30), MANAGER)
    messages = desk.platform.accounts[KARI].folders["Overlevering",]
    ref = next(iter(messages))
    moved = messages.pop(ref)
    with pytest.raises(NotAllHandedOver):
        desk.hand_over(departure, days(30))
    messages[ref] = moved
    assert desk.hand_over(departure, days(31)) == {"confirmed": 5}
    assert desk.state.departures.find(departure).has("handed-over")


class Stubborn(MemoryPlatform):
    """What says that it did, and did not."""

    def block(self, mailbox: Mailbox) -> None:  # noqa: D102
        pass

    def delete(self, mailbox: Mailbox) -> None:  # noqa: D102
        pass


def test_a_platform_that_only_says_so_is_found_out(desk: Desk) -> None:
    real, lazy = desk.platform, Stubborn()
    lazy.accounts = real.accounts
    departure = desk.enter(WANTED, NOW, HR)
    desk.notice(departure, NOW, told)
    idle = replace(desk, platform=lazy)
    with pytest.raises(StoreError, match="was blocked, and works"):
        idle.close(departure, days(29))
    assert not desk.state.departures.find(departure).has("closed")
    desk.close(departure, days(29))
    choose(desk, departure)
    desk.say(departure, "approved", days(30), MANAGER)
    desk.hand_over(departure, days(30))
    with pytest.raises(StoreError, match="there is still the account"):
        idle.delete(departure, days(90))
    assert not desk.state.departures.find(departure).has("deleted")
    desk.delete(departure, days(90))


@pytest.mark.parametrize("method", ["block", "end_sessions", "reply", "account"])
def test_a_closing_that_is_stopped_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    departure = desk.enter(WANTED, NOW, HR)
    desk.notice(departure, NOW, told)

    def lost(*_: object) -> None:
        raise StoreUnreachable("mail: the connection was lost")

    with monkeypatch.context() as context:
        context.setattr(desk.platform, method, lost, raising=False)
        with pytest.raises(StoreUnreachable):
            desk.close(departure, days(29))
    assert not desk.state.departures.find(departure).has("closed")
    desk.close(departure, days(29))
    box = desk.platform.accounts[KARI]
    assert (box.may_sign_in, box.reply is not None) == (False, True)


def test_evidence_has_a_root_and_nobody(desk: Desk) -> None:
    departure = handed_over(desk)
    conn = desk.state._connection.get()
    told = [each for (each,) in conn.execute("SELECT leaf::text FROM lethe.outbox ORDER BY seq").fetchall()]
    (handed,) = [each for each in told if '"handed-over"' in each]
    assert '"root":"' in handed
    digests = [bytes(each).hex() for (each,) in conn.execute("SELECT digest FROM lethe.handed").fetchall()]
    assert not [each for each in (*digests, "1007", "Kari", "tindheim.example") if each in "".join(told)]
    assert desk._root(desk.state.departures.find(departure)) in handed, "the same whenever it is asked for"


def test_a_policy_without_it_touches_nobody(desk: Desk) -> None:
    nothing = replace(desk, policy=replace(desk.policy, offboarding=None))
    with pytest.raises(DepartureError, match=r"no offboarding\.yaml"):
        nothing.enter(WANTED, NOW, HR)
