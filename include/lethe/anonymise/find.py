"""find(): where a text names its data subject, and numbers and addresses of anybody.

What is known of the subject is searched for in every writing, and in doubt found: that nothing known stays goes before
that nothing else goes. Of others only what has a form of its own is found: numbers with check digits, valid phone
numbers, e-mail addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from lethe.anonymise.addresses import BESIDE, PLACE, address_branches, places
from lethe.anonymise.emails import EMAIL, addresses_of_anybody, email_branches
from lethe.anonymise.fold import Folded, fold, masked
from lethe.anonymise.names import Hit, hit, initials, name_branches, people
from lethe.anonymise.numbers import Span, numbers
from lethe.anonymise.phones import OwnPhones
from lethe.anonymise.spelling import compiled
from lethe.anonymise.subject import Identifiers

Kind = Literal["name", "email", "phone", "address", "nin", "account", "orgnr"]

MARKS: dict[Kind, str] = {
    "name": "[navn]",
    "email": "[e-post]",
    "phone": "[telefon]",
    "address": "[adresse]",
    "nin": "[fødselsnummer]",
    "account": "[kontonummer]",
    "orgnr": "[organisasjonsnummer]",
}
_MARK = re.compile("|".join(map(re.escape, MARKS.values())))


@dataclass(frozen=True, order=True)
class Found:
    """A span of the text, in Python's offsets, and what was found there."""

    start: int
    end: int
    kind: Kind


def find(text: str, subject: Identifiers) -> tuple[Found, ...]:
    """The spans to redact, in order and apart; for many texts of one subject keep a `Finder`."""
    return Finder(subject).find(text)


class Finder:
    """One subject's identifiers, compiled once; it can be used by several threads."""

    def __init__(self, subject: Identifiers) -> None:
        self._pattern, self._labels = compiled(
            (
                *address_branches(subject.addresses),
                *email_branches(subject.emails),
                *name_branches(subject.names),
            )
        )
        self._initials = initials(subject.names)
        self._phones = OwnPhones.of(subject.phones)

    def find(self, text: str) -> tuple[Found, ...]:
        """The spans to redact, in order and apart; marks of an earlier redaction are left as they are."""
        folded = fold(text)
        body = folded.text
        if "[" in body:
            body = masked(body, [mark.span() for mark in _MARK.finditer(body)])
        spans = self._own(text, folded, body)
        spans += [(start, end, EMAIL) for start, end in addresses_of_anybody(body)]
        spans.sort()
        spans += numbers(masked(body, [(start, end) for start, end, _ in spans]), self._phones)
        return _merged([(*folded.span(start, end), kind) for start, end, kind in spans])

    def _own(self, text: str, folded: Folded, body: str) -> list[Span]:
        if self._pattern is None:
            return []

        def is_upper(at: int) -> bool:
            return text[folded.span(at, at + 1)[0]].isupper()

        spans: list[Span] = []
        parts: list[Hit] = []
        where: list[tuple[int, int, str]] = []
        for match in self._pattern.finditer(body):
            start, end = match.span()
            label = self._labels[cast("int", match.lastindex) - 1]
            if label == EMAIL:
                spans.append((start, end, EMAIL))
            elif label in {PLACE, BESIDE}:
                where.append((start, end, label))
            else:
                parts.append(hit(body, (start, end), label, is_upper))
        spans += ((start, end, "address") for start, end in places(body, where))
        spans += ((start, end, "name") for start, end in people(body, parts, self._initials, is_upper))
        return spans


def _merged(spans: list[Span]) -> tuple[Found, ...]:
    """The spans in order, those that overlap as one, of the kind of the longest."""
    found: list[Found] = []
    longest = 0
    for start, end, kind in sorted(spans):
        if not found or start >= found[-1].end:
            found.append(Found(start, end, cast("Kind", kind)))
            longest = end - start
            continue
        last = found[-1]
        is_longer = end - start > longest
        longest = max(longest, end - start)
        found[-1] = Found(last.start, max(last.end, end), cast("Kind", kind) if is_longer else last.kind)
    return tuple(found)
