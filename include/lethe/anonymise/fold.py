"""One form for all ways of writing the same letters, and the way back to where they stand in the text.

NFKC with case folding (Unicode 3.13, toNFKC_Casefold): composed and decomposed letters, ligatures, full-width digits, ß
and İ become alike, soft hyphens and joiners go. Decimal digits of all scripts become 0 to 9. Most text keeps its
length, and is then folded by C code alone.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

FILLER = "\ufffc"  # stands for what no pattern may see; neither a letter, nor a space, nor punctuation of a number

_MARKS = "\u0300-\u036f\u1160-\u11ff\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\u3099\u309a\ufe20-\ufe2f"
_DROPPED = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff"
_CLUSTER = re.compile(rf"[^\x00-\x7f][{_MARKS}]*|[\x00-\x7f][{_MARKS}]+")
_ZEROS = (  # of the decimal digits in each script: the other nine follow
    "\u0660\u06f0\u07c0\u0966\u09e6\u0a66\u0ae6\u0b66\u0be6\u0c66\u0ce6\u0d66\u0de6\u0e50\u0ed0\u0f20"
    "\u1040\u1090\u17e0\u1810\u1946\u19d0\u1a80\u1a90\u1b50\u1bb0\u1c40\u1c50\ua620\ua8d0\ua900\ua9d0"
    "\ua9f0\uaa50\uabf0\U000104a0\U00010d30\U00011066\U000110f0\U00011136\U000111d0\U000112f0\U00011450"
    "\U000114d0\U00011650\U000116c0\U00011730\U000118e0\U00011950\U00011c50\U00011d50\U00011da0\U00011f50\U00016a60"
    "\U00016ac0\U00016b50\U0001e140\U0001e2f0\U0001e4f0\U0001e950"
)
_DIGITS = "".join(f"{zero}-{chr(ord(zero) + 9)}" for zero in _ZEROS)
_NOT_AS_IT_IS = re.compile(rf"[{_DROPPED}\u0307ıʼʻʹ′‛{_DIGITS}]")
_APOSTROPHES = str.maketrans(dict.fromkeys("´ʼʻʹ′‛΄", "'"))  # NFKC makes a blank of some, a letter of others
_DROP = re.compile(rf"[{_DROPPED}]|(?<=i)\u0307")


@dataclass(frozen=True)
class Folded:
    """A folded text; the four tuples hold where its length differs from the original's."""

    text: str
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    original_starts: tuple[int, ...] = field(default=(), repr=False)
    original_ends: tuple[int, ...] = field(default=(), repr=False)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span in the original; a letter that was folded into several is taken whole."""
        return self._start(start), self._end(end)

    def _start(self, at: int) -> int:
        index = bisect_right(self.starts, at) - 1
        if index < 0:
            return at
        beyond = at - self.ends[index]
        return self.original_starts[index] if beyond < 0 else self.original_ends[index] + beyond

    def _end(self, at: int) -> int:
        index = bisect_left(self.starts, at) - 1
        if index < 0:
            return at
        return self.original_ends[index] + max(0, at - self.ends[index])


def fold(text: str) -> Folded:
    """The text in its one form, with offsets into the original."""
    folded = text.casefold()
    if text.isascii() or (  # case folding never shortens: the same length means letter for letter
        len(folded) == len(text) and unicodedata.is_normalized("NFKC", folded) and not _NOT_AS_IT_IS.search(folded)
    ):
        return Folded(folded)
    return _fold_by_cluster(text)


def _fold_by_cluster(text: str) -> Folded:
    pieces: list[str] = []
    places: list[tuple[int, int, int, int]] = []
    known: dict[str, str] = {}
    behind = length = 0
    for match in _CLUSTER.finditer(text):
        start, end = match.span()
        cluster = match.group()
        if (plain := known.get(cluster)) is None:
            plain = known[cluster] = _fold_cluster(cluster)
        length += start - behind
        pieces += (text[behind:start].lower(), plain)
        if len(plain) != end - start:
            places.append((length, length + len(plain), start, end))
        length += len(plain)
        behind = end
    pieces.append(text[behind:].lower())
    return Folded("".join(pieces), *zip(*places, strict=True))


def _fold_cluster(cluster: str) -> str:
    plain = unicodedata.normalize("NFKC", cluster.translate(_APOSTROPHES))
    plain = unicodedata.normalize("NFKC", plain.casefold()).replace("ı", "i")
    plain = _DROP.sub("", plain).translate(_APOSTROPHES)
    return "".join(str(unicodedata.decimal(letter, letter)) for letter in plain) if not plain.isascii() else plain


def masked(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with each of the ordered spans hidden behind fillers, its length unchanged."""
    pieces: list[str] = []
    behind = 0
    for start, end in spans:
        pieces += (text[behind:start], FILLER * (end - max(start, behind)))
        behind = max(behind, end)
    return "".join((*pieces, text[behind:])) if pieces else text
