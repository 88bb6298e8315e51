"""Days and turns of what runs on one row, where no store is needed."""

from datetime import date

import pytest

from lethe.deadlines import Period, YearEnd
from lethe.explain import Ending, Judged, Standing, ends_on, standing_until
from lethe.model import Clock, ColumnRef, Dataset, Delete, Floor, Limits, Reason, Rule

YEAR_END = YearEnd()
DATASET = Dataset("cases", "a", "s", "public", "case", ("id",), {})
RULE = Rule(
    "cases-go", "R1", "a", DATASET, Clock(ColumnRef("closed_on")), Period.parse("P1Y"), None, (), Delete(), None, (),
    (), (), Limits(1, 1.0), None, {},
)  # fmt: skip
FIVE_YEARS = Floor("books", "R2", "a", "cases", (), (), Clock(ColumnRef("dated")), Period.parse("P5Y"))
ARCHIVED = Floor("archive", "R3", "a", "cases", (), (), until=Clock(ColumnRef("delivered_at")))


@pytest.mark.parametrize(
    ("floor", "day", "until"),
    [
        (FIVE_YEARS, date(2020, 3, 1), date(2025, 12, 31)),
        (FIVE_YEARS, date(2020, 12, 31), date(2025, 12, 31)),
        (FIVE_YEARS, None, None),
        (FIVE_YEARS, date(9998, 1, 1), None),
        (ARCHIVED, date(2030, 3, 1), date(2030, 2, 28)),  # it ends when the day has come
        (ARCHIVED, None, None),
    ],
)
def test_a_floor_keeps_through_its_last_day(floor: Floor, day: date | None, until: date | None) -> None:
    assert standing_until(Standing(floor, day), YEAR_END) == until


@pytest.mark.parametrize(
    ("start", "floors", "due"),
    [
        (date(2024, 2, 29), (), date(2025, 3, 1)),
        (date(2024, 2, 29), (Standing(FIVE_YEARS, date(2020, 1, 1)),), date(2026, 1, 1)),
        (date(2026, 5, 1), (Standing(FIVE_YEARS, date(2020, 1, 1)),), date(2027, 5, 2)),
        (date(2024, 2, 29), (Standing(ARCHIVED, date(2030, 3, 1)),), date(2030, 3, 1)),
        (date(2024, 2, 29), (Standing(ARCHIVED, None),), None),
        (None, (), None),
        (date(9999, 1, 1), (), None),
        (date(9998, 12, 31), (), None),  # its last day is the calendar's
    ],
)
def test_a_row_is_due_after_the_last_day_of_all_that_ends_by_itself(
    start: date | None, floors: tuple[Standing, ...], due: date | None
) -> None:
    assert Judged(Ending(RULE), Reason.NOT_DUE, start, floors).due_from(YEAR_END) == due


@pytest.mark.parametrize("reason", [each for each in Reason if each not in Reason.NOT_DUE | Reason.FLOOR])
def test_what_has_no_end_of_its_own_lets_no_day_be_named(reason: Reason) -> None:
    judged = Judged(Ending(RULE), Reason.NOT_DUE | reason, date(2024, 1, 1))
    assert judged.due_from(YEAR_END) == date(2025, 1, 2)
    assert ends_on(judged, YEAR_END) is None
