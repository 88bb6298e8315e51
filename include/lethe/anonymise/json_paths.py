"""redact_json(): parts of a JSON document blanked or redacted, by path.

A path is made of keys, separated by dots, with [*] for every item of a list, [0] for one, * for every key and ** for
everything below: contact.name, items[*].note, **. A key that holds a dot or a bracket is written as ["a.b"].
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from lethe.anonymise.encoded import redact_stored
from lethe.anonymise.find import Finder
from lethe.anonymise.subject import Identifiers

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Action = Literal["blank", "redact"]
Step = str | int

_EVERY, _BELOW, _ITEMS = "*", "**", "[*]"
_STEP = re.compile(r"(?:\A|\.)(?P<key>[^.\[\]\"]+)|\[(?P<index>\*|[0-9]{1,9})\]|\[(?P<quoted>\"(?:[^\"\\]|\\.)*\")\]")


def redact_json(value: Json, paths: Mapping[str, Action], subject: Identifiers | Finder) -> Json:
    """A copy of the document with `blank` paths null and the strings at or below `redact` paths redacted.

    Paths act in their order. One that leads nowhere changes nothing: documents differ. ValueError when it is no path.
    """
    finder = subject if isinstance(subject, Finder) else Finder(subject)
    for path, action in paths.items():
        change = _blank if action == "blank" else _redaction(finder)
        value = _at(value, tuple(steps(path)), change)
    return value


def steps(path: str) -> Iterator[tuple[str, Step]]:
    """The steps of a path, each with its kind; ValueError when it is none."""
    at = 0
    while match := _STEP.match(path, at):
        at = match.end()
        kind = str(match.lastgroup)
        written = match[kind]
        if kind == "index":
            yield ("items", _ITEMS) if written == "*" else ("index", int(written))
        elif kind == "key" and written in {_EVERY, _BELOW}:
            yield ("below", _BELOW) if written == _BELOW else ("every", _EVERY)
        else:
            yield "key", json.loads(written) if kind == "quoted" else written
    if at != len(path) or not path:
        raise ValueError(f'found "{path}", expected a path such as contact.name, items[*].note or **')


def _blank(value: Json) -> Json:  # noqa: ARG001 - one of two changes
    return None


def _redaction(finder: Finder) -> Callable[[Json], Json]:
    def redacted(value: Json) -> Json:
        if isinstance(value, str):
            return redact_stored(value, finder).text
        if isinstance(value, list):
            return [redacted(item) for item in value]
        if isinstance(value, dict):
            return {key: redacted(item) for key, item in value.items()}
        return value

    return redacted


def _at(value: Json, path: tuple[tuple[str, Step], ...], change: Callable[[Json], Json]) -> Json:
    if not path:
        return change(value)
    (kind, step), rest = path[0], path[1:]
    if kind == "below":
        return _below(value, rest, change)
    if isinstance(value, dict):
        return {key: _at(item, rest, change) if kind == "every" or key == step else item for key, item in value.items()}
    if isinstance(value, list) and kind in {"items", "index"}:
        return [_at(item, rest, change) if kind == "items" or at == step else item for at, item in enumerate(value)]
    return value


def _below(value: Json, rest: tuple[tuple[str, Step], ...], change: Callable[[Json], Json]) -> Json:
    """What `**` reaches: the rest of the path at every depth; without a rest, every value that holds no others."""
    if rest:
        value = _at(value, rest, change)
    if isinstance(value, dict):
        return {key: _below(item, rest, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_below(item, rest, change) for item in value]
    return value if rest else change(value)
