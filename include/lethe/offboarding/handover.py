"""Handing messages over: each byte for byte into a colleague's mailbox, once, with a receipt.

    chosen ─▶ digest written down ─▶ deposited ─▶ received ─▶ read back ─▶ confirmed
                                        └─ gone, refused: told by number, and never tried again

Mail has no transactions. So what is about to be deposited is written down first; whoever goes on after a stop looks
into the colleague's folder for what arrived without a receipt, before anything is deposited again.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from lethe.errors import StoreError
from lethe.offboarding.platform import Envelope, Mailbox, MessageGone, MessageRefused, Platform, Ref
from lethe.offboarding.receipts import Handed, State

BATCH = 50
"""Messages whose digests are written down before the first of them is deposited."""


class Unconfirmed(StoreError):
    """A message that was handed over is not where it was put, or is not what was put there; a person must look."""


@dataclass(frozen=True)
class Route:
    """From whose mailbox into which folder of whose."""

    source: Mailbox
    target: Mailbox
    folder: tuple[str, ...]


class _Ready(NamedTuple):
    """A message that was read, with the number it has in the register."""

    number: int
    envelope: Envelope
    message: bytes
    digest: bytes


def hand_over(
    platform: Platform, handed: Handed, route: Route, progress: Callable[[int], None] = lambda _: None
) -> Counter[State]:
    """Deposit what was chosen and not yet received, and read all of it back; how many messages have come how far.

    `progress` is told how many were deposited. MailboxFull, StoreUnreachable and others end it where it is: called
    again, it goes on there. Unconfirmed when something is not there when it is looked for again.
    """
    _adopt(platform, handed, route)
    for folder in handed.folders():
        messages = _ready(platform, handed, route, folder)
        while ready := list(islice(messages, BATCH)):
            _deposit(platform, handed, route, ready)
            progress(len(ready))
        handed.settle(handed.pending(folder).values(), "gone")  # the whole folder was looked through
    _confirm(platform, handed, route)
    return handed.counts()


def _adopt(platform: Platform, handed: Handed, route: Route) -> None:
    """What arrived before a stop and has no receipt gets it: what was about to be deposited is known by its digest."""
    wanted = defaultdict[bytes, list[int]](list)
    for number, digest in handed.intended():
        wanted[digest].append(number)
    if not wanted:
        return
    for ref in set(platform.refs(route.target, route.folder)) - handed.targets():
        numbers = wanted.get(_digest(platform.read(route.target, route.folder, ref)))
        if numbers:
            handed.received({numbers.pop(0): ref})


def _ready(platform: Platform, handed: Handed, route: Route, folder: tuple[str, ...]) -> Iterator[_Ready]:
    """The folder's pending messages with their bytes, one at a time; without what is gone meanwhile."""
    pending = handed.pending(folder)
    for envelope in platform.look(route.source, folder):
        number = pending.get(envelope.ref)
        if number is not None:
            with suppress(MessageGone):
                message = platform.read(route.source, folder, envelope.ref)
                yield _Ready(number, envelope, message, _digest(message))


def _deposit(platform: Platform, handed: Handed, route: Route, ready: list[_Ready]) -> None:
    """Deposit messages whose digests are written down first; each that arrived has its receipt, whatever comes next."""
    handed.intend({each.number: each.digest for each in ready})
    receipts = dict[int, Ref]()
    try:
        for number, envelope, message, _ in ready:
            try:
                flags = envelope.flags
                receipts[number] = platform.deposit(route.target, route.folder, message, flags, envelope.received)
            except MessageRefused:
                handed.settle([number], "refused")
    finally:
        handed.received(receipts)


def _confirm(platform: Platform, handed: Handed, route: Route) -> None:
    """Read back what has a receipt; Unconfirmed when it is not there, or is something else."""
    received, wrong = iter(handed.unconfirmed()), 0
    while some := list(islice(received, BATCH)):
        found = [number for number, ref, digest in some if _is_there(platform, route, ref, digest)]
        handed.settle(found, "confirmed")
        wrong += len(some) - len(found)
    if wrong:
        raise Unconfirmed(
            f"hand-over: {wrong} messages are not where they were put, or not what was put there; look into the "
            "recipient's folder before anything else is done. Nothing is deleted meanwhile"
        )


def _is_there(platform: Platform, route: Route, ref: Ref, digest: bytes) -> bool:
    try:
        return _digest(platform.read(route.target, route.folder, ref)) == digest
    except MessageGone:
        return False


def _digest(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()
