"""A departure from the form to the end on each real mail platform, looked at by other means than Lethe's own."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from demo.people import national_id
from dovecot import dovecot
from graph import graph
from lethe.deadlines import Period
from lethe.offboarding.departures import Departure, Word
from lethe.offboarding.desk import Desk
from lethe.offboarding.directory import Directory
from lethe.offboarding.platform import Mailbox, NoSuchMailbox, Platform
from lethe.offboarding.sensitive import words_of
from lethe.offboarding.upkeep import old, scan, total
from lethe.policy import load
from lethe.state import State
from lethe.stores.postgres.connection import Connection
from mailboxes import Bench, Given, as_found
from support import Database

HR, MANAGER = Word("HR", "17"), Word("Manager", "18")
DIRECTORY = """
CREATE TABLE employees (employee_no int PRIMARY KEY, mailbox text, name text, manager_no int, language text,
    employed_from date, last_day date, departure text);
GRANT SELECT ON employees TO lethe_worker;
INSERT INTO employees VALUES
    (1007, '{kari}', 'Kari Blåfjell', 1001, 'nb', '2019-01-01', '{last_day}', 'leaving'),
    (1001, '{ola}', 'Ola Sjef', 1000, 'nb', '2010-01-01', NULL, NULL),
    (1002, '{per}', 'Per Kollega', 1001, 'nb', '2015-01-01', NULL, NULL);
"""
NIN = national_id(date(1980, 5, 17), 0)
INTO = ("Overlevert fra Kari Blåfjell",)
HANDED = [
    Given(b"Subject: til deg\r\n\r\n\xe6 som den er\r\n", ("Overlevering",), frozenset({"\\Seen"})),
    Given(b"Subject: TD-12345 nede\r\nFrom: kunde@fjord.example\r\n\r\nHei\r\n"),
    Given(b"From: ordforer@nordlys-kommune.example\r\nSubject: Hei\r\n\r\nHei\r\n", ("Prosjekter", "Blåbær")),
]
KEPT = [
    Given(b"Subject: TD-12345 er fikset\r\n\r\nHei\r\n", ("Privat",)),
    Given(b"Subject: =?utf-8?q?Privat:_TD-12345?=\r\n\r\nHei\r\n"),
    Given(f"Subject: TD-12345\r\n\r\nJeg er sykmeldt, og nummeret er {NIN}.\r\n".encode()),
    Given(b"Subject: Lunsj?\r\nFrom: noen@fjord.example\r\n\r\nHei\r\n"),
    Given(b"Subject: TD-12345\r\nFrom: hjelp@forbundet.example\r\n\r\nHei\r\n"),
]


@dataclass
class Office:
    """Who leaves, who stays, and the desk that sees to it."""

    bench: Bench
    desk: Desk
    kari: Mailbox
    per: Mailbox
    directory: Database
    state: Database
    departure: Departure
    now: datetime

    def to_the_hand_over(self) -> str:
        """What happens until the messages are handed over, on one day; the departure's id."""
        desk, now = self.desk, self.now
        departure = desk.enter(self.departure, now, HR)
        desk.notice(departure, now, lambda *_: None)
        desk.say(departure, "answered", now, HR)
        desk.close(departure, now)
        desk.choose(departure, now)
        desk.say(departure, "approved", now, MANAGER)
        desk.hand_over(departure, now)
        return departure


@pytest.fixture(scope="module", params=["dovecot", "graph"])
def bench(request: pytest.FixtureRequest, module_database: Callable[..., Database]) -> Iterator[Bench]:
    with graph() if request.param == "graph" else dovecot(module_database()) as found:
        yield found


@pytest.fixture
def office(bench: Bench, new_database: Callable[..., Database]) -> Iterator[Office]:
    policy, now = load(Path(__file__).parents[2] / "include" / "policy"), datetime.now(UTC)
    last_day, lately = now.date() - timedelta(days=2), now.replace(microsecond=0) - timedelta(days=30)
    mail = [replace(each, received=lately) for each in (*HANDED, *KEPT)]
    with ExitStack() as stack:
        kari, per, ola = bench.create(mail), bench.create(), bench.create()
        directory = new_database()
        directory.run(DIRECTORY.format(kari=kari, per=per, ola=ola, last_day=last_day))
        register = new_database(state=True)
        state = stack.enter_context(closing(State(register.conninfo("lethe_worker"))))
        where = policy.offboarding.directory
        connection = Connection(where.store, directory.conninfo("lethe_worker"))
        desk = Desk(policy, state, stack.enter_context(closing(Directory(connection, where))), bench.platform)
        departure = Departure("d" * 32, "1007", "1001", ("1002",), last_day, "nb")
        yield Office(bench, desk, kari, per, directory, register, departure, now)


