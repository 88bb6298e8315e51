"""Text within base64 (RFC 4648, RFC 2045 6.8): values, lines of a mail body and tokens within a line."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lethe.anonymise.edits import Edit, applied
from lethe.anonymise.find import MARKS

EditsOf = Callable[[str], list[Edit]]

# Whole lines of one width, the last of which may be shorter, or one run of letters within a line.
_RUN = re.compile(r"(?<![A-Za-z0-9+/_?-])[A-Za-z0-9+/_-]{4,}(?:\r?\n[A-Za-z0-9+/_-]+)*+={0,2}(?![A-Za-z0-9+/=_-])")
_MIXED = re.compile(r"[A-Z0-9+/=_-]")  # an ordinary word has these at most in its first place
_LINE = re.compile(r"[^\r\n]+")
_MARKS = frozenset(MARKS.values())
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ufffd]")


@dataclass(frozen=True)
class Block:
    """A run of base64 within a text, with how it was written."""

    start: int
    end: int
    content: str
    charset: str
    newline: str
    width: int
    url_safe: bool
    padded: bool

    def encoded(self, content: str) -> str:
        """Another content, written in the same way."""
        raw = base64.b64encode(content.encode(self.charset)).decode()
        raw = raw.translate(str.maketrans("+/", "-_")) if self.url_safe else raw
        raw = raw if self.padded else raw.rstrip("=")
        return (
            self.newline.join(raw[at : at + self.width] for at in range(0, len(raw), self.width)) if self.width else raw
        )


def base64_edits(text: str, edits_of: EditsOf) -> list[Edit]:
    """The edits of those runs whose content has something to redact; what merely looks like base64 has not.

    A run with marks is kept whole by an edit that changes nothing: it is base64, whatever its letters spell.
    """
    edits = []
    for block in _blocks(text):
        inner = edits_of(block.content)
        changed = applied(block.content, inner)
        if changed != block.content:
            kinds = tuple(kind for edit in inner for kind in edit.kinds)
            edits.append(Edit(block.start, block.end, block.encoded(changed), kinds))
        elif any(mark in changed for mark in _MARKS):
            edits.append(Edit(block.start, block.end, text[block.start : block.end]))
    return edits


def _blocks(text: str) -> Iterator[Block]:
    for run in _RUN.finditer(text):
        is_mark = text[max(0, run.start() - 1) : run.end() + 1] in _MARKS
        if is_mark or not _MIXED.search(text, run.start() + 1, run.end()):
            continue
        for start, end in _lines_of_one_width(text, *run.span()):
            block = _block(text, start, end)
            if block is not None:
                yield block


def _lines_of_one_width(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Lines as an encoder breaks them: all of one width but for the last; a word alone on a line is none of them."""
    begin, behind, width = start, start, 0
    for line in _LINE.finditer(text, start, end):
        length = line.end() - line.start()
        if width and length > width:
            yield begin, behind
            begin, width = line.start(), 0
        behind = line.end()
        if width and length < width:
            yield begin, behind
            begin, width = line.end(), 0
            continue
        begin = line.start() if not width else begin
        width = length
    if width:
        yield begin, behind


def _block(text: str, start: int, end: int) -> Block | None:
    written = text[start:end]
    if not _MIXED.search(written, 1):
        return None
    lines = written.split("\r\n" if "\r\n" in written else "\n")
    joined = "".join(lines)
    content = _content(joined)
    if content is None:
        return None
    newline = "\r\n" if "\r\n" in written else "\n"
    width = (
        len(lines[0])
        if len(lines) > 1
        else 76
        if "\n" in text and len(joined) <= 76 and _is_alone(text, start, end)
        else 0
    )
    return Block(
        start,
        end,
        *content,
        newline,
        width,
        "-" in joined or "_" in joined,
        joined.endswith("=") or len(joined) % 4 == 0,
    )


def _is_alone(text: str, start: int, end: int) -> bool:
    return text[:start].endswith("\n") and text[end : end + 2] in {"\n", "\r\n", ""}


def _content(joined: str) -> tuple[str, str] | None:
    """The text and its charset; None when the octets are none."""
    bare = joined.rstrip("=").translate(str.maketrans("-_", "+/"))
    if len(joined) != len(joined.rstrip("=")) and len(joined) % 4:
        return None
    try:
        octets = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        return None
    for charset in ("utf-8", "cp1252"):
        try:
            content = octets.decode(charset)
        except UnicodeDecodeError:
            continue
        return None if _CONTROL.search(content) or content.encode(charset) != octets else (content, charset)
    return None
