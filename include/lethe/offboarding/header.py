"""Header lines as bytes → what they say. Never raises, whatever is wrong with them, and takes linear time.

RFC 5322 for lines and addresses, RFC 2047 for encoded words, RFC 6532 for headers in UTF-8; and what is written by
those who read none of them: other charsets as they are, words split within a letter, spaces before the colon.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LARGEST = 256 * 1024
"""Bytes of a header that are read; nobody writes longer ones to people."""

_FOLD = re.compile(rb"(?<![\r\n])[\r\n]++(?=[ \t])")
_FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]*+:")
_WORD = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?([^?\r\n]*)\?=")
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
# Codecs of Python that are no charsets of mail; some of them take quadratic time.
_NO_CHARSETS = frozenset(("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"))
_ONE_BYTE = re.compile(r"(us-)?ascii|utf-8|iso8859-\d+|cp125\d", re.IGNORECASE)


@dataclass(frozen=True)
class Said:
    """What a field says, and whether all of it could be read."""

    text: str
    is_sure: bool = True


def fields(header: bytes) -> Mapping[str, tuple[bytes, ...]]:
    """All values by name in small letters, unfolded, in their order; of a header that is too large, its beginning."""
    found: dict[str, list[bytes]] = {}
    for line in re.split(rb"[\r\n]+", _FOLD.sub(b"", header[:LARGEST])):
        name = _FIELD.match(line)
        if name:
            found.setdefault(name[1].decode("ascii").lower(), []).append(line[name.end() :].strip())
    return {name: tuple(values) for name, values in found.items()}


def said(value: bytes) -> Said:
    """A field's value with its encoded words decoded; words beside each other are one text, whatever splits them."""
    text = read(value, "utf-8").text
    parts = [read(octets, charset) for charset, octets in _runs(text)]
    return Said("".join(part.text for part in parts), all(part.is_sure for part in parts))


def _runs(text: str) -> Iterator[tuple[str, bytes]]:
    """Octets with their charset: what stands between encoded words, and words of one charset as one."""
    octets: list[bytes] = []
    charset, behind = "utf-8", 0
    for word in _WORD.finditer(text):
        between = text[behind : word.start()]
        name = word[1].partition("*")[0].lower()
        if between.strip() or name != charset or not behind:
            yield charset, b"".join(octets)
            yield "utf-8", (between if between.strip() else "").encode("utf-8", "replace")
            charset, octets = name, []
        octets.append(_octets(word[2].lower(), word[3].encode("utf-8", "replace")))
        behind = word.end()
    yield charset, b"".join(octets)
    yield "utf-8", text[behind:].encode("utf-8", "replace")


def _octets(encoding: str, content: bytes) -> bytes:
    if encoding == "b":
        return base64_octets(content)
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), content.replace(b"_", b" "))


def base64_octets(content: bytes) -> bytes:
    """What base64 stands for, with all that is between and behind paddings, and without what is none."""
    found = []
    for part in re.split(rb"=+", _NOT_BASE64.sub(b"", content)):
        usable = part[: len(part) - (len(part) % 4 == 1)]
        found.append(binascii.a2b_base64(usable + b"=" * (-len(usable) % 4)))
    return b"".join(found)


def read(octets: bytes, charset: str) -> Said:
    """Octets as text: in their charset, else in UTF-8, else as Latin-1; unsure where that may hide what is meant."""
    known = _known(charset)
    for name in (known, "utf-8"):
        try:
            return Said(octets.decode(name)) if name else Said(octets.decode("ascii"))
        except (UnicodeError, ValueError, LookupError):
            continue
    return Said(octets.decode("latin-1"), is_sure=_ONE_BYTE.fullmatch(known) is not None)


def _known(charset: str) -> str:
    """Python's name of a charset, "" for none of that name."""
    try:
        name = codecs.lookup(charset[:40]).name
    except (LookupError, ValueError):
        return ""
    return "" if name.replace("-", "_") in _NO_CHARSETS else name
