"""Mailboxes over IMAP: read without a trace, and deposited byte for byte. A master user signs in, never the employee.

IMAP over TLS only (RFC 8314), with UIDPLUS (RFC 4315), by which a server says where it put a message. Nothing here
expunges: who has no UIDs would remove what others have marked.
"""

from __future__ import annotations

import imaplib
import logging
import re
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from lethe.errors import StoreError, StoreRefused, StoreUnreachable
from lethe.offboarding.platform import (
    Envelope,
    Folder,
    Mailbox,
    MailboxFull,
    MessageGone,
    MessageRefused,
    NoSuchMailbox,
    Ref,
    Role,
    Sent,
)

CHUNK = 200
"""Messages whose headers are asked for at once."""
READ = 10
"""Messages that are read at once."""
OPEN = 4
"""Mailboxes that are kept open at once: a leaver's, and those of recipients."""
SECONDS = 60.0
"""How long a server may be silent."""
_ROLES: dict[bytes, Role] = {
    b"\\Sent": "sent",
    b"\\Drafts": "drafts",
    b"\\Junk": "junk",
    b"\\Trash": "trash",
    b"\\Archive": "archive",
}
"""Special uses of folders (RFC 6154)."""
_PLACED = re.compile(rb"\[APPENDUID (\d+) ([\d:,]+)\]")
logging.getLogger("imapclient").setLevel(logging.WARNING)  # its debugging has folders, headers and messages


@dataclass(frozen=True)
class Server:
    """Where the server is, and who signs in; `ca` is a PEM file, None for the authorities that the machine trusts."""

    host: str
    port: int
    master: str
    password: str = field(repr=False)
    ca: str | None = None


