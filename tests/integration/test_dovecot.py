"""Dovecot's own: certificates, a server that dies, connections cut, scripts that are kept, and a hand-over on it."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from demo.certificates import certify
from dovecot import Dovecot, dovecot
from lethe.errors import StoreRefused, StoreUnreachable
from lethe.offboarding.dovecot import DovecotPlatform, Settings, script
from lethe.offboarding.handover import Route, hand_over
from lethe.offboarding.platform import Mailbox, MessageRefused, Ref, Reply, Sent, Source
from lethe.offboarding.receipts import Handed
from mailboxes import RECEIVED, Given, as_found, as_sent, choose_all, letters, no_breaks, sent_from

INBOX, INTO = ("INBOX",), ("Overlevert fra Kari",)
HELLO = b"Subject: Hei\r\n\r\nHei\r\n"
ELSEWHERE = Source(Mailbox("kari@tindheim.example"), INBOX, Ref("1/1"))
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def mail(module_database) -> Iterator[Dovecot]:
    with dovecot(module_database()) as found:
        yield found


@contextmanager
def platform(settings: Settings, **change: object) -> Iterator[DovecotPlatform]:
    with closing(DovecotPlatform(replace(settings, **change))) as found:
        yield found


def test_a_certificate_of_somebody_else_is_refused_with_what_to_do(mail: Dovecot, tmp_path) -> None:
    mailbox = mail.create()
    certify(tmp_path)
    with platform(mail.settings, ca=str(tmp_path / "ca.pem")) as found:
        with pytest.raises(StoreRefused, match="certificate is not trusted"):
            found.folders(mailbox)
        with pytest.raises(StoreRefused, match="certificate is not trusted"):
            found.end_sessions(mailbox)


def test_a_certificate_for_another_name_is_refused(mail: Dovecot) -> None:
    mailbox = mail.create()
    with (
        platform(mail.settings, host="localhost") as found,
        pytest.raises(StoreRefused, match="certificate is not trusted"),
    ):
        found.folders(mailbox)


def test_a_wrong_master_password_is_not_taken_for_an_account_that_is_gone(mail: Dovecot) -> None:
    mailbox = mail.create()
    with platform(mail.settings, password="wrong") as found:
        with pytest.raises(StoreRefused, match="master user may not enter a mailbox that is there") as caught:
            found.folders(mailbox)
        assert type(caught.value) is StoreRefused
        assert "the account" in found.left(mailbox)


def test_a_wrong_key_of_doveadm_is_said(mail: Dovecot) -> None:
    mailbox = mail.create()
    with platform(mail.settings, api_key="wrong") as found, pytest.raises(StoreRefused, match="see its key"):
        found.end_sessions(mailbox)


def test_a_server_that_is_down_is_tried_again_and_nothing_is_called_gone(new_database) -> None:
    with dovecot(new_database()) as server:
        mailbox = server.create([Given(HELLO)])
        assert len(server.platform.refs(mailbox, INBOX)) == 1
        server.stop()
        for ask in (server.platform.folders, server.platform.end_sessions, server.platform.left):
            with pytest.raises(StoreUnreachable, match="try again"):
                ask(mailbox)
        server.start()
        assert len(server.platform.refs(mailbox, INBOX)) == 1


def test_a_server_without_uidplus_is_refused(new_database) -> None:
    poor = "imap_capability = IMAP4rev1 SASL-IR LITERAL+ MULTIAPPEND\n"
    with dovecot(new_database(), poor) as server:
        mailbox = server.create()
        with pytest.raises(StoreRefused, match="lacks UIDPLUS"):
            server.platform.folders(mailbox)


@pytest.mark.parametrize(
    "message",
    [b"", b"Subject: x\n\nx\n", b"Subject: x\r\n\r\nx\0y\r\n", b"Subject: x\r\n\r\nx\r\r\n", b"Subject: x\r\n\r\nx\r"],
)
def test_what_imap_would_alter_is_refused_before_it_is_sent(mail: Dovecot, message: bytes) -> None:
    mailbox = mail.create()
    with pytest.raises(MessageRefused, match="would alter"):
        mail.platform.deposit_all(mailbox, INBOX, [Sent(message, frozenset(), RECEIVED, ELSEWHERE)])
    assert list(mail.platform.refs(mailbox, INBOX)) == []


def test_a_name_with_the_server_s_separator_is_no_folder_inside_another(mail: Dovecot) -> None:
    mailbox = mail.create()
    with pytest.raises(StoreRefused, match="separator"):
        mail.platform.deposit_all(mailbox, ("Overlevert fra Kari/Ola",), sent_from(mail, Given(HELLO)))


def test_the_employee_s_own_script_is_kept_and_put_back(mail: Dovecot) -> None:
    mailbox = mail.create()
    ask = mail.platform._administration.ask
    own = 'require "vacation";\nvacation "Jeg er på ferie";\n'
    ask("sievePut", user=mailbox, scriptname="Ærlig ferie", activate=True, file=own)
    assert "ferie" in (mail.replies(mailbox) or "")
    for text in ("Sluttet", "Sluttet igjen"):
        mail.platform.reply(mailbox, Reply("x", text, NOW - timedelta(days=1), NOW + timedelta(days=1)))
        assert text in (mail.replies(mailbox) or "")
    mail.platform.reply(mailbox, None)
    assert "ferie" in (mail.replies(mailbox) or "")
    assert [each["script"] for each in ask("sieveList", user=mailbox)] == ["Ærlig ferie"]


def test_a_script_has_no_word_that_sends_anything_on() -> None:
    hostile = Reply('a"; redirect "x', 'b\\"; fileinto "y', NOW, NOW)
    lines = script(hostile, 'c\n# d"').splitlines()
    assert len(lines) == 5
    assert lines[0] == 'require ["vacation", "date", "relational"];'
    bare = re.sub(r"\\.", "", lines[3])
    assert re.sub('"[^"]*"', "_", bare).strip() == "vacation :days 7 :subject _ _;"


def test_mail_that_is_kept_after_it_was_expunged_goes_too(new_database) -> None:
    """Recoverable items: Dovecot's lazy_expunge moves what is expunged into another folder."""
    keeping = "plugin {\n  lazy_expunge = Recoverable\n}\n"
    with dovecot(new_database(), keeping, " lazy_expunge") as server:
        mailbox = server.create([Given(HELLO), Given(HELLO, ("Kunder",))])
        home = server.home / "mail" / mailbox
        server.platform._administration.ask("expunge", user=mailbox, query=["mailbox", "INBOX", "all"])
        assert ("Recoverable",) in {each.path for each in server.platform.folders(mailbox) if each.messages}
        server.platform.delete(mailbox)
        assert server.platform.left(mailbox) == ()
        assert [each for each in home.rglob("*") if each.is_file() and HELLO[:9] in each.read_bytes()] == []


