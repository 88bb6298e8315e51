"""Schemas of others, each column labelled: what `lethe discover` finds in them is held against the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lethe.discovery.candidates import candidates
from lethe.discovery.inventory import Column, Inventory, Table

FOLDER = Path(__file__).parent / "data" / "discovery"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.tsv")))
NONE = "-"
_TYPES = {
    "varchar": "character varying",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "float8": "double precision",
    "text[]": "text[]",
}

Place = tuple[str, str]
"""A table and a column."""


@dataclass(frozen=True)
class Scored:
    """Columns that are labelled as personal data, by label, and those that look like it, by category."""

    labels: Mapping[Place, str]
    found: Mapping[Place, str]

    @property
    def recall(self) -> float:
        """The share of what is labelled that was found."""
        return 1 - len(self.missed) / len(self.labels)

    @property
    def precision(self) -> float:
        """The share of what was found that is labelled."""
        return len(self.labels.keys() & self.found.keys()) / len(self.found)

    @property
    def missed(self) -> tuple[Place, ...]:
        """What was not found."""
        return tuple(sorted(self.labels.keys() - self.found.keys()))


def score(name: str) -> Scored:
    """Held against the labels, by names and types alone: there are no rows, and no foreign keys.

    Columns that only refer to a person are left out on both sides: they are found, and by the labels' rules are none.
    """
    tables, labels = dict[str, list[Column]](), dict[Place, str]()
    for line in (FOLDER / f"{name}.tsv").read_text("utf-8").splitlines():
        table, column, kind, label = line.split("\t")
        tables.setdefault(table, []).append(Column(column, _TYPES.get(kind, kind)))
        labels[table, column] = label
    inventory = Inventory(tuple(Table("public", table, tuple(columns)) for table, columns in tables.items()))
    found = {
        (each.table.removeprefix("public."), each.column): each.category
        for each in candidates(inventory, {})
        if each.is_sure
    }
    personal = {place: label for place, label in labels.items() if label != NONE}
    refer = {place for place, category in found.items() if category == "user.unique_id" and place not in personal}
    return Scored(personal, {place: category for place, category in found.items() if place not in refer})
