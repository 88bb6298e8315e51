"""What is searched for to find the names of one person: every part, in every writing, and parts written as one word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from lethe.anonymise.common_words import AMBIGUOUS, PARTICLES
from lethe.anonymise.fold import FILLER, fold
from lethe.anonymise.misspelt import Misspelt
from lethe.anonymise.spelling import JOINED, LETTER, Branch, branches, is_caseless

SURE, WORD, PARTICLE = "name", "name that is a word", "particle of a name"
LETTER_ALONE, GLUED = "name of one letter", "initials and a name in one word"

_PART = re.compile(rf"{LETTER}+(?:['’‘´`ʼ]{LETTER}+)*")
_AFTER = rf"(?:['’‘´`]s?|s['’‘´`]?)?(?!{JOINED})"  # genitive: Karis, Kari's, Hans'


@dataclass(frozen=True)
class Initials:
    """Patterns of the initials that stand before and after another part."""

    before: re.Pattern[str]
    after: re.Pattern[str]


@dataclass(frozen=True)
class Person:
    """What else is known of the names: initials, what a part sounds like, which parts are given names, and surnames."""

    initials: Initials | None
    misspelt: Misspelt
    given: frozenset[str]
    surnames: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str]) -> Person:
        """The person of these names."""
        parts = [[part for part in _parts(name) if part not in PARTICLES] for name in names]
        return cls(
            initials(names),
            Misspelt(frozenset(part for each in parts for part in each)),
            frozenset(part for each in parts for part in each[:-1]),
            frozenset(part for each in parts for part in each[1:]),
        )


def name_branches(names: Iterable[str]) -> Iterator[Branch]:
    """The branches of every part of the names, and of parts written as one word."""
    for name in names:
        parts = _parts(name)
        for part in parts:
            yield from branches(part, _label(part), "" if is_caseless(part[-1]) else _AFTER)
        for one, other in {*pairwise(parts), *pairwise(parts[::-1]), *zip(parts[:1], parts[-1:], strict=True)}:
            if one != other and min(len(one), len(other)) > 1:
                yield from branches(one + other, SURE, _AFTER)
        *given, surname = [part for part in parts if part not in PARTICLES] or [""]
        for letters in {"".join(part[0] for part in given), *(part[0] for part in given[:1])} if surname else ():
            yield from branches(letters + surname, GLUED, _AFTER)


def _parts(name: str) -> list[str]:
    """The parts of a name that are words; a letter is one as the last of them, without a dot."""
    text = fold(name).text.replace(FILLER, " ")
    return [
        match[0] for match in _PART.finditer(text) if _is_word(match[0]) or (match.start() and match.end() == len(text))
    ]


def _is_word(part: str) -> bool:
    return len(part) > 1 or is_caseless(part)  # one letter is an initial, but a name where letters have no case


def _label(part: str) -> str:
    if part in PARTICLES:
        return PARTICLE
    if not _is_word(part):
        return LETTER_ALONE
    return WORD if part in AMBIGUOUS or (len(part) < 3 and not is_caseless(part)) else SURE


def initials(names: Iterable[str]) -> Initials | None:
    """The patterns of this person's initials; None without a name."""
    letters = {part[0] for name in names for part in _PART.findall(fold(name).text)}
    if not letters:
        return None
    one = f"[{''.join(map(re.escape, sorted(letters)))}]"
    return Initials(
        re.compile(rf"(?<![^\W_])(?:{one}{{1,4}}(?:\.[ -]?|[ -]))+\Z"),
        re.compile(rf"(?:,? ?(?<![^\W_]){one}(?![^\W_])\.?)+"),
    )
