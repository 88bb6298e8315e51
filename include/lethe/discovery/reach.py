"""What hangs on a person: tables whose rows lead to one by foreign keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lethe.discovery.inventory import ForeignKey, Inventory


class Way(NamedTuple):
    """A table that is reached, and the foreign keys that lead from it back, nearest first."""

    table: str
    keys: tuple[ForeignKey, ...]

    def __str__(self) -> str:
        """As one line: the table, by which columns, what it leads to."""
        return self.table + "".join(f" by {', '.join(key.columns)} → {key.to}" for key in self.keys)


def reachable(inventory: Inventory, start: str) -> tuple[Way, ...]:
    """The tables whose rows hang on rows of `start`, nearest first, each by its shortest way; `start` left out."""
    pending, found = [Way(start, ())], dict[str, Way]()
    while pending:
        here = pending.pop(0)
        for key in sorted(inventory.foreign_keys, key=lambda key: key.table):
            if key.to == here.table and key.table not in {start, *found}:
                found[key.table] = Way(key.table, (key, *here.keys))
                pending.append(found[key.table])
    return tuple(found.values())


def referring(inventory: Inventory, people: Iterable[str]) -> Mapping[tuple[str, str], str]:
    """The columns that refer to one of these tables, by schema.table and name, with the table they refer to."""
    wanted = frozenset(people)
    return {
        (key.table, key.columns[0]): key.to
        for key in inventory.foreign_keys
        if key.to in wanted and len(key.columns) == 1
    }
