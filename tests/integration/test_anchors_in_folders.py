"""Checkpoints in write-once folders and buckets: once, whole, and never over something else."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from faults import environment
from lethe.errors import AnchorConflict, AnchorUnreachable, ConfigError
from lethe.evidence.anchors import open_anchor
from lethe.model import AnchorSetting
from support import open_folder, without_rights

NOTE = "fjordvik.example/lethe\n60\nGgdnqvQ1LGO7hGGvmvvhLFmcnBTJKkCTrKUj8iFMJlE=\n\n— fjordvik.example/lethe c2lnYQ==\n"
LATER = NOTE.replace("\n60\n", "\n12345\n")
NAME = f"000000000060-{hashlib.sha256(NOTE.encode()).hexdigest()[:16]}.note"
SETTING = AnchorSetting("archive", "folder", "lethe_archive")
REMEDY = "the folder of connection lethe_archive must exist and take new files from this user"


@pytest.fixture(params=["folder", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder on the disk, and storage without folders that fsspec reaches."""
    if request.param == "folder":
        yield f"file://{tmp_path}"
    else:
        name = f"evidence-{uuid4().hex}"
        yield f"memory://{name}"
        MemoryFileSystem().rm(f"/{name}", recursive=True)


def _publish(url: str, note: str = NOTE) -> None:
    assert open_anchor(SETTING, {"lethe_archive": url}.__getitem__).publish(note) is None


def _refusal(url: str) -> str:
    with pytest.raises(AnchorUnreachable) as refused:
        _publish(url)
    assert "hemmelig" not in "".join(traceback.format_exception(refused.value))
    return str(refused.value)


def _files(url: str) -> dict[str, bytes]:
    storage, path = fsspec.url_to_fs(url)
    return {str(name).rpartition("/")[2]: storage.cat_file(name) for name in storage.ls(path, detail=False)}


def test_each_checkpoint_becomes_one_file_named_by_size_and_digest(url: str) -> None:
    _publish(url)
    _publish(url, LATER)
    later = f"000000012345-{hashlib.sha256(LATER.encode()).hexdigest()[:16]}.note"
    assert _files(url) == {NAME: NOTE.encode(), later: LATER.encode()}


def test_a_slash_at_the_end_makes_no_difference(url: str) -> None:
    _publish(f"{url}/")
    _publish(url)
    assert _files(url) == {NAME: NOTE.encode()}


def test_many_at_once_leave_one_file(url: str) -> None:
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(_publish, [url] * 32))
    assert _files(url) == {NAME: NOTE.encode()}


@pytest.mark.parametrize("there", [b"", NOTE.encode()[:-1], NOTE.encode() + b"\n", NOTE.encode().replace(b"60", b"61")])
def test_other_bytes_under_the_name_are_a_conflict_and_stay(url: str, there: bytes) -> None:
    storage, path = fsspec.url_to_fs(f"{url}/{NAME}")
    storage.pipe_file(path, there)
    with pytest.raises(AnchorConflict) as conflict:
        _publish(url)
    assert str(conflict.value) == (
        f"anchor archive: {NAME} is there with {len(there)} bytes that are not the {len(NOTE.encode())} of this "
        "checkpoint; it is left as it is: keep both, and find out who wrote there"
    )
    assert _files(url) == {NAME: there}


