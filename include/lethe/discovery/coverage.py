"""What the policy lacks: a store's inventory and candidates held against what the policy says, as findings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lethe.checks.finding import Finding
from lethe.discovery.candidates import Candidate
from lethe.discovery.declared import Declared, declared
from lethe.discovery.inventory import Inventory, Table
from lethe.discovery.reach import reachable
from lethe.discovery.sample import Unread
from lethe.discovery.words import is_log
from lethe.model import Policy

Columns = Mapping[str, Collection[str]]
"""The columns of tables, by schema.table."""

_BACKUP = re.compile(
    r"(tmp|temp|bak|bck|backup|old|copy|kopi|gammel|zz+)_.+"
    r"|.+_(tmp|temp|bak|bck|bkp|backup|old|orig|original|copy|kopi|gammel|saved?|before|migrated|deleted|sikkerhetskopi)\d*"
    r"|.+_(19|20)\d{2}_?(0[1-9]|1[0-2])_?(0[1-9]|[12]\d|3[01])(_\d+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Looked:
    """What was found in a store: what is there, what looks like personal data, and what could not be looked into."""

    inventory: Inventory
    candidates: tuple[Candidate, ...] = ()
    unread: Mapping[str, Unread] = field(default_factory=dict)


def coverage(policy: Policy, store: str, looked: Looked, known: Columns | None = None) -> list[Finding]:
    """What is wrong with a store, sorted, without what the policy accepts.

    `known` is the columns that were there at the last check; None where there was none, and nothing is new.
    """
    gaps = _Gaps(store, looked, declared(policy, store), known)
    copies = frozenset(view for each in policy.datasets.values() if each.store == store for view in each.refreshed)
    found = {*gaps.of_tables(), *gaps.of_copies(copies)}
    accepted = policy.stores[store].accepted
    return sorted(each for each in found if f"{each.kind} {each.subject}" not in accepted)


def not_there(policy: Policy, store: str, looked: Looked) -> tuple[str, ...]:
    """What the policy accepts and nobody finds: misspelled, or no longer there."""
    gaps = _Gaps(store, looked, declared(policy, store), None)
    found = {f"{each.kind} {each.subject}" for each in (*gaps.of_tables(), *gaps.of_copies(frozenset()))}
    accepted = (each for each in policy.stores[store].accepted if not each.startswith("statistics "))  # the check's
    return tuple(sorted(set(accepted) - found))


class _Gaps:
    """The findings of one store, before anything is accepted."""

    def __init__(self, store: str, looked: Looked, policy: Mapping[str, Declared], known: Columns | None) -> None:
        self.store, self.looked, self.policy, self.known = store, looked, policy, known
        self.sure = {(each.table, each.column): each for each in looked.candidates if each.is_sure}
        self.detached = looked.inventory.detached()
        self.hanging = _hanging(looked.inventory, self.people())

    def people(self) -> frozenset[str]:
        """The tables with personal data, whether the policy names it or nobody does."""
        named = {place for place, each in self.policy.items() if each.personal}
        free = {(place, column) for place, each in self.policy.items() for column in each.columns - each.personal}
        return frozenset(named | {table for table, column in self.sure if (table, column) not in free})

    def of_tables(self) -> Iterator[Finding]:
        for table in self.looked.inventory.tables:
            mine = self.policy.get(table.place, Declared())
            missing = tuple(column.name for column in table.columns if column.name not in mine.columns)
            if missing:
                yield from self._unreadable(table, missing)
            whole = self._as_a_whole(table, mine, missing)
            if whole is not None:
                yield whole
            elif len(missing) == len(table.columns):
                yield from self._of_unknown(table)
            else:
                yield from (self._of_column(table, name) for name in missing)

    def _unreadable(self, table: Table, missing: tuple[str, ...]) -> Iterator[Finding]:
        closed = [column.name for column in table.columns if column.name in missing and not column.readable]
        unread = self.looked.unread.get(table.place)
        if closed:
            yield self._finding("closed", table.place, _listed(closed))
        elif unread is not None:
            yield self._finding(unread.state, table.place, unread.why)

    def _as_a_whole(self, table: Table, mine: Declared, missing: tuple[str, ...]) -> Finding | None:
        """What the table is by its name and form, unless the policy has it."""
        if not table.columns:
            return None
        if missing and not mine.is_dataset and table.place in self.detached:
            return self._finding("detached", table.place, f"its columns are those of {self.detached[table.place]}")
        if missing and not mine.is_dataset and _BACKUP.fullmatch(table.name):
            return self._finding("backup", table.place, self._twins(table))
        logs = is_log(table.name) and not mine.is_ended
        if logs and (mine.personal or missing) and table.place in self.people():
            return self._finding("log", table.place, _listed(missing or sorted(mine.personal)))
        return None

    def _twins(self, table: Table) -> str:
        twins = [each.place for each in self.looked.inventory.tables if each.form == table.form and each is not table]
        return (
            f"its columns are those of {', '.join(twins)}" if twins else _listed([each.name for each in table.columns])
        )

    def _of_unknown(self, table: Table) -> Iterator[Finding]:
        """One finding for a table that the policy does not name at all."""
        if not table.columns:
            return
        personal = [
            (column.name, self.sure[table.place, column.name])
            for column in table.columns
            if (table.place, column.name) in self.sure
        ]
        way = self.hanging.get(table.place)
        hangs = f"; {way}" if way else ""
        if personal:
            told = ", ".join(f"{name} ({each.category})" for name, each in personal)
            yield self._finding("personal", table.place, f"{told}{hangs}")
        elif not self._is_closed(table):
            yield self._finding("undeclared", table.place, _listed([column.name for column in table.columns]) + hangs)

    def _is_closed(self, table: Table) -> bool:
        return not all(column.readable for column in table.columns)

    def _of_column(self, table: Table, name: str) -> Finding:
        place, candidate = f"{table.place}.{name}", self.sure.get((table.place, name))
        new = self.known is not None and table.place in self.known and name not in self.known[table.place]
        if candidate is not None:
            why = "; ".join((*candidate.why, *(["new since the last check"] if new else [])))
            return self._finding("personal", place, f"{candidate.category}: {why}")
        return self._finding("new-column" if new else "undeclared", place)

    def of_copies(self, refreshed: frozenset[str]) -> Iterator[Finding]:
        people, inventory = self.people(), self.looked.inventory
        for view, reads in inventory.views.items():
            if view not in refreshed and (of := sorted(people & set(reads))):
                yield self._finding("view", view, f"of {', '.join(of)}")
        for name, tables in inventory.publications.items():
            if of := sorted(people & set(tables)):
                yield self._finding("publication", name, f"of {', '.join(of)}")
        if inventory.large_objects:
            yield self._finding("large-objects", self.store, f"{inventory.large_objects} of them")

    def _finding(self, kind: str, subject: str, detail: str = "") -> Finding:
        return Finding(self.store, kind, subject, detail)


def _hanging(inventory: Inventory, people: Iterable[str]) -> Mapping[str, str]:
    """The longest way from each table that hangs on people to them, in words."""
    ways = (way for start in sorted(people) for way in reachable(inventory, start))
    return {way.table: str(way) for way in sorted(ways, key=lambda way: len(way.keys))}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
