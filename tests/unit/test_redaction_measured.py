"""What the blind corpus measures of redaction does not get worse; bench/redaction.py prints every case."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))  # the measure is bench's

from bench.redaction import KNOWN, Measured, left_when_stored, measured


@pytest.fixture(scope="module")
def figures() -> Measured:
    return measured()


def test_every_identifier_that_is_known_is_found(figures: Measured) -> None:
    assert [case for case in figures.missed if case[1] in KNOWN] == []
    assert figures.recall(*KNOWN) == 1


def test_every_identifier_that_is_known_by_its_form_is_found(figures: Measured) -> None:
    kinds = set(figures.wanted) - set(KNOWN)
    assert [case for case in figures.missed if case[1] in kinds] == []
    assert figures.recall(*kinds) == 1


def test_little_is_found_that_need_not_be(figures: Measured) -> None:
    assert figures.precision >= 0.95
    assert {kind for _, kind, _ in figures.needless} == {"name"}


def test_the_corpus_is_measured_whole(figures: Measured) -> None:
    assert sum(figures.wanted.values()) == 802
    assert figures.right > 790


def test_nothing_can_be_read_in_what_was_redacted_as_it_is_stored() -> None:
    assert left_when_stored() == []
