"""Values made coarser: dates, postcodes and numbers. Each done twice is the same as once, and leaves None alone.

stores/postgres/changes.py does the same in SQL, and a property test holds the two together.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_FLOOR, Decimal
from typing import overload


def month(value: date | None) -> date | None:
    """The first day of the date's month; of a moment, of its calendar date as it is written."""
    return None if value is None else date(value.year, value.month, 1)


def year(value: date | None) -> date | None:
    """The first day of the date's year; of a moment, of its calendar date as it is written."""
    return None if value is None else date(value.year, 1, 1)


def postcode(value: str | None, keep: int = 2) -> str | None:
    """The postcode with its first `keep` characters and zeros for the digits after: 5003 is 5000.

    Blanks around it go. ValueError when `keep` is negative.
    """
    if keep < 0:
        raise ValueError(f"found {keep} digits to keep, expected none or more")
    if value is None:
        return None
    stripped = value.strip(" ")
    return stripped[:keep] + "".join("0" if char in "0123456789" else char for char in stripped[keep:])


@overload
def band(value: int, width: int) -> int: ...
@overload
def band(value: Decimal, width: int) -> Decimal: ...
@overload
def band(value: None, width: int) -> None: ...
def band(value: int | Decimal | None, width: int) -> int | Decimal | None:
    """The lower edge of the number's band: with width 10, 47 is 40 and -3 is -10.

    ValueError when the width is not positive, or the number is not finite.
    """
    if width <= 0:
        raise ValueError(f"found a width of {width}, expected more than 0")
    if value is None:
        return None
    if isinstance(value, int):
        return value // width * width
    if not value.is_finite():
        raise ValueError(f"found {value}, expected a number that lies in a band")
    return Decimal((int(value.to_integral_value(ROUND_FLOOR)) // width) * width)