def test_what_is_the_work_s_goes_over_and_all_the_rest_goes(office: Office) -> None:
    desk, bench = office.desk, office.bench
    departure = office.to_the_hand_over()
    assert not bench.sign_in(office.kari)
    assert office.per in (bench.replies(office.kari) or "")
    counts = desk.state.departures.counts(departure, "chosen")
    assert {name: counts[name] for name in ("messages", "chosen", "private", "sensitive", "left")} == {
        "messages": 8, "chosen": 3, "private": 3, "sensitive": 1, "left": 1,
    }  # fmt: skip
    arrived = ((message, flags) for message, flags, _ in as_found(bench, office.per, INTO).elements())
    assert Counter(arrived) == Counter((each.message, each.flags) for each in HANDED)
    later = office.now + timedelta(days=61)
    desk.delete(departure, later)
    desk.verify(departure, later)
    for event in ("page-taken-down", "phone-cleared"):
        desk.say(departure, event, later, HR)
    assert desk.end(departure, later) == ()
    assert not bench.sign_in(office.kari)
    with pytest.raises(NoSuchMailbox):
        bench.platform.account(office.kari)
    assert len(bench.platform.refs(office.per, INTO)) == len(HANDED)
    assert bench.sign_in(office.per)


def test_a_round_through_a_mailbox_leaves_no_trace_in_it(office: Office) -> None:
    """Whoever is reminded, or told of sensitive mail, finds everything as it was: unread what was unread."""
    platform, policy = office.bench.platform, office.desk.policy
    before = [list(platform.look(office.kari, folder.path)) for folder in platform.folders(office.kari)]
    ages, zone = [Period.parse("P1D"), Period.parse("P3Y")], policy.organisation.zone
    found = old(platform, office.kari, ages, office.now.date(), zone)
    assert sum(number for by_age in found.values() for number in by_age.values()) == len(HANDED) + len(KEPT)
    told = scan(platform, office.kari, words_of(policy.offboarding), None)
    assert total(told.values())[:2] == (1, 1)
    assert scan(platform, office.kari, words_of(policy.offboarding), office.now) == {}
    assert [list(platform.look(office.kari, folder.path)) for folder in platform.folders(office.kari)] == before


def test_who_stays_after_all_has_their_account_back_with_all_that_was_in_it(office: Office) -> None:
    departure = office.to_the_hand_over()
    office.directory.run("UPDATE employees SET departure = 'withdrawn' WHERE employee_no = 1007")
    office.desk.withdraw(departure, office.now)
    assert office.bench.sign_in(office.kari)
    folders = office.bench.platform.folders(office.kari)
    assert sum(each.messages for each in folders) == len(HANDED) + len(KEPT)
    assert office.bench.replies(office.kari) is None


# ------------------------------------------------------------ a worker that is killed


class Mortal:
    """A platform whose worker is killed with SIGKILL right after the n-th call of one method."""

    def __init__(self, platform: Platform, method: str, at: int) -> None:
        self._platform, self._method, self._at = platform, method, at

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._platform, name)

        def call(*given: object) -> object:
            answer = method(*given)
            if isinstance(answer, Iterator):
                answer = iter(list(answer))  # what is answered bit by bit was asked for, too
            if name == self._method:
                self._at -= 1
                if self._at == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call


def lives(office: Office, method: str, at: int) -> bool:
    """The whole departure in a process of its own, which dies after one call; whether it lived to the end."""
    process = multiprocessing.get_context("fork").Process(target=_work, args=(office, method, at))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode == 0


def _work(office: Office, method: str, at: int) -> None:
    policy, later = office.desk.policy, office.now + timedelta(days=61)
    make = type(office.bench.platform)
    with ExitStack() as stack:
        state = stack.enter_context(closing(State(office.state.conninfo("lethe_worker"))))
        platform = stack.enter_context(closing(make(office.bench.settings)))
        connection = Connection("directory", office.directory.conninfo("lethe_worker"))
        directory = stack.enter_context(closing(Directory(connection, policy.offboarding.directory)))
        desk = Desk(policy, state, directory, Mortal(platform, method, at))
        departure = replace(office, desk=desk).to_the_hand_over()
        desk.delete(departure, later)
        desk.verify(departure, later)


CALLS = [
    ("account", 1), ("account", 4), ("block", 1), ("end_sessions", 1), ("reply", 1), ("folders", 1), ("look", 1),
    ("look", 3), ("read", 1), ("read", 3), ("refs", 1), ("read_all", 1), ("read_all", 2), ("read_all", 4),
    ("deposit_all", 1), ("deposit_all", 2), ("deposit_all", 3), ("delete", 1), ("left", 1), ("left", 2),
]  # fmt: skip


@pytest.mark.parametrize(("method", "at"), CALLS)
def test_a_worker_that_is_killed_is_followed_by_another_that_goes_on(office: Office, method: str, at: int) -> None:
    """After a deed, before it is written down: nothing is lost, nothing twice, nothing deleted too soon."""
    assert not lives(office, method, at)
    assert lives(office, "no method", 0)
    arrived = ((message, flags) for message, flags, _ in as_found(office.bench, office.per, INTO).elements())
    assert Counter(arrived) == Counter((each.message, each.flags) for each in HANDED)
    assert office.bench.platform.left(office.kari) == ()
    leaves = [json.loads(leaf) for (leaf,) in office.state.rows("SELECT leaf FROM lethe.outbox")]
    events = Counter(leaf["event"] for leaf in leaves if leaf["kind"] == "departure")
    assert events["deleted"] == 1
    assert set(events.values()) == {1}
