from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.errors import PolicyError
from lethe.model import Policy
from lethe.policy import load

SHIPPED = Path(__file__).parents[2] / "include" / "policy"
FILES = {path.relative_to(SHIPPED): path.read_text("utf-8") for path in sorted(SHIPPED.rglob("*.yaml"))}
LINE = re.compile(r".+\.ya?ml:[1-9]\d*:[1-9]\d*: \S.*|.+activities:1:1: .+")
ODD = st.one_of(
    st.sampled_from(["\t", "\x00", "{", "}", "[", "]", ":", "- ", "*x", "&x ", "<<: ", "!!set ", "|", ">", "'", "#"]),
    st.text(max_size=4),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def policy() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(SHIPPED, directory, dirs_exist_ok=True)
        yield Path(directory)


def outcome(policy: Path, file: Path, text: str) -> Policy | tuple[str, ...]:
    try:
        (policy / file).write_text(text, encoding="utf-8", errors="surrogatepass")
        return load(policy)
    except PolicyError as error:
        return error.problems
    finally:
        (policy / file).write_text(FILES[file], encoding="utf-8")


def is_answer(found: Policy | tuple[str, ...]) -> bool:
    """A policy, or problem lines that are sorted, printable and have a place."""
    if isinstance(found, Policy):
        return True
    places = [re.sub(r":(\d+):(\d+): ", lambda m: f":{int(m[1]):9}:{int(m[2]):9}: ", line, count=1) for line in found]
    return (
        bool(found) and all(LINE.fullmatch(line) and line.isprintable() for line in found) and places == sorted(places)
    )


@settings(max_examples=150, deadline=None)
@given(file=st.sampled_from(list(FILES)), data=st.data())
def test_text_cut_and_patched_anywhere_gives_a_policy_or_problem_lines(policy: Path, file: Path, data: Any) -> None:
    text = FILES[file]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    assert is_answer(outcome(policy, file, text[:start] + data.draw(ODD) + text[end:]))


@settings(max_examples=150, deadline=None)
@given(file=st.sampled_from(list(FILES)), data=st.data())
def test_any_value_in_the_place_of_any_other_gives_a_policy_or_problem_lines(
    policy: Path, file: Path, data: Any
) -> None:
    tree = yaml.load(FILES[file], Loader=yaml.SafeLoader)
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(list(places(tree))))
        holder[key] = data.draw(VALUES)
    assert is_answer(outcome(policy, file, yaml.safe_dump(tree, allow_unicode=True)))


@settings(max_examples=100, deadline=None)
@given(file=st.sampled_from(list(FILES)), data=st.data())
def test_lines_left_out_doubled_or_swapped_give_a_policy_or_problem_lines(policy: Path, file: Path, data: Any) -> None:
    lines = FILES[file].splitlines(keepends=True)
    number = st.integers(0, len(lines) - 1)
    one, two = data.draw(number), data.draw(number)
    lines[one : one + 1] = data.draw(st.sampled_from([[], [lines[one]] * 2, [lines[two]]]))
    assert is_answer(outcome(policy, file, "".join(lines)))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from places(inner)
