"""A mail platform in memory: for tests of what uses one, and the plainest reading of the protocol."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from lethe.offboarding.platform import (
    Account,
    Envelope,
    Folder,
    Mailbox,
    MailboxFull,
    MessageGone,
    MessageRefused,
    NoSuchMailbox,
    Ref,
    Reply,
    Role,
    Sent,
)

_ROLES: dict[str, Role] = {
    "INBOX": "inbox",
    "Sent": "sent",
    "Drafts": "drafts",
    "Junk": "junk",
    "Trash": "trash",
    "Archive": "archive",
}


@dataclass(frozen=True)
class _Message:
    body: bytes
    flags: frozenset[str]
    received: datetime


@dataclass
class _Box:
    """An account with its mail, by folder and by message."""

    limit: int | None
    folders: dict[tuple[str, ...], dict[Ref, _Message]] = field(default_factory=lambda: {("INBOX",): {}})
    may_sign_in: bool = True
    session: int = 0
    reply: Reply | None = None

    @property
    def size(self) -> int:
        return sum(len(message.body) for folder in self.folders.values() for message in folder.values())


class MemoryPlatform:
    """Accounts in memory; satisfies Platform. `accounts` is for whoever sets them up and looks at them."""

    def __init__(self) -> None:
        self.accounts: dict[Mailbox, _Box] = {}
        self._numbers = count(1)

    def create(self, mailbox: Mailbox, limit: int | None = None) -> None:
        """A new and empty account, with room for `limit` bytes."""
        self.accounts[mailbox] = _Box(limit)

    def account(self, mailbox: Mailbox) -> Account:
        """As the protocol has it."""
        box = self._box(mailbox)
        return Account(box.may_sign_in, box.size, box.limit)

    def folders(self, mailbox: Mailbox) -> tuple[Folder, ...]:
        """As the protocol has it."""
        return tuple(
            Folder(path, _ROLES.get("/".join(path), ""), len(messages))
            for path, messages in sorted(self._box(mailbox).folders.items())
        )

    def look(self, mailbox: Mailbox, folder: tuple[str, ...]) -> Iterator[Envelope]:
        """As the protocol has it."""
        for ref, message in list(self._box(mailbox).folders.get(folder, {}).items()):
            head, blank, _ = message.body.partition(b"\r\n\r\n")
            yield Envelope(ref, head + blank, len(message.body), message.received, message.flags)

    def refs(self, mailbox: Mailbox, folder: tuple[str, ...]) -> Collection[Ref]:
        """As the protocol has it."""
        return tuple(self._box(mailbox).folders.get(folder, {}))

    def read(self, mailbox: Mailbox, folder: tuple[str, ...], ref: Ref) -> bytes:
        """As the protocol has it."""
        try:
            return self._box(mailbox).folders[folder][ref].body
        except KeyError:
            raise MessageGone("the message is not in its folder any more") from None

    def deposit(
        self, mailbox: Mailbox, folder: tuple[str, ...], message: bytes, flags: Collection[str], received: datetime
    ) -> Ref:
        """Put one message there, for whoever sets the platform up; MailboxFull."""
        box, ref = self._box(mailbox), Ref(str(next(self._numbers)))
        if box.limit is not None and box.size + len(message) > box.limit:
            raise MailboxFull("the mailbox has no room for the message; make room, or choose another recipient")
        box.folders.setdefault(folder, {})[ref] = _Message(message, frozenset(flags), received)
        return ref

    def read_all(self, mailbox: Mailbox, folder: tuple[str, ...], refs: Sequence[Ref]) -> Iterator[tuple[Ref, bytes]]:
        """As the protocol has it."""
        for ref in refs:
            with suppress(MessageGone):
                yield ref, self.read(mailbox, folder, ref)

    def deposit_all(self, mailbox: Mailbox, folder: tuple[str, ...], messages: Sequence[Sent]) -> list[Ref]:
        """As the protocol has it."""
        added = list[Ref]()
        for each in messages:
            try:
                added.append(self.deposit(mailbox, folder, each.message, each.flags, each.received))
            except (MailboxFull, MessageRefused):
                if not added:
                    raise
                break
        return added

    def block(self, mailbox: Mailbox) -> None:
        """As the protocol has it."""
        self._box(mailbox).may_sign_in = False

    def unblock(self, mailbox: Mailbox) -> None:
        """As the protocol has it."""
        self._box(mailbox).may_sign_in = True

    def end_sessions(self, mailbox: Mailbox) -> None:
        """As the protocol has it."""
        self._box(mailbox).session += 1

    def reply(self, mailbox: Mailbox, reply: Reply | None) -> None:
        """As the protocol has it."""
        self._box(mailbox).reply = reply

    def delete(self, mailbox: Mailbox) -> None:
        """As the protocol has it."""
        self.accounts.pop(mailbox, None)

    def left(self, mailbox: Mailbox) -> tuple[str, ...]:
        """As the protocol has it."""
        return ("the account",) if mailbox in self.accounts else ()

    def _box(self, mailbox: Mailbox) -> _Box:
        try:
            return self.accounts[mailbox]
        except KeyError:
            raise NoSuchMailbox("the platform has no such account") from None