def test_an_address_with_a_wildcard_is_nobody_s(mail: Dovecot) -> None:
    """Dovecot's tools take it for all accounts that match."""
    mailbox = mail.create([Given(HELLO)])
    everybody = Mailbox("*@tindheim.example")
    insert = "INSERT INTO mailbox (username, password, maildir) VALUES ('{0}', 'x', 'star')"
    mail.database.run(insert.format(everybody))
    for ask in (mail.platform.end_sessions, mail.platform.delete, mail.platform.block):
        with pytest.raises(StoreRefused, match="wildcard"):
            ask(everybody)
    mail.database.run(f"DELETE FROM mailbox WHERE username = '{everybody}'")
    assert len(mail.platform.refs(mailbox, INBOX)) == 1


def test_a_deletion_that_is_stopped_before_the_row_goes_on(mail: Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox = mail.create([Given(HELLO), Given(HELLO, ("Kunder",))])

    def stop(*_: object) -> None:
        raise StoreUnreachable("mail: the connection was lost")

    with monkeypatch.context() as context:
        context.setattr(mail.platform._administration, "drop", stop)
        with pytest.raises(StoreUnreachable):
            mail.platform.delete(mailbox)
    assert mail.platform.left(mailbox) != ()
    mail.platform.delete(mailbox)
    assert mail.platform.left(mailbox) == ()


class Wire:
    """Stands between a client and the server; cuts the connection when so many bytes have gone either way."""

    def __init__(self, port: int) -> None:
        self._port, self._listener = port, socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut_up: int | None = None
        self.cut_down: int | None = None
        self.passed: Counter[str] = Counter()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for ends in ((client, server, "up"), (server, client, "down")):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, way: str) -> None:
        with suppress(OSError):
            while data := source.recv(1024):
                self.passed[way] += len(data)
                limit = self.cut_up if way == "up" else self.cut_down
                if limit is not None and self.passed[way] > limit:
                    self.cut_up = self.cut_down = None
                    break
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


