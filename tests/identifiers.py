"""Invented people and numbers for the tests of redaction."""

from __future__ import annotations

import base64
import itertools

from stdnum.no import fodselsnummer

from lethe.anonymise.subject import Identifiers

KARI = Identifiers(
    names=("Kari Anne Ås-Nordmann",),
    emails=("kari.nordmann@example.no",),
    phones=("+47 912 34 567",),
    addresses=("Karl Johans gate 12 B, leilighet 304, 0155 Oslo",),
)
DAG = Identifiers(names=("Dag Bjørn Berg",))


def identity_number(first: str) -> str:
    """A synthetic identity number (month + 80) with valid check digits that begins with `first`, six digits."""
    assert int(first[2:4]) > 80
    for individual in itertools.count(100):
        nine = f"{first}{individual}"
        ten = nine + fodselsnummer.calc_check_digit1(nine)
        number = ten + fodselsnummer.calc_check_digit2(ten)
        if len(number) == 11:
            return number
    raise AssertionError


def in_base64(text: str) -> str:
    """The text in base64, on one line."""
    return base64.b64encode(text.encode()).decode()
