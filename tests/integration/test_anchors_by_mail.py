"""Checkpoints by mail, through a real SMTP server on 127.0.0.1."""

from __future__ import annotations

import hashlib
import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from authority import server_tls
from lethe.errors import AnchorUnreachable, ConfigError
from lethe.evidence.anchors import mail, open_anchor
from lethe.model import AnchorSetting

NOTE = "fjordvik.example/lethe\n60\nGgdnqvQ1LGO7hGGvmvvhLFmcnBTJKkCTrKUj8iFMJlE=\n\n— fjordvik.example/lethe c2lnYQ==\n"
OFFICER, AUDITOR = "ombud@fjordvik.example", "revisor@tilsyn.example"
SENDER = "lethe@fjordvik.example"
PASSWORD = "hemmelig/pass:ord"


class Mailbox:
    """Takes mail, or refuses with the answers it is given, by command or by recipient; aiosmtpd names the methods."""

    def __init__(self, **refusals: str) -> None:
        self.refusals = refusals
        self.taken: list[Envelope] = []

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, to: str, *___: object) -> str:  # noqa: N802
        """Whether this recipient is taken."""
        if to.partition("@")[0] in self.refusals:
            return self.refusals[to.partition("@")[0]]
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        """Whether the content is taken."""
        if "data" in self.refusals:
            return self.refusals["data"]
        self.taken.append(envelope)
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, *_: object) -> str:  # noqa: N802
        """Goodbye, or none."""
        if "quit" in self.refusals:
            server.transport.abort()
        return "221 Bye"

    def message(self) -> EmailMessage:
        """The only one that came."""
        (envelope,) = self.taken
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        return message


@contextmanager
def _served(mailbox: Mailbox, **options: Any) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(mailbox, "127.0.0.1", port, **options)
    server.start()
    try:
        yield port
    finally:
        server.stop()


def _publish(url: str, *to: str, note: str = NOTE) -> None:
    setting = AnchorSetting("post", "mail", "lethe_mail", to=to or (OFFICER, AUDITOR))
    assert open_anchor(setting, {"lethe_mail": url}.__getitem__).publish(note) is None


def _refusal(url: str, *to: str) -> str:
    with pytest.raises(AnchorUnreachable) as refused:
        _publish(url, *to)
    assert "hemmelig" not in "".join(traceback.format_exception(refused.value))
    assert not any(told in str(refused.value) for told in ("127.0.0.1", "fjordvik", "tilsyn", "kari"))
    return str(refused.value)


def _plain(port: int) -> str:
    return f"smtp://127.0.0.1:{port}/?from={SENDER}"


def test_each_address_gets_the_note_to_keep_with_what_to_do_with_it() -> None:
    mailbox = Mailbox()
    with _served(mailbox) as port:
        _publish(_plain(port))
    (envelope,) = mailbox.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, [OFFICER, AUDITOR])
    message = mailbox.message()
    assert message["Subject"] == "Evidence checkpoint of fjordvik.example/lethe: 60 entries"
    assert (message["To"], message["From"]) == (f"{OFFICER}, {AUDITOR}", SENDER)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.tzinfo is not None
    body = message.get_body()
    assert body is not None
    text = body.get_content().replace("\r\n", "\n")
    assert text.endswith(NOTE)
    assert "python verify_bundle.py --trust checkpoint.txt BUNDLE" in text
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "checkpoint.txt"
    assert attachment.get_payload(decode=True) == NOTE.encode()


def test_every_line_of_a_mail_survives_a_server_that_knows_ascii_only() -> None:
    mailbox = Mailbox()
    with _served(mailbox) as port:
        _publish(_plain(port))
    lines = mailbox.taken[0].content.splitlines()
    assert all(line.isascii() and len(line) <= 998 for line in lines)


