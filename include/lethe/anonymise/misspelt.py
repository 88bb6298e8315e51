"""Whether a word is part of a name misspelt: written another way that sounds the same, or one or two letters away."""

from __future__ import annotations

import re

from lethe.anonymise.spelling import bare

_SAME_LETTER = str.maketrans({"æ": "e", "ø": "o", "å": "a", "c": "k", "w": "v", "z": "s", "q": "k"})
_SAME_SOUND = (("aa", "a"), ("oe", "o"), ("ae", "e"), ("th", "t"), ("ph", "f"), ("ch", "k"))
_DOUBLE = re.compile(r"(.)\1+")
_SHORTEST, _LONGEST = 3, 30
_ONE_FROM, _TWO_FROM = 4, 7  # the lengths from which on one letter may differ, and two


class Misspelt:
    """The parts of one person's names by their sound."""

    def __init__(self, parts: frozenset[str]) -> None:
        self.parts = parts
        self._sounds = {part: _sound(part) for part in parts if len(part) >= _SHORTEST}

    def of(self, word: str) -> frozenset[str]:
        """The parts of which the folded word may be a misspelling, or a correct spelling."""
        if not self._sounds or not _SHORTEST <= len(word) <= _LONGEST:
            return frozenset()
        sound = _sound(word)
        return frozenset(part for part, known in self._sounds.items() if _is_near(sound, known, _limit(part)))


def _limit(part: str) -> int:
    return (len(part) >= _ONE_FROM) + (len(part) >= _TWO_FROM)


def _sound(word: str) -> str:
    for written, heard in _SAME_SOUND:
        word = word.replace(written, heard)
    word = word.translate(_SAME_LETTER)
    return _DOUBLE.sub(r"\1", word if word.isascii() else "".join(map(bare, word)))


def _is_near(one: str, other: str, limit: int) -> bool:
    """Whether so few letters differ; no letter that is changed alters what letters there are by more than two."""
    if abs(len(one) - len(other)) > limit or len(set(one) ^ set(other)) > 2 * limit:
        return False
    return distance(one, other) <= limit


def distance(one: str, other: str) -> int:
    """How many letters must be put in, left out, changed or swapped with their neighbour (Damerau-Levenshtein)."""
    above: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        above, behind, row = row, above, [i]
        for j, right in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, behind[j - 2] + 1)
            row.append(cost)
    return row[-1]
