"""Whose records went, outside and encrypted: read back whole, never shown, gone when no backup has them any more."""

import base64
import os
from datetime import date
from pathlib import Path

import pytest

from lethe.errors import ConfigError
from lethe.evidence.again import FILE_VARIABLE, VARIABLE, Erased, ReplayList, load_replay_key
from lethe.evidence.outside import Outside

STORE, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
KEY = bytes(range(32))
TEXT = base64.b64encode(KEY).decode()
UNTIL = date(2025, 4, 5)


def erased(
    seq: int = 7, *, store: str = STORE, until: date = UNTIL, keys: tuple[str, ...] = ("kari-42", "ola-7")
) -> Erased:
    return Erased(store, 2, seq, "ex-customers", "0" * 64, keys, until)


@pytest.fixture
def kept(tmp_path) -> ReplayList:
    return ReplayList(Outside(tmp_path), KEY)


def test_what_was_added_is_read_back_in_the_order_of_the_deeds(kept: ReplayList) -> None:
    added = [erased(seq) for seq in (12, 7, 100)]
    for each in (*added, erased(store=OTHER)):
        kept.add(each)
    assert list(kept.read(STORE)) == sorted(added, key=lambda each: each.seq)


def test_the_same_place_again_replaces_its_list(kept: ReplayList) -> None:
    for keys in (("1", "2"), ("1", "2", "3")):
        kept.add(erased(keys=keys))
    assert [each.keys for each in kept.read(STORE)] == [("1", "2", "3")]


def test_nothing_was_kept_of_a_store_that_erased_nobody(kept: ReplayList) -> None:
    assert list(kept.read(STORE)) == []
    assert kept.expire(UNTIL) == 0


def test_no_key_is_in_the_file_its_name_or_what_is_printed_of_it(kept: ReplayList) -> None:
    path = kept.add(erased())
    assert b"kari" not in path.read_bytes()
    assert b"ex-customers" not in path.read_bytes()
    assert path.name == f"{STORE}-000002-000000000007-2025-04-05"
    assert "kari" not in repr(erased())


def test_the_same_list_never_looks_the_same_twice(kept: ReplayList) -> None:
    assert kept.add(erased()).read_bytes() != kept.add(erased()).read_bytes()


@pytest.mark.parametrize(
    ("today", "left"), [(date(2025, 4, 4), 2), (date(2025, 4, 5), 2), (date(2025, 4, 6), 1), (date(2025, 4, 7), 0)]
)
def test_a_list_goes_after_its_last_day_whatever_key_it_is_under(kept: ReplayList, tmp_path, today, left: int) -> None:
    kept.add(erased(1))
    kept.add(erased(2, until=date(2025, 4, 6)))
    other = ReplayList(Outside(tmp_path), bytes(32))
    assert other.expire(today) == 2 - left
    assert len(list(kept.read(STORE))) == left


def test_a_half_written_file_is_nothing(kept: ReplayList, tmp_path) -> None:
    path = kept.add(erased())
    path.rename(path.with_name(f".{path.name}.part"))
    assert list(kept.read(STORE)) == []


def test_every_flipped_bit_and_every_cut_is_found(kept: ReplayList) -> None:
    path = kept.add(erased(keys=("1",)))
    whole = path.read_bytes()
    flipped = (bytearray(whole) for _ in range(len(whole) * 8))
    for number, data in enumerate(flipped):
        data[number // 8] ^= 1 << number % 8
        path.write_bytes(data)
        with pytest.raises(ConfigError, match=path.name):
            list(kept.read(STORE))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ConfigError, match=path.name):
            list(kept.read(STORE))
    path.write_bytes(whole)
    assert len(list(kept.read(STORE))) == 1


def test_a_list_that_was_renamed_to_live_longer_is_refused(kept: ReplayList) -> None:
    path = kept.add(erased())
    path.rename(path.with_name(path.name.replace("2025-04-05", "2026-04-05")))
    with pytest.raises(ConfigError, match="changed or renamed"):
        list(kept.read(STORE))


def test_another_key_is_told_apart_from_damage(kept: ReplayList, tmp_path) -> None:
    path = kept.add(erased())
    with pytest.raises(ConfigError, match=f"{path.name}: was encrypted under another key; set {FILE_VARIABLE}"):
        list(ReplayList(Outside(tmp_path), bytes(32)).read(STORE))


# -- the key ----------------------------------------------------------------------------------------------------------


def key_file(tmp_path: Path, text: str = TEXT + "\n", mode: int = 0o600) -> dict[str, str]:
    path = tmp_path / "replay.key"
    path.write_text(text)
    path.chmod(mode)
    return {FILE_VARIABLE: str(path)}


def test_the_key_comes_from_the_environment_or_from_a_file(tmp_path) -> None:
    assert load_replay_key({VARIABLE: TEXT}) == load_replay_key(key_file(tmp_path)) == KEY


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "openssl rand -base64 32"),
        ({VARIABLE: TEXT, FILE_VARIABLE: "/nowhere"}, "unset one of them"),
        ({FILE_VARIABLE: "/nowhere/key"}, "/nowhere/key cannot be read"),
        ({VARIABLE: TEXT[:-4]}, "holds no key"),
        ({VARIABLE: TEXT + TEXT}, "holds no key"),
        ({VARIABLE: TEXT.replace("=", "")}, "holds no key"),
        ({VARIABLE: " " + TEXT}, "holds no key"),
        ({VARIABLE: "hunter2-hunter2"}, "holds no key"),
    ],
)
def test_a_missing_or_damaged_key_is_told_and_never_shown(environment: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        load_replay_key(environment)
    assert not any(len(value) > 8 and value in str(refused.value) for value in (TEXT, environment.get(VARIABLE, "")))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_not_used(tmp_path, mode: int) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        load_replay_key(key_file(tmp_path, mode=mode))


def test_a_key_file_of_anything_else_is_told_by_its_name(tmp_path) -> None:
    environment = key_file(tmp_path)
    Path(environment[FILE_VARIABLE]).write_bytes(os.urandom(64) + b"\xff")
    with pytest.raises(ConfigError, match=r"replay\.key: holds no key"):
        load_replay_key(environment)
