"""What is told of groups and matches, against counting them out one by one."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.anonymise.risk import Groups, Risk, matched

ROWS = st.lists(st.sampled_from("abcdefgh"), max_size=60)


@given(ROWS, ROWS, st.integers(2, 8))
def test_what_can_be_matched_is_what_is_guessed_right_more_often_than_once_in_k(
    here: list[str], there: list[str], k: int
) -> None:
    ours, theirs = Counter(here), Counter(there)
    expected = [(key, ours[key]) for key in sorted(ours) if theirs[key] and 1 / max(ours[key], theirs[key]) > 1 / k]
    assert list(matched(sorted(ours.items()), sorted(theirs.items()), k)) == expected


@pytest.mark.parametrize(
    ("risk", "said"),
    [
        (Risk("orders", 5, Groups(12, 2, 6, 0)), []),
        (Risk("orders", 5, Groups(0, 0, None, 0)), []),
        (Risk("orders", 5, Groups(9, 3, 1, 4)), ["4 rows stand in groups of fewer than 5, the smallest of 1"]),
        (Risk("o", 5, Groups(9, 1, 9, 0), {"bills": 2}), ["2 rows can be matched with fewer than 5 people of bills"]),
        (Risk("o", 5, Groups(9, 1, 9, 0), {"invoices": 0}, {"text": 1}), ["text tells people apart in 1 rows"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_numbers(risk: Risk, said: list[str]) -> None:
    assert list(risk.findings()) == said
    assert risk.is_anonymous_enough == (not said)
