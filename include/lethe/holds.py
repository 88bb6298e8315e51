"""Holds: what must be kept though it is due, on whose word, and until when that is looked at again (GDPR 17(3), 18).

    placed ──▶ in force ──▶ reviewed ──▶ released ──▶ lifted
    register   each store    register    register    each store

The register is in lethe_state; each store has a mirror, which its batches read. A hold is in force once every store
that it is about has it. Before a store is planned for or acted in, its mirror is brought up to the register: where that
fails nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Literal, NamedTuple
from uuid import uuid4

from psycopg import errors

from lethe.errors import HoldError, HoldReleased, NoSuchHold
from lethe.model import Dataset, Policy
from lethe.reach import below_of
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, telling

_SQL = queries("holds")

Via = Literal["cli", "airflow"]
"""How a person's word came: by a database sign-in, or by a user who is signed in to Airflow."""
State = Literal["waits", "in force", "being lifted", "released"]

ALL = "*"
"""The key that stands for every row of a dataset, or for all that a rule would do."""


SPREAD_LOCK = 0x4C455449
"""Advisory lock in lethe_state: two that number the targets of one hold at once would leave one out."""


def whole_rule(rule: str) -> str:
    """Under which name a mirror has a hold on all that a rule would do; no dataset's name has a colon."""
    return f"rule:{rule}"


class Because(StrEnum):
    """Why something is held: the law's own reasons, one of ours, and no free text."""

    LEGAL_CLAIM = "legal-claim"  # GDPR 17(3)(e)
    AUTHORITY_REQUEST = "authority-request"  # 17(3)(b)
    ACCURACY_CONTESTED = "accuracy-contested"  # 18(1)(a)
    UNLAWFUL_PROCESSING = "unlawful-processing"  # 18(1)(b)
    SUBJECT_NEEDS_IT = "subject-needs-it"  # 18(1)(c)
    OBJECTION_PENDING = "objection-pending"  # 18(1)(d)
    CANARY = "canary"  # a planted row of nobody: no person's reason

    @property
    def kind(self) -> Literal["held", "restricted"]:
        """Restriction is the data subject's right under article 18; the rest is the law's or the company's need."""
        held = (Because.LEGAL_CLAIM, Because.AUTHORITY_REQUEST, Because.CANARY)
        return "held" if self in held else "restricted"


BY_LAW = tuple(each for each in Because if each is not Because.CANARY)
"""The reasons that a person can give."""


@dataclass(frozen=True)
class Target:
    """What a hold is on, in one store: a row by its key, all of a dataset, or all of a rule (`rule:NAME`)."""

    store: str
    dataset: str
    key: str | None
    """`*` for all of it; None once the key was forgotten."""
    in_force_at: datetime | None = None
    lifted_at: datetime | None = None


@dataclass(frozen=True)
class Hold:
    """A hold as the register has it."""

    id: str
    because: Because
    role: str
    placed_at: datetime
    review: date
    released_at: datetime | None
    targets: tuple[Target, ...]

    @property
    def in_force(self) -> bool:
        """Whether every store that it is about has it."""
        return self.released_at is None and all(target.in_force_at for target in self.targets)

    @property
    def state(self) -> State:
        """How far it has come: it waits for a store that lacks it, and is being lifted while one still has it."""
        if self.released_at is None:
            return "in force" if self.in_force else "waits"
        return "released" if all(each.lifted_at or not each.in_force_at for each in self.targets) else "being lifted"

    def past_review(self, today: date) -> bool:
        """Whether somebody should have looked at it again by now."""
        return self.released_at is None and self.review < today


class Open(NamedTuple):
    """A target of one store as its mirror needs it, with what its evidence says."""

    hold: str
    number: int
    dataset: str
    key: str
    because: Because
    role: str
    review: date
    released: bool
    approver: str
    in_force: bool
    lifted: bool


