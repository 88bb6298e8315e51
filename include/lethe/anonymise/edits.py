"""Edits of a stored text, and views: the text a reader sees, with the way back to where each letter is stored."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lethe.anonymise.find import MARKS, Finder, Kind


@dataclass(frozen=True, order=True)
class Edit:
    """A span of a text, what is to stand there, and the kinds of what was found in it."""

    start: int
    end: int
    new: str
    kinds: tuple[Kind, ...] = ()


def plain_edits(text: str, finder: Finder) -> list[Edit]:
    """The edits of a text that is stored as it is read."""
    return [Edit(each.start, each.end, MARKS[each.kind], (each.kind,)) for each in finder.find(text)]


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text after the edits, which are in order and apart."""
    pieces: list[str] = []
    behind = 0
    for edit in edits:
        pieces += (text[behind : edit.start], edit.new)
        behind = edit.end
    return "".join((*pieces, text[behind:]))


def apart(preferred: Iterable[Edit], others: Iterable[Edit]) -> list[Edit]:
    """Both lists in order; what an edit of the others shares with a preferred one is done by that one alone."""
    kept = sorted(preferred)
    starts = [edit.start for edit in kept]
    free: list[Edit] = []
    for edit in others:
        index = max(0, bisect_right(starts, edit.start) - 1)
        shared = [one for one in kept[index : bisect_left(starts, edit.end)] if one.end > edit.start]
        free += _remains(edit, shared) if shared else (edit,)
    return sorted((*kept, *free))


def _remains(edit: Edit, shared: Iterable[Edit]) -> Iterator[Edit]:
    at = edit.start
    for one in shared:
        if at < one.start:
            yield Edit(at, one.start, "")
        at = max(at, one.end)
    if at < edit.end:
        yield Edit(at, edit.end, "")


@dataclass
class View:
    """What a reader sees of a stored text, and for each stretch of it where that is stored."""

    pieces: list[str] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    stored: list[tuple[int, int]] = field(default_factory=list)
    length: int = 0

    def add(self, text: str, start: int, end: int) -> None:
        """`text` is seen for what is stored from `start` to `end`: letter by letter when the lengths agree."""
        if text:
            self.pieces.append(text)
            self.seen.append(self.length)
            self.stored.append((start, end))
            self.length += len(text)

    @property
    def text(self) -> str:
        """The text as it is seen."""
        return "".join(self.pieces)

    def edits(self, of_view: Iterable[Edit], encode: Callable[[str], str] = str) -> Iterator[Edit]:
        """The edits of what is stored. What lies unseen within a span, a tag or a soft break, stays where it is."""
        for edit in of_view:
            places = self._places(edit.start, edit.end)
            for index, (start, end) in enumerate(places):
                yield Edit(start, end, encode(edit.new) if index == 0 else "", edit.kinds if index == 0 else ())

    def _places(self, start: int, end: int) -> Sequence[tuple[int, int]]:
        places: list[tuple[int, int]] = []
        for index in range(max(0, bisect_right(self.seen, start) - 1), len(self.seen)):
            at, piece = self.seen[index], self.pieces[index]
            if at >= end:
                break
            left, right = self.stored[index]
            if right - left == len(piece):
                left, right = left + max(0, start - at), left + min(len(piece), end - at)
            if left >= right:
                continue
            if places and places[-1][1] == left:
                places[-1] = places[-1][0], right
            elif not places or places[-1][1] < left:
                places.append((left, right))
        return places