def test_the_same_note_is_recognised_as_the_same_mail() -> None:
    mailbox = Mailbox()
    with _served(mailbox) as port:
        _publish(_plain(port))
        _publish(_plain(port))
        _publish(_plain(port), note=NOTE.replace("60", "61"))
    first, again, later = [message_from_bytes(envelope.content)["Message-ID"] for envelope in mailbox.taken]
    assert first == again == f"<{hashlib.sha256(NOTE.encode()).hexdigest()}@fjordvik.example>"
    assert later != first


def test_a_server_that_hangs_up_instead_of_saying_goodbye_has_the_mail_all_the_same() -> None:
    mailbox = Mailbox(quit="")
    with _served(mailbox) as port:
        _publish(_plain(port))
    assert mailbox.message()


class Doorkeeper:
    """Lets kari in."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes]] = []

    def __call__(self, _: object, __: object, ___: object, ____: str, login: Any) -> AuthResult:
        """Whether it is her password."""
        self.asked.append((login.login, login.password))
        known = self.asked[-1] == (b"kari", PASSWORD.encode())
        return AuthResult(success=known, handled=known)


@pytest.fixture
def trusted_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    tls, ca = server_tls(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    return tls


def _with_login(port: int, scheme: str, password: str = PASSWORD) -> str:
    starttls = "&starttls=1" if scheme == "smtp" else ""
    return f"{scheme}://kari:{quote(password, safe='')}@127.0.0.1:{port}/?from={SENDER}{starttls}"


def _secured(scheme: str, tls: Any, doorkeeper: Doorkeeper) -> dict[str, Any]:
    by = {"authenticator": doorkeeper}
    if scheme == "smtps":
        return {**by, "ssl_context": tls, "auth_require_tls": False}
    return {**by, "tls_context": tls, "require_starttls": True, "auth_required": True}


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_login_and_password_go_over_tls_only_and_into_no_log(
    scheme: str, trusted_tls: Any, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox, doorkeeper = Mailbox(), Doorkeeper()
    caplog.set_level(logging.INFO)
    with _served(mailbox, **_secured(scheme, trusted_tls, doorkeeper)) as port:
        _publish(_with_login(port, scheme))
        wrong = _refusal(_with_login(port, scheme, "hemmelig gjett"))
    assert doorkeeper.asked[0] == (b"kari", PASSWORD.encode())
    assert mailbox.message()
    assert wrong == "anchor post: the login was refused (535); check connection lethe_mail"
    assert "hemmelig" not in caplog.text


def test_a_login_or_a_host_that_cannot_be_sent_is_told_without_it(trusted_tls: Any) -> None:
    """Such an anchor stops no other."""
    doorkeeper = Doorkeeper()
    with _served(Mailbox(), **_secured("smtps", trusted_tls, doorkeeper)) as port:
        assert "its host or its login has characters" in _refusal(_with_login(port, "smtps", "hemmelig påske"))
    assert not doorkeeper.asked
    assert "its host or its login has characters" in _refusal(f"smtp://hemmelig..example/?from={SENDER}")


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_with_a_certificate_that_nobody_vouches_for_gets_no_password(scheme: str, tmp_path: Path) -> None:
    tls, _ = server_tls(tmp_path)
    mailbox, doorkeeper = Mailbox(), Doorkeeper()
    with _served(mailbox, **_secured(scheme, tls, doorkeeper)) as port:
        assert "the certificate of its server is not trusted here" in _refusal(_with_login(port, scheme))
    assert not doorkeeper.asked
    assert not mailbox.taken


def test_starttls_that_a_server_does_not_offer_is_not_done_without() -> None:
    mailbox = Mailbox()
    with _served(mailbox) as port:
        assert "its server offers no STARTTLS" in _refusal(f"{_plain(port)}&starttls=1")
        assert "TLS could not be agreed on" in _refusal(_plain(port).replace("smtp:", "smtps:"))
    assert not mailbox.taken


REFUSALS: dict[str, tuple[dict[str, str], str]] = {
    "one address": ({"ombud": "550 hemmelig"}, "1 of 2 addresses were refused (550); correct them under `to`"),
    "all addresses": (
        {"ombud": "550 hemmelig", "revisor": "451 hemmelig"}, "all addresses were refused (451, 550); check connection",
    ),
    "the content": ({"data": "552 hemmelig"}, "its server refused (552); check connection lethe_mail"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_told_by_its_code(case: str) -> None:
    answers, found = REFUSALS[case]
    mailbox = Mailbox(**answers)
    with _served(mailbox) as port:
        assert _refusal(_plain(port)).startswith(f"anchor post: {found}")
    assert [envelope.rcpt_tos for envelope in mailbox.taken] == ([[AUDITOR]] if case == "one address" else [])


@contextmanager
def _listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that takes one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with server.accept()[0] as connection:
                answer(connection)

        thread = Thread(target=take, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def test_a_server_that_says_nothing_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "TIMEOUT", 0.1)
    given_up = Event()
    with _listening(lambda _: given_up.wait(30) and None) as port:
        assert _refusal(_plain(port)) == "anchor post: no answer in time; check connection lethe_mail"
        given_up.set()


def test_a_server_that_answers_byte_by_byte_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte is a sign of life."""
    monkeypatch.setattr(mail, "PATIENCE", 0.3)
    given_up = Event()

    def drip(connection: socket.socket) -> None:
        while not given_up.wait(0.02):
            connection.sendall(b"2")

    with _listening(drip) as port:
        assert _refusal(_plain(port)) == "anchor post: no answer in time; check connection lethe_mail"
        given_up.set()