class Register:
    """The holds in lethe_state; errors are StoreError, and HoldError for what the register does not allow."""

    def __init__(self, connection: Connection, answering: Callable[[], AbstractContextManager[None]]) -> None:
        """`answering` is where a person's word is written: it refuses a sign-in that may not give one."""
        self._connection, self._answering = connection, answering

    @property
    def store(self) -> Connection:
        """The database that errors name."""
        return self._connection

    @telling
    def place(
        self, because: Because, targets: Iterable[Target], review: date, *, role: str, via: Via,
        person: str | None = None,
    ) -> str:  # fmt: skip
        """Write down a hold under a random id; it protects once the stores' mirrors have it.

        `person` is Airflow's number of the user; None is who signed in to the database.
        """
        conn, hold = self._connection.get(), uuid4().hex
        with self._answering(), conn.transaction():
            conn.execute(_SQL["place"], {"hold": hold, "because": because})
            for number, target in enumerate(targets, 1):
                told = {"store": target.store, "dataset": target.dataset, "key": target.key}
                conn.execute(_SQL["target"], {"hold": hold, "number": number, **told})
            self._event(hold, person, event="placed", review=review, role=role, via=via)
        return hold

    @telling
    def review(self, hold: str, until: date, *, role: str, via: Via, person: str | None = None) -> None:
        """Somebody looked at it: it stays, to be looked at again."""
        with self._answering(), self._connection.get().transaction():
            self._event(hold, person, event="reviewed", review=until, role=role, via=via)

    @telling
    def release(self, hold: str, *, role: str, via: Via, person: str | None = None) -> None:
        """It is over; the stores' mirrors let go of it the next time that they are brought up to the register.

        HoldReleased when somebody else was quicker.
        """
        try:
            with self._answering(), self._connection.get().transaction():
                self._event(hold, person, event="released", review=None, role=role, via=via)
        except errors.UniqueViolation:
            raise HoldReleased(f"hold {hold[:12]}: it was released a moment ago") from None

    def _event(self, hold: str, person: str | None, **told: object) -> None:
        conn, approver = self._connection.get(), uuid4().hex
        conn.execute(queries("plans")["name_approver"], {"approver": approver, "person": person})
        conn.execute(_SQL["event"], {"hold": hold, "approver": approver, **told})

    @telling
    def holds(self, *, released: bool = False) -> tuple[Hold, ...]:
        """The holds, oldest first; those that were released too where that is asked for."""
        conn, targets = self._connection.get(), dict[str, list[Target]]()
        for hold, *told in conn.execute(_SQL["targets"]).fetchall():
            targets.setdefault(hold, []).append(Target(*told))
        found = conn.execute(_SQL["known"], {"released": released}).fetchall()
        return tuple(
            Hold(hold, Because(because), role, placed_at, review, released_at, tuple(targets.get(hold, ())))
            for hold, because, role, placed_at, review, released_at in found
        )

    def hold(self, start: str) -> Hold:
        """The one hold whose id starts like this; NoSuchHold when there is none, or several."""
        found = [hold for hold in self.holds(released=True) if start and hold.id.startswith(start)]
        if len(found) != 1:
            raise NoSuchHold(f'hold "{start}": found {len(found)} that start so, expected one; see `lethe hold list`')
        return found[0]

    @telling
    def spread(self, store: str, datasets: Collection[str]) -> None:
        """Let holds on datasets of other stores be about this one too, where rows hang on theirs by now."""
        if datasets:
            with self._connection.get().transaction():
                told = {"store": store, "datasets": list(datasets)}
                self._connection.get().execute(_SQL["one_spreads"], {"lock": SPREAD_LOCK})
                self._connection.get().execute(_SQL["spread"], told)

    @telling
    def of_store(self, store: str) -> tuple[Open, ...]:
        """What the mirror of a store should have, and what it should have let go of."""
        found = self._connection.get().execute(_SQL["of_store"], {"store": store}).fetchall()
        return tuple(
            Open(hold, number, dataset, key, Because(because), *rest)
            for hold, number, dataset, key, because, *rest in found
        )

    @telling
    def note(self, target: Open, *, lifted: bool) -> None:
        """A store's mirror has the target now, or has let go of it."""
        told = {"hold": target.hold, "number": target.number}
        self._connection.get().execute(_SQL["lifted" if lifted else "in_force"], told)


def targets_of(
    policy: Policy, rows: Iterable[tuple[str, str]], datasets: Iterable[str] = (), rules: Iterable[str] = ()
) -> Iterator[Target]:
    """What a hold is on, by names of the policy, rows as (dataset, key); HoldError for a name that it does not have.

    A row covers what hangs on it, in every store: a customer its cases, a case its messages.
    """
    for name, key in (*rows, *((name, ALL) for name in datasets)):
        below = below_of(policy, _dataset(policy, name))
        yield from (Target(store, name, key) for store in dict.fromkeys(each.store for each, _ in below))
    for name in rules:
        rule = policy.rules[_known(name, "rule", policy.rules)]
        yield Target(rule.dataset.store, whole_rule(name), ALL)


def _dataset(policy: Policy, name: str) -> Dataset:
    return policy.datasets[_known(name, "dataset", policy.datasets)]


def _known(name: str, what: str, known: Collection[str]) -> str:
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise HoldError(f'found no {what} "{name}"; {hint}expected one of: {", ".join(sorted(known))}')
    return name
