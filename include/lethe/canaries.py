"""The register of canaries in lethe_state: the only place that tells which rows of the stores they are."""

from __future__ import annotations

from datetime import date

from lethe.checks.canaries import WEEK, Canary, Judged
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, telling

_SQL = queries("canaries")


class Canaries:
    """The register, over the connection to lethe_state; errors are StoreError."""

    name = "lethe_state"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def store(self) -> Canaries:
        """Itself: errors name this database."""
        return self

    @telling
    def of(self, store: str, today: date) -> tuple[Canary, ...]:
        """Those of a store that nobody knows to be gone, and those that died within a week."""
        told = {"store": store, "since": today - WEEK}
        return tuple(Canary(*row) for row in self._connection.get().execute(_SQL["of"], told).fetchall())

    @telling
    def intend(self, store: str, canary: Canary) -> None:
        """Write down that the row is about to be planted."""
        told = {
            "id": canary.id, "store": store, "rule": canary.rule, "part": canary.part, "key": canary.key,
            "planted_on": canary.planted_on, "last": canary.last,
        }  # fmt: skip
        self._connection.get().execute(_SQL["intend"], told)

    @telling
    def planted(self, canary: Canary) -> None:
        """The row is there."""
        self._connection.get().execute(_SQL["planted"], {"id": canary.id})

    @telling
    def released(self, canary: Canary, day: date) -> None:
        """Its hold was released."""
        self._connection.get().execute(_SQL["released"], {"id": canary.id, "day": day})

    @telling
    def ended(self, judged: Judged, day: date) -> None:
        """It is not there any more, as it should be or not."""
        self._connection.get().execute(_SQL["ended"], {"id": judged.canary.id, "fate": judged.fate, "day": day})