def test_a_reply_without_end_is_not_read_to_its_end() -> None:
    ended = Event()

    def go_on(connection: socket.socket) -> None:
        with suppress(OSError):
            for _ in range(1_000_000):
                connection.sendall(b"220-hemmelig\r\n" * 100)
            ended.set()

    with _listening(go_on) as port:
        assert "message too long" in _refusal(_plain(port))
    assert not ended.is_set()


def test_a_server_that_hangs_up_or_is_none_is_unreachable() -> None:
    with _listening(lambda connection: connection.close()) as port:
        assert "its server hung up" in _refusal(_plain(port))
    with _listening(lambda connection: connection.sendall(b"hemmelig\r\n")) as port:
        assert "its server" in _refusal(_plain(port))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "connection refused" in _refusal(_plain(free.getsockname()[1]))


SETTINGS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "another scheme": ("http://mail.example/", (OFFICER,), "its URL is none of smtp://host or smtps://host"),
    "a port that is none": (f"smtp://mail.example:hemmelig/?from={SENDER}", (OFFICER,), "its URL is none"),
    "no host": ("smtp://", (OFFICER,), "its URL is none of"),
    "no sender": ("smtp://mail.example/?from=", (OFFICER,), "no address to send from"),
    "a login as sender": ("smtps://mail.example/?from=kari", (OFFICER,), "no address to send from"),
    "a header in the sender": (f"smtp://mail.example/?from={SENDER}%0ABcc:x@y.example", (OFFICER,), "no address to"),
    "nobody to send to": (f"smtp://mail.example/?from={SENDER}", (), "no addresses to send to"),
    "one that is no address": (f"smtp://mail.example/?from={SENDER}", (OFFICER, "Revisor"), "no addresses to send to"),
    "a list in one": (f"smtp://mail.example/?from={SENDER}", (f"{OFFICER}, {AUDITOR}",), "no addresses to send to"),
    "a password in the clear": (f"smtp://kari:hemmelig@mail.example/?from={SENDER}", (OFFICER,), "its password"),
}  # fmt: skip


@pytest.mark.parametrize("case", SETTINGS)
def test_a_setting_that_cannot_work_is_refused_when_the_anchor_is_opened(case: str) -> None:
    url, to, found = SETTINGS[case]
    setting = AnchorSetting("post", "mail", "lethe_mail", to=to)
    with pytest.raises(ConfigError) as refused:
        open_anchor(setting, {"lethe_mail": url}.__getitem__)
    assert str(refused.value).startswith(f"anchor post, connection lethe_mail: {found}")
    assert "hemmelig" not in str(refused.value)
