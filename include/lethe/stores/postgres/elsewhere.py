"""Rows of other databases that a verdict is read from: copied for the session, and held where they lie for a deed.

    other store ──COPY──▶ temporary table of this session ──▶ joined like any other
         │
         └─ a batch reads the rows of its candidates again, FOR SHARE, and lets go of them after its own commit

So a verdict across stores is as sure as one within: what it was read from stays until the deed is done. Only columns
that a rule or a hold is read from are copied, and they go with the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from lethe.errors import SchemaMismatch
from lethe.model import Dataset, Policy
from lethe.reach import read_elsewhere
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, tell
from lethe.stores.postgres.live import Column, Table, read_dataset
from lethe.stores.postgres.outbox import Conn
from lethe.stores.postgres.predicate import copied, table_name
from lethe.stores.postgres.verdicts import among_keys

LOCK_TIMEOUT = "5s"
_TEXTS = ("character varying", "name")


@dataclass(frozen=True)
class Rows:
    """Rows of a dataset of another store, by a query for their keys as key_of() has them; `as_text` as in Relation."""

    dataset: Dataset
    keys: Composed
    as_text: bool


def key_of(columns: Iterable[Composable]) -> Composable:
    """A key of these columns as one text: several as a JSON array of texts."""
    texts = [SQL("{}::text").format(column) for column in columns]
    return texts[0] if len(texts) == 1 else SQL("jsonb_build_array({})::text").format(SQL(", ").join(texts))


class Elsewhere:
    """What one store's rules read of the other stores."""

    def __init__(self, policy: Policy, store: str, address: Callable[[str], str]) -> None:
        """`address` gives the libpq connection string of a store by its name."""
        self._store, self._wanted = store, read_elsewhere(policy, store)
        self._datasets = {name: policy.datasets[name] for name in sorted(self._wanted)}
        self._connections = {
            name: Connection(name, partial(address, name)) for name in {each.store for each in self._datasets.values()}
        }
        self._brought = dict[str, tuple[Conn, Table]]()
        self._held: dict[str, Conn] | None = None
        self._letting_go = ExitStack()

    def close(self) -> None:
        """Close the connections to other stores."""
        for connection in self._connections.values():
            connection.close()

    def is_here(self, dataset: Dataset) -> bool:
        """Whether the dataset is of this store itself."""
        return dataset.store == self._store

    def table(self, dataset: Dataset) -> Table | None:
        """The live table of a dataset of another store."""
        with self._asking(dataset.store) as there:
            return read_dataset(there, dataset)

    def identities(self, datasets: Iterable[Dataset]) -> dict[str, list[Any]]:
        """Which databases those of the datasets that are elsewhere lie in: each store's own id, and its epoch."""
        found = dict[str, list[Any]]()
        for name in sorted({each.store for each in datasets} - {self._store}):
            with self._asking(name) as there:
                found[name] = list(there.execute(queries("schema")["identity"]).fetchone() or ())
        return found

    def bring(self, conn: Conn, datasets: Iterable[Dataset] | None = None) -> None:
        """Copy those of the datasets that are elsewhere into the session, or all that anything here is read from."""
        for name in sorted({each.name for each in (self._datasets.values() if datasets is None else datasets)}):
            if name in self._datasets:
                self._copy(conn, self._datasets[name])

    def is_brought(self, conn: Conn) -> bool:
        """Whether the copies are in this session, and not in one that broke."""
        return all(there is conn for there, _ in self._brought.values())

    def _copy(self, conn: Conn, dataset: Dataset) -> None:
        table = self.table(dataset)
        if table is None:
            place = f"{dataset.schema}.{dataset.table}"
            raise SchemaMismatch((f"table {place} (dataset {dataset.name}): not found in store {dataset.store}",))
        columns = self._columns(dataset, table)
        declared = [SQL("{} {}").format(Identifier(name), _type(table.columns[name])) for name in columns]
        conn.execute(SQL("DROP TABLE IF EXISTS {}").format(copied(dataset)))
        conn.execute(SQL("CREATE TEMPORARY TABLE {} ({})").format(copied(dataset), SQL(", ").join(declared)))
        with self._asking(dataset.store) as there:
            self._pour(there, conn, dataset, columns, SQL(""))
        conn.execute(SQL("ANALYZE {}").format(copied(dataset)))
        self._brought[dataset.name] = conn, table

    def _columns(self, dataset: Dataset, table: Table) -> list[str]:
        return sorted(self._wanted[dataset.name] & table.columns.keys())

    @contextmanager
    def holding(self) -> Iterator[None]:
        """What is read again inside stays as it is until the end; to be opened before the deed's transaction."""
        with ExitStack() as self._letting_go:
            self._held = {}
            try:
                yield
            finally:
                self._held = None

    def read_again(self, conn: Conn, rows: Rows) -> None:
        """Bring some rows as they are now, and keep others from changing them; inside holding() and a transaction."""
        dataset, (_, table) = rows.dataset, self._brought[rows.dataset.name]
        keys = {"keys": [key for (key,) in conn.execute(rows.keys)]}
        is_one = SQL("{} = ANY (%(keys)s)").format(key_of(SQL("t.{}").format(Identifier(k)) for k in dataset.key))
        conn.execute(SQL("DELETE FROM {} AS t WHERE {}").format(copied(dataset), is_one), keys)
        test = is_one if rows.as_text else among_keys(dataset, table)  # the second can use the key's index
        with self._asking(dataset.store) as there:
            self._hold(dataset.store, there)
            where = SQL(" WHERE {} FOR SHARE").format(test)
            self._pour(there, conn, dataset, self._columns(dataset, table), where, keys)

    def require_held(self) -> None:
        """StoreUnreachable when a session that holds rows was lost: somebody may have changed them since."""
        for store, there in (self._held or {}).items():
            with self._asking(store):
                there.execute("SELECT 1")

    def _hold(self, store: str, there: Conn) -> None:
        assert self._held is not None
        if store not in self._held:
            self._letting_go.enter_context(there.transaction())
            there.execute(SQL("SET LOCAL lock_timeout = {}").format(Literal(LOCK_TIMEOUT)))
            self._held[store] = there

    def _pour(
        self, there: Conn, here: Conn, dataset: Dataset, columns: list[str], where: Composable,
        params: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        listed = SQL(", ").join(map(Identifier, columns))
        select = SQL("COPY (SELECT {} FROM {} AS t{}) TO STDOUT (ENCODING 'UTF8')").format(
            listed, table_name(dataset), where
        )
        insert = SQL("COPY {} ({}) FROM STDIN (ENCODING 'UTF8')").format(copied(dataset), listed)
        with there.cursor().copy(select, params) as source, here.cursor().copy(insert) as target:
            for data in source:
                target.write(data)

    @contextmanager
    def _asking(self, store: str) -> Iterator[Conn]:
        """The connection to another store, whose errors are told as its own."""
        try:
            yield self._connections[store].get()
        except psycopg.Error as error:
            problem = tell(f"{store} (read for {self._store})", error)
        else:
            return
        raise problem


def _type(column: Column) -> Composable:
    """The type that a copy has: enums, and what the other database added, as text."""
    if column.kind != "builtin" or column.type in _TEXTS:
        return SQL("text")
    return SQL("bpchar" if column.type == "character" else column.type)
