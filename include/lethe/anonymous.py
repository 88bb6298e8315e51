"""Is it anonymous? Measured over what is left, in each dataset and across databases; what can be matched is parted.

The groups of one table are counted, and made coarser, inside the store (stores/postgres/risk.py). What this file does
is what takes two stores: it reads both sides as sorted streams and keeps nothing but what must be made coarser.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import groupby, islice

import psycopg

from lethe.anonymise.risk import Key, Risk
from lethe.errors import ConfigError
from lethe.evidence.leaf import risk_leaf
from lethe.model import Anonymity, Linked, Plan
from lethe.run import Lethe
from lethe.stores.postgres.connection import Connection, tell
from lethe.stores.postgres.risk import Counted, Match, matches
from lethe.stores.postgres.store import PostgresStore

AT_ONCE = 5_000
"""Keys that are made coarser in one statement."""


def measure(lethe: Lethe, dataset: str) -> Risk:
    """How well the dataset's rows without a person hide each of them; changes nothing.

    ConfigError for a dataset of whose anonymity the policy says nothing.
    """
    anonymity = _anonymity(lethe, dataset)
    store = _store(lethe, dataset)
    return Risk(
        dataset,
        anonymity.k,
        store.groups(anonymity),
        {each.to: sum(dict(_matches(lethe, anonymity, each)).values()) for each in anonymity.linked},
        {} if anonymity.rule else store.telling_rows(anonymity),
    )


def write_down(lethe: Lethe, found: Risk, run: str) -> None:
    """The measure as evidence, once for a run."""
    outbox, digest = lethe.outbox(lethe.policy.datasets[found.dataset].store), lethe.policy.digest
    outbox.write_once(f"risk/{found.dataset}/{run}", lambda place: risk_leaf(place, run, found=found, policy=digest))


def hide(lethe: Lethe, plan: Plan, run: str) -> None:
    """Make rows coarser that stand out among too few, or could be matched with too few people, by the policy's steps.

    One can bring about the other: it ends when no step helps any more.
    """
    anonymity = lethe.policy.anonymity.get(lethe.rule(plan.rule).dataset.name)
    if anonymity is None:
        return
    store = _store(lethe, anonymity.dataset)
    steps = range(len(anonymity.small_groups))
    while sum(_part(lethe, store, plan, anonymity, linked, run) for linked in anonymity.linked) + sum(
        store.coarsen(plan, step, run=run) for step in steps
    ):
        pass


def _part(lethe: Lethe, store: PostgresStore, plan: Plan, anonymity: Anonymity, linked: Linked, run: str) -> int:
    """Step by step until nothing can be matched; how many rows got coarser."""
    coarser = 0
    for step in range(len(anonymity.small_groups)):
        found = _at_once(_matches(lethe, anonymity, linked))
        rows = [store.coarsen(plan, step, run=run, matched=(linked, *keys)) for keys in found]
        if not rows:
            break
        coarser += sum(rows)
    return coarser


def _at_once(found: Iterator[tuple[Match, int]]) -> Iterator[tuple[tuple[str, ...], list[Key]]]:
    for columns, group in groupby((match for match, _ in found), lambda match: match[0]):
        keys = (key for _, key in group)
        while listed := list(islice(keys, AT_ONCE)):
            yield columns, listed


def _anonymity(lethe: Lethe, dataset: str) -> Anonymity:
    if dataset not in lethe.policy.anonymity:
        known = ", ".join(lethe.policy.anonymity) or "none"
        raise ConfigError(f'found "{dataset}", expected a dataset with anonymity: in the policy ({known})')
    return lethe.policy.anonymity[dataset]


def _store(lethe: Lethe, dataset: str) -> PostgresStore:
    store = lethe.store_named(lethe.policy.datasets[dataset].store)
    if not isinstance(store, PostgresStore):
        raise ConfigError(f"dataset {dataset}: found a store that counts no groups, expected PostgreSQL")
    return store


def _matches(lethe: Lethe, anonymity: Anonymity, linked: Linked) -> Iterator[tuple[Match, int]]:
    """What can be matched, over a connection to each side that is closed at the end."""
    sides = lethe.policy.datasets[anonymity.dataset], lethe.policy.datasets[linked.to]
    here, there = (Connection(each.store, partial(lethe.address, each.store)) for each in sides)
    with closing(here), closing(there):
        try:
            ours, theirs = (Counted(c.get(), lethe.policy, d) for c, d in zip((here, there), sides, strict=True))
            yield from matches(ours, theirs, anonymity, linked)
        except psycopg.Error as error:
            problem = tell(f"{here.name} or {there.name}", error)
        else:
            return
    raise problem
