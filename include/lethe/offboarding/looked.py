"""Which mailboxes of employees were looked through, and until when: numbers of the directory, and counts.

What a scan found waits here, as two numbers, until the privacy officer was told: a worker that dies in between loses
nothing. Whoever works here no more is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Literal

from lethe.evidence.leaf import Leaf, Place, upkeep_leaf
from lethe.offboarding.upkeep import Found
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, telling

_SQL = queries("upkeep")

What = Literal["reminder", "scan"]


class Looked:
    """The register in lethe_state; errors are StoreError."""

    name = "lethe_state"

    def __init__(self, connection: Connection, write: Callable[[str, Callable[[Place], Leaf]], None]) -> None:
        """`write` puts a leaf into the outbox of the same transaction, once by its name."""
        self._connection, self._write = connection, write

    @property
    def store(self) -> Looked:
        """Itself: errors name this database."""
        return self

    @telling
    def until(self, what: What) -> Mapping[str, datetime]:
        """Up to when each employee's mailbox was looked through."""
        return dict(self._connection.get().execute(_SQL["until"], {"what": what}).fetchall())

    @telling
    def looked(self, employee: str, what: What, until: datetime, found: Found | None = None) -> None:
        """Write down that a mailbox was looked through; what a scan found is added to what nobody was told yet."""
        found = found or Found()
        told = {"identity_numbers": found.identity_numbers, "health_words": found.health_words}
        self._connection.get().execute(_SQL["looked"], {"employee": employee, "what": what, "until": until, **told})

    @telling
    def again(self, employee: str, what: What) -> None:
        """Take that back: what was to come of it did not, and is tried again."""
        self._connection.get().execute(_SQL["again"], {"employee": employee, "what": what})

    @telling
    def untold(self) -> Mapping[str, Found]:
        """What scans found, by employee, that the privacy officer was not told yet."""
        found = self._connection.get().execute(_SQL["untold"]).fetchall()
        return {employee: Found(numbers, words) for employee, numbers, words in found}

    @telling
    def told(self, employees: Collection[str]) -> None:
        """The privacy officer was told of these."""
        self._connection.get().execute(_SQL["told"], {"employees": list(employees)})

    @telling
    def keep_only(self, employees: Collection[str]) -> None:
        """Forget everybody else."""
        self._connection.get().execute(_SQL["keep_only"], {"employees": list(employees)})

    @telling
    def ran(self, run: str, what: What, obligation: str, counts: Mapping[str, int]) -> None:
        """Write down as evidence what a run came to, once, in numbers."""
        with self._connection.get().transaction():
            self._write(f"upkeep/{run}/{what}", lambda place: upkeep_leaf(place, run, what, obligation, counts))
