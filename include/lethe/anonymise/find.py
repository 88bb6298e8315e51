"""find(): where a text names its data subject, and numbers and addresses of anybody.

What is known of the subject is searched for in every writing, and in doubt found: that nothing known stays goes before
that nothing else goes. Of others only what has a form of its own is found: numbers with check digits, valid phone
numbers, e-mail addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from lethe.anonymise.addresses import BESIDE, PLACE, address_branches, after_street, places
from lethe.anonymise.emails import EMAIL, addresses_of_anybody, email_branches
from lethe.anonymise.fold import Folded, fold, masked
from lethe.anonymise.names import Person, name_branches
from lethe.anonymise.numbers import Span, numbers
from lethe.anonymise.people import People, hit
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
        self._person = Person.of(subject.names)
        self._after_street = after_street(subject.addresses)
        self._phones = OwnPhones.of(subject.phones)

    def find(self, text: str) -> tuple[Found, ...]:
        """The spans to redact, in order and apart; marks of an earlier redaction are left as they are."""
        folded = fold(text)
        body = folded.text
        is_named = False
        if "[" in body:
            is_named = MARKS["name"] in body
            body = masked(body, [mark.span() for mark in _MARK.finditer(body)])
        others = [(start, end, EMAIL) for start, end in addresses_of_anybody(body)]
        spans = self._own(text, folded, body, others, is_named)
        spans += numbers(masked(body, [(start, end) for start, end, _ in spans]), self._phones)
        return _merged([(*folded.span(start, end), kind) for start, end, kind in spans])

    def _own(self, text: str, folded: Folded, body: str, spans: list[Span], is_named: bool) -> list[Span]:
        """The other spans and those of the subject, in order; names are judged by the text without the others."""
        if self._pattern is None:
            return spans

        def is_upper(at: int) -> bool:
            return text[folded.span(at, at + 1)[0] if folded.starts else at].isupper()

        parts: list[tuple[tuple[int, int], str]] = []
        where: list[tuple[int, int, str]] = []
        for match in self._pattern.finditer(body):
            start, end = match.span()
            label = self._labels[cast("int", match.lastindex) - 1]
            if label == EMAIL:
                spans.append((start, end, EMAIL))
            elif label in {PLACE, BESIDE}:
                where.append((start, end, label))
            else:
                parts.append(((start, end), label))
        spans += ((start, end, "address") for start, end in places(body, where, self._after_street))
        spans.sort()
        if parts:
            seen = masked(body, [(start, end) for start, end, _ in spans])
            hits = [each for span, label in parts if (each := hit(body, seen, span, label, is_upper))]
            people = People(seen, hits, self._person, is_upper, is_named).spans() if hits else []
            spans += ((start, end, "name") for start, end in people)
            spans.sort()
        return spans


def _merged(spans: list[Span]) -> tuple[Found, ...]:
    """The spans in order, those that overlap as one, of the kind of the longest."""
    merged: list[Span] = []
    longest = 0
    for start, end, kind in sorted(spans):
        if not merged or start >= merged[-1][1]:
            merged.append((start, end, kind))
            longest = end - start
            continue
        first, last, of_longest = merged[-1]
        merged[-1] = first, max(last, end), kind if end - start > longest else of_longest
        longest = max(longest, end - start)
    return tuple(Found(start, end, cast("Kind", kind)) for start, end, kind in merged)
