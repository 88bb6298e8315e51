"""A message as bytes → the texts in it, one part after the other (RFC 2045 to 2049, RFC 2231, RFC 5322).

Never raises and takes linear time, whatever is wrong: parts may lie within parts and messages within messages, some
levels deep; what lies deeper, is too large or is no text is told as unread. One part at a time is decoded.
"""

from __future__ import annotations

import html
import quopri
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_to_bytes

from lethe.offboarding.header import LARGEST as LARGEST_HEADER
from lethe.offboarding.header import base64_octets, fields, read, said

LARGEST = 32 * 1024 * 1024
"""Bytes of a message that are read."""
MOST = 1000
"""Parts of a message that are read."""
_LEVELS = 10

_LINE = rb"[^\r\n]*+(?:\r?\n|\r|\Z)"
_HEADER = re.compile(rb"(?:[!-9;-~]{1,100}+[ \t]*+:" + _LINE + rb"(?:[ \t]++(?=[^\s])" + _LINE + rb")*+)*+")
_EMPTY = re.compile(rb"\r?\n|\r")
_BLANK = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_KIND = re.compile(r"\s*([\w.+-]+/[\w.+-]+)")
_PARAMETER = re.compile(r";\s*+([^\s=;\"]{1,100})\s*+=\s*+(?:\"((?:[^\"\\]|\\.)*+)\"?|([^\s;\"]*+))", re.DOTALL)
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*?)")
_TEXTS = re.compile(r"text/.*|application/(?:.*[+.-])?(?:json|xml|ya?ml|csv|javascript|x-ndjson|ics|calendar|rtf)")
_TEXT_NAMES = re.compile(r".*\.(?:txt|csv|tsv|json|xml|html?|md|log|ics|vcf|ya?ml|ini|sql|rtf|ldif)\s*", re.DOTALL)
_MESSAGE_NAMES = re.compile(r".*\.eml\s*", re.DOTALL)
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_NAMES = ("content-type", "content-disposition")
_PEOPLE = ("from", "sender", "reply-to", "to", "cc", "bcc")
_WRITTEN = ("subject", "thread-topic", "comments", "keywords", "content-description", *_PEOPLE)
_OF_BODIES = {"content-type", "content-transfer-encoding"}
_OF_HEADERS = {*_WRITTEN, *_NAMES, "content-transfer-encoding", "content-id", "date", "message-id", "received"}
_ENCODED = re.compile(rb"[\w-]*")
_AS_IT_IS = (b"", b"7bit", b"8bit", b"binary")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\s]")
_TAG = re.compile(r"<[A-Za-z/!?][^<>]*>")
_NO_CHARACTER = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{8,});?")  # Python refuses to read long numbers


@dataclass(frozen=True)
class Text:
    """The text of one part, or of a header."""

    text: str

    def readings(self) -> Iterator[str]:
        """The text as it is, and where it may be markup, with its tags parting words and not."""
        yield self.text
        if "<" in self.text or "&" in self.text:
            for between in ("", " "):
                yield html.unescape(_NO_CHARACTER.sub(" ", _TAG.sub(between, self.text)))


@dataclass(frozen=True)
class Unread:
    """A part that nobody read, and why."""

    why: Literal["no text", "too large", "too deep", "too many"]


Found = Text | Unread


@dataclass
class _Budget:
    """How many parts of one message may still be read."""

    parts: int = MOST


def texts(message: bytes) -> Iterator[Found]:
    """All texts of a message, headers and names of files among them, and what is not read."""
    if len(message) > LARGEST:
        yield Unread("too large")
    yield from _entity(message[:LARGEST], "text/plain", _LEVELS, _Budget())


def _entity(entity: bytes, default: str, levels: int, budget: _Budget) -> Iterator[Found]:
    """A message or part: its header, and what its body is."""
    budget.parts -= 1
    if not levels or budget.parts < 0:
        yield Unread("too many" if levels else "too deep")
        return
    header, body = _split(entity)
    if len(header) > LARGEST_HEADER:
        yield Unread("too large")
    found = fields(header)
    kind, parameters = _kind(found, default)
    yield from _written(found, parameters)
    yield from _body(body, kind, parameters, found, levels, budget)


def _split(entity: bytes) -> tuple[bytes, bytes]:
    """The header up to the first line that is no field, and the body; without a field of mail all of it is body.

    Where a line breaks the header, and what is behind it says how the body is encoded, that is header too.
    """
    match = _HEADER.match(entity)
    header = match[0] if match else b""
    empty, blank = _EMPTY.match(entity, len(header)), _BLANK.search(entity, len(header))
    if not empty and blank:
        longer = entity[: blank.start()]
        if _OF_BODIES & (fields(longer).keys() - fields(header).keys()):
            return longer, entity[blank.end() :]
    if not fields(header).keys() & _OF_HEADERS:
        return b"", entity
    return header, entity[empty.end() if empty else len(header) :]


