from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lethe.errors import ConfigError
from lethe.evidence.keys import create_key, load_key
from lethe.evidence.note import SigningKey

ORIGIN = "example.com/evidence"
KEY = SigningKey(ORIGIN, bytes(range(32)))
TEXT = KEY.private_text()
SECRET = TEXT[-30:-10]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "evidence key"


def _write(path: Path, data: bytes, mode: int = 0o600) -> dict[str, str]:
    path.write_bytes(data)
    path.chmod(mode)
    return {"LETHE_EVIDENCE_KEY_FILE": str(path)}


@pytest.mark.parametrize("text", [TEXT, TEXT + "\n"])
def test_the_key_is_in_the_environment_or_in_a_file(text: str, path: Path) -> None:
    assert load_key(ORIGIN, {"LETHE_EVIDENCE_KEY": text}) == KEY
    assert load_key(ORIGIN, _write(path, text.encode())) == KEY


@pytest.mark.parametrize("environment", [{}, {"LETHE_EVIDENCE_KEY": "", "LETHE_EVIDENCE_KEY_FILE": ""}])
def test_a_missing_key_is_told_with_both_ways_to_give_one(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"no key signs.* {ORIGIN}: .*LETHE_EVIDENCE_KEY_FILE .*LETHE_EVIDENCE_KEY "):
        load_key(ORIGIN, environment)


def test_a_key_in_both_places_is_ambiguous(path: Path) -> None:
    with pytest.raises(ConfigError, match="both LETHE_EVIDENCE_KEY and LETHE_EVIDENCE_KEY_FILE are set"):
        load_key(ORIGIN, {"LETHE_EVIDENCE_KEY": TEXT, **_write(path, TEXT.encode())})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644])
def test_a_file_that_is_open_to_others_is_refused_with_the_command_that_closes_it(path: Path, mode: int) -> None:
    expected = re.escape(f"{path} is open to others than its owner (mode {mode:04o}): chmod 600 '{path}'")
    with pytest.raises(ConfigError, match=expected):
        load_key(ORIGIN, _write(path, TEXT.encode(), mode))


@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_a_file_that_only_its_owner_opens_is_read(path: Path, mode: int) -> None:
    assert load_key(ORIGIN, _write(path, TEXT.encode(), mode)) == KEY


def test_a_file_that_is_not_there_is_told(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"LETHE_EVIDENCE_KEY_FILE: .*evidence key cannot be read: No such file"):
        load_key(ORIGIN, {"LETHE_EVIDENCE_KEY_FILE": str(path)})


def test_a_directory_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_key(ORIGIN, {"LETHE_EVIDENCE_KEY_FILE": str(tmp_path)})


def test_the_key_of_another_log_is_refused(path: Path) -> None:
    for environment in ({"LETHE_EVIDENCE_KEY": TEXT}, _write(path, TEXT.encode())):
        with pytest.raises(ConfigError, match=f"holds the key of {ORIGIN}, and the log is example.org/evidence"):
            load_key("example.org/evidence", environment)


MALFORMED = {
    "blank": b" ",
    "an empty line": b"\n",
    "the public half": str(KEY.verifier).encode(),
    "half a key": TEXT[: len(TEXT) // 2].encode(),
    "all but the last character": TEXT[:-1].encode(),
    "two keys": f"{TEXT}\n{TEXT}\n".encode(),
    "a blank line after it": f"{TEXT}\n\n".encode(),
    "a blank before it": f" {TEXT}".encode(),
    "a carriage return": f"{TEXT}\r\n".encode(),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_key_is_refused_without_being_shown(data: bytes, path: Path) -> None:
    for environment in ({"LETHE_EVIDENCE_KEY": data.decode()}, _write(path, data)):
        told = f"{next(iter(environment))}: .*; expected the one line of a key"
        with pytest.raises(ConfigError, match=told) as refused:
            load_key(ORIGIN, environment)
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", TEXT.encode() + b"\xff"])
def test_a_file_without_text_holds_no_key(data: bytes, path: Path) -> None:
    with pytest.raises(ConfigError, match=r"LETHE_EVIDENCE_KEY_FILE: .*; expected the one line of a key"):
        load_key(ORIGIN, _write(path, data))


def test_a_new_key_is_in_a_file_of_its_owner_alone(path: Path) -> None:
    key = create_key(path, ORIGIN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == key.private_text() + "\n"
    assert load_key(ORIGIN, {"LETHE_EVIDENCE_KEY_FILE": str(path)}) == key


def test_a_new_key_is_closed_to_others_under_any_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        create_key(path, ORIGIN)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_new_keys_differ(tmp_path: Path) -> None:
    assert create_key(tmp_path / "one", ORIGIN).seed != create_key(tmp_path / "two", ORIGIN).seed


def _empty_file(path: Path) -> None:
    path.touch()


def _dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("occupy", [_empty_file, _dangling_link, Path.mkdir])
def test_what_is_there_is_never_overwritten(path: Path, occupy: Callable[[Path], None]) -> None:
    occupy(path)
    with pytest.raises(ConfigError, match="never overwritten"):
        create_key(path, ORIGIN)
    assert [(entry.name, entry.is_file() and entry.read_bytes()) for entry in path.parent.iterdir()] in (
        [(path.name, b"")],
        [(path.name, False)],
    )


def test_a_key_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a key cannot be written there: No such file or directory"):
        create_key(tmp_path / "nowhere" / "key", ORIGIN)


def test_a_disk_that_is_full_leaves_no_half_of_a_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        assert os.fstat(descriptor).st_size > 0
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="a key cannot be written there: No space left"):
        create_key(path, ORIGIN)
    assert not list(path.parent.iterdir())


def test_a_name_that_no_key_can_have_leaves_no_file(path: Path) -> None:
    with pytest.raises(ConfigError, match="no key can be made for the log 'two words'"):
        create_key(path, "two words")
    assert not list(path.parent.iterdir())
