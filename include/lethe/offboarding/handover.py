"""Handing messages over: each byte for byte into a colleague's mailbox, once, with a receipt.

    chosen ─▶ digest written down ─▶ deposited ─▶ received ─▶ read back ─▶ confirmed
                                        └─ gone, refused: told by number

Mail has no transactions. So what is about to be deposited is written down first; whoever goes on after a stop looks
into the colleague's folder for what arrived without a receipt, before anything is deposited again.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from lethe.errors import StoreError
from lethe.offboarding.platform import Envelope, Mailbox, MessageRefused, Platform, Ref, Sent, Source
from lethe.offboarding.receipts import Handed, State

BATCH = 50
"""Messages whose digests are written down before the first of them is deposited, and that are deposited at once."""
BYTES = 8_000_000
"""As much of them as that, or one that is larger."""


class Unconfirmed(StoreError):
    """A message that was handed over is not where it was put, or is not what was put there; a person must look."""


@dataclass(frozen=True)
class Route:
    """From whose mailbox into which folder of whose."""

    source: Mailbox
    target: Mailbox
    folder: tuple[str, ...]


def hand_over(
    platform: Platform, handed: Handed, route: Route, progress: Callable[[int], None] = lambda _: None
) -> Counter[State]:
    """Deposit what was chosen and not yet received, and read all of it back; how many messages have come how far.

    `progress` is told how many were deposited. MailboxFull, StoreUnreachable and others end it where it is: called
    again, it goes on there. Unconfirmed when something is not there when it is looked for again.
    """
    _adopt(platform, handed, route)
    for folder in handed.folders():
        for group in _groups(platform.look(route.source, folder), handed.pending(folder)):
            _deposit(platform, handed, route, _read(platform, route, folder, group))
            progress(len(group))
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
    bare = sorted(set(platform.refs(route.target, route.folder)) - handed.targets())
    for ref, message in platform.read_all(route.target, route.folder, bare):
        numbers = wanted.get(_digest(message))
        if numbers:
            handed.received({numbers.pop(0): ref})


def _groups(envelopes: Iterator[Envelope], pending: Mapping[Ref, int]) -> Iterator[dict[Ref, tuple[int, Envelope]]]:
    """The pending messages with their numbers, as many at a time as are handed over at once."""
    group, size = dict[Ref, tuple[int, Envelope]](), 0
    for envelope in envelopes:
        if envelope.ref in pending:
            if group and (len(group) == BATCH or size + envelope.size > BYTES):
                yield group
                group, size = {}, 0
            group[envelope.ref] = pending[envelope.ref], envelope
            size += envelope.size
    if group:
        yield group


def _read(
    platform: Platform, route: Route, folder: tuple[str, ...], group: Mapping[Ref, tuple[int, Envelope]]
) -> dict[int, Sent]:
    """A group's messages by their numbers; without those that are gone meanwhile."""
    found = dict[int, Sent]()
    for ref, message in platform.read_all(route.source, folder, list(group)):
        number, envelope = group[ref]
        found[number] = Sent(message, envelope.flags, envelope.received, Source(route.source, folder, ref))
    return found


def _deposit(platform: Platform, handed: Handed, route: Route, ready: Mapping[int, Sent]) -> None:
    """Deposit messages whose digests are written down first; what arrived has its receipt before anything else."""
    handed.intend({number: _digest(sent.message) for number, sent in ready.items()})
    numbers, messages = list(ready), list(ready.values())
    while messages:
        try:
            refs = platform.deposit_all(route.target, route.folder, messages)
        except MessageRefused:
            handed.settle(numbers[:1], "refused")
            numbers, messages = numbers[1:], messages[1:]
        else:
            handed.received(dict(zip(numbers, refs, strict=False)))
            numbers, messages = numbers[len(refs) :], messages[len(refs) :]


def _confirm(platform: Platform, handed: Handed, route: Route) -> None:
    """Read back what has a receipt; Unconfirmed when it is not there, or is something else."""
    received, wrong = iter(handed.unconfirmed()), 0
    while some := list(islice(received, BATCH)):
        wanted = {each.ref: each for each in some}
        found = [
            wanted[ref].number
            for ref, message in platform.read_all(route.target, route.folder, list(wanted))
            if _digest(message) == wanted[ref].digest
        ]
        handed.settle(found, "confirmed")
        wrong += len(some) - len(found)
    if wrong:
        raise Unconfirmed(
            f"hand-over: {wrong} messages are not where they were put, or not what was put there; look into the "
            "recipient's folder before anything else is done. Nothing is deleted meanwhile"
        )


def _digest(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()
