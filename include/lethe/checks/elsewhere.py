"""What a question reads of other stores: brought over a reading session of theirs into the session that asks.

    other store ──COPY──▶ memory ──COPY──▶ temporary table of each asking session ◀── the question

What the sweep copies and holds for its own verdicts is not asked. Nothing that is brought stands in the question's
text, which the validation shows, and all of it is gone with the sessions. What is counted was true seconds ago: a
customer who comes back meanwhile is counted as one who did not, and by the next check no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier

from lethe.checks.questions import READING, Question, brought
from lethe.checks.sight import Seen
from lethe.errors import ConfigError, SchemaMismatch, StoreError, StoreUnreachable
from lethe.model import Dataset, Policy
from lethe.stores.postgres.connection import tell

MAY = "SELECT has_database_privilege(current_database(), 'TEMPORARY')"
_OTHERS = {"USER-DEFINED": "text", "ARRAY": "text", "character": "bpchar", "bit": "varbit"}
"""Types that another database may not know, and those that would be cut to one character."""
_SURELY_TEXT = {"text", "character varying", "smallint", "integer", "bigint", "uuid"}
"""Types whose text no setting changes: what the index of a relation by text asks for."""


@dataclass(frozen=True)
class _Rows:
    """Columns of a dataset with their types, and its rows as COPY wrote them."""

    dataset: Dataset
    columns: Mapping[str, str]
    data: tuple[bytes, ...]


class Elsewhere:
    """What one store's questions read of the others; what cannot be read is the error of who reads it."""

    def __init__(self, policy: Policy, store: str, here: Seen, address: Callable[[str], str], *, may: bool) -> None:
        """`here` is what the asking sessions see in the store itself, and `may` whether they may have such tables.

        `address` gives the libpq connection string of a store by its name.
        """
        self._policy, self._store, self._here, self._address, self._may = policy, store, here, address, may
        self._seen = dict[str, Seen | StoreError]()
        self._brought = dict[str, _Rows]()

    def type_of(self, dataset: Dataset, column: str) -> str:
        """The type of a column, here or elsewhere; StoreError where it cannot be told."""
        if dataset.store == self._store:
            return self._here.type_of(dataset, column)
        try:
            return self._seen_in(dataset.store).type_of(dataset, column)
        except SchemaMismatch as error:
            raise SchemaMismatch((f"store {dataset.store} (read for {self._store}): {error}",)) from None

    def bring(self, question: Question) -> None:
        """Read what a question needs of other stores, unless another one brought it; StoreError."""
        for name, columns in question.reads().items():
            dataset, known = self._policy.datasets[name], self._brought.get(name)
            wanted = columns | (known.columns.keys() if known else frozenset())
            if known is None or wanted != known.columns.keys():
                types = {each: self.type_of(dataset, each) for each in sorted(wanted)}
                self._brought[name] = self._read(dataset, types)

    def lay(self, conn: psycopg.Connection[Any], question: Question) -> None:
        """Put what a question reads of other stores into a session; psycopg.Error."""
        for name in question.reads():
            self._lay(conn, name)

    def lay_all(self, conn: psycopg.Connection[Any], questions: list[Question]) -> dict[str, str]:
        """As lay() for many; the rules whose questions cannot be asked in this session, and why."""
        failed = dict[str, str]()
        for name in sorted({name for question in questions for name in question.reads()}):
            try:
                self._lay(conn, name)
            except psycopg.Error as error:
                why = str(tell(self._store, error))
                failed |= {question.rule.name: why for question in questions if name in question.reads()}
        return failed

    def _lay(self, conn: psycopg.Connection[Any], name: str) -> None:
        _put(conn, self._brought[name], self._indexes(self._brought[name]))

    def _read(self, dataset: Dataset, columns: dict[str, str]) -> _Rows:
        if not self._may:
            problem = "may make no temporary tables; the store's owner runs what `lethe store grants` prints"
            raise SchemaMismatch((f"store {self._store}: this user {problem}",))
        select = SQL("COPY (SELECT {} FROM {}) TO STDOUT (ENCODING 'UTF8')").format(
            SQL(", ").join(map(Identifier, columns)), Identifier(dataset.schema, dataset.table)
        )
        with self._asking(dataset.store) as there, there.cursor().copy(select) as source:
            return _Rows(dataset, columns, tuple(map(bytes, source)))

    def _seen_in(self, store: str) -> Seen:
        """What our user may read there; asked once, for a server that is down keeps each one waiting."""
        if store not in self._seen:
            try:
                with self._asking(store) as there:
                    self._seen[store] = Seen.by(there)
            except StoreError as error:
                self._seen[store] = error
        found = self._seen[store]
        if isinstance(found, StoreError):
            raise found
        return found

    @contextmanager
    def _asking(self, store: str) -> Iterator[psycopg.Connection[Any]]:
        """A session in another store that reads, whose errors are told as its own."""
        name = f"{store} (read for {self._store})"
        try:
            address = self._address(store)
        except ConfigError as error:
            raise StoreUnreachable(f"store {name}: {error}") from None
        try:
            with closing(psycopg.connect(address, autocommit=True, connect_timeout=10, options=READING)) as there:
                yield there
        except psycopg.Error as error:
            problem = tell(name, error)
        else:
            return
        raise problem

    def _indexes(self, rows: _Rows) -> Iterator[Composable]:
        """What relations find rows of the dataset by: without it each row that is asked about reads all of them."""
        relations = {
            (tuple(above for _, above in each.columns), each.as_text)
            for dataset in self._policy.datasets.values()
            for each in dataset.relations.values()
            if each.to == rows.dataset.name
        }
        for columns, as_text in sorted(relations):
            if set(columns) <= rows.columns.keys():
                kinds = {rows.columns[each] for each in columns}
                if not as_text or kinds <= _SURELY_TEXT:
                    cast = SQL("({}::text)" if as_text else "{}")
                    yield SQL(", ").join(cast.format(Identifier(each)) for each in columns)


def _put(conn: psycopg.Connection[Any], rows: _Rows, indexes: Iterator[Composable]) -> None:
    """Make a temporary table of the rows: all that a session that only reads writes, in a transaction of its own."""
    table = brought(rows.dataset)
    declared = [SQL("{} {}").format(Identifier(name), SQL(_OTHERS.get(t, t))) for name, t in rows.columns.items()]
    with conn.transaction():
        conn.execute("SET TRANSACTION READ WRITE")
        conn.execute(SQL("DROP TABLE IF EXISTS {}").format(table))
        conn.execute(SQL("CREATE TEMPORARY TABLE {} ({})").format(table, SQL(", ").join(declared)))
        for index in indexes:
            conn.execute(SQL("CREATE INDEX ON {} ({})").format(table, index))
        with conn.cursor().copy(SQL("COPY {} FROM STDIN (ENCODING 'UTF8')").format(table)) as target:
            for data in rows.data:
                target.write(data)
        conn.execute(SQL("ANALYZE {}").format(table))
