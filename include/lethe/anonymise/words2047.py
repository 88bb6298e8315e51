"""Encoded words of mail headers (RFC 2047), also a text that is split over several of them."""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lethe.anonymise.base64_text import EditsOf
from lethe.anonymise.edits import Edit, apart, applied

_WORD = r"=\?([A-Za-z0-9_-]{1,40})(?:\*[A-Za-z-]{1,20})?\?([bBqQ])\?([^?\s]*)\?="
_ONE = re.compile(_WORD)
_GROUP = re.compile(rf"{_WORD}(?:\s{{1,80}}+(?={_WORD}){_WORD})*")
_LONGEST_WORD = 75
_AS_IS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/")


@dataclass(frozen=True)
class Group:
    """Adjacent encoded words: where they are stored, what they say and where that is seen."""

    start: int
    end: int
    text: str
    seen: int
    charset: str
    encoding: str

    def encoded(self, text: str) -> str:
        """Another text as words of the same charset and encoding, none longer than a word may be."""
        words, word = [], ""
        for char in text:
            if len(self._word(word + char)) > _LONGEST_WORD:
                words.append(self._word(word))
                word = ""
            word += char
        return " ".join((*words, self._word(word)))

    def _word(self, text: str) -> str:
        octets = text.encode(self.charset, "replace")
        if self.encoding in "bB":
            content = base64.b64encode(octets).decode()
        else:
            content = "".join(chr(n) if n in _AS_IS else "_" if n == 0x20 else f"={n:02X}" for n in octets)
        return f"=?{self.charset}?{self.encoding}?{content}?="


def word_edits(text: str, edits_of: EditsOf) -> list[Edit]:
    """The edits of a header: what was found is taken out of the words and of what stands beside them."""
    groups: list[Group] = []
    pieces: list[str] = []
    behind = length = 0
    for match in _GROUP.finditer(text):
        group = _group(match, length + match.start() - behind)
        if group is not None:
            pieces += (text[behind : match.start()], group.text)
            length = group.seen + len(group.text)
            behind = match.end()
            groups.append(group)
    if not groups:
        return []
    edits = edits_of("".join((*pieces, text[behind:])))
    return sorted(_stored(groups, apart(edits, (edit for group in groups for edit in _alone(group, edits_of)))))


def _alone(group: Group, edits_of: EditsOf) -> Iterator[Edit]:
    """The edits of a group for itself, whatever letters stand right beside it."""
    for edit in edits_of(group.text):
        yield Edit(edit.start + group.seen, edit.end + group.seen, edit.new, edit.kinds)


def _stored(groups: list[Group], edits: list[Edit]) -> Iterator[Edit]:
    """Each group with an edit is written anew; an edit beyond a group keeps its place, its mark where it begins."""
    shift = floor = 0
    for group in groups:
        end = group.seen + len(group.text)
        yield from _between(edits, floor, group.seen, shift)
        inner = [_cut(edit, group.seen, end) for edit in edits if edit.start < end and edit.end > group.seen]
        if inner:
            kinds = tuple(kind for edit in inner for kind in edit.kinds)
            moved = [Edit(edit.start - group.seen, edit.end - group.seen, edit.new) for edit in inner]
            yield Edit(group.start, group.end, group.encoded(applied(group.text, moved)), kinds)
        shift, floor = group.end - end, end
    yield from _between(edits, floor, max((edit.end for edit in edits), default=0), shift)


def _between(edits: list[Edit], floor: int, ceiling: int, shift: int) -> Iterator[Edit]:
    for edit in edits:
        if edit.start < ceiling and edit.end > floor:
            cut = _cut(edit, floor, ceiling)
            yield Edit(cut.start + shift, cut.end + shift, cut.new, cut.kinds)


def _cut(edit: Edit, floor: int, ceiling: int) -> Edit:
    begins = edit.start >= floor
    return Edit(
        max(edit.start, floor), min(edit.end, ceiling), edit.new if begins else "", edit.kinds if begins else ()
    )


def _group(match: re.Match[str], seen: int) -> Group | None:
    words = _ONE.findall(match[0])
    charset, encoding, _ = words[0]
    try:
        if len({word[0].lower() for word in words}) == 1:  # a letter may be split over two words
            text = b"".join(_octets(*word[1:]) for word in words).decode(charset)
        else:
            text = "".join(_octets(*word[1:]).decode(word[0]) for word in words)
            charset = "utf-8"
        text.encode(charset)
    except (UnicodeError, LookupError, binascii.Error):
        return None
    return Group(match.start(), match.end(), text, seen, charset, encoding)


def _octets(encoding: str, content: str) -> bytes:
    if encoding in "bB":
        return base64.b64decode(content + "=" * (-len(content) % 4), validate=True)
    return quopri.decodestring(content.encode(), header=True)
