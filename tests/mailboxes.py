"""Mailboxes for tests: what is put into them, and how a platform is asked by other means than its own methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from lethe.offboarding.platform import Mailbox, Platform, Sent, Source

RECEIVED = datetime(2024, 3, 1, 9, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Given:
    """A message as it is put into a mailbox, whatever is wrong with its bytes."""

    message: bytes
    folder: tuple[str, ...] = ("INBOX",)
    flags: frozenset[str] = frozenset()
    received: datetime = RECEIVED


class Bench(Protocol):
    """A mail platform in a test: `platform` is what is tested, all else goes another way."""

    platform: Platform

    def create(self, given: Iterable[Given] = (), *, limit: int | None = None) -> Mailbox:
        """A new account that is signed in to by password, with these messages, and room for `limit` bytes."""

    def sign_in(self, mailbox: Mailbox) -> bool:
        """Whether the employee can sign in."""

    def session(self, mailbox: Mailbox) -> Callable[[], bool]:
        """The employee signs in and stays; what is returned tells whether the session is still good."""

    def replies(self, mailbox: Mailbox) -> str | None:
        """The text that somebody who writes to the mailbox gets back now; None when there is none."""


def sent_from(bench: Bench, *given: Given) -> list[Sent]:
    """The messages as they are handed over from the inbox of somebody who has them, in the platform's order."""
    platform, source, inbox = bench.platform, bench.create(given), ("INBOX",)
    return [
        Sent(platform.read(source, inbox, each.ref), each.flags, each.received, Source(source, inbox, each.ref))
        for each in platform.look(source, inbox)
    ]
