"""Does a rule's question see what it should? Asked of rows that are put in, and taken back before anybody sees them.

    a copy of a row, its period over ─▶ remains
    a copy of it, on hold            ─▶ held
    a copy of it, from today         ─▶ not over

This proves that the question tells rows apart, in this table, today. It proves nothing of the sweep,
which never sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier
from psycopg.sql import Literal as Value

from lethe.checks.questions import Counts, Question
from lethe.checks.rows import NUMBERS, WRITING, NotPut, columns_of, new_key
from lethe.stores.postgres.connection import tell

_LONG = timedelta(days=400)
"""More than any rounding of a date: a fiscal year and a month."""


class Tried(NamedTuple):
    """Whether the question saw the rows as what they were; else, or where that could not be tried, why."""

    state: Literal["seen", "missed", "untried"]
    why: str = ""


Lay = Callable[[psycopg.Connection[Any], Question], None]
"""Puts what a question reads of other stores into a session."""


def trial(conninfo: str, store: str, questions: list[Question], lay: Lay) -> Iterator[tuple[str, Tried]]:
    """Each question's rule with what became of it. All is rolled back, and nobody else ever sees it."""
    try:
        conn = psycopg.connect(conninfo, connect_timeout=10, options=WRITING)
    except psycopg.Error as error:
        yield from ((question.rule.name, Tried("untried", str(tell(store, error)))) for question in questions)
        return
    with closing(conn):  # and not `with conn`, which would commit
        for question in questions:
            yield question.rule.name, _tried(conn, store, question, lay)


def _tried(conn: psycopg.Connection[Any], store: str, question: Question, lay: Lay) -> Tried:
    try:
        lay(conn, question)
        return _Trial(conn, question).outcome()
    except NotPut as reason:
        return Tried("untried", str(reason))
    except psycopg.Error as error:
        return Tried("untried", str(tell(store, error, question.rule.name)))
    finally:
        with suppress(psycopg.Error):  # a connection that was lost has rolled back
            conn.rollback()


@dataclass(frozen=True)
class _Trial:
    """One rule's trial, in the transaction that is open and will be rolled back."""

    conn: psycopg.Connection[Any]
    question: Question

    def outcome(self) -> Tried:
        columns = self._columns()
        template, over = self._template(columns)
        if template is None:
            if over:
                raise NotPut("something else keeps each of the rows that were copied")
            return Tried("missed", "a row whose period is over is not seen as such")
        held = self._put(columns, template, self._past())
        self.conn.execute(
            "INSERT INTO lethe.hold (dataset, key, kind, hold) VALUES (%s, %s, 'held', 'trial')",
            (self.question.rule.dataset.name, held),
        )
        counts = self._ask(held)
        if counts.remaining or not counts.kept["held"]:
            return Tried("missed", "a row on hold is not seen as such")
        if self._ask(self._put(columns, template, self.question.today)).over:
            return Tried("missed", "a row from today counts as over its period")
        return Tried("seen")

    def _columns(self) -> list[str]:
        rule, dataset = self.question.rule, self.question.rule.dataset
        if rule.clock.at.path:
            raise NotPut("its clock stands in another table")
        if len(dataset.key) > 1:
            raise NotPut("its key has several columns")
        return columns_of(self.conn, dataset)

    def _template(self, columns: list[str]) -> tuple[str | None, int]:
        """The key of a row whose copy remains when its period is over; and how many copies were seen as over."""
        table, (key,) = self._table, self.question.rule.dataset.key
        keys = self.conn.execute(
            SQL(
                "(SELECT {key}::text FROM {table} ORDER BY {key} DESC LIMIT 4)"
                " UNION (SELECT {key}::text FROM {table} LIMIT 4)"
            ).format(key=Identifier(key), table=table)
        ).fetchall()
        if not keys:
            raise NotPut("the table is empty")
        over = 0
        for (each,) in keys:
            counts = self._ask(self._put(columns, each, self._past()))
            if counts.remaining:
                return each, over
            over += counts.over
        return None, over

    @property
    def _table(self) -> Identifier:
        return Identifier(self.question.rule.dataset.schema, self.question.rule.dataset.table)

    def _past(self) -> date:
        """A day whose period is over by far, whatever is rounded."""
        question = self.question
        days = (_LONG + timedelta(days=question.grace)).days
        asked = SQL("SELECT ({}::date - {}::interval)::date - {}::int").format(
            Value(question.today), Value(str(question.rule.keep)), Value(days)
        )
        found = self.conn.execute(asked).fetchone()
        assert found is not None
        return found[0]  # type: ignore[no-any-return]

    def _put(self, columns: list[str], template: str, day: date) -> str:
        """Copy a row under a new key, with its clock at a day; the new key."""
        dataset, type_of = self.question.rule.dataset, self.question.type_of
        (key,), clock = dataset.key, self.question.rule.clock.at.column
        kinds = {name: type_of(dataset, name) for name in (key, clock)}
        new = self._new_key(key, kinds[key])
        values = {
            clock: SQL("{}::{}").format(Value(day.isoformat()), SQL(kinds[clock])),
            key: SQL("{}::{}").format(Value(new), SQL(kinds[key])),
        }
        self.conn.execute(
            SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} WHERE {} = {}::{}").format(
                self._table,
                SQL(", ").join(map(Identifier, columns)),
                SQL(", ").join(values.get(name, Identifier(name)) for name in columns),
                self._table,
                Identifier(key),
                Value(template),
                SQL(kinds[key]),
            )
        )
        return new

    def _new_key(self, key: str, kind: str) -> str:
        if kind not in NUMBERS:
            return new_key(kind)
        # below zero, where no sequence counts: an application that inserted the same key would wait for us
        asked = SQL("SELECT least(min({}), 0) - 1 FROM {}").format(Identifier(key), self._table)
        found = self.conn.execute(asked).fetchone()
        assert found is not None
        return str(found[0])

    def _ask(self, key: str) -> Counts:
        row = self.conn.execute(replace(self.question, only=key).sql()).fetchone()
        assert row is not None
        return Question.answered(row)
