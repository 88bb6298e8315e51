"""What every mail platform has to do: one suite over all of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest

from dovecot import dovecot
from graph import Graph, graph
from lethe.errors import StoreError
from lethe.offboarding.header import fields, said
from lethe.offboarding.memory import MemoryPlatform
from lethe.offboarding.platform import (
    Mailbox,
    MailboxFull,
    MessageGone,
    NoSuchMailbox,
    Platform,
    Ref,
    Reply,
    Sent,
    Source,
)
from mailboxes import RECEIVED, Bench, Given, sent_from

NOBODY = Mailbox("nobody@tindheim.example")
INBOX = ("INBOX",)
NOW = datetime.now(UTC)


class InMemory:
    """The platform in memory; satisfies Bench."""

    def __init__(self) -> None:
        self.platform = MemoryPlatform()

    def create(self, given=(), *, limit=None) -> Mailbox:  # noqa: D102
        mailbox = Mailbox(f"{uuid4().hex[:12]}@tindheim.example")
        self.platform.create(mailbox, limit)
        for each in given:
            self.platform.deposit(mailbox, each.folder, each.message, each.flags, each.received)
        return mailbox

    def sign_in(self, mailbox: Mailbox) -> bool:  # noqa: D102
        box = self.platform.accounts.get(mailbox)
        return box is not None and box.may_sign_in

    def session(self, mailbox: Mailbox) -> Callable[[], bool]:  # noqa: D102
        began = self.platform.accounts[mailbox].session
        return lambda: self.platform.accounts[mailbox].session == began

    def replies(self, mailbox: Mailbox) -> str | None:  # noqa: D102
        reply = self.platform.accounts[mailbox].reply
        return reply.text if reply is not None and reply.begins <= datetime.now(UTC) < reply.ends else None


@pytest.fixture(scope="module", params=["memory", "dovecot", "graph"])
def bench(request: pytest.FixtureRequest, module_database) -> Iterator[Bench]:
    with ExitStack() as stack:
        if request.param == "memory":
            yield InMemory()
        elif request.param == "graph":
            yield stack.enter_context(graph())
        else:
            yield stack.enter_context(dovecot(module_database()))


@pytest.fixture
def platform(bench: Bench) -> Platform:
    return bench.platform


PLAIN = b"From: kunde@fjord.example\r\nTo: kari@tindheim.example\r\nSubject: Hei\r\n\r\nHei\r\n"
ODD = {
    "no Date and no Message-ID": PLAIN,
    "8 bits in the header": b"From: Kj\xe6re <k@fjord.example>\r\nSubject: Bl\xe5b\xe6r \xff\r\n\r\n\xe6\xf8\xe5\r\n",
    "8 bits in the text": PLAIN + bytes(range(128, 256)) + b"\r\n",
    "no header at all": b"no header, and no line end",
    "a header and nothing else": b"Subject: only\r\n\r\n",
    "an empty header": b"\r\nbody\r\n",
    "folded lines": b"Subject: one\r\n two\r\n\tthree\r\nTo: a@fjord.example,\r\n b@fjord.example\r\n\r\nx\r\n",
    "a line of 20,000": b"Subject: " + b"x" * 20_000 + b"\r\n\r\n" + b"y" * 20_000 + b"\r\n",
    "broken MIME": b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: text/html\r\n\r\n--b\r\n",
    "a lone carriage return": b"Subject: cr\r\n\r\none\rtwo\r\n",
    "lines that look like a protocol's": PLAIN + b".\r\n)\r\nA1 OK\r\n{3}\r\nFrom here\r\n..\r\n",
    "300 kB": PLAIN + b"0123456789abcde\r\n" * 18_000,
}


def read_header(header: bytes) -> list[tuple[str, list[str]]]:
    return [(name, [said(each).text for each in values]) for name, values in fields(header).items()]


def test_an_account_that_is_not_there_is_said_and_nobody_named(bench: Bench, platform: Platform) -> None:
    for ask in (platform.account, platform.folders, platform.block, platform.unblock):
        with pytest.raises(NoSuchMailbox) as caught:
            ask(NOBODY)
        assert "nobody" not in str(caught.value)
    source = Source(bench.create(), INBOX, Ref("1/1"))
    with pytest.raises(NoSuchMailbox):
        platform.deposit_all(NOBODY, INBOX, [Sent(PLAIN, frozenset(), RECEIVED, source)])


def test_an_account_says_whether_it_is_signed_in_to_and_its_room(bench: Bench, platform: Platform) -> None:
    mailbox = bench.create([Given(PLAIN * 100)], limit=1024 * 1024)
    found = platform.account(mailbox)
    assert found.may_sign_in
    if isinstance(bench, Graph):  # which tells neither
        assert (found.size, found.limit) == (None, None)
        return
    assert found.limit == 1024 * 1024
    assert found.size is not None
    assert found.size >= 80 * len(PLAIN), "as it is stored"
    assert platform.account(bench.create()).limit is None


def test_folders_have_their_names_in_unicode_and_their_numbers(bench: Bench, platform: Platform) -> None:
    paths = [
        ("Prosjekter", "Blåbær", "Ærlig & øvrig", "Å", "fem"),
        ("Prosjekter", "Blåbær"),
        ("日本",),
        ("a.b c",),
    ]
    mailbox = bench.create([Given(PLAIN, path) for path in paths] + [Given(PLAIN), Given(PLAIN)])
    found = {each.path: each.messages for each in platform.folders(mailbox)}
    assert {path: found[path] for path in paths} == dict.fromkeys(paths, 1)
    assert found[INBOX] == 2
    assert list(found) == sorted(found)


def test_folders_say_what_they_are_for(bench: Bench, platform: Platform) -> None:
    mailbox = bench.create([Given(PLAIN, ("Sent",)), Given(PLAIN, ("Trash",)), Given(PLAIN, ("Kunder",))])
    roles = {each.path[-1]: each.role for each in platform.folders(mailbox)}
    assert (roles["INBOX"], roles["Sent"], roles["Trash"], roles["Kunder"]) == ("inbox", "sent", "trash", "")


@pytest.mark.parametrize("what", ODD)
def test_a_message_is_read_as_it_came_and_stays_unread(bench: Bench, platform: Platform, what: str) -> None:
    mailbox = bench.create([Given(ODD[what])])
    (envelope,) = platform.look(mailbox, INBOX)
    assert platform.read(mailbox, INBOX, envelope.ref) == ODD[what]
    assert envelope.size == len(ODD[what])
    if isinstance(bench, Graph):  # which tells of lines, not of bytes
        assert read_header(envelope.header) == read_header(ODD[what].partition(b"\r\n\r\n")[0])
    else:
        assert ODD[what].startswith(envelope.header)
    assert b"\r\n\r\n" not in envelope.header.removesuffix(b"\r\n\r\n")
    (again,) = platform.look(mailbox, INBOX)
    assert "\\Seen" not in again.flags


@pytest.mark.parametrize("what", ODD)
def test_a_message_is_deposited_byte_for_byte(bench: Bench, platform: Platform, what: str) -> None:
    mailbox, folder = bench.create(), ("Overlevert fra Ola", "Sak 7")
    at = datetime(2023, 7, 1, 23, 59, 58, tzinfo=timezone(timedelta(hours=2)))
    given = Given(ODD[what], flags=frozenset({"\\Seen", "\\Flagged", "$Kunde"}), received=at)
    (ref,) = platform.deposit_all(mailbox, folder, sent_from(bench, given))
    (envelope,) = platform.look(mailbox, folder)
    assert (envelope.ref, envelope.received, envelope.received.utcoffset() is not None) == (ref, at, True)
    assert envelope.flags == {"\\Seen", "\\Flagged", "$Kunde"}
    assert platform.read(mailbox, folder, ref) == ODD[what]


def test_a_folder_is_looked_through_in_an_order_that_stays(bench: Bench, platform: Platform) -> None:
    given = [Given(f"Subject: {n}\r\n\r\n".encode(), received=RECEIVED + timedelta(days=n % 7)) for n in range(450)]
    mailbox = bench.create(given)
    found = list(platform.look(mailbox, INBOX))
    assert Counter((each.header, each.received) for each in found) == Counter((e.message, e.received) for e in given)
    assert list(platform.refs(mailbox, INBOX)) == [each.ref for each in found]
    assert list(platform.look(mailbox, INBOX)) == found
    assert len({each.ref for each in found}) == 450


def test_the_same_message_twice_is_two(bench: Bench, platform: Platform) -> None:
    mailbox = bench.create()
    sent = sent_from(bench, Given(PLAIN))
    refs = {platform.deposit_all(mailbox, INBOX, sent)[0] for _ in range(2)}
    assert set(platform.refs(mailbox, INBOX)) == refs
    assert len(refs) == 2


def test_a_deposit_touches_no_other_message(bench: Bench, platform: Platform) -> None:
    mailbox = bench.create([Given(PLAIN, flags=frozenset({"\\Deleted", "\\Flagged"})), Given(PLAIN, ("Kunder",))])
    before = list(platform.look(mailbox, INBOX))
    platform.deposit_all(mailbox, ("Nytt",), sent_from(bench, Given(PLAIN)))
    assert list(platform.look(mailbox, INBOX)) == before
    assert len(platform.refs(mailbox, ("Kunder",))) == 1


def test_several_are_deposited_and_read_at_once(bench: Bench, platform: Platform) -> None:
    mailbox = bench.create()
    odd = [
        Given(each, flags=frozenset({"\\Seen"}), received=RECEIVED + timedelta(hours=n))
        for n, each in enumerate(list(ODD.values()) * 2)
    ]
    given = sent_from(bench, *odd)
    refs = platform.deposit_all(mailbox, ("Nytt",), given)
    assert list(platform.refs(mailbox, ("Nytt",))) == refs
    gone = Ref(refs[0].rpartition("/")[0] + "/99999")
    assert list(platform.read_all(mailbox, ("Nytt",), [refs[2], gone, refs[0]])) == [
        (refs[2], given[2].message),
        (refs[0], given[0].message),
    ]
    found = list(platform.look(mailbox, ("Nytt",)))
    assert [(each.flags, each.received) for each in found] == [(each.flags, each.received) for each in given]


def test_of_several_that_do_not_all_fit_the_first_are_there(bench: Bench, platform: Platform) -> None:
    mailbox = bench.create(limit=4096)
    small, large = sent_from(bench, Given(PLAIN), Given(PLAIN * 200, received=RECEIVED + timedelta(days=1)))
    refs = platform.deposit_all(mailbox, INBOX, [small, large, small])
    assert list(platform.refs(mailbox, INBOX)) == refs
    assert len(refs) == 1
    with pytest.raises(MailboxFull):
        platform.deposit_all(mailbox, INBOX, [large, small])
    assert list(platform.refs(mailbox, INBOX)) == refs


def test_a_folder_that_is_not_there_has_no_messages(bench: Bench, platform: Platform) -> None:
    mailbox = bench.create()
    assert list(platform.look(mailbox, ("Nowhere",))) == []
    assert list(platform.refs(mailbox, ("Nowhere",))) == []
    with pytest.raises(MessageGone):
        platform.read(mailbox, ("Nowhere",), Ref("1/1"))


def test_a_message_that_is_gone_is_said(bench: Bench, platform: Platform) -> None:
    mailbox = bench.create([Given(PLAIN)])
    with pytest.raises(MessageGone) as caught:
        platform.read(mailbox, INBOX, Ref("1/99"))
    assert "@" not in str(caught.value)


def test_a_full_mailbox_takes_nothing_more_and_says_so(bench: Bench, platform: Platform) -> None:
    mailbox = bench.create(limit=4096)
    with pytest.raises(MailboxFull):
        platform.deposit_all(mailbox, INBOX, sent_from(bench, Given(PLAIN * 200)))
    assert list(platform.refs(mailbox, INBOX)) == []
    platform.deposit_all(mailbox, INBOX, sent_from(bench, Given(PLAIN)))
    assert len(platform.refs(mailbox, INBOX)) == 1


def test_who_is_blocked_does_not_sign_in_and_the_mailbox_is_reached(bench: Bench, platform: Platform) -> None:
    mailbox, other = bench.create([Given(PLAIN)]), bench.create()
    assert bench.sign_in(mailbox)
    for _ in range(2):
        platform.block(mailbox)
    assert not bench.sign_in(mailbox)
    assert bench.sign_in(other)
    assert not platform.account(mailbox).may_sign_in
    (ref,) = platform.refs(mailbox, INBOX)
    assert platform.read(mailbox, INBOX, ref) == PLAIN
    platform.deposit_all(mailbox, INBOX, sent_from(bench, Given(PLAIN)))
    for _ in range(2):
        platform.unblock(mailbox)
    assert bench.sign_in(mailbox)
    assert platform.account(mailbox).may_sign_in


def test_sessions_end_of_this_mailbox_only(bench: Bench, platform: Platform) -> None:
    mailbox, other = bench.create(), bench.create()
    mine, theirs = bench.session(mailbox), bench.session(other)
    platform.end_sessions(mailbox)
    deadline = time.monotonic() + 5
    while (is_good := mine()) and time.monotonic() < deadline:
        mine = bench.session(mailbox)
        platform.end_sessions(mailbox)
    assert not is_good
    assert theirs()
    platform.end_sessions(mailbox)


HOSTILE = 'Blåbærveien\n.\n..\n"; redirect "evil@fjord.example"; #\n\\"${x}\n*/ end'


def test_who_writes_gets_the_reply_to_the_letter(bench: Bench, platform: Platform) -> None:
    mailbox = bench.create()
    reply = Reply('Sluttet "nå"; redirect', HOSTILE, NOW - timedelta(hours=1), NOW + timedelta(days=30))
    assert bench.replies(mailbox) is None
    for _ in range(2):
        platform.reply(mailbox, reply)
    sent = bench.replies(mailbox)
    assert sent is not None
    assert HOSTILE in sent.replace("\r\n", "\n")
    platform.reply(mailbox, Reply("Ny", "En annen tekst", reply.begins, reply.ends))
    assert "En annen tekst" in (bench.replies(mailbox) or "")
    for _ in range(2):
        platform.reply(mailbox, None)
    assert bench.replies(mailbox) is None


@pytest.mark.parametrize(("begins", "ends"), [(1, 2), (-2, -1)])
def test_outside_its_time_there_is_no_reply(bench: Bench, platform: Platform, begins: int, ends: int) -> None:
    mailbox = bench.create()
    platform.reply(mailbox, Reply("Sluttet", "Hei", NOW + timedelta(hours=begins), NOW + timedelta(hours=ends)))
    assert bench.replies(mailbox) is None


def test_a_deleted_account_is_gone_with_all_its_mail_and_no_other(bench: Bench, platform: Platform) -> None:
    mailbox, other = (bench.create([Given(PLAIN), Given(PLAIN, ("Kunder", "Blåbær"))]) for _ in range(2))
    platform.reply(mailbox, Reply("Sluttet", "Hei", NOW, NOW + timedelta(days=1)))
    platform.block(mailbox)
    assert platform.left(mailbox)
    for _ in range(2):
        platform.delete(mailbox)
        assert platform.left(mailbox) == ()
    assert not bench.sign_in(mailbox)
    with pytest.raises(NoSuchMailbox):
        platform.account(mailbox)
    with pytest.raises(NoSuchMailbox):
        platform.folders(mailbox)
    assert len(platform.refs(other, ("Kunder", "Blåbær"))) == 1
    assert bench.sign_in(other)


def test_no_method_forwards(platform: Platform) -> None:
    assert not [name for name in dir(platform) if any(word in name for word in ("forward", "redirect"))]


def test_no_error_names_anybody(bench: Bench, platform: Platform) -> None:
    mailbox = bench.create()
    platform.delete(mailbox)
    for ask in (platform.account, platform.folders, platform.block):
        with pytest.raises(StoreError) as caught:
            ask(mailbox)
        assert mailbox.partition("@")[0] not in str(caught.value)
