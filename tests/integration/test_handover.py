"""Messages handed over: each once, byte for byte, with a receipt, wherever it was stopped."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lethe.errors import StoreUnreachable
from lethe.offboarding import handover
from lethe.offboarding.handover import Route, Unconfirmed, hand_over
from lethe.offboarding.memory import MemoryPlatform
from lethe.offboarding.platform import Mailbox, MailboxFull, MessageRefused, Platform, Ref
from lethe.offboarding.receipts import Handed
from lethe.stores.postgres.connection import Connection
from mailboxes import DEPARTURE
from support import Database

LEAVER, COLLEAGUE = Mailbox("leaver@tindheim.example"), Mailbox("colleague@tindheim.example")
INTO = ("Handed over", "Case 7")
ROUTE = Route(LEAVER, COLLEAGUE, INTO)
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
FOLDERS = [("INBOX",), ("Projects", "Blåbær"), ("Sent",)]


class Cut(Exception):
    """The worker is killed here."""


class Faulty(MemoryPlatform):
    """A platform that fails at its n-th call of a method: before the deed, or after it with the answer lost."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[tuple[str, int], tuple[str, Exception]] = {}
        self.calls: Counter[str] = Counter()
        self.killed = False

    def _met(self, name: str, when: str) -> None:
        fault = self.faults.get((name, self.calls[name]))
        if fault is not None and fault[0] == when:
            self.killed = isinstance(fault[1], Cut)
            raise fault[1]

    def read(self, *given):  # noqa: D102 - as the protocol has it
        self.calls["read"] += 1
        self._met("read", "before")
        return super().read(*given)

    def refs(self, *given):  # noqa: D102
        self.calls["refs"] += 1
        self._met("refs", "before")
        return super().refs(*given)

    def deposit(self, *given):  # noqa: D102
        self.calls["deposit"] += 1
        self._met("deposit", "before")
        ref = super().deposit(*given)
        self._met("deposit", "after")
        return ref


def message(number: int) -> bytes:
    """A message of 300 bytes or so, some of which are in no character set."""
    body = hashlib.shake_256(bytes([number])).digest(300)
    return f"From: kunde{number}@fjord.example\r\nSubject: {number}\r\n\r\n".encode() + body


@pytest.fixture
def platform() -> Faulty:
    platform = Faulty()
    platform.create(LEAVER)
    platform.create(COLLEAGUE)
    platform.deposit(COLLEAGUE, INTO, b"Subject: my own\r\n\r\n", [], NOON)
    for number in range(12):
        same = 3 if number == 4 else number  # two messages that are the same to the last byte
        flags = {"\\Seen"} if number % 2 else {"\\Flagged", "$Kunde"}
        platform.deposit(LEAVER, FOLDERS[number % 3], message(same), flags, NOON + timedelta(seconds=same))
    platform.calls.clear()
    return platform


def choose(platform: Platform, register: Handed, *, without: int = 1) -> list[bytes]:
    """All but the first few of each folder; what is chosen, as it should arrive."""
    chosen = []
    for folder in FOLDERS:
        envelopes = list(platform.look(LEAVER, folder))[without:]
        register.choose(folder, [each.ref for each in envelopes])
        chosen += [platform.read(LEAVER, folder, each.ref) for each in envelopes]
    platform.calls.clear()
    return chosen


def arrived(platform: MemoryPlatform) -> list[bytes]:
    return [each.body for each in platform.accounts[COLLEAGUE].folders[INTO].values()][1:]


def same(found: list[bytes], wanted: list[bytes]) -> bool:
    return Counter(found) == Counter(wanted)


def test_what_was_chosen_arrives_byte_for_byte_and_nothing_else(platform: Faulty, register: Handed) -> None:
    wanted = choose(platform, register)
    told = []
    assert hand_over(platform, register, ROUTE, told.append) == {"confirmed": 9}
    assert same(arrived(platform), wanted)
    assert sum(told) == 9
    sent = [each for box in platform.accounts[LEAVER].folders.values() for each in list(box.values())[1:]]
    assert Counter(list(platform.accounts[COLLEAGUE].folders[INTO].values())[1:]) == Counter(sent), (
        "flags and dates too"
    )
    assert sum(len(box) for box in platform.accounts[LEAVER].folders.values()) == 12


