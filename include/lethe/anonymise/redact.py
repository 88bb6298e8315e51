"""redact(): a text with fixed marks where it named somebody.

What remains is pseudonymous at best: who knows the matter may still recognise the person. Nothing here calls it
anonymous.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from lethe.anonymise.find import MARKS, Finder, Kind
from lethe.anonymise.subject import Identifiers


@dataclass(frozen=True)
class Redacted:
    """A text with marks, and how many there are of each kind that this redaction put there."""

    text: str
    counts: Mapping[Kind, int]


def redact(text: str, subject: Identifiers | Finder) -> Redacted:
    """The text with each span found replaced by its kind's mark; done twice it is the same as once."""
    finder = subject if isinstance(subject, Finder) else Finder(subject)
    found = finder.find(text)
    pieces: list[str] = []
    behind = 0
    for each in found:
        pieces += (text[behind : each.start], MARKS[each.kind])
        behind = each.end
    return Redacted("".join((*pieces, text[behind:])), Counter(each.kind for each in found))
