"""The blind corpus of marked case messages by which the redaction of free text is measured."""

from __future__ import annotations

import base64
import html
import json
import quopri
import re
from dataclasses import dataclass
from email.charset import BASE64, QP, Charset
from email.header import Header, decode_header, make_header
from itertools import pairwise
from pathlib import Path

FOLDER = Path(__file__).parent / "data" / "redaction"
KINDS = ("name", "email", "phone", "address", "nin", "account", "orgnr", "other_email", "other_phone")
ENCODINGS = ("plain", "qp", "base64", "rfc2047", "html")

_HEADER = re.compile(r"=== (m\d{3}) subject=(s\d{2}) encoding=(\w+)")
_MARK = re.compile(r"⟦(\w+)\|([^⟦⟧]*)⟧")


class Malformed(Exception):
    """The corpus is not written as its README says."""


@dataclass(frozen=True)
class Subject:
    """The invented person whom a message is about, as the stores know him."""

    id: str
    names: tuple[str, ...]
    emails: tuple[str, ...]
    phones: tuple[str, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Span:
    """Characters of a text, from `start` up to `end`, that have to be redacted."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Message:
    """One case message without its markup, and where the markup stood."""

    id: str
    subject: str
    encoding: str
    text: str
    spans: tuple[Span, ...]


def subjects(folder: Path = FOLDER) -> dict[str, Subject]:
    """Return the subjects by id."""
    rows = json.loads((folder / "subjects.json").read_text("utf-8"))
    found = [
        Subject(row["id"], *(tuple(row[key]) for key in ("names", "emails", "phones", "addresses"))) for row in rows
    ]
    if len({subject.id for subject in found}) != len(found):
        raise Malformed("a subject's id is used twice")
    return {subject.id: subject for subject in found}


def messages(folder: Path = FOLDER) -> list[Message]:
    """Return all messages in the order of the files, or raise Malformed."""
    known = subjects(folder)
    found = [message for path in sorted(folder.glob("messages-*.txt")) for message in parse(path.read_text("utf-8"))]
    if len({message.id for message in found}) != len(found):
        raise Malformed("a message's id is used twice")
    for message in found:
        if message.subject not in known:
            raise Malformed(f"{message.id}: unknown subject {message.subject}")
    return found


def parse(written: str) -> list[Message]:
    """Return the messages of one file's text, or raise Malformed."""
    records: list[tuple[str, list[str]]] = []
    for line in written.removesuffix("\n").split("\n"):
        if line.startswith("==="):
            records.append((line, []))
        elif records:
            records[-1][1].append(line)
        else:
            raise Malformed(f"before the first header: {line!r}")
    return [_message(header, "\n".join(lines)) for header, lines in records]


def _message(header: str, marked: str) -> Message:
    match = _HEADER.fullmatch(header)
    if match is None or match[3] not in ENCODINGS:
        raise Malformed(f"no header of a message: {header!r}")
    if not marked.strip():
        raise Malformed(f"{match[1]}: no text")
    try:
        return Message(match[1], match[2], match[3], *_unmarked(marked))
    except Malformed as error:
        raise Malformed(f"{match[1]}: {error}") from error


def _unmarked(marked: str) -> tuple[str, tuple[Span, ...]]:
    text, spans, read = "", [], 0
    for mark in _MARK.finditer(marked):
        text += marked[read : mark.start()]
        if mark[1] not in KINDS:
            raise Malformed(f"unknown kind {mark[1]}")
        if not mark[2] or mark[2] != mark[2].strip():
            raise Malformed(f"a span that is empty or ends in a blank: {mark[0]}")
        spans.append(Span(len(text), len(text) + len(mark[2]), mark[1]))
        text, read = text + mark[2], mark.end()
    text += marked[read:]
    if "⟦" in text or "⟧" in text:
        raise Malformed("a marker without its other end")
    return text, tuple(spans)


def encoded(message: Message) -> str:
    """Return the message as a store would hold it, in its encoding."""
    if message.encoding == "qp":
        return _quoted(message)
    if message.encoding == "base64":
        return base64.encodebytes(message.text.encode()).decode("ascii")
    if message.encoding == "rfc2047":
        return "\n".join(_header_line(line, number) for number, line in enumerate(message.text.split("\n")))
    if message.encoding == "html":
        return _html(message.text)
    return message.text


def decoded(stored: str, encoding: str) -> str:
    """Return the text of what `encoded` made."""
    if encoding == "qp":
        return quopri.decodestring(stored.encode("ascii")).decode()
    if encoding == "base64":
        return base64.b64decode(stored).decode()
    if encoding == "rfc2047":
        return "\n".join(_plain_line(line) for line in stored.replace("\n ", " ").split("\n"))
    if encoding == "html":
        return html.unescape(re.sub(r"<[^>]*>", "", stored.replace("<br>\n", "\n")))
    return stored


def _quoted(message: Message) -> str:
    # A soft break in the middle of every span: there it hurts a search in the stored form most.
    cuts = [0, *((span.start + span.end) // 2 for span in message.spans), len(message.text)]
    pieces = [message.text[start:end] for start, end in pairwise(cuts)]
    return "=\n".join(quopri.encodestring(piece.encode()).decode("ascii") for piece in pieces)


def _header_line(line: str, number: int) -> str:
    name, separator, value = line.partition(": ")
    if not separator:
        raise Malformed(f"no header line: {line!r}")
    # An address within <> stands in the open, as the standard wants it.
    phrase, address = re.fullmatch(r"(.*?)(\s*<[^<>]*>)?", value).groups("")  # type: ignore[union-attr]
    words = Charset("utf-8")
    words.header_encoding = BASE64 if number % 2 else QP
    return f"{name}: {Header(phrase, words, header_name=name).encode()}{address}"


def _plain_line(line: str) -> str:
    name, _, value = line.partition(": ")
    return f"{name}: {make_header(decode_header(value))}"


def _html(text: str) -> str:
    words = re.split(r"(\s+)", text)
    written = [_bold(word) if number % 6 == 2 else _entities(word) for number, word in enumerate(words)]
    return "<div>" + "".join(written).replace("\n", "<br>\n") + "</div>"


def _bold(word: str) -> str:
    return f"<b>{_entities(word)}</b>" if word else ""


def _entities(word: str) -> str:
    # Mail programs write both kinds of entity: the named one for small letters here, the number for all others.
    names = {"å": "&aring;", "ø": "&oslash;", "æ": "&aelig;", "é": "&eacute;"}
    return "".join(names.get(c, c if c.isascii() else f"&#{ord(c)};") for c in html.escape(word))