def test_a_second_run_changes_nothing(platform: Faulty, register: Handed) -> None:
    wanted = choose(platform, register)
    hand_over(platform, register, ROUTE)
    platform.calls.clear()
    choose(platform, register)
    assert hand_over(platform, register, ROUTE) == {"confirmed": 9}
    assert platform.calls["deposit"] == 0
    assert same(arrived(platform), wanted)


CUTS = [
    (name, number, when)
    for name, when, last in [("deposit", "before", 9), ("deposit", "after", 9), ("read", "before", 18)]
    for number in range(1, last + 1)
]


@pytest.mark.parametrize("at", CUTS, ids=lambda at: "-".join(map(str, at)))
@pytest.mark.parametrize("error", [StoreUnreachable("mail: the connection was lost"), Cut()], ids=["lost", "killed"])
def test_stopped_anywhere_it_goes_on_and_nothing_is_lost_or_twice(
    platform: Faulty, register: Handed, monkeypatch, at: tuple[str, int, str], error: Exception
) -> None:
    name, number, when = at
    monkeypatch.setattr(handover, "BATCH", 4)
    wanted = choose(platform, register)
    platform.faults[name, number] = when, error
    write = register.received  # a killed process writes no receipts on its way out
    monkeypatch.setattr(register, "received", lambda refs: None if platform.killed else write(refs))
    with pytest.raises(type(error)):
        hand_over(platform, register, ROUTE)
    platform.faults.clear()
    platform.killed = False
    assert hand_over(platform, register, ROUTE) == {"confirmed": 9}
    assert same(arrived(platform), wanted)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(st.tuples(st.sampled_from(["deposit", "read", "refs"]), st.integers(1, 25),
                                 st.sampled_from(["before", "after"])), max_size=6))  # fmt: skip
