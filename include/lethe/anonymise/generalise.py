"""Values made coarser: dates, postcodes, numbers and texts. Each done twice is the same as once, and leaves None alone.

Each function has its twin in SQL: the same result by PostgreSQL, as a template in which `{value}` is an expression,
already quoted, and the other names are the function's own arguments.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_FLOOR, Decimal
from typing import overload

MONTH_SQL = "date_trunc('month', {value}::timestamp)::date"
YEAR_SQL = "date_trunc('year', {value}::timestamp)::date"
POSTCODE_SQL = (
    "CASE WHEN {value} IS NULL THEN NULL ELSE left(btrim({value}), {keep})"
    " || regexp_replace(substr(btrim({value}), {keep} + 1), '[0-9]', '0', 'g') END"
)
BAND_SQL = "floor({value}::numeric / {width}) * {width}"
TRUNCATED_SQL = "left({value}, {length})"


def month(value: date | None) -> date | None:
    """The first day of the date's month; of a moment, of its calendar date as it is written. SQL: MONTH_SQL."""
    return None if value is None else date(value.year, value.month, 1)


def year(value: date | None) -> date | None:
    """The first day of the date's year; of a moment, of its calendar date as it is written. SQL: YEAR_SQL."""
    return None if value is None else date(value.year, 1, 1)


def postcode(value: str | None, keep: int = 2) -> str | None:
    """The postcode with its first `keep` characters and zeros for the digits after: 5003 is 5000. SQL: POSTCODE_SQL.

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
    """The lower edge of the number's band: with width 10, 47 is 40 and -3 is -10. SQL: BAND_SQL.

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


def truncated(value: str | None, length: int) -> str | None:
    """The first `length` letters of the text. SQL: TRUNCATED_SQL. ValueError when the length is negative."""
    if length < 0:
        raise ValueError(f"found a length of {length}, expected 0 or more")
    return None if value is None else value[:length]
