"""Texts of one batch on their way through Python: read once they are locked, written by the deed's own statement."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from lethe.model import ByPath, ColumnRef, Redact
from lethe.reach import changed_by
from lethe.sql import queries
from lethe.stores.postgres.predicate import Predicate, key_text, plain, table_name
from lethe.stores.postgres.statement import Range, rewritten_of, within

_SQL = queries("batch")


@dataclass(frozen=True, repr=False)
class Texts:
    """The places and keys of a batch's rows, and by column what their texts become; None where there is none."""

    places: list[str]
    keys: list[str]
    columns: dict[str, list[str | None]]

    def params(self) -> dict[str, Any]:
        """What the deed's statement is given."""
        return {"places": self.places, **{f"text_{n}": texts for n, texts in enumerate(self.columns.values())}}


def texts_of(predicate: Predicate, where: Range) -> Composed:
    """The query for the texts of the rows that are due, with what their data subjects are known by."""
    rule, columns = predicate.question.rule, [SQL("t.ctid::text").format()]
    columns.append(SQL("{}").format(key_text(rule.dataset, "t")))
    for name, change in rewritten_of(rule).items():
        columns.append(SQL("t.{}::text").format(Identifier(name)))
        columns += [SQL("{}::text").format(predicate.scope.column(ref)) for ref in change.references]
    return SQL("SELECT {} FROM ONLY {} AS t{} WHERE {} AND {}").format(
        SQL(", ").join(columns), where.relation, predicate.scope.joined(), within(predicate, where), predicate.due
    )


def redact_texts(conn: psycopg.Connection, predicate: Predicate, where: Range) -> Texts:
    """Read the texts of locked rows, and redact them; nothing is written."""
    changes = rewritten_of(predicate.question.rule)
    found = Texts([], [], {name: [] for name in changes})
    for place, key, *values in conn.execute(texts_of(predicate, where)):
        found.places.append(place)
        found.keys.append(key)
        following = iter(values)
        for name, change in changes.items():
            text, known = next(following), list(islice(following, len(change.references)))
            found.columns[name].append(None if text is None else _anew(text, change, known))
    return found


def _anew(text: str, change: Redact | ByPath, known: list[str | None]) -> str:
    from lethe.anonymise.texts import written_anew  # the numbering plans are loaded by who redacts

    values: dict[ColumnRef, str | None] = dict(zip(change.references, known, strict=True))
    return written_anew(text, change, values.get)


def mark(conn: psycopg.Connection, predicate: Predicate, texts: Texts) -> None:
    """Keep that these texts are redacted, in the transaction that wrote them."""
    dataset = predicate.question.rule.dataset
    declared = predicate.question.agreed.table(dataset).columns
    for name, column in texts.columns.items():
        done = [(key, text) for key, text in zip(texts.keys, column, strict=True) if text is not None]
        keys, left = [key for key, _ in done], [text for _, text in done]
        stored_as = SQL(declared[name].declared)  # JSON is not stored as it was given
        query = SQL(_SQL["mark_redacted"]).format(type=stored_as)
        conn.execute(query, {"dataset": dataset.name, "field": name, "keys": keys, "texts": left})


def forget(conn: psycopg.Connection, predicate: Predicate) -> None:
    """Let go of what is kept of texts whose rows are gone."""
    for dataset in changed_by(predicate.question.rule):
        query = SQL(
            "DELETE FROM lethe.redacted AS r WHERE r.dataset = %(dataset)s"
            " AND NOT EXISTS (SELECT FROM {} AS t WHERE {} = r.key)"
        ).format(table_name(dataset), plain(key_text(dataset, "t")))
        conn.execute(query, {"dataset": dataset.name})
