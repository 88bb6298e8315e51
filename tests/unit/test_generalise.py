from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.anonymise.generalise import band, month, postcode, year


@pytest.mark.parametrize(
    ("value", "by_month", "by_year"),
    [
        (date(2024, 2, 29), date(2024, 2, 1), date(2024, 1, 1)),
        (date(1, 1, 1), date(1, 1, 1), date(1, 1, 1)),
        (datetime(2024, 12, 31, 23, 59, tzinfo=UTC), date(2024, 12, 1), date(2024, 1, 1)),
        (None, None, None),
    ],
)
def test_dates(value: date | None, by_month: date | None, by_year: date | None) -> None:
    assert (month(value), year(value)) == (by_month, by_year)


@pytest.mark.parametrize(
    ("value", "keep", "region"),
    [("5003", 2, "5000"), ("0155", 2, "0100"), (" 0155 ", 1, "0000"), ("0155", 4, "0155"), ("0155", 9, "0155"),
     ("SE-11455", 4, "SE-10000"), ("", 2, ""), (None, 2, None), ("5003", 0, "0000")],
)  # fmt: skip
def test_postcodes(value: str | None, keep: int, region: str | None) -> None:
    assert postcode(value, keep) == region


@pytest.mark.parametrize(
    ("value", "width", "edge"),
    [(47, 10, 40), (40, 10, 40), (-3, 10, -10), (-10, 10, -10), (0, 10, 0), (Decimal("47.9"), 10, Decimal(40)),
     (Decimal("-0.1"), 5, Decimal(-5)), (10**30 + 1, 10, 10**30), (Decimal(10) ** 40 + 7, 10, Decimal(10) ** 40)],
)  # fmt: skip
def test_bands(value: int | Decimal, width: int, edge: int | Decimal) -> None:
    assert band(value, width) == edge


def test_nothing_stays_nothing() -> None:
    assert (band(None, 10), month(None), postcode(None)) == (None, None, None)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="expected none or more"):
        postcode("0155", -1)
    with pytest.raises(ValueError, match="expected more than 0"):
        band(1, 0)
    with pytest.raises(ValueError, match="lies in a band"):
        band(Decimal("NaN"), 10)


numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)


@given(st.dates() | st.datetimes())
def test_dates_twice_are_the_same_as_once(value: date) -> None:
    assert month(month(value)) == month(value)
    assert year(year(value)) == year(month(value)) == year(value)


@given(st.text(), st.integers(0, 6))
def test_texts_twice_are_the_same_as_once(value: str, length: int) -> None:
    assert postcode(postcode(value, length), length) == postcode(value, length)


@given(numbers, st.integers(1, 1000))
def test_a_number_lies_in_its_band(value: int | Decimal, width: int) -> None:
    edge = band(value, width)
    assert band(edge, width) == edge
    assert edge <= value
    assert int(edge) % width == 0
    assert value < int(edge) + width