FOLDERS = [
    ("INBOX",),
    *(("Prosjekter", f"Område {n % 7} Ærlig", *(["Øvrig & annet"] * (n % 3)), f"Sak å{n}") for n in range(38)),
    ("Sent",),
]
KINDS = [
    "Message-ID: <{n}@fjord.example>\r\nDate: Mon, 3 Mar 2025 10:00:00 +0100\r\nSubject: Sak {n}\r\n\r\n",
    "Message-ID: <same@fjord.example>\r\nSubject: ikke noen dato {n}\r\n\r\n",
    (
        "Content-Type: multipart/mixed; boundary=x\r\nX: {n}\r\n\r\n--x\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n%%%\r\n--y"
    ),
    "From: Kj\xe6re <k@fjord.example>\r\nSubject: \xe6\xf8\xe5 {n}\r\n\r\n",
    "\r\n",
    "Subject: =?utf-8?B?w6Y=?=\r\n =?broken?Q?\r\nX: {n}\r\n\r\n",
]
FLAGS = [[], ["\\Seen"], ["\\Flagged", "$Kunde"], ["\\Seen", "\\Answered"], ["\\Draft"]]


def mailbox_of(count: int) -> Iterator[Given]:
    """As a mailbox is after years: broken mail, no dates, one Message-ID many times, 40 folders; 1 kB to 5 MB each."""
    for n in range(count):
        size = 5_000_000 if n % 1000 == 7 else 400_000 if n % 20 == 3 else 1_000 + 37 * (n % 800)
        body = no_breaks(hashlib.shake_256(n.to_bytes(4, "big")).digest(1_000) * (size // 1_000))
        head = KINDS[n % len(KINDS)].format(n=n).encode("latin-1")
        flags, at = frozenset(FLAGS[n % len(FLAGS)]), RECEIVED + timedelta(minutes=n)
        yield Given(head + body, FOLDERS[n % len(FOLDERS)], flags, at)


@pytest.mark.parametrize("count", [500, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(3000)])])
def test_a_mailbox_is_handed_over_byte_for_byte(mail: Dovecot, register: Handed, count: int) -> None:
    source, target = mail.create(mailbox_of(count)), mail.create()
    wanted = Counter(_print(each.message, each.flags, each.received) for each in mailbox_of(count))
    platform = mail.platform
    left_out = {each.path for each in platform.folders(source)} & {FOLDERS[1]}
    out = Counter(
        _print(each.message, each.flags, each.received) for each in mailbox_of(count) if each.folder in left_out
    )
    assert out
    for folder in platform.folders(source):
        if folder.path not in left_out:
            register.choose(folder.path, platform.refs(source, folder.path))
    chosen = (wanted - out).total()
    for _ in range(2):
        assert hand_over(platform, register, Route(source, target, INTO)) == {"confirmed": chosen}
        found = Counter(
            _print(platform.read(target, INTO, each.ref), each.flags, each.received)
            for each in platform.look(target, INTO)
        )
        assert found == wanted - out
    platform.delete(source)
    assert platform.left(source) == ()
    assert len(platform.refs(target, INTO)) == chosen


def _print(message: bytes, flags: frozenset[str], received: datetime) -> tuple[bytes, frozenset[str], datetime]:
    return hashlib.sha256(message).digest(), flags, received


CUTS = [
    *(("up", number) for number in (3_000, 20_000, 60_000, 61_500, 100_000, 120_000)),
    *(("down", number) for number in (10_000, 60_000, 90_000, 91_000, 130_000, 160_000)),
]


@pytest.mark.parametrize(("way", "after"), CUTS)
def test_a_connection_that_is_cut_loses_nothing_and_doubles_nothing(
    mail: Dovecot, register: Handed, way: str, after: int
) -> None:
    """By bytes that passed: before a message, in the middle of one, and after it, before its answer."""
    given = letters(60)
    source, target = mail.create(given), mail.create()
    choose_all(mail, register, source)
    wire, lost = Wire(mail.imaps), 0
    try:
        setattr(wire, f"cut_{way}", after)
        with platform(mail.settings, port=wire.port) as through:
            for _ in range(3):
                try:
                    hand_over(through, register, Route(source, target, INTO))
                except StoreUnreachable:
                    lost += 1
                else:
                    break
    finally:
        wire.close()
    assert lost == 1
    assert register.counts() == {"confirmed": 60}
    assert as_found(mail, target, INTO) == as_sent(given)


def test_a_server_that_is_killed_in_the_middle_loses_nothing(new_database, register: Handed) -> None:
    given = letters(150)
    with dovecot(new_database()) as server:
        source, target = server.create(given), server.create()
        choose_all(server, register, source)
        told = []

        def kill(count: int) -> None:
            told.append(count)
            if len(told) == 1:
                server.stop()

        with pytest.raises(StoreUnreachable):
            hand_over(server.platform, register, Route(source, target, INTO), kill)
        server.start()
        assert hand_over(server.platform, register, Route(source, target, INTO)) == {"confirmed": 150}
        assert as_found(server, target, INTO) == as_sent(given)


def test_tls_is_not_left_out() -> None:
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED
