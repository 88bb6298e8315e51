"""What speaks for personal data in a column before a row is read: its name, its type, its comment, its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from lethe.discovery.inventory import Column, Table
from lethe.discovery.words import is_neutral, is_of_people, names, says_whose, sections_of, without_qualifiers, words

SURE = 0.5
"""From here on a column looks like personal data."""

_BY_TYPE = {
    "inet": ("user.device.ip_address", 0.85),
    "cidr": ("user.device.ip_address", 0.45),
    "macaddr": ("user.device.device_id", 0.75),
    "macaddr8": ("user.device.device_id", 0.75),
    "tsvector": ("user.content.private", 0.55),
    "point": ("user.location.precise", 0.45),
}
_KINDS = {"text": "t", "number": "n", "json": "j", "boolean": "l", "uuid": "u", "bytea": "b", "date": "d"}
WHO = ("user.name", "user.contact.email", "user.contact.phone_number", "user.government_id", "user.account.username")
"""Categories that tell who somebody is: a table with such a column is a table of people."""
_COMMENT = 0.6  # a comment may be about anything


class Sign(NamedTuple):
    """One thing that speaks for a category, how strongly (0 to 1), and what it is in words without any value."""

    category: str
    weight: float
    why: str


def kind_of(column: Column) -> str:
    """The letter of a column's kind of values, as rows of words.py name them."""
    if column.shape.startswith("timestamp"):
        return "d"
    return _KINDS.get(column.shape, "n" if column.shape in ("double precision", "real", "money") else "o")


def signs_of(table: Table) -> dict[str, list[Sign]]:
    """The signs of each column, by name; what the others say counts as well."""
    named = sections_of(table.name)
    alone = {column.name: list(_signs(column, False, named)) for column in table.columns}
    strong = [sign for signs in alone.values() for sign in signs if sign.weight > SURE]
    people = is_of_people(table.name) or any(sign.category.startswith(WHO) for sign in strong)
    sections = frozenset((*named, *_told_by({sign.category for sign in strong}, table)))
    if not people and sections == named:
        return alone
    return {column.name: list(_signs(column, people, sections)) for column in table.columns}


def _told_by(categories: set[str], table: Table) -> Iterator[str]:
    """The sections of names that a table's other columns tell of."""
    if any(category.startswith("user.contact.address") for category in categories):
        yield "in_address"
    if any(says_whose(column.name) for column in table.columns):
        yield "of_somebody"


def _signs(column: Column, among_people: bool, sections: frozenset[str]) -> Iterator[Sign]:
    kind, parts = kind_of(column), words(column.name)
    named = list(named_like(parts, kind, among_people, sections))
    yield from named
    if column.type in _BY_TYPE:
        category, weight = _BY_TYPE[column.type]
        yield Sign(category, weight, f"its type is {column.type}")
    if column.comment and not is_neutral(parts):
        yield from _commented(column.comment, kind)


def named_like(
    parts: tuple[str, ...], kind: str, among_people: bool = False, sections: Iterable[str] = ()
) -> Iterator[Sign]:
    """What the words of a name say of values of this kind; the strongest row of each category."""
    if is_neutral(parts) or not parts:
        return
    found = dict[str, float]()
    texts = ["_".join(each) for each in without_qualifiers(parts)]
    for row in names().rows_in(sections):
        weight = row.among_people if among_people else row.alone
        if kind in row.kinds and weight > found.get(row.category, 0.0) and any(map(row.pattern.fullmatch, texts)):
            found[row.category] = weight
    where = ", in a table that tells of people" if among_people else ""
    yield from (Sign(category, weight, f"its name{where}") for category, weight in found.items())


def _commented(comment: str, kind: str) -> Iterator[Sign]:
    """What single words and pairs of the comment say, where they say it whatever stands around."""
    parts = words(comment)
    texts = [*parts, *map("_".join, pairwise(parts))]
    for row in names().rows:
        if row.alone >= 0.7 and kind in row.kinds and any(map(row.pattern.fullmatch, texts)):
            yield Sign(row.category, min(row.alone, _COMMENT), "its comment")
