"""Mailboxes for tests: what is put into them, and how a platform is asked by other means than its own methods."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from lethe.offboarding.platform import Mailbox, Platform, Sent, Source
from lethe.offboarding.receipts import Handed

DEPARTURE = "INSERT INTO lethe.departure VALUES ('{0}', '{0}', '1', '{{}}', '2025-03-01', 'nb', '[]')"
"""A departure that receipts hang on, by its id."""
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


def letters(count: int, size: int = 2_000) -> list[Given]:
    """Messages that are all different, with bytes of no character set, in a few folders."""
    return [
        Given(
            f"Subject: Sak {n}\r\n\r\n".encode()
            + no_breaks(hashlib.shake_256(bytes([n % 251, n // 251])).digest(size)),
            [("INBOX",), ("Prosjekter", "Blåbær & øl"), ("Sent",)][n % 3],
            frozenset([[], ["\\Seen"], ["\\Flagged", "$Kunde"]][n % 3]),
            RECEIVED + timedelta(minutes=n),
        )
        for n in range(count)
    ]


def no_breaks(data: bytes) -> bytes:
    """Bytes as a text that IMAP carries as it is."""
    return data.translate(None, b"\r\n\0") + b"\r\n"


def choose_all(bench: Bench, register: Handed, mailbox: Mailbox) -> int:
    """All messages of a mailbox are to be handed over; how many."""
    for folder in bench.platform.folders(mailbox):
        register.choose(folder.path, bench.platform.refs(mailbox, folder.path))
    return sum(len(register.pending(folder)) for folder in register.folders())


def as_sent(given: list[Given]) -> Counter[tuple[bytes, frozenset[str], datetime]]:
    """What should arrive of these."""
    return Counter((each.message, each.flags, each.received) for each in given)


def as_found(
    bench: Bench, mailbox: Mailbox, folder: tuple[str, ...]
) -> Counter[tuple[bytes, frozenset[str], datetime]]:
    """What has arrived in a folder."""
    platform = bench.platform
    return Counter(
        (platform.read(mailbox, folder, each.ref), each.flags, each.received) for each in platform.look(mailbox, folder)
    )
