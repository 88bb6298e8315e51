import re
from datetime import date

import pytest

from demo.people import companies, mail_name, national_id, people
from demo.planted import CASES, DATASETS, HOLDS
from demo.truth import after_floor, last_day, local_date, over, real

DAY = date(2025, 3, 1)


def test_same_seed_same_people() -> None:
    assert people(50, seed=7) == people(50, seed=7)
    assert companies(50, seed=7) == companies(50, seed=7)
    assert people(50, seed=7) != people(50, seed=8)


def test_numbers_and_addresses_reach_nobody() -> None:
    for person in people(500, seed=7):
        assert re.fullmatch(r"\+47 1\d( \d\d){3}", person.phone)
        assert person.email.endswith(".example")
        assert 81 <= int(person.national_id[2:4]) <= 92


def test_emails_tell_people_apart() -> None:
    assert len({person.email for person in people(500, seed=7)}) == 500


@pytest.mark.parametrize(("name", "mail"), [("Åse Bjørn-Næss", "ase.bjorn.naess"), ("Ola Moe", "ola.moe")])
def test_names_become_ascii_in_addresses(name: str, mail: str) -> None:
    assert mail_name(name) == mail


def test_national_ids_pass_both_check_digits() -> None:
    for serial in range(500):
        digits = [int(digit) for digit in national_id(date(1985, 2, 28), serial)]
        assert len(digits) == 11
        assert sum(d * w for d, w in zip(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1, 0), strict=True)) % 11 == 0
        assert sum(d * w for d, w in zip(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), strict=True)) % 11 == 0


def test_each_planted_case_is_named_once() -> None:
    names = [(case.rule, case.table, case.situation.name) for case in CASES]
    assert len(names) == len(set(names))


def test_kept_cases_say_why_and_only_they() -> None:
    assert all((case.situation.reason is not None) == (case.situation.expect == "kept") for case in CASES)


def test_every_hold_names_a_planted_row_of_its_dataset() -> None:
    planted = {(case.store, case.table, case.key) for case in CASES}
    assert {(hold.store, hold.table, hold.key) for hold in HOLDS} <= planted
    assert all(DATASETS[hold.dataset][:2] == (hold.store, hold.table) for hold in HOLDS)


@pytest.mark.parametrize(
    ("start", "months", "days", "end"),
    [
        ("2024-02-29", 12, 0, "2025-02-28"),
        ("2022-12-31", 26, 0, "2025-02-28"),
        ("2022-12-28", 26, 0, "2025-02-28"),
        ("2020-12-31", 42, 0, "2024-06-30"),
        ("2024-11-30", 0, 90, "2025-02-28"),
        ("2025-01-29", 0, 30, "2025-02-28"),
    ],
)
def test_periods_end_on_these_days(start: str, months: int, days: int, end: str) -> None:
    assert last_day(date.fromisoformat(start), months, days) == date.fromisoformat(end)


@pytest.mark.parametrize(
    ("clock", "day"),
    [
        ("2024-02-29", "2024-02-29"),
        ("2024-07-14T21:59:59+00:00", "2024-07-14"),
        ("2024-07-14T22:00:00+00:00", "2024-07-15"),
        ("2024-12-31T22:59:59+00:00", "2024-12-31"),
        ("2024-12-31T23:00:00+00:00", "2025-01-01"),
        ("2020-12-31T23:00:00", "2021-01-01"),
    ],
)
def test_clocks_stand_on_norwegian_days(clock: str, day: str) -> None:
    assert local_date(clock) == date.fromisoformat(day)


def test_unknown_clocks_are_never_over() -> None:
    assert not over(None, DAY, days=1)
    assert not after_floor(real("1970-01-01T00:00:00"), DAY, months=60)
    assert real("9999-12-31") is None