def test_stopped_again_and_again(new_database, faults) -> None:
    random_platform, connection = Faulty(), Connection("lethe_state", _database(new_database).conninfo("lethe_worker"))
    random_platform.create(LEAVER)
    random_platform.create(COLLEAGUE)
    random_platform.deposit(COLLEAGUE, INTO, b"", [], NOON)
    for number in range(9):
        random_platform.deposit(LEAVER, FOLDERS[number % 3], message(number // 2), [], NOON)
    _MADE[0].run(DEPARTURE.format(departure := uuid4().hex))
    register = Handed(connection, departure, "1007")
    wanted = choose(random_platform, register, without=0)
    random_platform.faults |= {(name, number): (when, StoreUnreachable("lost")) for name, number, when in faults}
    for _ in range(20):
        try:
            hand_over(random_platform, register, ROUTE)
        except StoreUnreachable:
            continue
        break
    assert register.counts() == {"confirmed": 9}
    assert same(arrived(random_platform), wanted)
    connection.close()


_MADE: list[Database] = []


def _database(new_database: Callable[..., Database]) -> Database:
    if not _MADE:
        _MADE.append(new_database(state=True))
    return _MADE[0]


def test_a_full_mailbox_ends_it_and_it_goes_on_when_there_is_room(platform: Faulty, register: Handed) -> None:
    wanted = choose(platform, register)
    platform.accounts[COLLEAGUE].limit = platform.accounts[COLLEAGUE].size + 1_200
    with pytest.raises(MailboxFull, match="no room"):
        hand_over(platform, register, ROUTE)
    assert register.counts() == {"received": 3, "chosen": 6}
    platform.accounts[COLLEAGUE].limit = None
    assert hand_over(platform, register, ROUTE) == {"confirmed": 9}
    assert same(arrived(platform), wanted)


def test_a_message_that_is_refused_is_told_and_the_rest_goes_over(
    platform: Faulty, register: Handed, monkeypatch
) -> None:
    wanted = choose(platform, register)
    deposit = platform.deposit

    def picky(mailbox, folder, body, *rest):
        if body == wanted[1]:
            raise MessageRefused("too large")
        return deposit(mailbox, folder, body, *rest)

    monkeypatch.setattr(platform, "deposit", picky)
    assert hand_over(platform, register, ROUTE) == {"confirmed": 8, "refused": 1}
    assert len(arrived(platform)) == len(wanted) - 1
    assert hand_over(platform, register, ROUTE) == {"confirmed": 8, "refused": 1}, "and not tried again"


def test_a_message_that_is_gone_meanwhile_is_told(platform: Faulty, register: Handed) -> None:
    choose(platform, register)
    inbox = platform.accounts[LEAVER].folders["INBOX",]
    inbox.pop(list(inbox)[-1])
    assert hand_over(platform, register, ROUTE) == {"confirmed": 8, "gone": 1}


def test_what_is_not_where_it_was_put_is_never_called_confirmed(
    platform: Faulty, register: Handed, monkeypatch
) -> None:
    choose(platform, register)
    confirm = handover._confirm

    def meanwhile(*given):
        box = platform.accounts[COLLEAGUE].folders[INTO]
        first, second = list(box)[1:3]
        del box[first]
        box[second] = type(box[second])(b"altered", frozenset(), NOON)
        confirm(*given)

    monkeypatch.setattr(handover, "_confirm", meanwhile)
    with pytest.raises(Unconfirmed, match="2 messages are not where they were put"):
        hand_over(platform, register, ROUTE)
    assert register.counts() == {"confirmed": 7, "received": 2}


def test_what_the_colleague_has_there_already_is_no_receipt(platform: Faulty, register: Handed) -> None:
    """A copy of the same message that somebody sent to both stays theirs, and the leaver's is handed over too."""
    folder = FOLDERS[0]
    first = platform.read(LEAVER, folder, list(platform.refs(LEAVER, folder))[-1])
    platform.deposit(COLLEAGUE, INTO, first, [], NOON)
    wanted = choose(platform, register)
    assert hand_over(platform, register, ROUTE) == {"confirmed": 9}
    assert same(arrived(platform), [*wanted, first])


def test_two_that_are_the_same_and_arrived_without_a_receipt_are_two(
    platform: Faulty, register: Handed, monkeypatch
) -> None:
    folder = ("Same",)
    for _ in range(2):
        platform.deposit(LEAVER, folder, message(99), [], NOON)
    register.choose(folder, platform.refs(LEAVER, folder))
    with monkeypatch.context() as context:
        context.setattr(register, "received", lambda _: None)  # killed before either receipt was written
        context.setattr(handover, "_confirm", lambda *_: None)
        hand_over(platform, register, ROUTE)
    platform.calls.clear()
    assert len(arrived(platform)) == 2
    register._connection.get().execute("UPDATE lethe.handed SET state = 'chosen'")
    assert hand_over(platform, register, ROUTE) == {"confirmed": 2}
    assert (platform.calls["deposit"], len(arrived(platform))) == (0, 2)


def test_two_recipients_have_receipts_of_their_own(platform: Faulty, register: Handed) -> None:
    other = Handed(register._connection, "d" * 32, "1008")
    wanted = choose(platform, register)
    choose(platform, other)
    hand_over(platform, register, ROUTE)
    assert hand_over(platform, other, Route(LEAVER, COLLEAGUE, ("Other",))) == {"confirmed": 9}
    assert len(platform.accounts[COLLEAGUE].folders["Other",]) == len(wanted)


def test_no_error_and_no_name_of_a_method_names_anybody(platform: Faulty, register: Handed) -> None:
    choose(platform, register)
    platform.delete(COLLEAGUE)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        hand_over(platform, register, ROUTE)
    assert "@" not in str(caught.value)
    assert not [name for name in dir(Platform) if "forward" in name]
    assert isinstance(Ref("1"), str)