def _kind(found: Mapping[str, tuple[bytes, ...]], default: str) -> tuple[str, dict[str, str]]:
    """What the part says that it is, and the parameters of all fields that have some."""
    parameters: dict[str, str] = {}
    for name in _NAMES:
        for value in found.get(name, ()):
            parameters |= {key: text for key, text in _parameters(value).items() if key not in parameters}
    match = _KIND.match(read(next(iter(found.get("content-type", ())), b""), "utf-8").text)
    return (match[1].lower() if match else default), parameters


def _parameters(value: bytes) -> dict[str, str]:
    """The parameters by name; those in sections are joined, and those in octets decoded (RFC 2231)."""
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for found in _PARAMETER.finditer(read(value, "utf-8").text):
        name = _SECTION.fullmatch(found[1].lower())
        if name:
            text = re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else found[3]
            sections.setdefault(name[1], {}).setdefault(int(name[2] or 0), (text, bool(name[3])))
    return {name: _joined([parts[number] for number in sorted(parts)]) for name, parts in sections.items()}


def _joined(parts: list[tuple[str, bool]]) -> str:
    if not any(encoded for _, encoded in parts):
        return said("".join(text for text, _ in parts).encode("utf-8", "replace")).text
    charset, first = "utf-8", parts[0][0]
    if parts[0][1] and first.count("'") >= 2:
        charset, _, first = first.split("'", 2)
    octets = [unquote_to_bytes(first if number == 0 else text) for number, (text, _) in enumerate(parts)]
    return read(b"".join(octets), charset).text


def _written(found: Mapping[str, tuple[bytes, ...]], parameters: Mapping[str, str]) -> Iterator[Found]:
    """What people write into a header: subjects, names, names of files."""
    values = [value for name in _WRITTEN for value in found.get(name, ())]
    lines = [said(value).text for value in values]
    lines += [parameters[name] for name in ("name", "filename") if name in parameters]
    if lines:
        yield Text("\n".join(lines))


def _body(
    body: bytes,
    kind: str,
    parameters: Mapping[str, str],
    found: Mapping[str, tuple[bytes, ...]],
    levels: int,
    budget: _Budget,
) -> Iterator[Found]:
    boundary = parameters.get("boundary", "")
    if kind.startswith("multipart/") and boundary:
        default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        for part in filter(bytes.strip, _parts(body, boundary)):
            yield from _entity(part, default, levels - 1, budget)
        return
    octets = _decoded(body, found)
    name = parameters.get("filename", parameters.get("name", "")).lower()
    if octets is None:
        yield Unread("no text")
    elif kind in {"message/rfc822", "message/global"} or _MESSAGE_NAMES.fullmatch(name):
        yield from _entity(octets, "text/plain", levels - 1, budget)
    elif _TEXTS.fullmatch(kind) or kind.startswith(("multipart/", "message/")) or _TEXT_NAMES.fullmatch(name):
        yield _text(octets, parameters.get("charset", "utf-8"))
        if octets is not body and _NOT_BASE64.search(body):  # it may not be what it says
            yield _text(body, parameters.get("charset", "utf-8"))
    elif octets:
        yield Unread("no text")


def _parts(body: bytes, boundary: str) -> Iterator[bytes]:
    """What lies between the lines that part it, before the first and behind the last of them too."""
    name = re.escape(boundary.rstrip().encode("utf-8", "replace"))
    behind = 0
    for end in re.finditer(rb"(?:\A|\r?\n|\r)--" + name + rb"(?:--)?[ \t]*+(?:\r?\n|\r|\Z)", body):
        yield body[behind : end.start()]
        behind = end.end()
    yield body[behind:]


def _decoded(body: bytes, found: Mapping[str, tuple[bytes, ...]]) -> bytes | None:
    """The body without its encoding; None when nobody knows that one."""
    match = _ENCODED.match(next(iter(found.get("content-transfer-encoding", ())), b"").lower())
    encoding = match[0] if match else b""
    if encoding == b"base64":
        return base64_octets(body)
    if encoding == b"quoted-printable":
        return quopri.decodestring(body)
    return body if encoding in _AS_IT_IS else None


def _text(octets: bytes, charset: str) -> Text:
    return Text(read(octets, next((name for bom, name in _BOMS if octets.startswith(bom)), charset)).text)
