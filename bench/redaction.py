"""Measure 8: how much of what must be redacted is found, and how much of what is found had to be; and how fast."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))  # the corpus is the tests'

from bench.figures import Figure, faster, in_turn, seconds
from bench.server import Server
from lethe.anonymise.encoded import redact_stored
from lethe.anonymise.find import MARKS, Finder
from lethe.anonymise.subject import Identifiers
from redaction_corpus import Message, Span, decoded, encoded, messages, subjects

KNOWN = ("name", "email", "phone", "address")
"""Identifiers that the record knows of its data subject; all others are known by their form."""


@dataclass(frozen=True)
class Measured:
    """Spans by kind that had to be found and that were; and what went wrong, as message, kind and text."""

    wanted: Counter[str]
    found: Counter[str]
    missed: tuple[tuple[str, str, str], ...]
    needless: tuple[tuple[str, str, str], ...]
    right: int

    def recall(self, *kinds: str) -> float:
        """The share of the spans of these kinds that was found whole."""
        return sum(self.found[kind] for kind in kinds) / sum(self.wanted[kind] for kind in kinds)

    @property
    def precision(self) -> float:
        """The share of what was found that lies on something that had to be."""
        return self.right / (self.right + len(self.needless))


@cache
def finder(subject: str) -> Finder:
    """The compiled search for one of the corpus's subjects."""
    known = subjects()[subject]
    return Finder(Identifiers(known.names, known.emails, known.phones, known.addresses))


def measured() -> Measured:
    """The whole corpus, as plain text."""
    wanted, found, right = Counter[str](), Counter[str](), 0
    missed, needless = list[tuple[str, str, str]](), list[tuple[str, str, str]]()
    for message in messages():
        spans = finder(message.subject).find(message.text)
        covered = {at for span in spans for at in range(span.start, span.end)}
        for span in message.spans:
            wanted[span.kind] += 1
            whole = _letters(message.text, span) <= covered
            found[span.kind] += whole
            if not whole:
                missed.append((message.id, span.kind, message.text[span.start : span.end]))
        meant = {at for span in message.spans for at in range(span.start, span.end)}
        for each in spans:
            if meant.isdisjoint(range(each.start, each.end)):
                needless.append((message.id, each.kind, message.text[each.start : each.end]))
            else:
                right += 1
    return Measured(wanted, found, tuple(missed), tuple(needless), right)


def _letters(text: str, span: Span) -> set[int]:
    """Where a span has letters and digits: blanks and brackets around them may stay."""
    return {at for at in range(span.start, span.end) if text[at].isalnum()}


def left_when_stored() -> list[tuple[str, str, str]]:
    """What can still be read in messages that were redacted as they are stored, in their encodings."""
    left = []
    for message in messages():
        after = decoded(redact_stored(encoded(message), finder(message.subject)).text, message.encoding)
        left += [(message.id, kind, text) for kind, text in _readable(message, after)]
    return left


def _readable(message: Message, after: str) -> Iterator[tuple[str, str]]:
    """Spans whose text stands there as often as before; less often is as the redaction of plain text is measured."""
    for span in message.spans:
        text = message.text[span.start : span.end]
        pattern = re.compile(r"(?<!\w)" + re.escape(text) + r"(?!\w)")
        if len(pattern.findall(after)) >= len(pattern.findall(message.text)):
            yield span.kind, text


def measure(_server: Server, quick: bool) -> Iterator[Figure]:
    """Recall and precision, then throughput against a bare pattern of the same identifiers."""
    found = measured()
    known, pattern = found.recall(*KNOWN), found.recall(*set(found.wanted).difference(KNOWN))
    count = len(messages())
    yield _share(f"redaction, {count} messages: recall of known identifiers", known, 1.0)
    yield _share("recall of numbers and addresses by their form", pattern, 0.98)
    yield _share("precision", found.precision, 0.0)
    for what, cases in (("missed", found.missed), ("needless", found.needless), ("left", left_when_stored())):
        for case in cases:
            print(what, *map(repr, case), file=sys.stderr)
    yield from _speed(2 if quick else 9)


def _share(measure: str, share: float, least: float) -> Figure:
    target = f"at least {least:g}" if least else "–"
    return Figure(measure, f"{share:.4f}", "", share, target, share >= least)


def _speed(pairs: int) -> Iterator[Figure]:
    texts = [(message.subject, message.text) for message in messages()] * 5
    bare = {name: _bare(name) for name in subjects()}

    def ours() -> None:
        for subject, text in texts:
            finder(subject).find(text)

    def floor() -> None:
        for subject, text in texts:
            for _ in bare[subject].finditer(text):
                pass

    rounds = in_turn(pairs, lambda: seconds(ours), lambda: seconds(floor))
    mine, theirs = zip(*rounds, strict=True)
    size = sum(len(text.encode()) for _, text in texts) / 1e6
    yield faster(f"finding in {size:.1f} MB of text, speed against one bare pattern", mine, theirs, 0.3)


def _bare(name: str) -> re.Pattern[str]:
    """The subject's identifiers as they stand, and the plainest shapes of mail addresses and numbers."""
    known = subjects()[name]
    words = [part for each in known.names for part in re.split(r"\W+", each) if part]
    literal = [*known.names, *words, *known.emails, *known.phones, *known.addresses]
    shapes = [r"\b[\w.+-]+@[\w-]+\.[\w.]+\b", r"\b\d{6} ?\d{5}\b", r"(?:\+47 ?)?\b\d(?: ?\d){7}\b"]
    return re.compile("|".join([*map(re.escape, literal), *shapes]), re.IGNORECASE)


__all__ = ["KNOWN", "MARKS", "Measured", "left_when_stored", "measure", "measured"]
