"""Mailboxes of employees who stay: how much old mail they hold (R11), and how much of it is sensitive (R12).

Both look and change nothing: nothing is marked as read, moved, deleted or copied. What is found is counted by folder,
and the numbers go to the owner; to the privacy officer go numbers without folders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from lethe.deadlines import Period, is_due, last_day, local_date
from lethe.offboarding.platform import Mailbox, MessageGone, Platform
from lethe.offboarding.sensitive import sensitive

Old = Mapping[tuple[str, ...], Mapping[Period, int]]
"""Messages by folder and the longest of the periods that they are older than."""


OVERLAP = timedelta(minutes=5)
"""Clocks differ, and a mail server's knows whole seconds: what came when the last scan was is looked into twice."""


class Found(NamedTuple):
    """Messages with identity numbers, with health words, and with parts that nobody could read."""

    identity_numbers: int = 0
    health_words: int = 0
    unread: int = 0

    @property
    def is_sensitive(self) -> bool:
        """Whether there is anything to report; what could not be read alone is nothing."""
        return bool(self.identity_numbers or self.health_words)


def total(found: Iterable[Found]) -> Found:
    """All of them together."""
    return Found(*map(sum, zip(Found(), *found, strict=True)))


def old(platform: Platform, mailbox: Mailbox, ages: Sequence[Period], today: date, zone: ZoneInfo) -> Old:
    """How many messages came longer ago than each age; a message counts once, under the longest that it passed."""
    longest_first = sorted(ages, key=lambda age: last_day(today, age), reverse=True)
    found: dict[tuple[str, ...], Counter[Period]] = {}
    for folder in platform.folders(mailbox):
        for envelope in platform.look(mailbox, folder.path):
            came = local_date(envelope.received, zone)
            passed = next((age for age in longest_first if is_due(came, age, today)), None)
            if passed is not None:
                found.setdefault(folder.path, Counter())[passed] += 1
    return found


def scan(
    platform: Platform, mailbox: Mailbox, health_words: tuple[str, ...], since: datetime | None
) -> Mapping[tuple[str, ...], Found]:
    """What is sensitive in messages that came since a moment, or in all, by folder; folders with nothing are left out.

    Each is read and forgotten (GDPR 9: what is found is counted and not kept).
    """
    found: dict[tuple[str, ...], Found] = {}
    for folder in platform.folders(mailbox):
        for envelope in platform.look(mailbox, folder.path):
            if since is not None and envelope.received < since - OVERLAP:
                continue
            try:
                told = sensitive(platform.read(mailbox, folder.path, envelope.ref), health_words)
            except MessageGone:
                continue
            one = Found(bool(told.identity_numbers), bool(told.health_words), bool(told.unread))
            found[folder.path] = total((found.get(folder.path, Found()), one))
    return {folder: each for folder, each in found.items() if any(each)}
