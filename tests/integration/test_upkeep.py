"""Rounds through the mailboxes of employees: what is counted, who is told, what is kept, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from demo.people import national_id
from lethe.deadlines import Period
from lethe.errors import ConfigError, StoreError
from lethe.offboarding.caretaker import Caretaker
from lethe.offboarding.directory import Directory
from lethe.offboarding.letters import Letter
from lethe.offboarding.memory import MemoryPlatform
from lethe.offboarding.platform import Mailbox
from lethe.offboarding.upkeep import Found, old
from lethe.policy import load
from lethe.state import State
from lethe.stores.postgres.connection import Connection
from support import Database

NOW = datetime(2025, 3, 10, 8, tzinfo=UTC)
NIN = national_id(date(1980, 5, 17), 0)
DIRECTORY = """
CREATE TABLE employees (employee_no int PRIMARY KEY, mailbox text, name text, manager_no int, language text,
    employed_from date, last_day date, departure text);
GRANT SELECT ON employees TO lethe_worker;
INSERT INTO employees VALUES
    (1, 'kari@tindheim.example', 'Kari Nordmo', 2, 'nb', '2019-01-01', NULL, NULL),
    (2, 'amina@tindheim.example', 'Amina Yusuf', 2, 'en', '2010-01-01', '2025-03-10', 'leaving'),
    (3, 'stays@tindheim.example', 'Siv Stays', 2, 'nb', '2010-01-01', '2025-01-31', 'withdrawn'),
    (4, 'gone@tindheim.example', 'Geir Gone', 2, 'nb', '2010-01-01', '2025-03-09', 'leaving'),
    (5, 'next@tindheim.example', 'Nils Next', 2, 'nb', '2025-04-05', NULL, NULL),
    (6, NULL, 'Mia Mailless', 2, 'nb', '2010-01-01', NULL, NULL);
"""
KARI, AMINA, SIV = (Mailbox(f"{name}@tindheim.example") for name in ("kari", "amina", "stays"))


@dataclass
class Post:
    """Letters that were sent, and to whom none can be."""

    sent: list[Letter] = field(default_factory=list)
    refuses: set[Mailbox] = field(default_factory=set)

    def send(self, letter: Letter) -> None:
        """As mail does it."""
        if letter.to in self.refuses:
            raise StoreError("a letter was not sent")
        self.sent.append(letter)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def state(new_database: Callable[..., Database]) -> Iterator[Database]:
    return new_database(state=True)


@pytest.fixture
def caretaker(state: Database, new_database: Callable[..., Database], post: Post) -> Iterator[Caretaker]:
    policy = load(Path(__file__).parents[2] / "include" / "policy")
    policy = replace(policy, offboarding=replace(policy.offboarding, scan="R12"))
    directory, platform, register = new_database(), MemoryPlatform(), State(state.conninfo("lethe_worker"))
    directory.run(DIRECTORY)
    connection = Connection("directory", directory.conninfo("lethe_worker"))
    for mailbox in (KARI, AMINA, SIV):
        platform.create(mailbox)
    where = Directory(connection, policy.offboarding.directory)
    yield Caretaker(policy, register.looked, where, platform, post.send)
    connection.close()
    register.close()


def put(caretaker: Caretaker, mailbox: Mailbox, folder: str, text: str, days: int) -> None:
    message = f"Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n".encode()
    caretaker.platform.deposit(mailbox, tuple(folder.split("/")), message, [], NOW - timedelta(days=days))


def leaves(state: Database) -> list[dict]:
    return [json.loads(leaf) for (leaf,) in state.rows("SELECT leaf FROM lethe.outbox ORDER BY seq")]


def test_who_works_here_and_has_a_mailbox_is_gone_round_to(caretaker: Caretaker) -> None:
    """On the last day too; not before the first, nor after the last."""
    assert [each.number for each in caretaker.directory.employed(NOW.date())] == ["1", "2", "3"]
    assert [each.number for each in caretaker.directory.employed(date(2025, 4, 5))] == ["1", "3", "5"]


def test_old_mail_is_counted_by_folder_and_longest_age_and_told_in_their_language(
    caretaker: Caretaker, post: Post
) -> None:
    for days in (10, 365, 367, 400, 1094, 1096, 1097, 2000):
        put(caretaker, KARI, "Kunder/Fjord", "hei", days)
    put(caretaker, KARI, "INBOX", "hei", 800)
    put(caretaker, AMINA, "Trash", "hi", 1500)
    put(caretaker, SIV, "INBOX", "hei", 5)
    counts = caretaker.remind(NOW)
    assert counts == {"employees": 3, "told": 2, "messages": 8}
    mine, theirs = post.sent
    assert (mine.to, mine.subject) == (KARI, "Gammel e-post i postkassen din")
    lines = [line for line in mine.text.splitlines() if line.startswith("- ")]
    assert lines == [
        "- INBOX: 1 eldre enn ett år",
        "- Kunder/Fjord: 4 eldre enn ett år",
        "- Kunder/Fjord: 2 eldre enn 3 år",
    ]
    assert "- Trash: 1 older than 3 years" in theirs.text


@pytest.mark.parametrize(("came", "passed"), [(date(2024, 3, 9), True), (date(2024, 3, 10), False)])
def test_a_message_is_older_than_a_year_from_the_day_after_its_year_is_over(came: date, passed: bool) -> None:
    """In the organisation's calendar: half past eleven in the evening in UTC is the next day in Oslo."""
    platform, oslo = MemoryPlatform(), ZoneInfo("Europe/Oslo")
    platform.create(KARI)
    at = datetime(came.year, came.month, came.day, 0, 30, tzinfo=oslo)
    platform.deposit(KARI, ("INBOX",), b"x", [], at.astimezone(UTC))
    found = old(platform, KARI, [Period.parse("P1Y")], date(2025, 3, 10), oslo)
    assert found == ({("INBOX",): {Period.parse("P1Y"): 1}} if passed else {})


