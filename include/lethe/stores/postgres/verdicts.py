"""The verdicts on records that are named by their keys: counts by reasons, nothing of a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg
from psycopg.sql import SQL, Composable, Identifier

from lethe.model import Dataset, Reason
from lethe.stores.postgres.live import Table
from lethe.stores.postgres.predicate import Predicate, Question, plain, table_name


def verdicts(conn: psycopg.Connection, question: Question, keys: Sequence[str]) -> Mapping[Reason, int]:
    """How many records with these keys, in the form of key_text(), are there, by combination of reasons (0: due)."""
    predicate = Predicate(question)
    mask = SQL("SELECT {}, count(*) FROM {} AS t{} WHERE ").format(
        predicate.mask(), table_name(question.rule.dataset), predicate.scope.joined()
    )
    dataset = question.rule.dataset
    whole = SQL("{}{} GROUP BY 1").format(plain(mask), among_keys(dataset, question.agreed.table(dataset)))
    return {Reason(reasons): rows for reasons, rows in conn.execute(whole, {"keys": list(keys)}).fetchall()}


def among_keys(dataset: Dataset, table: Table) -> Composable:
    """The row's key is one of those in `keys`; cast to the columns' types, so that the key's index serves."""
    types = table.columns
    own = SQL(", ").join(SQL("t.{}").format(Identifier(name)) for name in dataset.key)
    if len(dataset.key) == 1:
        parts = [SQL("k::{}").format(SQL(types[dataset.key[0]].declared))]
    else:
        parts = [
            SQL("(k::jsonb ->> {})::{}").format(number, SQL(types[name].declared))
            for number, name in enumerate(dataset.key)
        ]
    given = SQL(", ").join(parts)
    return SQL("({}) IN (SELECT {} FROM unnest(%(keys)s::text[]) AS k)").format(own, given)
