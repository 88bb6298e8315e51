"""Paths into a JSON document: contact.name, items[*].note, **.

Keys are separated by dots, with [*] for every item of a list, [0] for one, * for every key and ** for everything below.
A key that holds a dot or a bracket is written as ["a.b"].
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Step = str | int

_EVERY, _BELOW, _ITEMS = "*", "**", "[*]"
_STEP = re.compile(r"(?:\A|\.)(?P<key>[^.\[\]\"]+)|\[(?P<index>\*|[0-9]{1,9})\]|\[(?P<quoted>\"(?:[^\"\\]|\\.)*\")\]")


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


def at_path(value: Json, path: str, change: Callable[[Json], Json]) -> Json:
    """A copy of the document, changed where the path leads; one that leads nowhere changes nothing."""
    return _at(value, tuple(steps(path)), change)


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
