"""Documents that rows name, on their way out with the rows: what is intended is committed before the first one goes.

    intend()     a transaction of its own: what the rows that are due name, and whether it is there → intent leaf
    carry_out()  inside the batch, after its deed and before its commit: the documents go, and are looked for again
    withdraw()   at the end of a plan: what was intended and is not due any more

Killed in between, the row is still there: the next run finds the intent, and in it why a document is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from psycopg.sql import SQL, Composable, Identifier

from lethe.documents import Folder, same_document
from lethe.errors import StoreRefused
from lethe.evidence.leaf import intent_leaf, outcome_leaf
from lethe.model import Dataset, Kin
from lethe.reach import documents_of, naming
from lethe.sql import queries
from lethe.stores.postgres import outbox
from lethe.stores.postgres.outbox import Conn
from lethe.stores.postgres.predicate import Predicate, key_text, link, table_name
from lethe.stores.postgres.statement import Range, within

if TYPE_CHECKING:
    from lethe.stores.postgres.apply import Work

_SQL = queries("batch")

Folders = Mapping[str, Folder]
"""The folders and buckets of the policy, by name."""
Outcome = dict[str, Counter[str]]
"""How many documents, by folder and by what became of them, as the evidence calls it."""


@dataclass(frozen=True)
class Named:
    """A document, and the field that names it."""

    dataset: str
    key: str = field(repr=False)
    column: str
    folder: str
    path: str = field(repr=False)

    def at(self) -> dict[str, str]:
        """The field, as queries want it."""
        return {"dataset": self.dataset, "key": self.key, "field": self.column}


@dataclass(frozen=True)
class Found:
    """The rows that are due and those that go along, by dataset that names documents, and what they name."""

    rows: Mapping[str, int]
    documents: tuple[Named, ...]


def find(conn: Conn, predicate: Predicate, where: Range) -> Found:
    """What the rows of a range that are due name; each field once, whatever ways lead to its row."""
    keys, documents = dict[str, set[str]](), dict[tuple[str, str, str], Named]()
    columns = list(documents_of(predicate.question.rule))
    for dataset, rows in _rows(predicate, where):
        for column in (column for of, column in columns if of.name == dataset.name):
            query = SQL("SELECT {}, r.{} FROM ({}) AS r").format(key_text(dataset, "r"), Identifier(column), rows)
            for key, path in conn.execute(query):
                keys.setdefault(dataset.name, set()).add(key)
                if path is not None:
                    named = Named(dataset.name, key, column, dataset.documents[column].store, path)
                    documents[dataset.name, key, column] = named
    return Found({name: len(found) for name, found in keys.items()}, tuple(documents.values()))


def _rows(predicate: Predicate, where: Range) -> Iterator[tuple[Dataset, Composable]]:
    """The rows that are due, and those that go along with them."""
    rule = predicate.question.rule
    due = SQL("SELECT t.* FROM ONLY {} AS t{} WHERE {} AND {}").format(
        where.relation, predicate.scope.joined(), within(predicate, where), predicate.due
    )
    yield rule.dataset, due
    yield from _along(due, rule.followers)


def _along(below: Composable, followers: Iterable[Kin]) -> Iterator[tuple[Dataset, Composable]]:
    for kin in followers:
        rows = SQL("SELECT k.* FROM {} AS k WHERE EXISTS (SELECT FROM ({}) AS p WHERE {})").format(
            table_name(kin.dataset), below, link(kin.relation, "k", "p")
        )
        yield kin.dataset, rows
        yield from _along(rows, kin.kin)


def intend(conn: Conn, work: Work, found: Found, shard: int) -> None:
    """Write down what is about to go, unless it is written down already; StoreRefused when something is not there."""
    known = _intents(conn, found.documents)
    new = [each for each in found.documents if known.get(each) is None]
    if not new:
        return
    for name, documents in _by_folder(new).items():
        missing = work.folders[name].missing(each.path for each in documents)
        _refuse_missing(work, name, [each for each in documents if each.path in missing])
        for each in documents:
            there = {"folder": name, "path": each.path, "found": each.path not in missing}
            conn.execute(_SQL["intend_document"], {**each.at(), **there})
    place = outbox.take_place(conn)
    counts = Counter(each.folder for each in new)
    leaf = intent_leaf(work.plan, work.rule, place, work.run, shard=shard, documents=counts)
    outbox.write(conn, place, f"{work.plan.digest}/{shard}/intent/{uuid4().hex}", leaf)


def _intents(conn: Conn, documents: Iterable[Named]) -> dict[Named, bool]:
    """The documents that are written down as these fields name them, and whether they were there then."""
    by_field = {(each.dataset, each.key, each.column): each for each in documents}
    names = [list(part) for part in zip(*by_field, strict=True)] or [[], [], []]
    params = dict(zip(("datasets", "keys", "fields"), names, strict=True))
    rows = conn.execute(_SQL["document_intents"], params).fetchall()
    return {by_field[*at]: there for *at, path, there in rows if by_field[*at].path == path}


def _by_folder(documents: Iterable[Named]) -> dict[str, list[Named]]:
    found: dict[str, list[Named]] = {}
    for each in documents:
        found.setdefault(each.folder, []).append(each)
    return found


def _refuse_missing(work: Work, folder: str, missing: list[Named]) -> None:
    datasets = work.question.agreed.policy.datasets
    for name, number in Counter(each.dataset for each in missing).items():
        if any(datasets[name].documents[each.column].missing == "refuse" for each in missing if each.dataset == name):
            raise StoreRefused(
                f"{work.where}: found {number} rows of {name} whose documents are not in {folder}, expected them "
                "there: is it the right folder? If they are known to be gone, declare it: documents: {column: {in: "
                f"{folder}, missing: accept}}}}"
            )


def all_intended(conn: Conn, found: Found) -> bool:
    """Whether all of it is written down and committed; locked until the end of the transaction."""
    return len(_intents(conn, found.documents)) == len(found.documents)


def carry_out(conn: Conn, work: Work, found: Found) -> Outcome:
    """Delete the documents of rows that the open transaction has changed or deleted, and settle their intents.

    A document that another row names still is left to that row.
    """
    known, outcome = _intents(conn, found.documents), Outcome()
    for name, documents in _by_folder(found.documents).items():
        shared = _named_still(conn, work, name, documents)
        going = [each for each in documents if each.path not in shared]
        work.folders[name].remove([each.path for each in going])
        fates = ("shared" if each.path in shared else "deleted" if known[each] else "missing" for each in documents)
        outcome[name] = Counter(fates)
        conn.cursor().executemany(_SQL["settle_document"], [each.at() for each in documents])
    return outcome


def _named_still(conn: Conn, work: Work, folder: str, documents: list[Named]) -> set[str]:
    """The paths that rows name which stay."""
    ways = {way: each.path for each in documents for way in same_document(each.path)}
    found = set[str]()
    for dataset, column in naming(work.question.agreed.policy, work.rule):
        if dataset.documents[column].store == folder:
            query = SQL("SELECT DISTINCT {0} FROM {1} WHERE {0} = ANY (%(paths)s)").format(
                Identifier(column), table_name(dataset)
            )
            plain = {each.removeprefix("/") for (each,) in conn.execute(query, {"paths": list(ways)})}
            found |= {path for path in ways.values() if path.removeprefix("/") in plain}
    return found


def tell(conn: Conn, work: Work, shard: int, batch: int, outcome: Outcome) -> None:
    """The evidence of what became of documents, in the transaction that settles them."""
    if any(outcome.values()):
        place = outbox.take_place(conn)
        leaf = outcome_leaf(work.plan, work.rule, place, work.run, shard=shard, batch=batch, outcome=outcome)
        outbox.write(conn, place, f"{work.plan.digest}/{shard}/{batch}/documents", leaf)


def withdraw(conn: Conn, work: Work) -> Outcome:
    """Settle what was intended and is not due any more, its document untouched.

    Where the document is gone and its row is not, the intent stays: it is why that document is missing.
    """
    outcome = Outcome()
    for dataset, column in documents_of(work.rule):
        folder, here = dataset.documents[column].store, {"dataset": dataset.name, "field": column}
        left = conn.execute(_SQL["open_documents"], here).fetchall()
        names = _names(conn, dataset, column, [key for key, *_ in left])
        paths = [path for key, path, found in left if found and names.get(key) == path]
        gone = work.folders[folder].missing(paths) if paths else set()
        over = [key for key, path, _ in left if not (names.get(key) == path and path in gone)]
        conn.cursor().executemany(_SQL["settle_document"], [{**here, "key": key} for key in over])
        outcome.setdefault(folder, Counter())["withdrawn"] += len(over)
    return {folder: +counts for folder, counts in outcome.items()}


def _names(conn: Conn, dataset: Dataset, column: str, keys: list[str]) -> dict[str, str]:
    query = SQL("SELECT {0}, t.{1} FROM {2} AS t WHERE {0} = ANY (%(keys)s)").format(
        key_text(dataset, "t"), Identifier(column), table_name(dataset)
    )
    return dict(conn.execute(query, {"keys": keys}).fetchall()) if keys else {}