def test_nobody_is_reminded_twice_in_a_month_and_everybody_in_the_next(caretaker: Caretaker, post: Post) -> None:
    put(caretaker, KARI, "INBOX", "hei", 800)
    for now in (NOW, NOW + timedelta(days=1), datetime(2025, 3, 31, 20, tzinfo=UTC)):
        caretaker.remind(now)
        assert len(post.sent) == 1
    caretaker.remind(datetime(2025, 3, 31, 22, 30, tzinfo=UTC))  # the first of April in Oslo
    assert len(post.sent) == 2


def test_a_letter_that_is_not_taken_is_tried_again_and_stops_nobody_else(caretaker: Caretaker, post: Post) -> None:
    for mailbox in (KARI, AMINA):
        put(caretaker, mailbox, "INBOX", "hei", 800)
    post.refuses.add(KARI)
    with pytest.raises(StoreError, match="1 of 3 mailboxes could not be looked through"):
        caretaker.remind(NOW)
    assert [each.to for each in post.sent] == [AMINA]
    post.refuses.clear()
    assert caretaker.remind(NOW) == {"employees": 3, "told": 1, "messages": 1}
    assert [each.to for each in post.sent] == [AMINA, KARI]


def test_a_mailbox_that_cannot_be_reached_stops_no_other(
    caretaker: Caretaker, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    put(caretaker, SIV, "INBOX", "hei", 800)
    caretaker.platform.delete(KARI)
    with pytest.raises(StoreError, match="1 of 3"):
        caretaker.remind(NOW)
    assert [each.to for each in post.sent] == [SIV]
    assert "employee 1: the platform has no such account" in caplog.text
    assert "@" not in caplog.text


def test_nothing_is_changed_in_any_mailbox(caretaker: Caretaker) -> None:
    put(caretaker, KARI, "INBOX", f"nummer {NIN}", 800)
    before = {name: dict(box.folders["INBOX",]) for name, box in caretaker.platform.accounts.items()}
    caretaker.remind(NOW)
    caretaker.scan(NOW, lambda _: None)
    assert {name: dict(box.folders["INBOX",]) for name, box in caretaker.platform.accounts.items()} == before


def test_what_is_sensitive_is_told_to_its_owner_by_folder_and_to_the_officer_by_number(
    caretaker: Caretaker, post: Post
) -> None:
    put(caretaker, KARI, "Kunder/Fjord", f"født med {NIN}", 100)
    put(caretaker, KARI, "Kunder/Fjord", "er sykmeldt", 50)
    put(caretaker, KARI, "INBOX", "møte klokken ni", 50)
    put(caretaker, AMINA, "INBOX", f"{NIN} on sick leave", 1)
    reports = []
    counts = caretaker.scan(NOW, reports.append)
    assert counts == {"employees": 3, "told": 2, "identity_numbers": 2, "health_words": 2}
    mine, theirs = post.sent
    assert mine.subject == "Sensitive opplysninger i e-posten din"
    assert "- Kunder/Fjord: 1 med fødselsnummer, 1 med helseopplysninger" in mine.text
    assert "- INBOX: 1 with identity numbers, 1 with health words" in theirs.text
    assert reports == [{"1": Found(1, 1), "2": Found(1, 1)}]
    for letter in post.sent:
        assert NIN not in letter.text
        assert "sykmeldt" not in letter.text.replace("sykmeld*", "")


def test_only_what_came_since_the_last_scan_is_looked_into(caretaker: Caretaker, post: Post) -> None:
    put(caretaker, KARI, "INBOX", NIN, 1)
    caretaker.scan(NOW, lambda _: None)
    put(caretaker, KARI, "INBOX", NIN, -1)
    reports = []
    assert caretaker.scan(NOW + timedelta(days=7), reports.append)["identity_numbers"] == 1
    assert reports == [{"1": Found(1, 0)}]
    assert caretaker.scan(NOW + timedelta(days=14), reports.append) == {"employees": 2}
    assert len(reports) == 1
    assert len(post.sent) == 2


def test_what_came_in_the_very_moment_of_a_scan_is_not_missed(caretaker: Caretaker) -> None:
    """A mail server's whole second may lie before the moment at which the scan began; its clock may be slow."""
    caretaker.scan(NOW.replace(microsecond=700_000), lambda _: None)
    message = f"Subject: x\r\n\r\n{NIN}\r\n".encode()
    for seconds in (0, -60):
        caretaker.platform.deposit(KARI, ("INBOX",), message, [], NOW + timedelta(seconds=seconds))
    assert caretaker.scan(NOW + timedelta(days=7), lambda _: None)["identity_numbers"] == 2


def test_a_report_that_does_not_arrive_waits_and_loses_nothing(caretaker: Caretaker, state: Database) -> None:
    put(caretaker, KARI, "INBOX", NIN, 1)
    put(caretaker, AMINA, "INBOX", NIN, 1)

    def refuse(_: object) -> None:
        raise StoreError("not told")

    for _ in range(2):
        with pytest.raises(StoreError, match="not told"):
            caretaker.scan(NOW, refuse)
    reports = []
    caretaker.scan(NOW, reports.append)
    assert reports == [{"1": Found(1, 0), "2": Found(1, 0)}]
    caretaker.scan(NOW, reports.append)
    assert len(reports) == 1
    found = [leaf["counts"].get("identity_numbers", 0) for leaf in leaves(state)]
    assert found == [2, 0, 0, 0], "each try is written down, what was told and what was not"


def test_evidence_has_numbers_and_nobody(caretaker: Caretaker, state: Database) -> None:
    put(caretaker, KARI, "Kunder/Fjord", NIN, 800)
    caretaker.remind(NOW)
    caretaker.scan(NOW, lambda _: None)
    reminder, scan = leaves(state)
    assert (reminder["kind"], reminder["what"], reminder["obligation"]) == ("upkeep", "reminder", "R11")
    assert reminder["counts"] == {"employees": 3, "messages": 1, "told": 1}
    assert (scan["what"], scan["obligation"], scan["counts"]["identity_numbers"]) == ("scan", "R12", 1)
    text = json.dumps([reminder, scan], ensure_ascii=False)
    assert not [word for word in ("Kari", "kari", "Fjord", NIN) if word in text]


def test_who_works_here_no_more_is_forgotten(caretaker: Caretaker, state: Database) -> None:
    caretaker.scan(NOW, lambda _: None)
    assert state.rows("SELECT employee FROM lethe.looked ORDER BY 1") == [("1",), ("2",), ("3",)]
    caretaker.scan(NOW + timedelta(days=1), lambda _: None)
    assert state.rows("SELECT employee FROM lethe.looked ORDER BY 1") == [("1",), ("3",)]


def test_without_its_section_nothing_of_it_is_done(caretaker: Caretaker) -> None:
    rules = replace(caretaker.policy.offboarding, upkeep=None, scan=None)
    without = replace(caretaker, policy=replace(caretaker.policy, offboarding=rules))
    with pytest.raises(ConfigError, match="has no upkeep"):
        without.remind(NOW)
    with pytest.raises(ConfigError, match="has no scan"):
        without.scan(NOW, lambda _: None)


def test_what_could_not_be_read_is_counted_and_nobody_is_told_of_it_alone(caretaker: Caretaker, post: Post) -> None:
    picture = b"Subject: x\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n"
    caretaker.platform.deposit(KARI, ("Bilder",), picture, [], NOW - timedelta(days=1))
    put(caretaker, KARI, "INBOX", NIN, 1)
    reports = []
    counts = caretaker.scan(NOW, reports.append)
    assert (counts["unread"], counts["identity_numbers"]) == (1, 1)
    assert "Bilder" not in post.sent[0].text
    assert reports == [{"1": Found(1, 0)}]
