"""The register of departures in lethe_state: who leaves, and what has happened with their mailbox; each event evidence.

    opened ─ noticed ─ (answered) ─ closing ─ closed ─ chosen ─ approved ─ handed-over ─ deleting ─ deleted ─ verified
        └────────────────────── withdrawn: at any time before the deletion begins ──────────┘

An event happens once. Evidence has its name, counts and a random id of the departure, and never who it is about.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, NamedTuple, get_args
from uuid import uuid4

from lethe.errors import LetheError
from lethe.evidence.leaf import Leaf, Place, departure_leaf
from lethe.offboarding.receipts import Handed
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, telling

_SQL = queries("departures")

Event = Literal[
    "opened", "noticed", "answered", "closing", "closed", "chosen", "approved", "officer-approved", "rejected",
    "exceptions-accepted", "handed-over", "deleting", "deleted", "verified", "page-taken-down",
    "phone-cleared", "withdrawn", "given-back", "ended",
]  # fmt: skip
EVENTS: tuple[Event, ...] = get_args(Event)
_TOO_LATE = ("deleting", "deleted")


class DepartureError(LetheError):
    """A departure is not there, or is at a point where this cannot be done; the message names nobody."""


class Withdrawn(DepartureError):
    """The employee stays after all: nothing more is done."""


class Word(NamedTuple):
    """Somebody's word: the role they gave it in, and Airflow's number or name of the user, where there is one."""

    role: str
    person: str | None = None


@dataclass(frozen=True)
class Departure:
    """A departure as HR entered it, by numbers of the directory, and when what happened.

    `picked` are folders that are to be handed over by explicit choice.
    """

    id: str
    employee: str = field(repr=False)
    manager: str = field(repr=False)
    recipients: tuple[str, ...] = field(repr=False)
    last_day: date
    lang: Literal["nb", "en"]
    picked: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    events: Mapping[Event, datetime] = field(default_factory=dict)

    def has(self, event: Event) -> bool:
        """Whether that has happened."""
        return event in self.events

    @property
    def state(self) -> Event:
        """What happened last."""
        return max(self.events, key=lambda event: (self.events[event], EVENTS.index(event)))


class Departures:
    """The register, over the connection to lethe_state; errors are StoreError and DepartureError."""

    name = "lethe_state"

    def __init__(self, connection: Connection, write: Callable[[str, Callable[[Place], Leaf]], None]) -> None:
        """`write` puts a leaf into the outbox in the transaction that is open."""
        self._connection, self._write = connection, write

    @property
    def store(self) -> Departures:
        """Itself: errors name this database."""
        return self

    @telling
    def open(self, wanted: Departure, at: datetime, word: Word | None = None) -> str:
        """Enter a departure on somebody's word, under its id or a random one; with an id that is known, it is that one.

        DepartureError when another of the same employee is open.
        """
        conn, departure = self._connection.get(), wanted.id or uuid4().hex
        told = {
            "id": departure, "employee": wanted.employee, "manager": wanted.manager, "last_day": wanted.last_day,
            "recipients": list(wanted.recipients), "lang": wanted.lang,
            "picked": json.dumps([list(folder) for folder in wanted.picked]),
        }  # fmt: skip
        with conn.transaction():
            if conn.execute(_SQL["lock"], {"departure": departure}).rowcount:
                return departure
            if not conn.execute(_SQL["open"], told).rowcount:
                raise DepartureError(
                    "found a departure of this employee that is open, expected none; end or withdraw that one first"
                )
            self._happen(departure, "opened", at, {}, word=word)
        return departure

    def is_known(self, departure: str) -> bool:
        """Whether a departure with this id was entered."""
        return any(each.id == departure for each in self.all(ended=True))

    @telling
    def find(self, start: str) -> Departure:
        """The departure whose id begins so; DepartureError when there is none, or several."""
        found = [each for each in self.all(ended=True) if start and each.id.startswith(start)]
        if len(found) != 1:
            raise DepartureError(f"departure {start}: found {len(found)} that start so, expected one")
        return found[0]

    @telling
    def all(self, *, ended: bool = False) -> tuple[Departure, ...]:
        """The departures that are open, the oldest first; with `ended`, those of the past too."""
        conn, events = self._connection.get(), dict[str, dict[Event, datetime]]()
        for departure, event, at in conn.execute(_SQL["events"]).fetchall():
            events.setdefault(departure, {})[event] = at
        found = conn.execute(_SQL["departures"], {"ended": ended}).fetchall()
        return tuple(
            Departure(name, employee, manager, tuple(to), last_day, lang, _folders(picked), events.get(name, {}))
            for name, employee, manager, to, last_day, lang, picked in found
        )

    @telling
    def happened(
        self, departure: str, event: Event, at: datetime, counts: Mapping[str, int] | None = None, *,
        word: Word | None = None, root: str | None = None,
    ) -> bool:  # fmt: skip
        """Write down an event, once; False when it was before. Withdrawn when nothing more may happen.

        `word` is a person's, where one gave it; `root` is over what was handed over.
        """
        conn = self._connection.get()
        with conn.transaction():
            which = {"departure": departure}
            is_there = bool(conn.execute(_SQL["lock"], which).rowcount)
            # a statement of its own: one that waits for the lock sees what was there before it waited
            events = {each for (each,) in conn.execute(_SQL["events_of"], which).fetchall()}
            if not is_there:
                raise DepartureError(f"departure {departure[:12]}: not found, expected one that was entered")
            self._require_in_order(departure, event, events)
            if event not in events:
                self._happen(departure, event, at, counts or {}, word=word, root=root)
        return event not in events

    @staticmethod
    def _require_in_order(departure: str, event: Event, events: Set[str]) -> None:
        """A departure is withdrawn before its deletion begins, and after that nothing but giving back is done."""
        if event == "withdrawn" and not events.isdisjoint(_TOO_LATE):
            raise DepartureError(
                f"departure {departure[:12]}: its mailbox is being deleted or is gone; it cannot be given back"
            )
        if "withdrawn" in events and event not in ("withdrawn", "given-back", "ended"):
            raise Withdrawn(f"departure {departure[:12]}: it was withdrawn; nothing more is done")

    def _happen(
        self, departure: str, event: Event, at: datetime, counts: Mapping[str, int], *, word: Word | None,
        root: str | None = None,
    ) -> None:  # fmt: skip
        conn, approver = self._connection.get(), None
        if word is not None:
            approver = uuid4().hex
            conn.execute(queries("plans")["name_approver"], {"approver": approver, "person": word.person})
        told = {"departure": departure, "event": event, "at": at, "counts": json.dumps(dict(counts))}
        conn.execute(_SQL["happen"], {**told, "approver": approver})
        if event == "ended":
            conn.execute(_SQL["end"], {"departure": departure})
        self._write(
            f"departure/{departure}/{event}",
            lambda place: departure_leaf(
                place,
                departure,
                event=event,
                counts=counts,
                role=word.role if word else None,
                approver=approver,
                root=root,
            ),
        )

    @telling
    def counts(self, departure: str, event: Event) -> Mapping[str, int]:
        """The numbers that an event was written down with; empty when it has not happened."""
        told = {"departure": departure, "event": event}
        found = self._connection.get().execute(_SQL["counts_of"], told).fetchone()
        return dict(found[0]) if found else {}

    def handed(self, departure: str, recipient: str) -> Handed:
        """The receipts of what is handed over to one recipient."""
        return Handed(self._connection, departure, recipient)


def _folders(picked: object) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(folder) for folder in picked) if isinstance(picked, list) else ()
