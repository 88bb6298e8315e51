"""What a mail platform is to Lethe: mailboxes that can be read, closed, handed over from, and deleted.

    account ─ folders ─ look ─ read ─▶ deposit in another mailbox          reading marks nothing as read
        └─ block, end_sessions, reply ─▶ delete ─▶ left                    each done twice is the same as once

Mail has no transactions. So each deed can be done again, and whether it was done can be asked by other means. Nothing
here forwards: no platform has a method for it. Errors name a mailbox's state and never an address, a subject or a name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, NewType, Protocol

from lethe.errors import StoreError, StoreRefused

Mailbox = NewType("Mailbox", str)
"""The address that the directory has for an employee: personal data, which is never logged."""

Ref = NewType("Ref", str)
"""A message within its folder, as the platform knows it; it stays the same until the message is moved or deleted."""

Role = Literal["inbox", "sent", "drafts", "junk", "trash", "archive", "recoverable", ""]
"""What a folder is for, where the platform says so; "recoverable" holds what was deleted and can still be put back."""


class NoSuchMailbox(StoreRefused):
    """The platform has no such account, or has one without a mailbox."""


class MailboxFull(StoreRefused):
    """The message does not fit into the mailbox; nothing was added."""


class MessageRefused(StoreRefused):
    """The mailbox does not take this message, whatever room there is: it is too large, or broken; nothing was added."""


class MessageGone(StoreError):
    """The message is not in the folder any more: it was moved or deleted since the folder was looked through."""


@dataclass(frozen=True)
class Account:
    """An account as it is now; `limit` and `size` in bytes, None where the platform has no limit or does not count."""

    may_sign_in: bool
    size: int | None
    limit: int | None


@dataclass(frozen=True)
class Folder:
    """A folder by the names on the way to it, in Unicode, and how many messages it has."""

    path: tuple[str, ...]
    role: Role
    messages: int


@dataclass(frozen=True)
class Envelope:
    r"""A message without its text: its header lines as the platform has them, as bytes; it stays unread if it was.

    `flags` are IMAP's words (RFC 9051, 2.3.2): \Seen, \Answered, \Flagged, \Draft, and keywords. `received` is when it
    came into the mailbox (IMAP's internal date), with its zone. `size` is the whole message's, in bytes, or about that
    where a platform counts another way.
    """

    ref: Ref
    header: bytes
    size: int
    received: datetime
    flags: frozenset[str]


class Source(NamedTuple):
    """Where a message lies that is handed over."""

    mailbox: Mailbox
    folder: tuple[str, ...]
    ref: Ref


class Sent(NamedTuple):
    """A message as it is deposited, and where it is from."""

    message: bytes
    flags: frozenset[str]
    received: datetime
    source: Source


@dataclass(frozen=True)
class Reply:
    """An automatic reply: plain text, between two moments. It says who to write to now, and forwards nothing."""

    subject: str
    text: str
    begins: datetime
    ends: datetime


class Platform(Protocol):
    """A mail platform: StoreUnreachable where it does not answer (try again), StoreRefused where it says no."""

    def account(self, mailbox: Mailbox) -> Account:
        """The account as it is now; NoSuchMailbox."""

    def folders(self, mailbox: Mailbox) -> tuple[Folder, ...]:
        """All folders, archive and recoverable items among them, sorted by path; NoSuchMailbox."""

    def look(self, mailbox: Mailbox, folder: tuple[str, ...]) -> Iterator[Envelope]:
        """The folder's messages, a few at a time, in an order that stays; a folder that is not there has none."""

    def refs(self, mailbox: Mailbox, folder: tuple[str, ...]) -> Collection[Ref]:
        """The folder's messages, without asking for more; a folder that is not there has none."""

    def read(self, mailbox: Mailbox, folder: tuple[str, ...], ref: Ref) -> bytes:
        """The whole message byte for byte, left unread if it was; MessageGone."""

    def read_all(self, mailbox: Mailbox, folder: tuple[str, ...], refs: Sequence[Ref]) -> Iterator[tuple[Ref, bytes]]:
        """Several messages as read() gives them, in their order, a few at a time; without those that are gone."""

    def deposit_all(self, mailbox: Mailbox, folder: tuple[str, ...], messages: Sequence[Sent]) -> list[Ref]:
        """Add messages byte for byte, with flags and dates; where they are, for as many as were added, from the first.

        The folder is made where it is missing. MailboxFull and MessageRefused when the first was not added. A
        connection that is lost leaves open what was: `refs` tells. A platform may copy from the source what it has
        there beside the bytes.
        """

    def block(self, mailbox: Mailbox) -> None:
        """Nobody signs in any more; Lethe still reaches the mailbox, and mail still arrives."""

    def unblock(self, mailbox: Mailbox) -> None:
        """The employee signs in as before."""

    def end_sessions(self, mailbox: Mailbox) -> None:
        """Whoever is signed in is so no more."""

    def reply(self, mailbox: Mailbox, reply: Reply | None) -> None:
        """Set the automatic reply, in place of the one there was; None ends it."""

    def delete(self, mailbox: Mailbox) -> None:
        """Delete the account and all of its mail, archive and recoverable items too; one that is gone stays gone."""

    def left(self, mailbox: Mailbox) -> tuple[str, ...]:
        """What is still there of a deleted account, in words, asked by other means than `delete`; empty: nothing."""
