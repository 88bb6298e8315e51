"""What is kept outside all databases, so that none of them can be put back to yesterday unseen.

    head.json                      the last signed checkpoint, how far each outbox was sealed by it, the keys
    leaves/<first>-<end>-<day>     leaves as they were sealed, as long as a backup may be older than them
    checkpoints/<size>-<day>       what was signed, equally long
    anchors/<size>-<anchor>        what came back from an anchor
    restore.json                   that the log was restored, until that is written down
    again/<store>-<epoch>-…        whose records went, encrypted, as long as a backup has them (replay.py)

Files are written beside their place, flushed and renamed: a half-written one is never taken for whole.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from lethe.errors import ConfigError

VARIABLE = "LETHE_EVIDENCE_OUTSIDE"
_FIRST = 2
"""A run that is stopped while it signs for the first time leaves one checkpoint without a head; two have had one."""

Position = tuple[int, int]
"""An epoch and a number in it: how far an outbox has come."""


@dataclass(frozen=True)
class Head:
    """The end of what was signed: size, root, the note, the last place of each outbox by store id, the keys."""

    size: int = 0
    root: bytes = b""
    note: str = ""
    outboxes: Mapping[str, Position] = field(default_factory=dict)
    keys: tuple[tuple[str, str | None, int], ...] = ()
    """Each with the endorsement by the one before it, and the size of the log when it came into use."""
    stores: Mapping[str, str] = field(default_factory=dict)
    """The id that each database had, by its name in the policy."""

    def position(self, store: str) -> Position:
        """How far an outbox was sealed; (0, 0) for one that never was."""
        return self.outboxes.get(store, (0, 0))


class Outside:
    """The directory that LETHE_EVIDENCE_OUTSIDE names; on other disks than the databases, and in other backups."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._head = directory / "head.json"
        self._restore = directory / "restore.json"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Outside:
        """The directory that the environment names; ConfigError when it names none, or one that is not there."""
        named = environment.get(VARIABLE)
        if not named:
            raise ConfigError(
                f"{VARIABLE} is not set, and the policy has evidence sealed: set it to a directory that all of "
                "Lethe's processes share, on another disk than the databases"
            )
        if not Path(named).is_dir():
            raise ConfigError(f"{VARIABLE}: {named} is no directory that can be read; mount or create it")
        return cls(Path(named))

    def head(self) -> Head | None:
        """The last head; None when there never was one, ConfigError when the file is not one that was written here."""
        try:
            told = json.loads(self._head.read_text(encoding="utf-8"))
            outboxes = {store: (int(epoch), int(seq)) for store, (epoch, seq) in told["outboxes"].items()}
            keys = tuple((str(vkey), endorsement, int(size)) for vkey, endorsement, size in told["keys"])
            size, root, stores = int(told["size"]), bytes.fromhex(told["root"]), dict(told["stores"])
            return Head(size, root, told["note"], outboxes, keys, stores)
        except FileNotFoundError:
            if len(list(self.notes())) < _FIRST:
                return None
            problem = "it is gone, though checkpoints were signed"
        except OSError as error:
            raise ConfigError(f"{self._head}: {error.strerror}; let this process read it") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problem = type(error).__name__
        raise ConfigError(
            f"{self._head}: cannot be read as the head of the evidence ({problem}); put it back from its own backup, "
            "or declare it lost: lethe restore log"
        )

    def publish(self, head: Head, day: date) -> None:
        """Make this the head, all of it or not at all; signed on `day`."""
        self.keep_note(head.size, head.note, day)
        told = {"size": head.size, "root": head.root.hex(), "note": head.note, "keys": head.keys}
        told |= {"outboxes": head.outboxes, "stores": head.stores}
        write_whole(self._head, json.dumps(told, indent=1).encode())

    def keep_note(self, size: int, note: str, day: date) -> None:
        """Keep a checkpoint that was signed on `day`."""
        write_whole(self._folder("checkpoints") / f"{size:012d}-{day.isoformat()}", note.encode())

    def keep_leaves(self, first: int, leaves: Iterable[bytes], day: date) -> int:
        """Keep what was sealed on a day, one leaf a line, numbers from `first` on; how many they were."""
        folder = self._folder("leaves")
        part = folder / f".{first}.part"
        count = 0
        with part.open("wb", buffering=1 << 20) as file:
            for leaf in leaves:
                file.write(leaf)
                count += 1
            file.flush()
            os.fsync(file.fileno())
        for start, _, stale in list(self._segments()):
            if start >= first:  # kept by a run that was stopped before it signed: what it held may have changed since
                stale.unlink()
        part.rename(folder / f"{first:012d}-{first + count:012d}-{day.isoformat()}")
        settle(folder)
        return count

    def leaves(self, first: int, end: int) -> Iterator[bytes]:
        """The leaves from `first` to before `end`; ConfigError when some of them are not here."""
        for start, stop, path in self._segments():
            if start <= first < min(stop, end):
                with path.open("rb") as file:
                    for number, line in enumerate(file, start):
                        if first <= number < end:
                            yield line.rstrip(b"\n")
                first = min(stop, end)
        if first < end:
            raise ConfigError(f"{self.directory / 'leaves'}: found no leaf {first}, expected all up to {end - 1}")

    def notes(self) -> Iterator[tuple[int, str]]:
        """The signed checkpoints that are kept, smallest first, with their sizes."""
        for path in sorted((self.directory / "checkpoints").glob("[0-9]*")):
            yield int(path.name[:12]), path.read_text(encoding="utf-8")

    def forget(self, before: date) -> None:
        """Remove what was sealed before a day: every backup that can still be put back holds it."""
        for folder in ("leaves", "checkpoints"):
            for path in (self.directory / folder).glob("[0-9]*"):
                if date.fromisoformat(path.name[-10:]) < before:
                    path.unlink()

    def _folder(self, name: str) -> Path:
        folder = self.directory / name
        folder.mkdir(exist_ok=True)
        return folder

    def keep_token(self, anchor: str, kind: str, size: int, token: bytes | None) -> None:
        """Keep what came back from an anchor for the checkpoint of a size."""
        folder = self._folder("anchors")
        told = {"anchor": anchor, "kind": kind, "size": size, "token": token.hex() if token is not None else None}
        write_whole(folder / f"{size:012d}-{anchor}", json.dumps(told).encode())

    def tokens(self) -> Iterator[dict[str, Any]]:
        """What keep_token() kept, with `token` as bytes again."""
        for path in sorted((self.directory / "anchors").glob("[0-9]*")):
            told = json.loads(path.read_text())
            yield {**told, "token": bytes.fromhex(told["token"]) if told["token"] is not None else None}

    def keep_restore(self, told: Mapping[str, Any]) -> None:
        """Keep what is to be written down of the log's restore, until it can be."""
        write_whole(self._restore, json.dumps(dict(told)).encode())

    def restore(self) -> dict[str, Any] | None:
        """What keep_restore() kept; None when nothing is open."""
        try:
            told = json.loads(self._restore.read_text(encoding="utf-8"))
            return {"run": str(told["run"]), "found": int(told["found"]), "published": int(told["published"])}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = type(error).__name__
        raise ConfigError(
            f"{self._restore}: cannot be read as what is to be written down of a restore ({problem}); remove it"
        )

    def forget_restore(self) -> None:
        """It was written down."""
        self._restore.unlink(missing_ok=True)

    def _segments(self) -> Iterator[tuple[int, int, Path]]:
        for path in sorted((self.directory / "leaves").glob("[0-9]*")):
            first, end, _ = path.name.split("-", 2)
            yield int(first), int(end), path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, all of it or not at all."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")  # two hosts may write the same
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    settle(path.parent)


def settle(folder: Path) -> None:
    """A rename is on the disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
