"""A folder or bucket, best one where nothing can be changed or removed, with one file for each checkpoint."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from lethe.errors import AnchorConflict, ConfigError
from lethe.evidence.anchors.failure import unreachable
from lethe.evidence.outside import settle
from lethe.model import AnchorSetting
from lethe.outages import in_words
from lethe.urls import storage_of


class Folder:
    """Lays `<size>-<start of the note's SHA-256>.note` down, once; any URL that fsspec knows, all of file:// and s3://."""

    kind = "folder"

    def __init__(self, setting: AnchorSetting, url: str) -> None:
        self.name = setting.name
        self._connection = setting.connection
        scheme = url.partition("://")[0] if "://" in url else "file"
        try:
            self._url, self._options = storage_of(url)
            fsspec.get_filesystem_class(scheme)
        except (ValueError, ImportError) as error:
            raise ConfigError(
                f"anchor {self.name}: connection {setting.connection} is of kind {scheme}, which nothing here can "
                f"open ({type(error).__name__}); install the package for it, such as s3fs for s3://"
            ) from None

    def publish(self, note: str) -> None:
        """Lay the note down; when it is there already, leave it."""
        content, size = note.encode(), int(note.split("\n", 2)[1])
        name = f"{size:012}-{hashlib.sha256(content).hexdigest()[:16]}.note"
        try:
            found = self._lay(name, content)
        except Exception as error:  # noqa: BLE001 - each kind of storage has errors of its own
            remedy = f"the folder of connection {self._connection} must exist and take new files from this user"
            raise unreachable(self.name, in_words(error), remedy) from None
        if found != content:
            raise AnchorConflict(
                f"anchor {self.name}: {name} is there with {len(found)} bytes that are not the {len(content)} of this "
                "checkpoint; it is left as it is: keep both, and find out who wrote there"
            )

    def _lay(self, name: str, content: bytes) -> bytes:
        """The bytes that are there afterwards, this checkpoint's or others."""
        options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False, **self._options}
        storage, path = fsspec.url_to_fs(self._url, **options)
        if isinstance(storage, LocalFileSystem):
            return _lay_in_folder(Path(path), name, content)
        return _lay_in_bucket(storage, f"{path}/{name}", content)


def _lay_in_bucket(storage: fsspec.AbstractFileSystem, path: str, content: bytes) -> bytes:
    with suppress(FileNotFoundError):
        return bytes(storage.cat_file(path))
    with suppress(FileExistsError):
        storage.pipe_file(path, content, mode="create")
    return bytes(storage.cat_file(path))


def _lay_in_folder(folder: Path, name: str, content: bytes) -> bytes:
    """A file is linked to its name when all of it is on the disk, and a link never replaces another."""
    place, part = folder / name, folder / f".{name}.{secrets.token_hex(4)}.part"
    if not place.exists():
        try:
            _write_through(part, content)
            with suppress(FileExistsError):
                os.link(part, place)
        finally:
            with suppress(OSError):
                part.unlink()  # where nothing can be removed it stays, under a name that counts for nothing
    settle(folder)
    return place.read_bytes()


def _write_through(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())
