"""Whose records went, kept outside all databases and encrypted, until no backup can bring them back any more.

    again/<store id>-<epoch>-<first number>-<last day>

A store that is restored has lost who was erased since; from here they can be looked for. AES-256-GCM (NIST SP 800-38D),
a new nonce for each file, under a key that no database holds; the file's own name is sealed with it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lethe.errors import ConfigError
from lethe.evidence.outside import Outside, Position, write_whole

VARIABLE = "LETHE_REPLAY_KEY"
FILE_VARIABLE = "LETHE_REPLAY_KEY_FILE"
_MAGIC = b"lethe again 1\n"
_KEY, _ID, _NONCE, _TAG = 32, 8, 12, 16
_NAME = re.compile(r"([0-9a-f-]{36})-([0-9]{6,})-([0-9]{12,})-([0-9]{4}-[0-9]{2}-[0-9]{2})")


@dataclass(frozen=True)
class Erased:
    """Records that a batch took, by their keys as text (several columns as a JSON array); of use until a day."""

    store: str
    epoch: int
    seq: int
    rule: str
    plan: str
    keys: tuple[str, ...] = field(repr=False)
    until: date


def load_replay_key(environment: Mapping[str, str]) -> bytes:
    """The 32 bytes that the environment names; ConfigError, which never shows them, when they are missing or unsafe."""
    text, path = environment.get(VARIABLE), environment.get(FILE_VARIABLE)
    if text and path:
        raise ConfigError(f"both {VARIABLE} and {FILE_VARIABLE} are set: unset one of them")
    if path:
        return _parse(_read(Path(path)), f"{FILE_VARIABLE}: {path}")
    if text:
        return _parse(text, VARIABLE)
    raise ConfigError(
        f"nothing encrypts whose records went: set {FILE_VARIABLE} to the path of a file that holds 32 random bytes in "
        f"base64 (openssl rand -base64 32), or {VARIABLE} to its text"
    )


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(1000)
    except OSError as error:
        raise ConfigError(f"{FILE_VARIABLE}: {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigError(f"{path} is open to others than its owner (mode {mode:04o}): chmod 600 {quote(str(path))}")
    return data.decode(errors="replace")  # what is no text is no key either


def _parse(text: str, where: str) -> bytes:
    text = text.removesuffix("\n")
    try:
        key = b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY or b64encode(key).decode() != text:
        raise ConfigError(f"{where}: holds no key, expected one line, 32 bytes in base64 (openssl rand -base64 32)")
    return key


class ReplayList:
    """The lists of one directory outside, under one key."""

    def __init__(self, outside: Outside, key: bytes) -> None:
        self._folder, self._cipher = outside.directory / "again", AESGCM(key)
        self._id = sha256(b"lethe again\0" + key).digest()[:_ID]

    def add(self, erased: Erased) -> Path:
        """Keep a list, all of it or not at all; the same place again replaces it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{erased.store}-{erased.epoch:06d}-{erased.seq:012d}-{erased.until}"
        told = json.dumps({"rule": erased.rule, "plan": erased.plan, "keys": erased.keys}, ensure_ascii=False)
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._cipher.encrypt(nonce, told.encode(), name.encode())
        write_whole(self._folder / name, _MAGIC + self._id + nonce + sealed)
        return self._folder / name

    def read(self, store: str) -> Iterator[Erased]:
        """The lists of a store, in the order of their deeds; ConfigError for one that cannot be read."""
        for path, of, epoch, seq, until in self._files():
            if of == store:
                told = self._open(path)
                yield Erased(of, epoch, seq, told["rule"], told["plan"], tuple(told["keys"]), until)

    def last(self, store: str) -> Position:
        """How far a store's batches were listed, also those whose lists are over; (0, 0) when none ever was."""
        mark = self._folder / f"upto-{store}"
        epoch, seq = mark.read_text().split() if mark.exists() else ("0", "0")
        return int(epoch), int(seq)

    def listed(self, store: str, place: Position) -> None:
        """Keep that a store's batches are listed up to a place."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_whole(self._folder / f"upto-{store}", b"%d %d\n" % place)

    def expire(self, today: date) -> int:
        """Remove the lists whose last day has passed, whatever key they are under; how many."""
        over = [path for path, *_, until in self._files() if until < today]
        for path in over:
            path.unlink(missing_ok=True)
        return len(over)

    def _files(self) -> Iterator[tuple[Path, str, int, int, date]]:
        for path in sorted(self._folder.glob("[0-9a-f]*")):
            if match := _NAME.fullmatch(path.name):
                store, epoch, seq, until = match.groups()
                yield path, store, int(epoch), int(seq), date.fromisoformat(until)

    def _open(self, path: Path) -> dict[str, Any]:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        head = len(_MAGIC) + _ID + _NONCE
        if len(data) < head + _TAG or not data.startswith(_MAGIC):
            raise ConfigError(
                f"{path}: found {len(data)} bytes that are no list of erased records as it is written here; {_REMEDY}"
            )
        if data[len(_MAGIC) : len(_MAGIC) + _ID] != self._id:
            raise ConfigError(
                f"{path}: was encrypted under another key; set {FILE_VARIABLE} to the one that was in use when it was "
                "written"
            )
        try:
            text = self._cipher.decrypt(data[head - _NONCE : head], data[head:], path.name.encode())
        except InvalidTag:
            text = None
        if text is None:
            raise ConfigError(f"{path}: was cut off, changed or renamed since it was written; {_REMEDY}")
        told: dict[str, Any] = json.loads(text)
        return told


_REMEDY = (
    "put it back from the copy of the directory outside; without one, remove it, and whose records it listed is not "
    "looked for: the rules themselves still take what is due"
)
