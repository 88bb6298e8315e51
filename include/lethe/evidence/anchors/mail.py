"""Mail to people outside, who keep what the log said on a day."""

from __future__ import annotations

import errno
import hashlib
import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import format_datetime
from typing import BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit

from lethe import clock
from lethe.errors import ConfigError
from lethe.evidence.anchors.failure import unreachable
from lethe.evidence.anchors.patience import within
from lethe.model import AnchorSetting
from lethe.outages import in_words

TIMEOUT = 30.0
"""Seconds without a sign of life from the server."""

PATIENCE = 300.0
"""Seconds for all of a session: some servers make those wait whom they do not know."""

LINES = 200
"""Lines of a server's replies in all; a session has some thirty."""

_TEXT = """\
This is the signed checkpoint of the evidence log {origin} when it had {size} entries.
The log tells what personal data was deleted, when, and by which rule; it holds no personal data itself.

Please keep this message: it is your own copy, where nobody but you can change it.

To compare later: save the attachment checkpoint.txt and hold an evidence bundle of that log against it:

    python verify_bundle.py --trust checkpoint.txt BUNDLE

If entries were changed, removed or added further back since then, it says "forked".

{note}"""


class Mail:
    """Sends the note by SMTP to each address of the setting: smtp:// (starttls=1 for STARTTLS) or smtps://."""

    kind = "mail"

    def __init__(self, setting: AnchorSetting, url: str) -> None:
        self.name = setting.name
        self._connection = setting.connection
        self._to = setting.to
        try:
            self._url = urlsplit(url)
            self._port = self._url.port or 0
        except ValueError:
            raise ConfigError(f"anchor {self.name}, connection {setting.connection}: its URL is none") from None
        query = {key: values[0] for key, values in parse_qs(self._url.query).items()}
        self._sender, self._starttls = query.get("from", ""), query.get("starttls") == "1"
        if wrong := self._flaw():
            raise ConfigError(f"anchor {self.name}, connection {setting.connection}: {wrong}")

    def _flaw(self) -> str | None:
        if self._url.scheme not in ("smtp", "smtps") or not self._url.hostname:
            return "its URL is none of smtp://host or smtps://host"
        if not _is_address(self._sender):
            return "no address to send from; set from=lethe@example.no in its URL, or from_email in Airflow"
        if not self._to or not all(map(_is_address, self._to)):
            return "no addresses to send to, or not all are such; set them under `to` in the policy"
        if self._url.username and self._url.scheme == "smtp" and not self._starttls:
            return "its password would be sent in the clear; use smtps:// or starttls=1"
        return None

    def publish(self, note: str) -> None:
        """Send the note; the same note has the same Message-ID, so that a mail sent twice can be told as one."""
        message = self._message(note)
        try:
            refused = within(PATIENCE, lambda: self._send(message))
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            raise unreachable(self.name, _in_words(error), f"check connection {self._connection}") from None
        if refused:
            found = f"{len(refused)} of {len(self._to)} addresses were refused {_codes(refused)}"
            raise unreachable(self.name, found, "correct them under `to` in the policy")

    def _send(self, message: EmailMessage) -> dict[str, tuple[int, bytes]]:
        with self._session() as server:
            return server.send_message(message, self._sender, self._to)

    def _message(self, note: str) -> EmailMessage:
        origin, size = note.split("\n", 2)[:2]
        message = EmailMessage()
        message["Subject"] = f"Evidence checkpoint of {origin}: {size} entries"
        message["From"] = self._sender
        message["To"] = ", ".join(self._to)
        message["Date"] = format_datetime(clock.now())
        digest = hashlib.sha256(note.encode()).hexdigest()
        message["Message-ID"] = f"<{digest}@{self._sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no replies from people on holiday
        message.set_content(_TEXT.format(origin=origin, size=size, note=note), cte="quoted-printable")
        message.add_attachment(
            note.encode(), maintype="text", subtype="plain", filename="checkpoint.txt", params={"charset": "utf-8"}
        )
        return message

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        tls = ssl.create_default_context()
        host = self._url.hostname or ""
        if self._url.scheme == "smtps":
            server: smtplib.SMTP = _BriefWithTls(host, self._port, timeout=TIMEOUT, context=tls)
        else:
            server = _Brief(host, self._port, timeout=TIMEOUT)
        try:
            if self._starttls:
                server.starttls(context=tls)
            if self._url.username:
                server.login(unquote(self._url.username), unquote(self._url.password or ""))
            yield server
            with suppress(smtplib.SMTPException, OSError):  # the message is taken: a bad goodbye changes nothing
                server.quit()
        finally:
            server.close()


class _Replies:
    """The file that a server's replies are read from, up to LINES of them: one reply may go on forever."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, LINES

    def readline(self, limit: int) -> bytes:
        """The next line; OSError after the last one that is read."""
        self._left -= 1
        if self._left < 0:
            raise OSError(errno.EMSGSIZE, "too many lines")
        return self._file.readline(limit)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Brief(smtplib.SMTP):
    def getreply(self) -> tuple[int, bytes]:
        """As ever, from a file that has an end."""
        if self.file is None and self.sock is not None:
            self.file = _Replies(self.sock.makefile("rb"))
        return super().getreply()


class _BriefWithTls(_Brief, smtplib.SMTP_SSL):
    pass


def _is_address(text: str) -> bool:
    return re.fullmatch(r"[!-~]+@[A-Za-z0-9.-]+", text) is not None


def _in_words(error: smtplib.SMTPException | OSError | UnicodeError) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"all addresses were refused {_codes(error.recipients)}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"the login was refused ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"its server refused ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "its server offers no STARTTLS, or no login"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return in_words(error, "its server hung up")
    return in_words(error)


def _codes(refused: dict[str, tuple[int, bytes]]) -> str:
    return f"({', '.join(sorted({str(code) for code, _ in refused.values()}))})"
