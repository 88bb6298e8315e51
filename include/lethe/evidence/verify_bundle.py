"""Verifies a bundle of evidence, for whoever has no reason to take anybody's word for it.

    python verify_bundle.py BUNDLE [--trust KEY|CHECKPOINT]... [--tsa-ca FILE] [--at DATE] [--json]

One file that runs anywhere: Python 3.9 or later with the package `cryptography`, and the program `openssl` for
time-stamps. On purpose it imports nothing of Lethe and has a container, notes, a tree and a history of its own, so that
what checks shares no code with what made the evidence, and can be read from top to bottom.

    0 ok           nothing is wrong, and it hangs on a key or checkpoint that you named with --trust
    1 invalid      the file is damaged, or is not what was signed
    3 unpinned     nothing is wrong, but whose evidence it is stays open: name what you trust
    4 forked       signed checkpoints contradict each other: there are two histories
    5 stale        it ends too early
    6 unanchored   nothing but the company's own clock says when it was made
    7 incomplete   something that belongs in it is missing
    2              the command line was wrong, or a file could not be read
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta, timezone
from hashlib import sha256, sha384, sha512
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CODES = {"ok": 0, "invalid": 1, "unpinned": 3, "forked": 4, "stale": 5, "unanchored": 6, "incomplete": 7}
USAGE = 2
_PRECEDENCE = ("invalid", "forked", "incomplete", "stale", "unpinned", "unanchored")
_MOST_FINDINGS = 100  # of one kind
_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 22
_LONGEST_NAME = 100  # a digest has 64
_MOST_KEPT = 1 << 27  # bytes of a member whose lines are all kept in memory: half a million checkpoints
_MOST_OF_A_SIZE = 100  # checkpoints; a log makes one
_LARGEST = 2**53 - 1  # what JSON carries everywhere
_QUIET_HOURS, _RUN_HOURS = 48, 24


class Invalid(Exception):
    """Something that must not be so in a bundle; the message says what was found and what was expected."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found: a status other than ok, or "not checked", or "cannot tell"; and what, in words."""

    kind: str
    words: str


@dataclass(frozen=True)
class Report:
    """The answer: the first status that applies, every finding, what is proven, what is not, and what to do next."""

    status: str
    findings: tuple[Finding, ...]
    proven: tuple[str, ...]
    not_proven: tuple[str, ...]
    next: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def code(self) -> int:
        """The exit code that stands for the status."""
        return CODES[self.status]


# ---------------------------------------------------------------- the container

MEMBERS = (
    "leaves.jsonl", "gaps.jsonl", "checkpoints.jsonl", "proofs.jsonl", "keys.jsonl", "anchors.jsonl", "policies.jsonl",
    "leaf.schema.json", "index.html", "manifest",
)  # fmt: skip
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_DATE = 1 << 5 | 1  # 1980-01-01, the first that a zip knows
_ZIP, _UNIX = 20, 3 << 8
_MODE = 0o100644 << 16
_TOO_LARGE = 2**32


class Member(NamedTuple):
    """One file in the container: its CRC-32, its size and where its header begins."""

    name: str
    crc: int
    size: int
    offset: int

    @property
    def start(self) -> int:
        """Where its content begins."""
        return self.offset + len(local_header(self.name, 0, 0))


def local_header(name: str, crc: int, size: int) -> bytes:
    """What stands before a member: the only header that a bundle may have there (APPNOTE 4.3.7)."""
    return _LOCAL.pack(b"PK\x03\x04", _ZIP, 0, 0, 0, _DATE, crc, size, size, len(name), 0) + name.encode()


def directory(members: Sequence[Member]) -> bytes:
    """What stands after the last member, to the end of the file (APPNOTE 4.3.12, 4.3.16)."""
    entries = b"".join(map(_entry, members))
    start = members[-1].start + members[-1].size
    return entries + _END.pack(b"PK\x05\x06", 0, 0, len(members), len(members), len(entries), start, 0)


def _entry(member: Member) -> bytes:
    name, crc, size, offset = member
    fixed = (b"PK\x01\x02", _UNIX | _ZIP, _ZIP, 0, 0, 0, _DATE)
    return _CENTRAL.pack(*fixed, crc, size, size, len(name), 0, 0, 0, 0, _MODE, offset) + name.encode()


class Container:
    """A zip of which every byte is either content or prescribed. Read in order, never unpacked."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._length = file.seek(0, 2)
        if self._length >= _TOO_LARGE:
            raise Invalid(f"it has {self._length} bytes, and a bundle fewer than {_TOO_LARGE}")
        self.members = {member.name: member for member in self._walk()}

    def _walk(self) -> Iterator[Member]:
        offset, members = 0, []
        for name in MEMBERS:
            header = self._at(offset, len(local_header(name, 0, 0)))
            crc, size = struct.unpack_from("<2I", header, 14)
            if header != local_header(name, crc, size):
                raise Invalid(f"at byte {offset}: expected the member {name} of a bundle, found something else")
            members.append(Member(name, crc, size, offset))
            offset += len(header) + size
            yield members[-1]
        end = directory(members)
        if self._at(offset, len(end)) != end or offset + len(end) != self._length:
            raise Invalid(
                f"at byte {offset}: expected the directory of a bundle and then nothing, found something else"
            )

    def _at(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        found = self._file.read(length)
        if len(found) < length:
            raise Invalid(f"the file ends at byte {self._length}, and should go on: it was cut short, or is no bundle")
        return found

    def blocks(self, name: str) -> Iterator[bytes]:
        """A member's content, a piece at a time; several can be read by turns."""
        offset, left = self.members[name].start, self.members[name].size
        while left:
            block = self._at(offset, min(left, _BLOCK))
            yield block
            offset, left = offset + len(block), left - len(block)

    def lines(self, name: str) -> Iterator[bytes]:
        """A member's lines, without their ends."""
        rest = b""
        for block in self.blocks(name):
            *lines, rest = (rest + block).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise Invalid(f"{name}: a line of more than {_LONGEST_LINE} bytes")
            yield from lines
        if rest:
            raise Invalid(f"{name}: its last line does not end")

    def require_small(self, name: str) -> None:
        """Invalid when a member is larger than what fits into memory line by line."""
        if self.members[name].size > _MOST_KEPT:
            raise Invalid(f"has {self.members[name].size} bytes, and at most {_MOST_KEPT} can be read")

    def digest(self, name: str) -> str:
        """The SHA-256 of a member, in hex; Invalid when its CRC-32 is not the one in its header."""
        digest, crc = sha256(), 0
        for block in self.blocks(name):
            digest.update(block)
            crc = zlib.crc32(block, crc)
        if crc != self.members[name].crc:
            raise Invalid(f"{name}: was damaged: its check sum is not the one that stands before it")
        return digest.hexdigest()


# ---------------------------------------------------------------- canonical JSON (RFC 8785)


def _refuse(text: str) -> Any:
    raise Invalid(f"the number {text[:30]}, where only integers may stand")


