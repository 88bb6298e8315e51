"""YAML text → plain values, keeping for each the place where it stands.

Stricter than YAML 1.1 where that surprises: only `true` and `false` are booleans (`no` stays a word), only decimal
digits are whole numbers, keys are always text, a key may stand once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate
from typing import Any

import yaml

Path = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9_]{0,20})")
_MAX_BYTES = 1_000_000
_MAX_VALUES = 50_000
_MAX_DEPTH = 60
_MAX_BRACKETS = 300
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Place:
    """Line and column, from 1, and how the value is written there."""

    line: int
    column: int
    text: str = ""


_START = Place(1, 1)


@dataclass
class Tree:
    """The values of one file, and where each of them and each key stands."""

    file: str
    data: Any = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    broken: set[Path] = field(default_factory=set)
    """Parts that are reported already and cannot be used."""

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where the value at `path` stands, or its key; for what is not there, the key it would stand under."""
        if not key and path in self.values:
            return self.values[path]
        while path and path not in self.keys:
            path = path[:-1]
        return self.keys.get(path, _START)

    def quote(self, path: Path) -> str:
        """The value at `path` as a message shows it."""
        place = self.values.get(path)
        return place.text if place else "nothing"

    def is_broken(self, path: Path) -> bool:
        """Whether `path` lies in a part that is reported already."""
        return any(path[:length] in self.broken for length in range(len(path) + 1))

    def names(self, section: str) -> tuple[str, ...]:
        """The names defined in a section, usable or not."""
        found = self.data.get(section) if isinstance(self.data, dict) else None
        return tuple(found) if isinstance(found, dict) else ()


class Unreadable(Exception):
    """The text is no YAML that can be used; carries where and why, and never leaves the package."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place = place
        self.text = text


Complaints = list[tuple[Place, str]]


def read(file: str, raw: bytes) -> tuple[Tree, Complaints]:
    """The values of a file and what is wrong with single keys and values; Unreadable when it is no YAML at all."""
    builder = _Builder(Tree(file))
    node = _compose(_decode(raw))
    if node is None:
        raise Unreadable(_START, "found an empty file, expected a mapping")
    builder.tree.data = builder.build(node, ())
    return builder.tree, builder.complaints


def _decode(raw: bytes) -> str:
    if len(raw) > _MAX_BYTES:
        raise Unreadable(_START, f"found {len(raw)} bytes, expected at most {_MAX_BYTES}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_of(raw[: error.start].decode("utf-8", "replace"))
        raise Unreadable(place, "found a byte that is not UTF-8, expected text in UTF-8") from None
    control = _CONTROL.search(text)
    if control:
        found = f"found the control character U+{ord(control[0]):04X}, expected printable text"
        raise Unreadable(_place_of(text[: control.start()]), found)
    if "\ufeff" in text:
        place = _place_of(text[: text.index("\ufeff")])
        raise Unreadable(place, "found a byte order mark inside the text, expected printable text")
    return text


def _place_of(before: str) -> Place:
    lines = before.split("\n")
    return Place(len(lines), len(lines[-1]) + 1)


def _compose(text: str) -> Any:
    _refuse_depth(text)
    try:
        return yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else _START
        why = ": ".join(part for part in (error.context, error.problem) if part)
        raise Unreadable(place, f"found no valid YAML ({why})") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Unreadable(_START, f"found no valid YAML: {type(error).__name__}") from None


def _refuse_depth(text: str) -> None:
    """Thousands of brackets, one inside the other, would exhaust the parser's stack before it can complain."""
    depths = accumulate(_STEPS[bracket] for bracket in re.findall(r"[\[\]{}]", text))
    if max(depths, default=0) > _MAX_BRACKETS or re.search(r"(?:[-?] +){60}", text):
        raise Unreadable(_START, "found a file nested too deep, expected a policy file")


def _at(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


class _Builder:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.complaints: Complaints = []
        self._open: list[int] = []

    def build(self, node: Any, path: Path) -> Any:
        place = _at(node.start_mark)
        if id(node) in self._open:
            raise Unreadable(place, "found an alias inside what it stands for, expected it elsewhere")
        if len(self.tree.values) > _MAX_VALUES or len(self._open) > _MAX_DEPTH:
            raise Unreadable(place, "found a file nested or repeated too much, expected a policy file")
        self._open.append(id(node))
        try:
            return self._value(node, path, place)
        finally:
            self._open.pop()

    def _value(self, node: Any, path: Path, place: Place) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            self.tree.values[path] = Place(place.line, place.column, "a mapping")
            return {name: self.build(value, (*path, name)) for name, value in self._entries(node, path)}
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            self.tree.values[path] = Place(place.line, place.column, "a list")
            return [self.build(item, (*path, number)) for number, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, place)
        self._complain(place, path, f"found the YAML tag {node.tag}, expected no tag")
        return None

    def _scalar(self, node: Any, path: Path, place: Place) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind not in ("str", "null", "bool", "int", "float", "timestamp", "value"):
            self._complain(place, path, f"found the YAML tag {node.tag}, expected no tag")
        written = "nothing" if kind == "null" else _shorten(node.value)
        self.tree.values[path] = Place(place.line, place.column, written)
        try:
            return _plain(kind, node.value)
        except ValueError:
            self._complain(place, path, f"found {written}, expected a date that exists")
            return None

    def _complain(self, place: Place, path: Path, text: str) -> None:
        where = ".".join(map(str, path))
        self.complaints.append((place, f"{where}: {text}" if where else text))
        self.tree.broken.add(path)

    def _entries(self, node: Any, path: Path) -> Iterator[tuple[str, Any]]:
        seen: dict[str, Place] = {}
        for key, value in node.value:
            place = _at(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                self._complain(place, path, "found a mapping or list as a key, expected a word")
            elif key.tag == f"{_TAG}merge":
                continue
            elif key.value in seen:
                first = seen[key.value].line
                text = f'{".".join(map(str, (*path, key.value)))}: found the key "{key.value}" again'
                self.complaints.append((place, f"{text}, expected it once (first in line {first})"))
            else:
                seen[key.value] = self.tree.keys.setdefault((*path, key.value), place)
                yield key.value, value
        yield from self._merged(node, path, seen)

    def _merged(self, node: Any, path: Path, seen: dict[str, Place]) -> Iterator[tuple[str, Any]]:
        """What `<<` brings in: earlier mappings win over later ones, what is written out wins over all."""
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_TAG}merge":
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                yield from self._merge_one(source, path, seen)

    def _merge_one(self, source: Any, path: Path, seen: dict[str, Place]) -> Iterator[tuple[str, Any]]:
        place = _at(source.start_mark)
        if not isinstance(source, yaml.MappingNode):
            self._complain(place, path, "found << without a mapping, expected an alias of one")
            return
        if id(source) in self._open:
            raise Unreadable(place, "found an alias inside what it stands for, expected it elsewhere")
        self._open.append(id(source))
        try:
            for name, value in self._entries(source, path):
                if name not in seen:
                    seen[name] = place
                    yield name, value
        finally:
            self._open.pop()


def _plain(kind: str, text: str) -> Any:
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int" and _WHOLE.fullmatch(text):
        return int(text.replace("_", ""))
    if kind == "timestamp" and len(text) == 10:
        return date.fromisoformat(text)
    return text


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return f'"{line[:57]}..."' if len(line) > 60 else f'"{line}"'
