"""sensitive(): how many identity numbers and health words a message holds; never which, and never whose (R12).

GDPR 9 and personopplysningsloven § 12: what is found is counted and forgotten. A message with any of it is not handed
over, and the owner and the privacy officer are told by number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lethe.anonymise.fold import fold
from lethe.anonymise.numbers import NIN, numbers
from lethe.anonymise.phones import OwnPhones
from lethe.offboarding.mime import Text, texts
from lethe.offboarding.rules import Offboarding
from lethe.offboarding.words import any_of, skeleton

_NOBODY = OwnPhones.of(())
_STEP = 1 << 16
_AROUND = 200
"""Letters around a window that are looked at with it: what is found is longer than none of them."""


@dataclass(frozen=True)
class Sensitive:
    """How often each kind stands in a message, and how many of its parts could not be read."""

    identity_numbers: int
    health_words: int
    unread: int

    @property
    def is_sensitive(self) -> bool:
        """Whether the message stays; parts that nobody could read do not keep it, and are told."""
        return bool(self.identity_numbers or self.health_words)


def words_of(policy: Offboarding) -> tuple[str, ...]:
    """The health words of all languages: nobody says which one a message is written in."""
    return tuple(sorted({word for words in policy.health_words.values() for word in words}))


def sensitive(message: bytes, health_words: tuple[str, ...]) -> Sensitive:
    """What all readable texts of a message hold, attachments and names of files too; it never raises.

    A text that can be read in several ways counts in the way that shows most.
    """
    found = health = unread = 0
    for each in texts(message):
        if isinstance(each, Text):
            counts = [(_identity_numbers(text), _health_words(text, health_words)) for text in each.readings()]
            found += max(number for number, _ in counts)
            health += max(number for _, number in counts)
        else:
            unread += 1
    return Sensitive(found, health, unread)


def _identity_numbers(text: str) -> int:
    count = 0
    for window, start, end in _windows(text):
        folded = fold(window)
        spans = [folded.span(*span[:2]) for span in numbers(folded.text, _NOBODY) if span[2] == NIN]
        count += sum(start <= first < end for first, _ in spans)
    return count


def _health_words(text: str, words: tuple[str, ...]) -> int:
    """Windows overlap; what stands where two do is counted with both, and taken off once."""
    count = 0
    for start in range(0, len(text), _STEP):
        end = start + _STEP
        count += _count(text[start : end + _AROUND], words) - _count(text[end : end + _AROUND], words)
    return count


def _count(text: str, words: tuple[str, ...]) -> int:
    return len(any_of(words).findall(skeleton(text)))


def _windows(text: str) -> Iterator[tuple[str, int, int]]:
    """Pieces of a text with what stands around them, and where in these they begin and end."""
    for start in range(0, len(text), _STEP):
        left = max(0, start - _AROUND)
        yield text[left : start + _STEP + _AROUND], start - left, min(len(text), start + _STEP) - left
