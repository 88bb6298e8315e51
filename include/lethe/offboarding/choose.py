"""choose(): whether one message of an employee who leaves is handed over, with every reason for and against (R10).

    barriers     private, sensitive, unreadable                     it stays, whatever speaks for it
    chosen       by a person: this message, or all of this folder   it goes
    thrown away  in the junk, the trash, or what was deleted        it stays
    folder       the employee put it into a hand-over folder        it goes
    limits       outside the period, the other direction            it stays
    case, customer                                                  it goes
    nothing                                                         it stays: nobody proved that it is needed

Pure, by what stands in the header. Headers can be forged, and nothing here believes one: that a customer is named
makes a message relevant, not true, so a claim is enough to select it. And a private mark is enough to leave it, in
whatever field it stands. Whoever forges one can only keep their own message from being handed over.

Regulation on employers' access to e-mail (2018-07-02-1108) §§ 2 and 4: what is not needed for daily operation is not
looked into, and deleted within a reasonable time.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_to_datetime
from enum import IntFlag, StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from lethe.anonymise.fold import fold
from lethe.deadlines import cutoff, local_date
from lethe.offboarding.addresses import Listed, addressed, mentioned
from lethe.offboarding.header import LARGEST, fields, read, said
from lethe.offboarding.platform import Envelope, Folder, Mailbox, Ref
from lethe.offboarding.rules import HandOver, Offboarding, Private
from lethe.offboarding.words import is_named, skeleton

_PEOPLE = tuple(f"{sent}{who}" for sent in ("", "resent-") for who in ("from", "sender", "reply-to", "to", "cc", "bcc"))
_TRACES = ("return-path", "list-post", "x-original-from", "x-original-sender")
_SUBJECTS = ("subject", "thread-topic", "keywords", "x-keywords", "comments")
_THROWN_AWAY = ("junk", "trash", "recoverable")
_PRIVATE_MARKS = ("private", "personal")  # of the Sensitivity field (RFC 4021, 2.1.55)
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹘﹣－"), "-")
_DOMAINS = re.compile(r"@[^\s<>,;()\"]*")


class Verdict(StrEnum):
    """What becomes of a message: it is copied to a colleague, or left, and deleted with the mailbox."""

    HAND_OVER = "hand over"
    LEAVE = "leave"


class Why(IntFlag):
    """What speaks for handing a message over, and what against; a message can have several of each."""

    CHOSEN = 1
    FOLDER = 2
    CASE = 4
    CUSTOMER = 8
    NOTHING = 16
    PRIVATE_FOLDER = 32
    PRIVATE_SUBJECT = 64
    PRIVATE_CORRESPONDENT = 128
    UNION = 256
    OCCUPATIONAL_HEALTH = 512
    SENSITIVE = 1024
    UNREADABLE = 2048
    """What would say whether it is private cannot be read."""
    THROWN_AWAY = 4096
    OUTSIDE_PERIOD = 8192
    OTHER_DIRECTION = 16384

    @property
    def verdict(self) -> Verdict:
        """The first line of the table above that has a reason decides."""
        for reasons, verdict in _ORDER:
            if self & reasons:
                return verdict
        return Verdict.LEAVE


FOR = Why.CHOSEN | Why.FOLDER | Why.CASE | Why.CUSTOMER
PRIVATE = Why.PRIVATE_FOLDER | Why.PRIVATE_SUBJECT | Why.PRIVATE_CORRESPONDENT | Why.UNION | Why.OCCUPATIONAL_HEALTH
_ORDER = (
    (PRIVATE | Why.SENSITIVE | Why.UNREADABLE, Verdict.LEAVE),
    (Why.CHOSEN, Verdict.HAND_OVER),
    (Why.THROWN_AWAY, Verdict.LEAVE),
    (Why.FOLDER, Verdict.HAND_OVER),
    (Why.OUTSIDE_PERIOD | Why.OTHER_DIRECTION, Verdict.LEAVE),
    (Why.CASE | Why.CUSTOMER, Verdict.HAND_OVER),
)


@dataclass(frozen=True)
class Choice:
    """The verdict on one message of a folder, with all reasons."""

    folder: tuple[str, ...]
    reasons: Why

    @property
    def verdict(self) -> Verdict:
        """What the reasons come to."""
        return self.reasons.verdict

    def with_sensitive(self, *, is_sensitive: bool) -> Choice:
        """The choice once the whole message was read for it, which only one that would be handed over is (R12)."""
        return Choice(self.folder, self.reasons | Why.SENSITIVE) if is_sensitive else self


@dataclass(frozen=True)
class Selection:
    """What is handed over of one mailbox: the policy's rules, and what was chosen by a person."""

    hand_over: HandOver
    private: Private
    own: Listed
    customers: Listed
    correspondents: Mapping[Why, Listed]
    after: date
    """What is found by case number or customer is younger than this."""
    last_day: date
    zone: ZoneInfo
    folders: frozenset[tuple[str, ...]]
    messages: frozenset[tuple[tuple[str, ...], Ref]]

    @classmethod
    def of(
        cls,
        policy: Offboarding,
        mailbox: Mailbox,
        last_day: date,
        zone: ZoneInfo,
        *,
        customers: Iterable[str] = (),
        chosen: Collection[tuple[tuple[str, ...], Ref | None]] = (),
    ) -> Selection:
        """The selection for a mailbox; `customers` is what the dataset of the policy has: addresses, or domains.

        `chosen` has folders by path, each without those inside it, or messages by folder and ref.
        """
        private = policy.private
        return cls(
            hand_over=policy.hand_over,
            private=private,
            own=Listed.of([mailbox]),
            customers=Listed.of((*policy.hand_over.customers, *customers)),
            correspondents={
                Why.PRIVATE_CORRESPONDENT: Listed.of(private.correspondents),
                Why.UNION: Listed.of(private.union),
                Why.OCCUPATIONAL_HEALTH: Listed.of(private.occupational_health),
            },
            after=_before(policy.hand_over, last_day),
            last_day=last_day,
            zone=zone,
            folders=frozenset(path for path, ref in chosen if ref is None),
            messages=frozenset((path, ref) for path, ref in chosen if ref is not None),
        )


