"""Stores: the systems that hold personal data, all behind one small protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from types import TracebackType
from typing import Protocol, Self

from lethe.errors import ConfigError
from lethe.model import Done, Plan, Policy, Receipt, Remaining, Rule, Shard, Store, Survey


class DataStore(Protocol):
    """What Lethe asks of a store. Errors are StoreError, worded for people, without a value from a row."""

    def check(self, rule: Rule) -> tuple[str, ...]:
        """Whether the store is there and is what the policy says: SchemaMismatch when not, else its warnings."""

    def survey(self, rule: Rule, today: date, *, confirmed: bool) -> Survey:
        """What is due on `today` and why the rest is not; changes nothing."""

    def apply(self, plan: Plan, shard: Shard, *, run: str) -> Receipt | None:
        """Do the next batch of a shard, with its evidence; None when nothing of the shard is left."""

    def done(self, plan: Plan) -> Done:
        """What has been done of a plan, by all runs together."""

    def remaining(self, rule: Rule, today: date, *, confirmed: bool) -> Remaining:
        """What is still there although it was due on `today`, asked by other means than survey's."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


Addresses = Callable[[str], str]
Opener = Callable[[Store, Policy, Addresses, Addresses], DataStore]


def _postgres(store: Store, policy: Policy, address: Addresses, url: Addresses) -> DataStore:
    from lethe.stores.postgres.store import (
        PostgresStore,  # the driver is loaded when a store is opened, not with the policy
    )

    return PostgresStore(store, policy, address, url)


KINDS: Mapping[str, Opener] = {"postgres": _postgres}


def open_store(store: Store, policy: Policy, address: Addresses, url: Addresses) -> DataStore:
    """The store by its kind; ConfigError for a kind that this version cannot open.

    `address` turns a store's name into its connection string, `url` the id of a folder of documents into its URL.
    """
    if store.kind not in KINDS:
        raise ConfigError(f"store {store.name}: found kind {store.kind}, expected one of {', '.join(KINDS)}")
    return KINDS[store.kind](store, policy, address, url)