def test_a_checkpoint_that_is_there_already_is_not_written_again(
    tmp_path: Path, bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a folder may be closed behind it."""
    urls = (f"file://{tmp_path}", "lethe-bucket://evidence")
    for url in urls:
        _publish(url)
    monkeypatch.setattr(os, "link", _failing(errno.EROFS))
    bucket.failing["write"] = PermissionError()
    for url in urls:
        _publish(url)


def test_the_name_of_a_file_is_on_the_disk_too_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the process that wrote it was stopped before it came that far."""
    flushed: list[str] = []
    sync = os.fsync

    def note(handle: int) -> None:
        flushed.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    _publish(f"file://{tmp_path}")
    _publish(f"file://{tmp_path}")
    assert flushed == ["file", "folder", "folder"]


def test_a_file_cannot_be_written_to_by_accident(tmp_path: Path) -> None:
    _publish(f"file://{tmp_path}")
    assert (tmp_path / NAME).stat().st_mode & 0o222 == 0


KILLED = """
import os, signal, sys
from lethe.evidence.anchors import open_anchor
from lethe.model import AnchorSetting

setattr(os, sys.argv[1], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
open_anchor(AnchorSetting("archive", "folder", "x"), lambda _: sys.argv[2]).publish(sys.argv[3])
"""


@pytest.mark.parametrize("at", ["fsync", "link"])
def test_a_process_that_is_killed_while_writing_leaves_nothing_that_counts(tmp_path: Path, at: str) -> None:
    command = [sys.executable, "-c", KILLED, at, f"file://{tmp_path}", NOTE]
    assert subprocess.run(command, env=environment(), check=False, timeout=60).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".part"
    _publish(f"file://{tmp_path}")
    assert [path.name for path in tmp_path.glob("*.note")] == [NAME]
    assert (tmp_path / NAME).read_bytes() == NOTE.encode()


def _failing(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "hemmelig")

    return fail


FAILURES = {
    "a file system that is mounted read-only": ("pathlib.Path.open", errno.EROFS, "read-only file system"),
    "a folder that is closed to this user": ("pathlib.Path.open", errno.EACCES, "permission denied"),
    "a full disk": ("os.fsync", errno.ENOSPC, "no space left on device"),
    "a broken disk": ("os.fsync", errno.EIO, "input/output error"),
    "a file system that knows no links": ("os.link", errno.EPERM, "operation not permitted"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_fails_on_the_disk_is_told_and_leaves_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, number, found = FAILURES[case]
    with monkeypatch.context() as patched:
        patched.setattr(where, _failing(number))
        assert _refusal(f"file://{tmp_path}") == f"anchor archive: {found}; {REMEDY}"
    assert not list(tmp_path.iterdir())
    _publish(f"file://{tmp_path}")


def test_a_folder_where_nothing_can_be_removed_takes_the_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pathlib.Path.unlink", _failing(errno.EPERM))
    _publish(f"file://{tmp_path}")
    _publish(f"file://{tmp_path}")
    assert (tmp_path / NAME).read_bytes() == NOTE.encode()


def test_a_folder_that_is_missing_is_not_made(tmp_path: Path) -> None:
    """It may be a place that is not mounted, and what is written there instead would not be outside."""
    assert _refusal(f"file://{tmp_path}/away") == f"anchor archive: no such file or directory; {REMEDY}"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert _refusal(f"file://{tmp_path}/file") == f"anchor archive: not a directory; {REMEDY}"


def test_a_folder_that_may_not_be_written_to_is_told() -> None:
    with open_folder() as folder:
        folder.chmod(0o555)
        anchor = open_anchor(SETTING, {"lethe_archive": f"file://{folder}"}.__getitem__)
        with without_rights():
            assert list(folder.iterdir()) == []  # it can be reached: only writing is refused
            with pytest.raises(AnchorUnreachable) as refused:
                anchor.publish(NOTE)
    assert str(refused.value) == f"anchor archive: permission denied; {REMEDY}"


class StorageError(OSError):
    """What a storage's own library raises."""


class Bucket(MemoryFileSystem):
    """Stands for storage by network; fails as told."""

    protocol = "lethe-bucket"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    opened: ClassVar[list[dict[str, Any]]] = []
    failing: ClassVar[dict[str, Exception]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.opened.append(options)

    def cat_file(self, path: str, *rest: Any, **options: Any) -> bytes:
        """The content, unless reading is to fail."""
        if "read" in self.failing:
            raise self.failing["read"]
        return bytes(super().cat_file(path, *rest, **options))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        """Write, and fail before or after that, if it is to fail."""
        assert mode == "create"
        if "write" in self.failing:
            raise self.failing["write"]
        super().pipe_file(path, value, mode, **options)
        if "answer" in self.failing:
            raise self.failing["answer"]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> type[Bucket]:
    """Storage for the URLs lethe-bucket:// and s3://."""
    for protocol in ("lethe-bucket", "s3"):
        monkeypatch.setitem(_registry, protocol, Bucket)
    for kept in (Bucket.store, Bucket.opened, Bucket.failing):
        kept.clear()
    return Bucket


@pytest.mark.parametrize(
    ("failing", "found"),
    [
        ({"read": StorageError("hemmelig", "hemmelig")}, "StorageError"),
        ({"read": ValueError("hemmelig")}, "ValueError"),
        ({"read": PermissionError("hemmelig")}, "permission denied"),
        ({"write": StorageError("hemmelig")}, "StorageError"),
        ({"write": FileNotFoundError("hemmelig")}, "no such file or directory"),
        ({"write": TimeoutError("hemmelig")}, "no answer in time"),
        ({"answer": ConnectionResetError(errno.ECONNRESET, "hemmelig")}, "connection reset by peer"),
    ],
)
def test_what_fails_at_a_bucket_is_told_and_can_be_tried_again(
    bucket: type[Bucket], failing: dict[str, Exception], found: str
) -> None:
    """Also when it was written, and only the answer was lost."""
    bucket.failing.update(failing)
    assert _refusal("lethe-bucket://evidence") == f"anchor archive: {found}; {REMEDY}"
    bucket.failing.clear()
    _publish("lethe-bucket://evidence")
    assert [bytes(file.getvalue()) for file in bucket.store.values()] == [NOTE.encode()]


def test_the_keys_and_the_endpoint_of_a_bucket_are_given_as_its_library_takes_them(bucket: type[Bucket]) -> None:
    _publish("s3://KEY:p%40ss@evidence/some/prefix?endpoint_url=https%3A%2F%2Fs3.example&region_name=eu-north-1")
    (options,) = bucket.opened
    assert options["client_kwargs"] == {"region_name": "eu-north-1"}
    assert (options["key"], options["secret"], options["endpoint_url"]) == ("KEY", "p@ss", "https://s3.example")
    assert [path.rpartition("://")[2] for path in bucket.store] == [f"evidence/some/prefix/{NAME}"]


def test_a_bucket_without_keys_is_opened_with_those_of_the_machine(bucket: type[Bucket]) -> None:
    _publish("s3://evidence")
    (options,) = bucket.opened
    assert not {"key", "secret", "endpoint_url", "client_kwargs"} & set(options)


@pytest.mark.parametrize("url", ["dropbox://x", "unheard://evidence", "s3://[hemmelig"])
def test_storage_that_nothing_here_can_open_is_refused_when_the_anchor_is_opened(url: str) -> None:
    with pytest.raises(ConfigError, match=r"of kind \w+, which nothing .* install the package") as refused:
        _publish(url)
    assert "hemmelig" not in str(refused.value)