def _before(rules: HandOver, last_day: date) -> date:
    try:
        return cutoff(last_day, rules.within)
    except (ValueError, OverflowError):  # before the year 1: everything is younger
        return date.min


@dataclass(frozen=True)
class _Message:
    """What a header says, as far as it is asked."""

    folder: Folder
    envelope: Envelope
    subjects: tuple[str, ...]
    marks: tuple[str, ...]
    """Where a private mark may stand: subjects and categories, decoded and as they came."""
    people: tuple[str, ...]
    """The fields of correspondents, decoded and as they came."""
    authors: frozenset[str]
    addresses: frozenset[str]
    mentioned: frozenset[str]
    """What looks like an address anywhere in a field of correspondents."""
    fields: Mapping[str, tuple[bytes, ...]]
    is_sure: bool


def choose(selection: Selection, folder: Folder, envelope: Envelope) -> Choice:
    """The verdict on a message with every reason; it never raises for what the header holds."""
    message = _read(folder, envelope)
    reasons = _speaks_for(selection, message) or Why.NOTHING
    reasons |= _private(selection, message) | _limits(selection, message)
    if not message.is_sure:
        reasons |= Why.UNREADABLE
    return Choice(folder.path, reasons)


def _read(folder: Folder, envelope: Envelope) -> _Message:
    found = fields(envelope.header)
    subjects = [value for name in _SUBJECTS for value in found.get(name, ())]
    decoded = [said(value) for value in subjects]
    people = [value for name in _PEOPLE for value in found.get(name, ())]
    texts = tuple(_readings(people))
    traces = _readings(value for name in _TRACES for value in found.get(name, ()))
    return _Message(
        folder=folder,
        envelope=envelope,
        subjects=tuple(each.text for each in decoded),
        marks=(*_readings(subjects), *(flag.lstrip("\\$") for flag in envelope.flags)),
        people=texts,
        authors=_addressed(found.get("from", ())),
        addresses=_addressed(people),
        mentioned=frozenset(address for text in (*texts, *traces) for address in mentioned(text)),
        fields=found,
        is_sure=len(envelope.header) <= LARGEST and all(each.is_sure for each in decoded),
    )


