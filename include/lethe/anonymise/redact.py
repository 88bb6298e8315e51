"""redact(): a text with fixed marks where it named somebody.

What remains is pseudonymous at best: who knows the matter may still recognise the person. Nothing here calls it
anonymous.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lethe.anonymise.find import MARKS, Finder, Found, Kind
from lethe.anonymise.fold import fold
from lethe.anonymise.subject import Identifiers

_ROUNDS = 4  # a letter that is folded into several, such as ¼, is taken whole and may have hidden what touches it


@dataclass(frozen=True)
class Redacted:
    """A text with marks, and how many there are of each kind that this redaction put there."""

    text: str
    counts: Mapping[Kind, int]


def redact(text: str, subject: Identifiers | Finder) -> Redacted:
    """The text with each span found replaced by its kind's mark; done twice it is the same as once."""
    finder = subject if isinstance(subject, Finder) else Finder(subject)
    counts: Counter[Kind] = Counter()
    for _ in range(_ROUNDS):
        found = finder.find(text)
        is_letter_for_letter = not fold(text).starts
        text = _with_marks(text, found)
        counts.update(each.kind for each in found)
        if is_letter_for_letter or not found:
            break
    return Redacted(text, counts)


def _with_marks(text: str, found: Iterable[Found]) -> str:
    pieces: list[str] = []
    behind = 0
    for each in found:
        pieces += (text[behind : each.start], MARKS[each.kind])
        behind = each.end
    return "".join((*pieces, text[behind:]))
