"""A folder or bucket with documents that rows name: whether they are there, and how they go. No transactions here.

What a row names is a path below the folder; a leading slash means the folder itself. Anything that could mean another
place is refused, and no error repeats it: paths name people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from lethe.errors import ConfigError, LetheError, StoreRefused, StoreUnreachable
from lethe.evidence.outside import settle
from lethe.model import DocumentStore
from lethe.outages import in_words
from lethe.urls import storage_of

_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})

P = ParamSpec("P")
T = TypeVar("T")


def _telling(method: Callable[P, T]) -> Callable[P, T]:
    """Let errors of storages, each of which has its own, pass as StoreUnreachable only, without a path."""

    @wraps(method)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        failure: Exception
        try:
            return method(*args, **kwargs)
        except LetheError:
            raise
        except Exception as error:  # noqa: BLE001 - each kind of storage has errors of its own
            failure = StoreUnreachable(f"documents {args[0]}: {in_words(error)}; check its connection and rights")
        raise failure

    return told


class Folder:
    """The documents of one store of the policy, wherever its URL leads: file:// and s3:// at least."""

    def __init__(self, store: DocumentStore, url: str) -> None:
        self._store = store
        try:
            plain, options = storage_of(url)
            self._storage, root = fsspec.url_to_fs(plain, skip_instance_cache=True, use_listings_cache=False, **options)
        except (ValueError, ImportError) as error:
            raise ConfigError(
                f"documents {store.name}: connection {store.connection} leads to a storage that nothing here can open "
                f"({type(error).__name__}); install the package for it, such as s3fs for s3://"
            ) from None
        self._root = root.rstrip("/")

    def __str__(self) -> str:
        return self._store.name

    @_telling
    def missing(self, paths: Iterable[str]) -> set[str]:
        """Which of the paths lead to no document; StoreRefused when one could mean another place, or is a folder."""
        self._require_there()
        return {path for path in paths if not self._is_there(self._place(path))}

    @_telling
    def remove(self, paths: Sequence[str]) -> None:
        """Delete the documents, where they are not gone already, and look again; StoreRefused when one is left."""
        places = [self._place(path) for path in paths]
        for place in places:
            with suppress(FileNotFoundError):
                self._storage.rm_file(place)
        if isinstance(self._storage, LocalFileSystem):  # or a machine that stops now could bring them back
            for folder in {Path(place).parent for place in places}:
                with suppress(FileNotFoundError):
                    settle(folder)
        if left := sum(map(self._is_there, places)):
            raise StoreRefused(f"documents {self}: {left} of {len(places)} are still there after they were deleted")

    def _require_there(self) -> None:
        """Where there is no folder every document looks missing; in a bucket, folders go with their last document."""
        kinds = {self._storage.protocol} if isinstance(self._storage.protocol, str) else {*self._storage.protocol}
        is_bucket = bool(kinds & _BUCKETS)
        place = self._root.lstrip("/").partition("/")[0] if is_bucket else self._root
        try:
            kind = self._storage.info(place)["type"]
        except FileNotFoundError:
            kind = ""
        if kind != "directory":
            what, ask = ("bucket", "is its name right") if is_bucket else ("folder", "is it mounted")
            raise StoreUnreachable(f"documents {self}: its {what} is not there; {ask}?")

    def _is_there(self, place: str) -> bool:
        try:
            found = self._storage.info(place)
        except FileNotFoundError:
            return False
        what = "link" if found.get("islink") else "folder" if found["type"] == "directory" else ""
        if what:
            raise StoreRefused(f"documents {self}: a row names a {what}, expected the document itself; correct the row")
        return True

    def _place(self, path: str) -> str:
        """Where the document lies; StoreRefused for what could lead out of the folder."""
        steps = path.removeprefix("/").split("/")
        if not path.isprintable() or {"", ".", ".."} & set(steps) or "\\" in path:
            raise StoreRefused(
                f"documents {self}: a row names no document of this folder, expected a path below it without empty "
                "steps, dots or backslashes; correct the row"
            )
        place = f"{self._root}/{'/'.join(steps)}"
        if isinstance(self._storage, LocalFileSystem):
            inside = Path(self._root).resolve()
            if not Path(place).parent.resolve().is_relative_to(inside):
                raise StoreRefused(f"documents {self}: a row names a place that a link leads out of the folder")
        return place


def same_document(path: str) -> tuple[str, str]:
    """The two ways in which rows can name one document."""
    plain = path.removeprefix("/")
    return plain, f"/{plain}"