_PARSE = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse).raw_decode
_WRITE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
_NATURAL = re.compile("[1-9][0-9]{0,15}")
_HASH = re.compile("[0-9a-f]{64}")
_POLICY = re.compile(rb'\{"digest":"([0-9a-f]{64})","policy":(\{.*\})\}', re.DOTALL)
_DAY = re.compile("[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
_MOMENT = re.compile(_DAY.pattern + r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z").fullmatch


def canonical(line: bytes) -> dict[str, Any]:
    """The object that a line holds; Invalid unless writing it again gives the same bytes."""
    try:
        text = line.decode()
        value, _ = _PARSE(text)
        if type(value) is dict and _WRITE(value) == text:
            return value
    except (ValueError, RecursionError) as error:
        raise Invalid(f"is not canonical JSON: {_short(str(error))}") from None
    raise Invalid("is not one object in canonical JSON (RFC 8785)")


def _fields(record: dict[str, Any], **kinds: type | tuple[type, ...]) -> Iterator[Any]:
    """The values of a record that has exactly these fields, in this order."""
    if record.keys() != kinds.keys():
        raise Invalid(f"expected exactly the fields {', '.join(kinds)}")
    for name, kind in kinds.items():
        if not isinstance(record[name], kind) or isinstance(record[name], bool):  # a bool is an int to Python
            raise Invalid(f"its field {name} holds something else than expected")
        yield record[name]


def _natural(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise Invalid("expected a number of 0 or more, as JSON carries it everywhere")
    return value


def _hash(text: object) -> bytes:
    if type(text) is not str or not _HASH.fullmatch(text):
        raise Invalid("expected a SHA-256 in 64 hexadecimal digits")
    return bytes.fromhex(text)


def _short(text: str, length: int = 100) -> str:
    """The beginning of a text that somebody else wrote, fit to stand in a sentence on a terminal."""
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[:length])
    return shown if len(text) <= length else f"{shown}…"


# ---------------------------------------------------------------- signed notes and checkpoints (C2SP)


class Key(NamedTuple):
    """A public Ed25519 key under its name, with the text that stands for it: `name+id+base64(0x01 ‖ key)`."""

    text: str
    name: str
    id: bytes
    public: bytes

    def signed(self, text: str, signature: bytes) -> bool:
        """Whether it signed the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


_P = 2**255 - 19
_Y = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
_SMALL = {0, 1, _P - 1, _Y, _P - _Y}  # of the eight points of small order: with such a key, a signature fits many texts


def read_key(text: str) -> Key:
    """The key with this text; Invalid when it is not exactly one."""
    name, *rest = text.split("+", 2)
    data = _unbase64(rest[1]) if len(rest) == 2 else b""
    identity = sha256(name.encode(errors="replace") + b"\n" + data).digest()[:4]
    if len(data) != 33 or data[0] != 1 or rest[0] != identity.hex():
        raise Invalid(f"“{_short(text)}” is not the text of an Ed25519 key: name+id+base64")
    if (int.from_bytes(data[1:], "little") & 2**255 - 1) % _P in _SMALL:
        raise Invalid(f"“{_short(text)}” is a key under which anybody can sign, so that nobody has signed")
    return Key(text, _name(name), identity, data[1:])


def read_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """A note's text and its signatures as (key name, key id, signature); nothing is verified yet."""
    text, blank, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not blank or len(lines) < 2 or lines.pop() or len(lines) > 100:
        raise Invalid("expected a note: a text, a blank line, signature lines")
    return text + "\n", [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise Invalid("expected a signature line of a note: — name base64")
    data = _unbase64(parts[2])
    if len(data) < 5:
        raise Invalid("a signature that is too short")
    return _name(parts[1]), data[:4], data[4:]


def signers(note: str, keys: Mapping[tuple[str, bytes], tuple[int, Key]]) -> tuple[str, list[int]]:
    """A note's text and the places of those of `keys` that signed it; Invalid when none did, or not this text.

    Signatures of other keys are left aside: witnesses may have added theirs.
    """
    text, signatures = read_note(note)
    signed = list[int]()
    for name, identity, signature in signatures:
        if (name, identity) not in keys:
            continue
        place, key = keys[name, identity]
        if place in signed or not key.signed(text, signature):
            raise Invalid(f"the signature of {_short(name)}+{identity.hex()} is wrong: the text is not what was signed")
        signed.append(place)
    if not signed:
        raise Invalid("is not signed by a key of the bundle")
    return text, signed


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself: its name, how many leaves it has, and the root over them."""

    origin: str
    size: int
    root: bytes


def read_checkpoint(text: str) -> Checkpoint:
    """The checkpoint that the text of a note holds."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise Invalid("expected a checkpoint: three lines with name, size and root")
    root = _unbase64(lines[2])
    if len(root) != 32:
        raise Invalid(f"a root of {len(root)} bytes, expected 32")
    return Checkpoint(_name(lines[0]), _size(lines[1]), root)


def _size(text: str) -> int:
    if not _NATURAL.fullmatch(text):
        raise Invalid(f"“{_short(text)}”: expected a number of 1 or more, in decimal digits")
    return int(text)


def _name(text: str) -> str:
    if not text or "+" in text or " " in text or not text.isprintable():
        raise Invalid(f"“{_short(text)}” is not the name of a log")
    return text


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _unbase64(text: str) -> bytes:
    """Strict: only the text that encoding gives."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or _base64(data) != text:
        raise Invalid(f"“{_short(text, 40)}” is not base64")
    return data


# ---------------------------------------------------------------- the tree (RFC 6962)


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows to the right: the roots of its perfect parts, largest first, as the bits of its size."""

    def __init__(self) -> None:
        self.size = 0
        self.roots: list[bytes] = []

    def extend(self, row: list[bytes], level: int = 0) -> None:
        """Add hashes of parts of 2**level leaves each; the size must be a multiple of that."""
        added, index, over = len(row) << level, self.size >> level, []
        while row:
            if index & 1:
                row = [self.roots.pop(), *row]
            if len(row) & 1:
                over.append(row[-1])
            row = list(map(_node, row[::2], row[1::2]))
            index >>= 1
        self.roots += reversed(over)
        self.size += added

    def close(self, count: int, part: bytes) -> None:
        """Add the hash of the last `count` leaves, however many they are."""
        self.roots.append(part)
        self.size += count

    def root(self) -> bytes:
        """The root over everything so far, which is at least one leaf."""
        *others, root = self.roots
        for left in reversed(others):
            root = _node(left, root)
        return root


def consistent(first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes) -> bool:
    """Whether the proof shows the first tree to be the beginning of the second (RFC 9162, 2.1.4.2)."""
    if not 1 <= first < second:
        return first == second >= 1 and not proof and first_root == second_root
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    if not path or any(len(part) != 32 for part in path):
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for part in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old, new = _node(part, old), _node(part, new)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = _node(new, part)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and old == first_root and new == second_root


@dataclass(frozen=True)
class Gap:
    """A part of the tree of which no leaf is in the bundle: `count` leaves from `first` on, and their hash."""

    first: int
    count: int
    hash: bytes


class Replay:
    """Rebuilds the tree from leaves and gaps, in order, and notes its root at the sizes that are `wanted`."""

    def __init__(self, size: int, wanted: Iterable[int], gaps: Iterator[Gap]) -> None:
        self.tree, self.roots = Tree(), dict[int, bytes]()
        self._size, self._wanted, self._gaps = size, sorted({*wanted, size}, reverse=True), gaps
        self._gap = next(gaps, None)
        self._hashes: list[bytes] = []
        self._settle()

    def add(self, leaf: bytes) -> None:
        """The hash of the next leaf that the bundle holds."""
        if not self._room:
            raise Invalid(f"stands after the last of the {self._size} leaves that were signed")
        self._hashes.append(leaf)
        if len(self._hashes) == self._room:
            self._settle()

    def finish(self) -> bytes:
        """The root of all, once every leaf is there."""
        self._settle()
        if self.tree.size != self._size or self._gap is not None:
            raise Invalid(f"leaves and gaps are {self.tree.size} together, expected the {self._size} that were signed")
        return self.roots[self._size]

    def _settle(self) -> None:
        """Put what has gathered into the tree, then the gaps that follow it; and see how far it is to the next stop."""
        self.tree.extend(self._hashes)
        self._hashes = []
        self._note()
        while self._gap is not None and self._gap.first == self.tree.size:
            self._fill(self._gap)
            self._gap = next(self._gaps, None)
            self._note()
        stops = [self._gap.first] if self._gap is not None else []
        if self._gap is not None and self._gap.first < self.tree.size:
            raise Invalid(f"the gap at {self._gap.first} lies over leaves or gaps before it: a place was taken twice")
        self._room = min(
            4096, self._size - self.tree.size, *(stop - self.tree.size for stop in stops + self._wanted[-1:])
        )

    def _fill(self, gap: Gap) -> None:
        end = gap.first + gap.count
        if not gap.first < end <= self._size:
            raise Invalid(f"the gap at {gap.first} goes on to {end}, and there are {self._size} leaves")
        if not gap.count & (gap.count - 1) and not gap.first & (gap.count - 1):
            self.tree.extend([gap.hash], gap.count.bit_length() - 1)
        elif end == self._size and (gap.first == 0 or gap.count < gap.first & -gap.first):
            self.tree.close(gap.count, gap.hash)
        else:
            raise Invalid(f"the gap of {gap.count} leaves at {gap.first} is not a part of the tree")

    def _note(self) -> None:
        while self._wanted and self._wanted[-1] <= self.tree.size:
            size = self._wanted.pop()
            if size == self.tree.size:
                self.roots[size] = self.tree.root()


# ---------------------------------------------------------------- what the leaves say

_HEAD: dict[str, type] = {"v": int, "at": str, "run": str, "outbox": dict}
_DEED: dict[str, type] = {**_HEAD, "rule": str, "plan": str}
_SHAPES: dict[str, tuple[tuple[str, type], ...]] = {
    kind: tuple(shape.items())
    for kind, shape in {
        **dict.fromkeys(("confirmation", "hold", "anchor", "restore", "risk", "check", "finding"), _HEAD),
        **dict.fromkeys(("departure", "upkeep"), _HEAD),
        **dict.fromkeys(("verification", "purge", "coarsening"), _DEED),
        "intent": {**_DEED, "documents": dict},
        "outcome": {**_DEED, "outcome": dict},
        "policy": {**_HEAD, "policy": str},
        "key": {**_HEAD, "new": str},
        "run": {**_HEAD, "state": str, "rule": str, "counts": dict},
        "plan": {**_DEED, "policy": str, "needs_approval": bool},
        "approval": {**_DEED, "decision": str},
        "batch": {**_DEED, "shard": int, "rows": int, "reach": dict},
        "heartbeat": {**_HEAD, "day": str},
        "manifest": {**_HEAD, "day": str, "missing": list},
    }.items()
}
_FATES = {"deleted", "missing", "shared", "withdrawn"}
_OVER = {"waiting", "rejected", "nothing", "ended", "failed"}


class History:
    """Holds leaves against each other: a few facts for each plan and open run are kept, never the leaves.

    Unless all leaves of the log are there (`whole`), or all of the period (`every_activity`), what is missing says
    nothing.
    """

    def __init__(self, find: Callable[[str, str], None], *, whole: bool, every_activity: bool) -> None:
        self._find, self._whole, self._every_activity = find, whole, every_activity
        self.kinds, self.rules = Counter[str](), dict[str, list[int]]()
        self.first, self.last = "", ""
        self.policies: set[str] = set()
        self.keys: set[str] = set()
        self._outboxes: dict[str, list[int]] = {}  # epoch, number, highest number of the epochs before
        self._moments: dict[tuple[str, int], str] = {}
        self._plans: set[tuple[str, str]] = set()  # by rule: what one rule planned is no plan for another
        self._needing: set[tuple[str, str]] = set()
        self._approved: set[tuple[str, str]] = set()
        self._acted: dict[tuple[str, str], list[int]] = {}  # for each epoch: itself, rows, reach, batches
        self._open: dict[tuple[str, str], str] = {}
        self._ended: list[tuple[str, str, str, int, int, int]] = []
        self._days: set[str] = set()
        # By outbox and folder, for each epoch: itself, intended until its end, settled in it.
        self._documents: dict[tuple[str, str], list[int]] = {}
        self._of_kind: dict[str, Callable[[dict[str, Any]], None]] = {
            "policy": lambda leaf: self.policies.add(leaf["policy"]),
            "key": lambda leaf: self.keys.add(leaf["new"]),
            "plan": self._plan,
            "approval": self._approval,
            "batch": self._batch,
            "intent": self._intent,
            "outcome": self._outcome,
            "run": self._run,
            "heartbeat": lambda leaf: self._days.add(_day(leaf)),
            "manifest": self._manifest,
        }

    def add(self, leaf: dict[str, Any]) -> None:
        """Take in the next leaf; Invalid when it cannot be one, or cannot stand here."""
        kind = str(leaf.get("kind"))
        shape = _SHAPES.get(kind)
        if shape is None or leaf.get("v") != 1:
            raise Invalid("is not a leaf of version 1, which is the one this verifier knows")
        for name, expected in shape:
            if type(leaf.get(name)) is not expected or (expected is str and len(leaf[name]) > _LONGEST_NAME):
                raise Invalid(f"its field {name} holds something else than a leaf of kind {kind} has")
        at = leaf["at"]
        if not _MOMENT(at):
            raise Invalid("its moment is not one in UTC to the millisecond")
        self.last = max(self.last, at)
        self.first = min(self.first, at) if self.first else at
        self._place(leaf["outbox"], leaf.get("found") if kind == "restore" else None)
        if kind != "restore":  # what was done before a restore was declared stands behind it
            self._clock(leaf["outbox"], at)
        self.kinds[kind] += 1
        if kind in self._of_kind:
            self._of_kind[kind](leaf)

    def _place(self, outbox: dict[str, Any], restored: object) -> None:
        """Numbers of an outbox rise by one; a later epoch goes on from a number that was there in one before.

        Its first leaf tells of a restore, and up to which number it was: what is removed after that shows.
        """
        store, epoch, seq = outbox.get("store"), outbox.get("epoch"), outbox.get("seq")
        if type(store) is not str or len(store) > _LONGEST_NAME:
            raise Invalid("it does not say of which outbox it is")
        if type(epoch) is not int or type(seq) is not int or epoch < 1 or seq < 1:
            raise Invalid("it does not say which number of which outbox it is")
        at = self._outboxes.setdefault(store, [0, 0, 0])
        if (epoch, seq) <= (at[0], at[1]):
            raise Invalid(
                f"number {seq} of epoch {epoch} of outbox {_short(store)} comes after number {at[1]} of epoch {at[0]}: "
                "a leaf stands there twice, or in the wrong place"
            )
        if epoch != at[0]:
            at[2] = max(at[1], at[2])
            if self._whole and epoch > 1 and restored != seq - 1:
                words = f"begins at number {seq} without a leaf that tells of a restore up to the one before"
                self._find("incomplete", f"outbox {_short(store)}, epoch {epoch}: {words}; rows were removed")
        due = (at[1] if epoch == at[0] else at[2]) + 1
        if seq > due and self._whole:
            missing = f"number {due} is" if seq == due + 1 else f"numbers {due} to {seq - 1} are"
            self._find("incomplete", f"outbox {_short(store)}, epoch {epoch}: {missing} missing; rows were removed")
        at[0], at[1] = epoch, seq

    def _clock(self, outbox: dict[str, Any], at: str) -> None:
        """Times are those of a database's clock: where that went back, only the numbers tell what came first."""
        store, epoch = outbox["store"], outbox["epoch"]
        before = self._moments.get((store, epoch), "")
        if at < before:
            self._find(
                "cannot tell",
                f"outbox {_short(store)}: its clock went back, from {before} to {at} at number {outbox['seq']} of epoch"
                f" {epoch}; its times do not say what came first, its numbers do",
            )
        self._moments[store, epoch] = at

    def _plan(self, leaf: dict[str, Any]) -> None:
        plan = leaf["rule"], leaf["plan"]
        self._plans.add(plan)
        self.policies.add(leaf["policy"])
        if leaf["needs_approval"]:
            self._needing.add(plan)

    def _approval(self, leaf: dict[str, Any]) -> None:
        if leaf["decision"] == "approved":
            self._approved.add((leaf["rule"], leaf["plan"]))

    def _batch(self, leaf: dict[str, Any]) -> None:
        rows, reach, epoch = _natural(leaf["rows"]), sum(map(_natural, leaf["reach"].values())), leaf["outbox"]["epoch"]
        done = self._acted.setdefault((leaf["rule"], leaf["plan"]), [epoch, 0, 0, 0])
        if done[-4] != epoch:
            done += [epoch, 0, 0, 0]
        done[-3] += rows
        done[-2] += reach
        done[-1] += leaf["shard"] >= 0
        of_rule = self.rules.setdefault(leaf["rule"], [0, 0, 0])
        of_rule[0] += 1
        of_rule[1] += rows
        of_rule[2] += reach

    def _intent(self, leaf: dict[str, Any]) -> None:
        for folder, number in leaf["documents"].items():
            self._documents_of(leaf["outbox"], folder)[-2] += _natural(number)

    def _outcome(self, leaf: dict[str, Any]) -> None:
        for folder, fates in leaf["outcome"].items():
            if type(fates) is not dict or not fates.keys() <= _FATES:
                raise Invalid("it does not say what became of documents")
            self._documents_of(leaf["outbox"], folder)[-1] += sum(map(_natural, fates.values()))

    def _documents_of(self, outbox: dict[str, Any], folder: str) -> list[int]:
        """A restored store knows what it had intended, and not that it was settled: it settles that once more."""
        epoch = outbox["epoch"]
        told = self._documents.setdefault((outbox["store"], folder), [epoch, 0, 0])
        if told[-3] != epoch:
            told += [epoch, told[-2], 0]
        return told

    def _run(self, leaf: dict[str, Any]) -> None:
        run, state, told = (leaf["run"], leaf["rule"]), leaf["state"], leaf["counts"]
        if state == "started":
            self._open[run] = leaf["at"]
        if state in _OVER:
            self._open.pop(run, None)
        if state == "ended":
            if type(leaf.get("plan")) is not str:
                raise Invalid("it ended, and does not say which plan it had carried out")
            rows, reach, batches = (_natural(told.get(name, 0)) for name in ("rows", "reach", "batches"))
            self._ended.append((*run, leaf["plan"], rows, reach, batches))

    def _manifest(self, leaf: dict[str, Any]) -> None:
        if leaf["missing"] and self._every_activity:
            rules = _short(", ".join(map(str, leaf["missing"])), 300)
            self._find("incomplete", f"on {_day(leaf)} these rules should have run and did not: {rules}")

    def finish(self, exported_at: datetime) -> None:
        """What only the end shows; for a whole log."""
        for plan in self._acted:
            name = f"plan {_short(plan[1], 12)} of rule {_short(plan[0])}"
            if plan not in self._plans:
                self._find("incomplete", f"{name} was carried out, and is not there itself")
            elif plan in self._needing and plan not in self._approved:
                self._find("incomplete", f"{name} needed a person's approval, was carried out and has none")
        self._settled()
        for run, rule, digest, *told in self._ended:
            done = self._acted.get((rule, digest), [0, 0, 0, 0])
            if not any(_same(told, done[at + 1 : at + 4]) for at in range(0, len(done), 4)):
                self._find("incomplete", _other_counts(run, rule, told, done[-3:]))
        last = _moment(self.last)
        if last > exported_at + timedelta(hours=_RUN_HOURS):
            when = f"exported at {_instant(exported_at)}, and holds a leaf from {self.last}"
            self._find("cannot tell", f"it says that it was {when}: one of the clocks is wrong")
        latest = _instant(max(last, exported_at) - timedelta(hours=_RUN_HOURS))
        for (run, rule), since in self._open.items():
            if since < latest:
                words = f"run {_short(run, 12)} of rule {_short(rule)} started at {since}, and how it ended is not told"
                self._find("incomplete", words)
        self._heartbeats(min(last, exported_at).date())

    def _settled(self) -> None:
        for (store, folder), told in self._documents.items():
            for intended, settled in zip(told[1::3], told[2::3]):  # noqa: B905 - Python 3.9 has no strict=
                if settled > intended:
                    words = f"{settled} documents of {_short(folder)} were settled, and {intended} were meant to be"
                    self._find("incomplete", f"outbox {_short(store)}: {words}")

    def _heartbeats(self, end: date) -> None:
        days = sorted(map(date.fromisoformat, self._days))
        # Days are those of the company's zone: there the next one may have begun.
        if days and (end - days[-1]).days > _QUIET_HOURS // 24:
            self._find("incomplete", f"the log gave no sign of life after {days[-1]}, and other leaves up to {end}")
        for before, after in zip(days, days[1:]):  # noqa: B905, RUF007 - Python 3.9 has neither strict= nor pairwise
            if (after - before).days > 1:
                first, last = before + timedelta(days=1), after - timedelta(days=1)
                on = f"on {first}" if first == last else f"from {first} to {last}"
                self._find("incomplete", f"the log gave no sign of life {on}")


def _same(told: Sequence[int], done: Sequence[int]) -> bool:
    """Batches that did nothing are told, and leave no leaf."""
    return told[:2] == done[:2] and told[2] >= done[2]


def _other_counts(run: str, rule: str, told: Sequence[int], done: Sequence[int]) -> str:
    rows = "{} rows and {} that follow, in {} batches"
    return (
        f"run {_short(run, 12)} of rule {_short(rule)} ended with {rows.format(*told)}; its batches tell of "
        f"{rows.format(*done)}"
    )


def _day(leaf: dict[str, Any]) -> str:
    try:
        if _DAY.fullmatch(leaf["day"]):
            return date.fromisoformat(leaf["day"]).isoformat()
    except ValueError:
        pass
    raise Invalid("its day is not one of the calendar")


def _instant(at: datetime) -> str:
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")  # noqa: UP017 - 3.9


def _moment(text: str) -> datetime:
    try:
        if _MOMENT(text):
            return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        pass
    raise Invalid(f"“{_short(text)}” is not a moment in UTC to the millisecond")


# ---------------------------------------------------------------- time-stamps (RFC 3161), by openssl

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DIGEST = re.compile(r"^Hash Algorithm: sha(?:256|384|512)$", re.MULTILINE)
_STAMPED = re.compile(r"^Time stamp: (\w{3}) +(\d+) (\d\d:\d\d:\d\d)(?:\.\d+)? (\d{4}) GMT$", re.MULTILINE)


class Stamp(NamedTuple):
    """A time-stamp token over the note of the checkpoint of this size."""

    size: int
    anchor: str
    token: bytes
    note: bytes


def is_over(token: bytes, content: bytes) -> bool:
    """Whether a digest of the content stands in the token, as a DER octet string; who put it there is not looked at."""
    digests = [digest(content).digest() for digest in (sha256, sha384, sha512)]
    return any(bytes([4, len(digest)]) + digest in token for digest in digests)


def check_stamp(openssl: str, stamp: Stamp, ca: Path) -> datetime:
    """When the authority says that it saw the note; Invalid when openssl does not accept the token.

    The authority's certificate is held to the moment of the token itself: it may have run out since.
    """
    with tempfile.TemporaryDirectory() as folder:
        token, data = Path(folder, "token.tsr"), Path(folder, "note")
        token.write_bytes(stamp.token)
        data.write_bytes(stamp.note)
        told = _run([openssl, "ts", "-reply", "-in", str(token), "-text"])
        # What stands before this heading was not signed, and could be made to look like the rest.
        told_of = told.stdout.rpartition("\nTST info:\n")[2]
        at = _stamped_at(told_of)
        if not _DIGEST.search(told_of):
            raise Invalid("it is over a digest for which two contents can be made, or one that is not known here")
        files = ["-in", str(token), "-data", str(data), "-CAfile", str(ca), "-attime", str(int(at.timestamp()))]
        verified = _run([openssl, "ts", "-verify", *files])
    if verified.returncode != 0 or "Verification: OK" not in verified.stdout + verified.stderr:
        reasons = [line for line in verified.stderr.splitlines() if ":" in line]
        raise Invalid(f"openssl refuses it: {_short(reasons[-1] if reasons else 'without saying why', 200)}")
    return at


def _stamped_at(told: str) -> datetime:
    found = _STAMPED.search(told)
    if found is None:
        raise Invalid("openssl cannot read it")
    month, day, clock, year = found.groups()
    try:
        return datetime.strptime(f"{year} {_MONTHS.index(month) + 1} {day} {clock} +0000", "%Y %m %d %H:%M:%S %z")
    except ValueError:  # a second after 59, for one
        raise Invalid("openssl tells a moment that this verifier cannot read") from None


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    alone = {**os.environ, "OPENSSL_CONF": os.devnull, "LC_ALL": "C"}  # no settings of this machine have a say
    return subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", timeout=60, env=alone)


# ---------------------------------------------------------------- the bundle as a whole


class Signed(NamedTuple):
    """A checkpoint of the bundle, its note, and the newest of the bundle's keys that signed it, by place."""

    checkpoint: Checkpoint
    note: str
    signer: int


def read_trusted(value: str) -> Key | Checkpoint:
    """A key as text, or a file that holds one or a checkpoint; ValueError when it is neither."""
    with suppress(Invalid):
        return read_key(value)
    try:
        text = value if "\n" in value else Path(value).read_bytes()[:_LONGEST_LINE].decode()
        text = text.replace("\r\n", "\n").strip() + "\n"  # as an editor may have left it
        return read_checkpoint(read_note(text)[0]) if "\n\n" in text else read_key(text[:-1])
    except (Invalid, OSError, ValueError) as error:
        raise ValueError(
            f"{value}: expected the text of a key, or a file with a key or a checkpoint: {error}"
        ) from None


class _Audit:
    """One look at one bundle: gathers findings and facts, part by part, each only where those before it hold."""

    def __init__(self, trusted: Sequence[Key | Checkpoint], tsa_ca: Path | None, at: date | None) -> None:
        self._trusted, self._tsa_ca, self._at = trusted, tsa_ca, at
        self._findings: dict[str, list[str]] = {}
        self._counts = Counter[str]()
        self.facts: dict[str, Any] = {}
        self.keys: list[Key] = []
        self._known: dict[tuple[str, bytes], tuple[int, Key]] = {}  # by name and id, with their places
        self._starts: list[int] = []
        self.signed: list[Signed] = []
        self._disputed: set[int] = set()
        self.stamps: list[tuple[int, datetime]] = []
        self.unchecked = False
        self.pinned: list[str] = []
        self._kept_outside = False  # that is, a checkpoint that the auditor holds agrees
        self.exported_at = datetime.min.replace(tzinfo=timezone.utc)  # noqa: UP017 - Python 3.9
        self.whole = False

    def find(self, kind: str, words: str) -> None:
        """Note a finding; of one kind only so many are kept, and the others counted."""
        self._counts[kind] += 1
        if self._counts[kind] <= _MOST_FINDINGS:
            self._findings.setdefault(kind, []).append(words)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part of the bundle: what is wrong in it is noted under its name."""
        try:
            yield
        except Invalid as error:
            self.find("invalid", f"{name}: {error}")

    def findings(self) -> Iterator[Finding]:
        """The findings, gravest first."""
        for kind in (*_PRECEDENCE, "cannot tell", "not checked"):
            for words in self._findings.get(kind, ()):
                yield Finding(kind, words)
            if self._counts[kind] > _MOST_FINDINGS:
                yield Finding(kind, f"and {self._counts[kind] - _MOST_FINDINGS} more of this kind")

    def look(self, box: Container, progress: Callable[[int, int], None]) -> None:
        """All of it, in the order in which one thing rests on another; Invalid where nothing more can be said."""
        digests = {name: box.digest(name) for name in MEMBERS}
        self.whole = box.members["gaps.jsonl"].size == 0
        if not self._read_signed(box, digests):
            return  # nothing rests on anything
        roots: dict[int, bytes] = {}
        with self.part("leaves.jsonl"):
            roots = self._replay(box, progress)
        if roots:
            self._compare_roots(roots)
            with self.part("proofs.jsonl"):
                self._compare_proofs(box, roots)
            self._compare_trusted(roots)
        with self.part("anchors.jsonl"):
            self._read_anchors(box)
        if not self._trusted:
            self.find("unpinned", "nothing that you trust was named: the file vouches for itself, as any file could")
        elif not self.pinned:
            self.find("unpinned", "nothing that you named vouches for it")

    # -- who signed -------------------------------------------------------------------------------------------

    def _read_signed(self, box: Container, digests: dict[str, str]) -> bool:
        """Whether keys, manifest and checkpoints are what they should be: everything else rests on them."""
        with self.part("keys.jsonl"):
            self._read_keys(box)
            with self.part("manifest"):
                newest = self._read_manifest(box, digests)
                with self.part("checkpoints.jsonl"):
                    self._read_checkpoints(box, newest)
        return not self._counts["invalid"]

    def _read_keys(self, box: Container) -> None:
        box.require_small("keys.jsonl")
        for line in box.lines("keys.jsonl"):
            endorsement, text = _fields(canonical(line), endorsement=(str, type(None)), key=str)
            self._add_key(read_key(text), endorsement)
        if not self.keys:
            raise Invalid("holds no key")
        self.facts |= {"origin": self.keys[0].name, "keys": [key.text for key in self.keys]}

    def _add_key(self, key: Key, endorsement: str | None) -> None:
        size = 0
        if self.keys:
            if endorsement is None:
                raise Invalid(f"{key.text} was not endorsed by the key before it")
            text, _ = signers(endorsement, self._newest())
            lines = text.split("\n")
            size = int(lines[2]) if len(lines) == 4 and re.fullmatch("0|[1-9][0-9]{0,15}", lines[2]) else -1
            if text != f"{self.keys[0].name}/key\n{key.text}\n{size}\n" or size < self._starts[-1]:
                raise Invalid(f"{key.text} was not endorsed by the key before it: that endorsed something else")
        elif endorsement is not None:
            raise Invalid("the first key has an endorsement, and nobody to give it")
        if (key.name, key.id) in self._known or key.name != (self.keys or [key])[0].name:
            raise Invalid("stands there twice, or is the key of another log")
        self._known[key.name, key.id] = len(self.keys), key
        self.keys.append(key)
        self._starts.append(size)

    def _newest(self) -> dict[tuple[str, bytes], tuple[int, Key]]:
        key = self.keys[-1]
        return {(key.name, key.id): (len(self.keys) - 1, key)}

    def _read_manifest(self, box: Container, digests: dict[str, str]) -> Checkpoint:
        """What the newest key signed of the file: the digest of every other member; returns the checkpoint it names."""
        if box.members["manifest"].size > _BLOCK:
            raise Invalid("is larger than any manifest")
        note = _text(b"".join(box.blocks("manifest")))
        text, _ = signers(note, self._newest())
        if len(read_note(note)[1]) != 1:
            raise Invalid("has more than one signature")
        origin, lines = self.keys[0].name, text.split("\n")
        if lines[:2] != [f"{origin}/bundle", "1"] or len(lines) != len(MEMBERS) + 5:
            raise Invalid(f"expected version 1 of a bundle of {origin}, in {len(MEMBERS) + 4} lines")
        for name, line in zip(MEMBERS, lines[5:]):  # noqa: B905 - strict= needs Python 3.10
            if name != "manifest" and line != f"{digests[name]} {box.members[name].size} {name}":
                raise Invalid(f"{name} is not what was signed: its digest or its size is another")
        self.exported_at = _moment(lines[2])
        self._read_limits(lines[3])
        return read_checkpoint(f"{origin}\n{lines[4].replace(' ', chr(10), 1)}\n")

    def _read_limits(self, line: str) -> None:
        limits = line.split(" ")
        days = [day for day in limits[:2] if day != "-"]
        if len(limits) != 3 or not all(map(_DAY.fullmatch, days)) or not limits[2]:
            raise Invalid("expected from, to and activity, each - where there is no limit")
        self.facts["exported_at"] = _instant(self.exported_at)
        self.facts["limits"] = {
            name: None if limit == "-" else limit
            for name, limit in zip(("from", "to", "activity"), limits)  # noqa: B905 - likewise
        }

    def _read_checkpoints(self, box: Container, newest: Checkpoint) -> None:
        box.require_small("checkpoints.jsonl")
        for line in box.lines("checkpoints.jsonl"):
            (note,) = _fields(canonical(line), note=str)
            text, signed = signers(note, self._known)
            self._add_checkpoint(Signed(read_checkpoint(text), note, max(signed)))
        if not self.signed or self.signed[-1].checkpoint != newest:
            raise Invalid("its last checkpoint is not the one that the manifest names")
        self.facts["size"], self.facts["root"] = newest.size, _base64(newest.root)
        self.facts["checkpoint"], self.facts["checkpoints"] = self.signed[-1].note, len(self.signed)

    def _add_checkpoint(self, new: Signed) -> None:
        checkpoint, _, signer = new
        if checkpoint.origin != self.keys[0].name:
            raise Invalid(f"a checkpoint of another log, {_short(checkpoint.origin)}")
        if signer + 1 < len(self.keys) and checkpoint.size > self._starts[signer + 1]:
            raise Invalid(f"the checkpoint of size {checkpoint.size} is signed by a key that had been replaced by then")
        if self.signed:
            last = self.signed[-1].checkpoint
            if checkpoint.size < last.size:
                raise Invalid(f"size {checkpoint.size} stands after size {last.size}")
            if checkpoint.size == last.size and checkpoint.root != last.root:
                self.find("forked", f"two different roots are signed for the first {checkpoint.size} leaves")
                self._disputed.add(checkpoint.size)
            before = self.signed[-_MOST_OF_A_SIZE] if len(self.signed) >= _MOST_OF_A_SIZE else None
            if before is not None and before.checkpoint.size == checkpoint.size:  # they never fall
                raise Invalid(f"there are more than {_MOST_OF_A_SIZE} of size {checkpoint.size}")
        self.signed.append(new)

    # -- what was signed --------------------------------------------------------------------------------------

    def _replay(self, box: Container, progress: Callable[[int, int], None]) -> dict[int, bytes]:
        """Go through the leaves; the roots at the sizes of all checkpoints that can be told from them."""
        size, total = self.facts["size"], box.members["leaves.jsonl"].size
        wanted = [signed.checkpoint.size for signed in self.signed]
        wanted += [trusted.size for trusted in self._trusted if isinstance(trusted, Checkpoint)]
        replay = Replay(size, wanted, _gaps(box))
        every = self.whole or self.facts["limits"]["activity"] is None  # limits that leave nothing out excuse nothing
        history = History(self.find, whole=self.whole, every_activity=every)
        number = seen = 0
        for number, line in enumerate(box.lines("leaves.jsonl"), 1):
            try:
                history.add(canonical(line))
                replay.add(sha256(b"\x00" + line).digest())
            except Invalid as error:
                raise Invalid(f"line {number}: {error}") from None
            seen += len(line) + 1
            if not number & 4095:
                progress(seen, total)
        root = replay.finish()
        progress(total, total)
        self.facts |= {"leaves": number, "first": history.first, "last": history.last}
        self.facts |= {"kinds": dict(sorted(history.kinds.items())), "rules": _rules(history.rules)}
        if root != self.signed[-1].checkpoint.root:
            raise Invalid(
                f"the root over them is {_base64(root)}, signed was {self.facts['root']}: leaves were changed, "
                "removed, added or moved"
            )
        self._compare_history(history)
        with self.part("policies.jsonl"):
            self._read_policies(box, history.policies)
        return replay.roots

    def _compare_history(self, history: History) -> None:
        if self.whole:
            history.finish(self.exported_at)
        else:
            self.find(
                "not checked",
                "gaps in the numbers of the outboxes, plans and approvals of each batch, sums of each run, days without"
                " a sign of life, what should have run: for that all leaves are needed, and this bundle holds some",
            )
            if not any(self.facts["limits"].values()):
                self.find("incomplete", "leaves are left out, and it does not say by which period or activity")
        for identity in sorted(history.keys.difference(key.id.hex() for key in self.keys)):
            words = "came into use, and is not among the keys of the bundle: it was to sign what came later"
            self.find("incomplete", f"the key {_short(identity, 8)} {words}")
        self._compare_dates(history.last)

    def _compare_dates(self, last: str) -> None:
        if self._at is not None and last[:10] < self._at.isoformat():
            self.find("stale", f"the last leaf is from {last or 'never'}, before {self._at}")
        if self.whole and last < _instant(self.exported_at - timedelta(hours=_QUIET_HOURS)):
            self.find(
                "stale",
                f"the last leaf is from {last}, more than {_QUIET_HOURS} hours before the export at "
                f"{self.facts['exported_at']}: what came after is not there",
            )

    def _read_policies(self, box: Container, named: set[str]) -> None:
        found = self.facts["policies"] = []
        for line in box.lines("policies.jsonl"):
            match = _POLICY.fullmatch(line)  # taken as it is: written again, a number could look different
            if match is None or sha256(match[2]).hexdigest() != match[1].decode():
                raise Invalid(f"line {len(found) + 1}: is not a policy with its digest")
            if found and match[1].decode() <= found[-1]:
                raise Invalid(f"line {len(found) + 1}: stands there twice, or not in the order of digests")
            found.append(match[1].decode())
        for digest in sorted(named.difference(found)):
            self.find("incomplete", f"policy {_short(digest, 12)} was in use, and what it said is not in the bundle")

    def _compare_roots(self, roots: dict[int, bytes]) -> None:
        """Wherever the leaves tell the root at a checkpoint's size, it is the checkpoint's."""
        for checkpoint, _, _ in self.signed:
            if roots.get(checkpoint.size, checkpoint.root) != checkpoint.root:
                words = f"the signed checkpoint of size {checkpoint.size} has another root than these leaves have there"
                self.find("forked", words)

    def _compare_proofs(self, box: Container, roots: dict[int, bytes]) -> None:
        """Where leaves are left out, each checkpoint is shown to continue the one before."""
        count = sum(1 for _ in box.lines("proofs.jsonl"))
        if count != (0 if self.whole else len(self.signed) - 1):
            raise Invalid(f"found {count} proofs for {len(self.signed)} checkpoints")
        lines = box.lines("proofs.jsonl")
        for line, (old, _, _), (new, _, _) in zip(lines, self.signed, self.signed[1:]):  # noqa: B905 - likewise
            first, proof, second = _fields(canonical(line), **{"from": int, "proof": list, "to": int})
            if (first, second) != (old.size, new.size):
                raise Invalid(f"found a proof from {first} to {second}, expected {old.size} to {new.size}")
            hashes = [_hash(part) for part in proof]
            forked = any(roots.get(one.size, one.root) != one.root or one.size in self._disputed for one in (old, new))
            if not forked and not consistent(first, second, hashes, old.root, new.root):
                raise Invalid(f"the first {first} leaves are not shown to be the beginning of the {second}")

    # -- what the auditor holds against it --------------------------------------------------------------------

    def _compare_trusted(self, roots: dict[int, bytes]) -> None:
        for signed in self.signed:
            roots.setdefault(signed.checkpoint.size, signed.checkpoint.root)
        for trusted in self._trusted:
            if isinstance(trusted, Checkpoint):
                self._compare_checkpoint(trusted, roots)
            else:
                self._compare_key(trusted)

    def _compare_key(self, trusted: Key) -> None:
        name = f"the key you trust, {trusted.name}+{trusted.id.hex()},"
        if trusted not in self.keys:
            self.find("invalid", f"{name} has neither signed it nor endorsed a key that did")
        elif self.signed[-1].signer < self.keys.index(trusted):
            self.find("cannot tell", f"{name} came after the last checkpoint; ask for a bundle with a newer one")
        else:
            self.pinned.append("It was signed with the key you named, or with one that this key handed over to.")

    def _compare_checkpoint(self, trusted: Checkpoint, roots: dict[int, bytes]) -> None:
        name = f"the checkpoint you trust, of size {trusted.size},"
        if trusted.origin != self.keys[0].name:
            self.find("invalid", f"{name} is of another log, {_short(trusted.origin)}")
        elif trusted.size > self.facts["size"]:
            self.find("stale", f"{name} is larger than the bundle, which ends at {self.facts['size']}")
        elif trusted.size not in roots:
            self.find("cannot tell", f"{name} lies where this bundle holds no leaves; ask for one with all leaves")
        elif roots[trusted.size] != trusted.root:
            self.find("forked", f"{name} has another root than the first {trusted.size} leaves here: two histories")
        else:
            self.pinned.append(f"Its first {trusted.size} leaves are those of the checkpoint you named.")
            self._kept_outside = True

    def _read_anchors(self, box: Container) -> None:
        notes: dict[int, list[str]] = {}
        for signed in self.signed:
            notes.setdefault(signed.checkpoint.size, []).append(signed.note)
        stamps = 0
        openssl = None if self._tsa_ca is None else shutil.which("openssl")
        for number, line in enumerate(box.lines("anchors.jsonl"), 1):
            kinds: dict[str, Any] = {"anchor": str, "at": str, "kind": str, "size": int, "token": (str, type(None))}
            name, at, _, size, token = _fields(canonical(line), **kinds)
            _moment(at)
            if size not in notes:
                raise Invalid(f"line {number}: there is no checkpoint of size {size}")
            if token is not None:
                data = _unbase64(token)
                note = next((note.encode() for note in notes[size] if is_over(data, note.encode())), None)
                if note is None:
                    raise Invalid(f"line {number}: the time-stamp is not over the checkpoint of size {size}")
                stamps += 1
                self._check_stamp(openssl, Stamp(size, name, data, note))  # now: all tokens together take too much room
        if not stamps and not self._kept_outside:
            words = "no authority has stamped a checkpoint of it: only the company's own clock says when it was made"
            self.find("unanchored", words)
        if stamps and openssl is None:
            self.unchecked = True
            lacking = "--tsa-ca was not given" if self._tsa_ca is None else "the program openssl was not found"
            self.find("not checked", f"who made the time-stamps ({stamps}), and when: {lacking}")
        elif openssl is not None:
            self.facts["stamps"] = [{"size": size, "at": _instant(at)} for size, at in self.stamps]

    def _check_stamp(self, openssl: str | None, stamp: Stamp) -> None:
        if openssl is None or self._tsa_ca is None:
            return
        try:
            self.stamps.append((stamp.size, check_stamp(openssl, stamp, self._tsa_ca)))
        except Invalid as error:
            words = f"time-stamp of {_short(stamp.anchor)} over the checkpoint of size {stamp.size}: {error}"
            self.find("invalid", words)
        except subprocess.TimeoutExpired:
            self.find("not checked", f"the time-stamp over the checkpoint of size {stamp.size}: openssl hangs")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except ValueError:
        raise Invalid("is not UTF-8") from None


def _gaps(box: Container) -> Iterator[Gap]:
    for number, line in enumerate(box.lines("gaps.jsonl"), 1):
        try:
            count, first, part = _fields(canonical(line), count=int, first=int, hash=str)
            yield Gap(_natural(first), _natural(count), _hash(part))
        except Invalid as error:
            raise Invalid(f"gaps.jsonl, line {number}: {error}") from None


def _rules(rules: dict[str, list[int]]) -> dict[str, dict[str, int]]:
    return {
        rule: {"batches": batches, "rows": rows, "reach": reach}
        for rule, (batches, rows, reach) in sorted(rules.items())
    }


# ---------------------------------------------------------------- the answer


def verify(
    path: Path | str,
    trust: Iterable[str] = (),
    tsa_ca: Path | str | None = None,
    at: date | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """The report on the bundle at `path`; whatever it holds, there is one.

    `trust` is as on the command line. `progress` is told how many bytes of leaves are done, of how many. OSError when a
    file cannot be read, ValueError when something to trust is neither a key nor a checkpoint.
    """
    audit = _Audit([read_trusted(value) for value in trust], _certificates(tsa_ca), at)
    with Path(path).open("rb") as file:
        try:
            audit.look(Container(file), progress or (lambda _done, _total: None))
        except Invalid as error:
            audit.find("invalid", str(error))
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - what a hostile file brings about is an answer too
            audit.find("invalid", f"it cannot be read as a bundle ({type(error).__name__})")
    return _report(audit, str(path))


def _certificates(file: Path | str | None) -> Path | None:
    if file is not None and b"-----BEGIN " not in Path(file).read_bytes():
        raise ValueError(f"{file}: holds no certificate in PEM")
    return None if file is None else Path(file)


def _report(audit: _Audit, path: str) -> Report:
    findings = tuple(audit.findings())
    kinds = {finding.kind for finding in findings}
    status = next((kind for kind in _PRECEDENCE if kind in kinds), "ok")
    proven = () if status in ("invalid", "forked") else tuple(_proven(audit, kinds))
    not_proven = () if status in ("invalid", "forked") else tuple(_not_proven(audit, kinds))
    return Report(status, findings, proven, not_proven, tuple(_next(audit, kinds, path)), audit.facts)


def _proven(audit: _Audit, kinds: set[str]) -> Iterator[str]:
    facts, last = audit.facts, audit.keys[-1]
    yield (
        f"The file is, byte for byte, what the holder of the key {last.name}+{last.id.hex()} signed when it was "
        f"exported, at {facts['exported_at']} by the exporter's clock."
    )
    if audit.whole:
        yield (
            f"It holds all {facts['size']} leaves of the log {facts['origin']}, and they have the root that was "
            f"signed: none was changed, removed, added or moved since. Signed checkpoints that agree with that: "
            f"{facts['checkpoints']}."
        )
    else:
        yield (
            f"It holds {facts['leaves']} of the {facts['size']} leaves of the log {facts['origin']}, each unchanged "
            "and at its place; of the others it has hashes only."
        )
    yield from audit.pinned
    if audit.whole and "incomplete" not in kinds:
        yield (
            "The numbers of every outbox are without a gap. Each batch has its plan, each plan that needed a person's "
            "approval and was carried out has one, and each run that ended tells of the rows that its batches tell of."
        )
    if audit.stamps:
        size = max(size for size, _ in audit.stamps)
        at = min(at for stamped, at in audit.stamps if stamped == size)
        yield (
            f"The first {size} leaves existed at {_instant(at)}, says an authority that your certificates vouch for "
            f"(time-stamps: {len(audit.stamps)})."
        )


def _not_proven(audit: _Audit, kinds: set[str]) -> Iterator[str]:
    if not audit.pinned:
        yield (
            "Whose evidence this is, and that it is the only one: whoever makes up a history can make up a key and "
            "sign it with that."
        )
    if not audit.stamps:
        yield "When anything happened: all times are those of the company's own clocks."
    elif max(audit.stamps)[0] < audit.facts["size"]:
        yield "When the leaves after the last time-stamp were written: their times are those of the company's clocks."
    if not audit.whole:
        yield "That every leaf of the period and activity is here: who exported it chose them. A whole one would show."
    if "incomplete" in kinds:
        yield "What happened where something is missing."
    yield (
        "That the databases did what the leaves say: each leaf was written in one transaction with its deed, and what "
        "is in the databases now can be seen only there."
    )
    yield "Who approved: leaves hold a role and a random number; for some years the company can tell whose it was."
    yield "Anything after the last leaf. The page index.html is the company's account, and nothing here rests on it."


def _next(audit: _Audit, kinds: set[str], path: str) -> Iterator[str]:
    file = shlex.quote(path) if path.isprintable() else "BUNDLE"  # who sent the file may have named it
    command = f"python verify_bundle.py {file}"
    if "invalid" in kinds:
        yield (
            "Ask for the file once more: it may have been damaged on its way, or be of another log than you think. If "
            "it stays so, do not rely on it."
        )
        return
    if "forked" in kinds:
        yield "Keep this file and every checkpoint you hold: signed histories that contradict each other are evidence."
        return
    if "incomplete" in kinds:
        yield "Ask the company to explain each thing that is missing."
    if "stale" in kinds:
        yield "Ask for a newer bundle."
    if "unanchored" in kinds:
        yield f"If you ever got a checkpoint of this log, by mail for example, compare: {command} --trust FILE"
    if not audit.pinned:
        key = audit.keys[audit.signed[-1].signer].text
        yield (
            "Compare this key, letter by letter, with the one that the company published where it could not change it "
            f"unseen:\n{key}\nIf it is the same: {command} --trust {shlex.quote(key)}"
        )
    if audit.unchecked:
        yield (
            "Get the certificates of the time-stamp authority from the authority itself, and name the file: "
            f"{command} --tsa-ca FILE"
        )
    yield f"Keep this checkpoint. With --trust it shows next year that nothing was changed:\n{audit.signed[-1].note}"


_VERDICTS = {
    "ok": "nothing is wrong, and it rests on what you trust",
    "invalid": "do not rely on it",
    "forked": "there are two histories",
    "incomplete": "something is missing",
    "stale": "it ends too early",
    "unanchored": "only the company's own clock says when it was made",
    "unpinned": "nothing is wrong, but whose evidence it is stays open",
}


def words(report: Report) -> str:
    """The report for a person to read."""
    findings = [f"{finding.kind}: {finding.words}" for finding in report.findings]
    parts = {"Found": findings, "Proven": report.proven, "Not proven": report.not_proven, "Next": report.next}
    lines = [f"{report.status}: {_VERDICTS[report.status]}"]
    for heading, texts in parts.items():
        if texts:
            lines += ["", heading]
            lines += [f"  - {text}" for text in texts]  # what follows a line feed is there to be copied
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _options(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        report = verify(options.bundle, options.trust, options.tsa_ca, options.at, _on_terminal)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"verify_bundle.py: {error}\n")
        return USAGE
    told = {"status": report.status, "code": report.code, **asdict(report)}
    sys.stdout.write((json.dumps(told, indent=2) if options.json else words(report)) + "\n")
    return report.code


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="verify_bundle.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="the file that was exported")
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="KEY|CHECKPOINT",
        help="the text of a key, or a file with a key or a checkpoint that you trust; can be given several times",
    )
    parser.add_argument(
        "--tsa-ca", type=Path, metavar="FILE", help="certificates (PEM) of the time-stamp authority that you trust"
    )
    parser.add_argument("--at", type=date.fromisoformat, metavar="DATE", help="stale if the last leaf is from before")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    return parser.parse_args(arguments)


def _on_terminal(done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done * 100 // max(total, 1):3d} % of the leaves" + "\n" * (done == total))


if __name__ == "__main__":
    sys.exit(main())