class Mailboxes:
    """The mailboxes of an IMAP server; errors are StoreError, and name nobody."""

    def __init__(self, server: Server, known: Callable[[Mailbox], bool]) -> None:
        """`known` says whether there is such an account: at sign-in a server says no to either in the same words."""
        self._server, self._known = server, known
        self._open: OrderedDict[Mailbox, _Session] = OrderedDict()

    def close(self) -> None:
        """Sign out everywhere."""
        self._sign_out()

    def _sign_out(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def forget(self, mailbox: Mailbox) -> None:
        """Sign out of a mailbox that is about to change or go."""
        session = self._open.pop(mailbox, None)
        if session is not None:
            session.close()

    def may_enter(self, mailbox: Mailbox) -> bool:
        """Whether the server still lets the master user into the mailbox; StoreUnreachable when it does not answer."""
        self.forget(mailbox)
        try:
            _Session(self._server, mailbox).close()
        except LoginError:
            return False
        except (IMAPClientError, OSError) as error:
            problem = _told(error)
        else:
            return True
        raise problem

    def folders(self, mailbox: Mailbox) -> tuple[Folder, ...]:
        """As Platform has it."""
        with self._asking(mailbox) as session:
            return tuple(sorted(session.folders(), key=lambda each: each.path))

    def look(self, mailbox: Mailbox, folder: tuple[str, ...]) -> Iterator[Envelope]:
        """As Platform has it."""
        refs = self.refs(mailbox, folder)
        for start in range(0, len(refs), CHUNK):
            with self._asking(mailbox) as session:
                found = session.envelopes(folder, refs[start : start + CHUNK])
            yield from found

    def refs(self, mailbox: Mailbox, folder: tuple[str, ...]) -> Sequence[Ref]:
        """As Platform has it."""
        with self._asking(mailbox) as session:
            return session.refs(folder)

    def read(self, mailbox: Mailbox, folder: tuple[str, ...], ref: Ref) -> bytes:
        """As Platform has it."""
        for _, message in self.read_all(mailbox, folder, [ref]):
            return message
        raise MessageGone("mail: the message is not in its folder any more; it was moved or deleted meanwhile")

    def read_all(self, mailbox: Mailbox, folder: tuple[str, ...], refs: Sequence[Ref]) -> Iterator[tuple[Ref, bytes]]:
        """As Platform has it."""
        for start in range(0, len(refs), READ):
            with self._asking(mailbox) as session:
                found = session.messages(folder, refs[start : start + READ])
            yield from found

    def deposit_all(self, mailbox: Mailbox, folder: tuple[str, ...], messages: Sequence[Sent]) -> list[Ref]:
        """As Platform has it: all at once, or, where the server takes them only one by one, the first.

        A message that IMAP would alter is refused.
        """
        fit = list(takewhile(_can_be_carried, messages))
        if not fit:
            raise MessageRefused("mail: found a message that IMAP would alter: empty, a bare line feed or a zero byte")
        with self._asking(mailbox) as session:
            try:
                return session.append(folder, fit)
            except (MailboxFull, MessageRefused):
                if len(fit) == 1:
                    raise
                return session.append(folder, fit[:1])

    @contextmanager
    def _asking(self, mailbox: Mailbox) -> Iterator[_Session]:
        """A session in the mailbox, whose errors are told in Lethe's words; after one it is not used again."""
        problem: StoreError | None = None
        try:
            if mailbox not in self._open:
                self._open[mailbox] = _Session(self._server, mailbox)
                while len(self._open) > OPEN:
                    self._open.popitem(last=False)[1].close()
            self._open.move_to_end(mailbox)
            yield self._open[mailbox]
        except (IMAPClientError, OSError) as error:
            problem = self._refused(mailbox, str(error)) if isinstance(error, LoginError) else _told(error)
            self.forget(mailbox)
            if isinstance(problem, StoreUnreachable):  # the others are as dead, and would be found out one by one
                self._sign_out()
        if problem is not None:
            raise problem

    def _refused(self, mailbox: Mailbox, answer: str) -> StoreError:
        if not self._known(mailbox):
            return NoSuchMailbox("mail: the platform has no such account")
        if "FAILED]" in answer:  # RFC 9051, 7.1: AUTHENTICATIONFAILED, AUTHORIZATIONFAILED
            return StoreRefused("mail: the master user may not enter a mailbox that is there; see the connection")
        return StoreUnreachable("mail: the server ended the connection at sign-in; try again")


class _Session:
    """One mailbox, signed in to; errors are IMAPClient's and the operating system's."""

    def __init__(self, server: Server, mailbox: Mailbox) -> None:
        context = ssl.create_default_context(cafile=server.ca)
        self._client = IMAPClient(server.host, server.port, ssl_context=context, timeout=SECONDS)
        self._client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a command is several small writes
        self._client._imap.debug = 0  # noqa: SLF001 - else it words every answer for a log, messages and all
        self._client.normalise_times = False  # moments keep their zone
        self._selected: tuple[tuple[str, ...], int] | None = None
        self._names: dict[tuple[str, ...], str] | None = None
        try:
            self._client.plain_login(server.master, server.password, mailbox)
            self._require("UIDPLUS", "MULTIAPPEND")
        except BaseException:
            self.close()
            raise

    def _require(self, *wanted: str) -> None:
        missing = [each for each in wanted if not self._client.has_capability(each)]
        if missing:
            raise StoreRefused(f"mail: the server lacks {', '.join(missing)}, without which nothing is handed over")

    def close(self) -> None:
        with suppress(IMAPClientError, OSError):
            self._client.logout()
        with suppress(IMAPClientError, OSError):
            self._client.shutdown()

    def folders(self) -> Iterator[Folder]:
        for flags, separator, name in self._listed():
            special: Role = next((_ROLES[flag] for flag in flags if flag in _ROLES), "")
            role: Role = "inbox" if name.upper() == "INBOX" else special
            messages = self._client.folder_status(name, ["MESSAGES"])[b"MESSAGES"]
            yield Folder(_path(name, separator), role, messages)

    def _listed(self) -> list[tuple[Any, str, str]]:
        """The folders that can have messages; others are only names on the way to one."""
        found = [(flags, _text(separator), _text(name)) for flags, separator, name in self._client.list_folders()]
        usable = [each for each in found if not {b"\\noselect", b"\\nonexistent"} & {flag.lower() for flag in each[0]}]
        self._names = {_path(name, separator): name for _, separator, name in usable}
        return usable

    def _name(self, folder: tuple[str, ...]) -> str | None:
        """The folder's name as the server has it; None when there is none."""
        if self._names is None or folder not in self._names:
            self._listed()
        return (self._names or {}).get(folder)

    def _select(self, folder: tuple[str, ...]) -> int | None:
        """Look into a folder without changing it; its UIDVALIDITY, None when it is not there."""
        if self._selected is None or self._selected[0] != folder:
            name = self._name(folder)
            if name is None:
                return None
            self._selected = folder, self._client.select_folder(name, readonly=True)[b"UIDVALIDITY"]
        return self._selected[1]

    def refs(self, folder: tuple[str, ...]) -> list[Ref]:
        validity = self._select(folder)
        self._client.noop()  # what came and went since
        return [] if validity is None else [Ref(f"{validity}/{uid}") for uid in sorted(self._client.search("ALL"))]

    def envelopes(self, folder: tuple[str, ...], refs: Sequence[Ref]) -> list[Envelope]:
        validity, wanted = self._select(folder), ["BODY.PEEK[HEADER]", "RFC822.SIZE", "INTERNALDATE", "FLAGS"]
        uids = [uid for uid in (_uid(ref, validity) for ref in refs) if uid is not None]
        found = self._client.fetch(uids, wanted) if uids else {}
        return [
            _envelope(Ref(f"{validity}/{uid}"), found[uid]) for uid in uids if b"BODY[HEADER]" in found.get(uid, ())
        ]

    def messages(self, folder: tuple[str, ...], refs: Sequence[Ref]) -> list[tuple[Ref, bytes]]:
        validity = self._select(folder)
        uids = {uid: ref for ref in refs if (uid := _uid(ref, validity)) is not None}
        found = self._client.fetch(list(uids), ["BODY.PEEK[]"]) if uids else {}
        return [(ref, found[uid][b"BODY[]"]) for uid, ref in uids.items() if b"BODY[]" in found.get(uid, ())]

    def append(self, folder: tuple[str, ...], messages: Sequence[Sent]) -> list[Ref]:
        """All of them or none (RFC 3502)."""
        name = self._name(folder) or self._made(folder)
        wanted = [
            {"msg": m, "flags": sorted(f for f in flags if f.lower() != "\\recent"), "date": at}
            for m, flags, at, _ in messages
        ]
        # not append(), by which Python's imaplib ends bare carriage returns as lines
        state, told = self._client.multiappend(name, wanted)
        text = b" ".join(each for each in told if isinstance(each, bytes))
        placed = _PLACED.search(text)
        if state != "OK":
            raise _refusal(text)
        uids = list(_uids(placed[2])) if placed else []
        if placed is None or len(uids) != len(messages):
            raise StoreRefused("mail: the server does not say where it put a message; it has to have UIDPLUS")
        return [Ref(f"{int(placed[1])}/{uid}") for uid in uids]

    def _made(self, folder: tuple[str, ...]) -> str:
        separator = next((each for _, each, _ in self._listed() if each), "/")
        if any(separator in part or not part for part in folder):
            raise StoreRefused("mail: found a folder's name with the server's separator in it, expected none")
        name = separator.join(folder)
        self._client.create_folder(name)
        with suppress(IMAPClientError):
            self._client.subscribe_folder(name)
        self._names = None
        return name


def _can_be_carried(sent: Sent) -> bool:
    """IMAP has no empty message; the server ends a line that ends without CR, and makes another of a zero byte.

    Of two CR before a line feed it keeps one, and none at the very end.
    """
    message = sent.message
    ends = message.count(b"\n") == message.count(b"\r\n") and b"\r\r\n" not in message and message[-1:] != b"\r"
    return bool(message) and ends and b"\0" not in message


def _uids(numbers: bytes) -> Iterator[int]:
    """A set of UIDs such as 4:6,9 (RFC 4315, 3)."""
    for part in numbers.split(b","):
        first, _, last = part.partition(b":")
        yield from range(int(first), int(last or first) + 1)


def _path(name: str, separator: str) -> tuple[str, ...]:
    return tuple(name.split(separator)) if separator else (name,)


def _text(value: Any) -> str:
    return value.decode("ascii", "surrogateescape") if isinstance(value, bytes) else value or ""


def _uid(ref: Ref, validity: int | None) -> int | None:
    """The message's UID, as long as the folder's UIDs are those that they were (RFC 9051, 2.3.1.1)."""
    known, _, uid = ref.partition("/")
    return int(uid) if validity is not None and known == str(validity) else None


def _envelope(ref: Ref, found: Any) -> Envelope:
    flags = frozenset(flag.decode("ascii", "replace") for flag in found[b"FLAGS"]) - {"\\Recent"}
    return Envelope(ref, found[b"BODY[HEADER]"], found[b"RFC822.SIZE"], found[b"INTERNALDATE"], flags)


def _refusal(text: bytes) -> StoreError:
    if b"[OVERQUOTA]" in text:
        return MailboxFull("mail: the mailbox has no room for the message; make room, or choose another recipient")
    if any(code in text for code in (b"[UNAVAILABLE]", b"[INUSE]", b"[SERVERBUG]")):
        return StoreUnreachable("mail: the server could not take a message now; try again")
    return MessageRefused("mail: the server refused a message; its own log says why")


def _told(error: Exception) -> StoreError:
    """The error in Lethe's words; the server's own may name a mailbox."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return StoreRefused(
            f"mail: the server's certificate is not trusted ({error.verify_message}); see the connection"
        )
    if isinstance(error, OSError | imaplib.IMAP4.abort):
        return StoreUnreachable("mail: no connection to the server, or it was lost; try again")
    return StoreRefused("mail: the server refused what was asked of it; its own log says why")
