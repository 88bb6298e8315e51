"""Signs → candidates: each column that may hold personal data, with a category, how sure it is, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lethe.discovery.inventory import Column, Inventory, Table
from lethe.discovery.reach import referring
from lethe.discovery.signs import SURE, WHO, Sign, kind_of, signs_of
from lethe.discovery.values import Seen, is_denied, signs_of_values
from lethe.discovery.words import is_of_people

_LEAST = 0.3
"""What is less sure is not told."""
_MOST = 0.99
"""Nobody is surer than that without asking."""
_DENIED = 0.6
_CODE = 0.6

Looks = Mapping[str, Mapping[str, Seen]]
"""What was seen in the columns of each table that was looked into, by schema.table and name."""


@dataclass(frozen=True, order=True)
class Candidate:
    """A column that may hold personal data of a category; none of the words is a value of a row."""

    table: str
    column: str
    category: str
    confidence: float
    why: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The column as schema.table.column."""
        return f"{self.table}.{self.column}"

    @property
    def is_sure(self) -> bool:
        """Whether it looks like personal data, rather than may be some."""
        return self.confidence >= SURE


def candidates(inventory: Inventory, looks: Looks) -> tuple[Candidate, ...]:
    """All columns that may hold personal data, the likeliest category of each, in the tables' order."""
    found = {
        (each.table, each.column): each
        for table in inventory.tables
        for each in _of_table(table, looks.get(table.place, {}))
    }
    people = {place for place in _people(found.values()) if is_of_people(inventory.by_place[place].name)}
    for (table, column), to in referring(inventory, people).items():
        refers = Candidate(table, column, "user.unique_id", 0.7, (f"it refers to {to}, a table of people",))
        before = found.get((table, column))
        if before is None or before.confidence < refers.confidence:
            found[table, column] = refers
    order = {table.place: number for number, table in enumerate(inventory.tables)}
    return tuple(sorted(found.values(), key=lambda each: (order[each.table], -each.confidence, each.column)))


def _people(found: Iterable[Candidate]) -> frozenset[str]:
    return frozenset(each.table for each in found if each.is_sure and each.category.startswith(WHO))


def _of_table(table: Table, looks: Mapping[str, Seen]) -> Iterator[Candidate]:
    signs = signs_of(table)
    for column in table.columns:
        seen = looks.get(column.name, Seen())
        best = _best(column, [*_weighed(signs[column.name], seen), *signs_of_values(seen)])
        if best is not None:
            yield Candidate(table.place, column.name, *best)


def _weighed(signs: list[Sign], seen: Seen) -> Iterator[Sign]:
    """Signs before a row was read, held to the rows that were."""
    for sign in signs:
        if is_denied(seen, sign.category):
            yield sign._replace(weight=sign.weight * _DENIED, why=f"{sign.why}, though no value looks like it")
        elif seen.is_code and sign.category.startswith(("user.content", "user.name", "user.job_title")):
            yield sign._replace(weight=sign.weight * _CODE, why=f"{sign.why}, though few values come again and again")
        else:
            yield sign


def _best(column: Column, signs: list[Sign]) -> tuple[str, float, tuple[str, ...]] | None:
    """The likeliest category: what speaks for it, and for a finer or coarser one, adds up."""
    if kind_of(column) == "l":
        signs = [sign for sign in signs if sign.weight > SURE]
    told = dict[str, float]()
    for sign in signs:
        akin = [each.weight for each in signs if _is_akin(each.category, sign.category)]
        doubt = 1.0
        for weight in akin:
            doubt *= 1.0 - weight
        told[sign.category] = min(round(1.0 - doubt, 2), _MOST)
    if not told or max(told.values()) < _LEAST:
        return None
    category = max(told, key=lambda name: (told[name], name.count("."), name))
    return category, told[category], tuple(dict.fromkeys(s.why for s in signs if _is_akin(s.category, category)))


def _is_akin(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")
