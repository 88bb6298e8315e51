"""Invented Norwegians: names by Faker, every number and address from ranges that reach nobody."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date

from faker import Faker

FIRST_WEIGHTS = (3, 7, 6, 1, 8, 9, 4, 5, 2)
FIRST_BIRTHDAY, LAST_BIRTHDAY = date(1940, 1, 1), date(1999, 12, 31)
SECOND_WEIGHTS = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


@dataclass(frozen=True)
class Person:
    """One invented person, as the stores would know them."""

    name: str
    email: str
    phone: str
    street: str
    postcode: str
    city: str
    national_id: str


def people(count: int, seed: int) -> list[Person]:
    """Return `count` persons; the same seed gives the same persons."""
    fake = Faker("no_NO")
    fake.seed_instance(seed)
    return [_person(fake, number) for number in range(count)]


def companies(count: int, seed: int) -> list[str]:
    """Return `count` company names; the same seed gives the same names."""
    fake = Faker("no_NO")
    fake.seed_instance(seed + 1)
    return [fake.company() for _ in range(count)]


def _person(fake: Faker, number: int) -> Person:
    name = f"{fake.first_name()} {fake.last_name()}"
    return Person(
        name=name,
        email=f"{mail_name(name)}.{number}@post.example",
        phone=phone(fake.random_int(0, 9_999_999)),
        street=fake.street_address(),
        postcode=fake.postcode(),
        city=fake.city(),
        national_id=national_id(_birthday(fake), fake.random_int(0, 499)),
    )


def _birthday(fake: Faker) -> date:
    # Faker's own dates of birth count back from the host's today.
    return date.fromordinal(fake.random_int(FIRST_BIRTHDAY.toordinal(), LAST_BIRTHDAY.toordinal()))


def mail_name(name: str) -> str:
    """Return the name as it stands before the @: ASCII, lower case, dots between the parts."""
    plain = name.lower().replace("ø", "o").replace("æ", "ae")
    plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z]+", ".", plain).strip(".")


def phone(number: int) -> str:
    """Return eight digits beginning with 1, where Norway has short codes only: it can ring at nobody's."""
    digits = f"1{number:07d}"
    return f"+47 {digits[:2]} {digits[2:4]} {digits[4:6]} {digits[6:]}"


def national_id(born: date, serial: int) -> str:
    """Return a national identity number with right check digits and the month raised by 80.

    That is the mark of the tax administration's synthetic test persons; no living person has such a number. `serial` is
    where the search for a number with check digits begins (some serial numbers have none).
    """
    while True:
        nine = f"{born.day:02d}{born.month + 80:02d}{born.year % 100:02d}{serial % 1000:03d}"
        first = _check_digit(nine, FIRST_WEIGHTS)
        second = _check_digit(f"{nine}{first % 10}", SECOND_WEIGHTS)
        if max(first, second) < 10:
            return f"{nine}{first}{second}"
        serial += 1


def _check_digit(digits: str, weights: tuple[int, ...]) -> int:
    total = sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))
    return -total % 11