def _readings(values: Iterable[bytes]) -> Iterator[str]:
    for value in values:
        yield said(value).text
        yield read(value, "utf-8").text


def _addressed(values: Iterable[bytes]) -> frozenset[str]:
    return frozenset(address for value in values for address in addressed(read(value, "utf-8").text))


def _speaks_for(selection: Selection, message: _Message) -> Why:
    rules, path = selection.hand_over, message.folder.path
    found = Why(0)
    if path in selection.folders or (path, message.envelope.ref) in selection.messages:
        found |= Why.CHOSEN
    names = {fold(name).text for name in rules.folders}
    if any(fold(part).text.strip() in names for part in path):
        found |= Why.FOLDER
    if any(_numbers(rules.case_numbers).search(_dashed(subject)) for subject in message.subjects):
        found |= Why.CASE
    if any(selection.customers.has(address) for address in message.addresses):
        found |= Why.CUSTOMER
    return found


@lru_cache(maxsize=16)
def _numbers(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Case numbers in a folded text, with any dash: TD-12345 is one, neither TD-123456 nor STD-12345 is."""
    branches = [
        "".join("[0-9]" if each == "#" else re.escape(each) for each in _dashed(pattern)) for pattern in patterns
    ]
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(branches)})(?![^\W_])" if branches else "(?!)")


def _dashed(text: str) -> str:
    return fold(text).text.translate(_DASHES)


def _private(selection: Selection, message: _Message) -> Why:
    words = selection.private
    found = Why(0)
    if any(is_named(words.folders, part) for part in message.folder.path):
        found |= Why.PRIVATE_FOLDER
    if any(is_named(words.subjects, text) for text in message.marks) or _is_marked(message):
        found |= Why.PRIVATE_SUBJECT
    if any(is_named(words.subjects, _DOMAINS.sub(" ", text)) for text in message.people):
        found |= Why.PRIVATE_CORRESPONDENT
    for why, listed in selection.correspondents.items():
        if any(listed.has(address) for address in message.addresses | message.mentioned):
            found |= why
    return found


def _is_marked(message: _Message) -> bool:
    """What a sender's program marks as private or personal."""
    marks = message.fields.get("sensitivity", ())
    return any(skeleton(said(mark).text).strip() in _PRIVATE_MARKS for mark in marks)


def _limits(selection: Selection, message: _Message) -> Why:
    found = Why(0)
    if message.folder.role in _THROWN_AWAY:
        found |= Why.THROWN_AWAY
    if not _is_within(selection, message):
        found |= Why.OUTSIDE_PERIOD
    wanted = {"sent", "received"} if selection.hand_over.direction == "both" else {selection.hand_over.direction}
    ways = _ways(selection, message)
    if not ways or not ways <= wanted:
        found |= Why.OTHER_DIRECTION
    return found


def _is_within(selection: Selection, message: _Message) -> bool:
    """By when it came into the mailbox, which no sender writes.

    A Date before the period makes it an older message that was moved. One that is later, missing or unreadable says
    nothing: what was there on a day was written by then.
    """
    try:
        came = local_date(message.envelope.received, selection.zone)
    except (ValueError, OverflowError):
        return False
    claimed = [day for value in message.fields.get("date", ()) if (day := _claimed(value, selection.zone))]
    return selection.after < came <= selection.last_day and all(day > selection.after for day in claimed)


def _claimed(value: bytes, zone: ZoneInfo) -> date | None:
    try:
        return local_date(parsedate_to_datetime(value[:100].decode("ascii")), zone, ZoneInfo("UTC"))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _ways(selection: Selection, message: _Message) -> set[str]:
    """Sent, received, both where nobody can say, neither for a draft; the platform's word goes before the author's."""
    role = message.folder.role
    if role == "drafts" or "\\draft" in {flag.lower() for flag in message.envelope.flags}:
        return set()
    if role in {"sent", "inbox"}:
        return {"sent"} if role == "sent" else {"received"}
    ways = {"sent" if selection.own.has(author) else "received" for author in message.authors}
    return ways or {"sent", "received"}
