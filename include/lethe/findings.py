"""Findings in lethe_state: open until a check that could look sees them no more, and kept as history after that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

from lethe.checks.finding import Finding, Severity
from lethe.model import Policy
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, telling

_SQL = queries("findings")


class Known(NamedTuple):
    """A finding as the register has it; `gone_at` is None while it is open."""

    id: str
    store: str
    kind: str
    subject: str
    detail: str
    severity: Severity
    role: str
    opened_at: datetime
    gone_at: datetime | None = None

    @property
    def finding(self) -> Finding:
        """What was found."""
        return Finding(self.store, self.kind, self.subject, self.detail)


class Changed(NamedTuple):
    """What one check changed: the findings that it opened, and those that it saw no more."""

    opened: tuple[Known, ...]
    gone: tuple[Known, ...]


class Findings:
    """The register of findings, over the connection to lethe_state; errors are StoreError."""

    name = "lethe_state"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def store(self) -> Findings:
        """Itself: errors name this database."""
        return self

    @telling
    def known(self, *, gone: bool = False) -> tuple[Known, ...]:
        """The open findings, the gravest first; with `gone`, those of the past too."""
        found = self._connection.get().execute(_SQL["known"], {"gone": gone}).fetchall()
        return tuple(Known(*row) for row in found)

    def take(self, policy: Policy, store: str, found: Iterable[Finding], unseen: Callable[[Finding], bool]) -> Changed:
        """Let the register have what a check of a store found, in the transaction that is open.

        What was open and is not found any more is gone, but for what the check could not look at (`unseen`).
        """
        run = self._connection.get().execute
        run(_SQL["one_takes"], {"store": store})
        before = {
            (each.kind, each.subject): each
            for each in (Known(*row) for row in run(_SQL["open_of"], {"store": store}).fetchall())
        }
        now = {(each.kind, each.subject): each for each in found}
        opened = tuple(
            Known(*row)
            for place, each in sorted(now.items())
            if place not in before
            for row in run(_SQL["open"], self._told(policy, each)).fetchall()
        )
        gone = tuple(each for place, each in sorted(before.items()) if place not in now and not unseen(each.finding))
        for each in gone:
            run(_SQL["gone"], {"id": each.id})
        for place in before.keys() & now.keys():
            run(_SQL["still"], {"id": before[place].id, "detail": now[place].detail})
        return Changed(opened, gone)

    @telling
    def tell(self, role: str, channel: str, now: datetime, send: Callable[[tuple[Known, ...]], None]) -> int:
        """Let `send` have what a role was not told yet by this channel, or a week ago, and remember it; how many.

        What `send` raises is raised, and nothing was told by this channel. One at a time tells.
        """
        about = {"role": role, "channel": channel, "now": now}
        with self._connection.get().transaction():
            run = self._connection.get().execute
            run(_SQL["one_tells"], about)  # by itself: what the one before us told is seen by a later statement only
            due = tuple(Known(*row) for row in run(_SQL["to_tell"], about).fetchall())
            if due:
                send(due)
                run(_SQL["told"], {**about, "ids": [each.id for each in due]})
        return len(due)

    @staticmethod
    def _told(policy: Policy, found: Finding) -> dict[str, str]:
        told = {"store": found.store, "kind": found.kind, "subject": found.subject, "detail": found.detail}
        return {"id": uuid4().hex, **told, "severity": found.severity, "role": found.role(policy)}
