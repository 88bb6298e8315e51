"""The ways in which one known word may be spelt, as branches of a regular expression that each begin with a letter.

Branches that begin with a literal let `re` skip, in C, whatever cannot begin one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from lethe.anonymise.fold import fold

LETTER = r"[^\W\d_]"
# Scripts without case, which write no spaces between words: Hebrew to Myanmar, Hangul, Khmer, Chinese, Japanese.
_CASELESS = (
    "\u0590-\u109f\u1100-\u139f\u1400-\u1bff\u2e80-\ua63f\uac00-\ud7ff\uf900-\ufaff\ufb1d-\ufdff\ufe70-\ufefc"
    "\U00020000-\U0003ffff"
)
JOINED = rf"[^\W\d_{_CASELESS}]"
"""A letter that makes one word with the letter beside it."""
_JOINED = re.compile(JOINED)
_AA = "(?:aa|å)"
_APOSTROPHES = "'’‘´`ʼ"
_WRITTEN_AS = {
    "å": ("aa", "a"),
    "ø": ("oe", "o", "ö"),
    "æ": ("ae", "ä"),
    "ä": ("ae", "æ"),
    "ö": ("oe", "ø"),
    "ü": ("ue", "u"),
    "ł": ("l",),
    "đ": ("d",),
    "ð": ("d",),
    "þ": ("th",),
}
_ACCENTS = ("aàáâã", "cçćč", "eèéêë", "iìíîï", "nñń", "oòóôõ", "sśš", "uùúûü", "zźż")
_ACCENTED = {letters[0]: letters for letters in _ACCENTS}


@dataclass(frozen=True)
class Branch:
    """One way to find an identifier: a literal first letter, a pattern of what follows it, and what it tells."""

    first: str
    rest: str
    label: str


def branches(word: str, label: str, after: str) -> Iterator[Branch]:
    """The branches of a folded word in all its spellings; `after` is a pattern of what may follow."""
    rest = _AA.join("".join(map(letter, part)) for part in word[1:].split("aa"))
    if word.startswith("aa"):
        yield from branches("å" + word[2:], label, after)
    for first in (word[0], *_spellings(word[0])):
        yield Branch(first[0], re.escape(first[1:]) + rest + after, label)


def letter(char: str) -> str:
    """A pattern of one letter of a folded word, in all its spellings."""
    if char in _APOSTROPHES:
        return f"[{_APOSTROPHES}]?"
    if char.isascii():
        return f"[{_ACCENTED[char]}]" if char in _ACCENTED else re.escape(char)
    return f"(?:{'|'.join(map(re.escape, (char, *_spellings(char), '?', chr(0xFFFD))))})"


@cache
def _spellings(char: str) -> tuple[str, ...]:
    """Without diacritics, and as UTF-8 that was read as another encoding; the cache holds single letters."""
    if char.isascii():
        return ()
    plain = bare(char)
    found = dict.fromkeys((*_WRITTEN_AS.get(char, ()), *((plain,) if plain != char and char not in "åäö" else ())))
    for case in (char, char.upper()):
        for encoding in ("cp1252", "latin-1"):
            mistaken = fold(case.encode().decode(encoding, "ignore")).text
            if len(mistaken) > 1:
                found[mistaken] = None
    return tuple(found)


def is_caseless(word: str) -> bool:
    """Whether it has no letter of JOINED, so that nothing parts it from the letters beside it."""
    return _JOINED.search(word) is None


def bare(char: str) -> str:
    """The letter without its diacritics."""
    return unicodedata.normalize("NFD", char)[0]


def compiled(terms: Iterable[Branch]) -> tuple[re.Pattern[str] | None, tuple[str, ...]]:
    """All branches as one expression, and the label of each of its groups; None when there is nothing to find.

    No letter stands before a match: after its first letter each branch looks back at the one before.
    """
    by_first: dict[str, dict[str, str]] = {}
    for term in terms:
        by_first.setdefault(term.first, {}).setdefault(term.rest, term.label)
    labels: list[str] = []
    sources = []
    for first, rests in by_first.items():
        labels += rests.values()
        escaped = re.escape(first)
        bounded = _bound(first)
        sources.append(f"{escaped}{bounded}(?:{'|'.join(f'({rest})' for rest in rests)})")
    return (re.compile("|".join(sources)) if sources else None), tuple(labels)


def _bound(first: str) -> str:
    if first.isdecimal():
        return rf"(?<![0-9]{first})"
    return "" if is_caseless(first) else rf"(?<!{JOINED}{re.escape(first)})"
