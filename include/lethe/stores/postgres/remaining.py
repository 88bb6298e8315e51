"""What is still there although it was due: asked anew, by forward arithmetic (date + period < today).

The sweep compares clocks with a cutoff; this adds the period to each clock and lets PostgreSQL do the calendar.
"""

from __future__ import annotations

import psycopg
from psycopg.sql import SQL, Composable, Literal

from lethe.model import Reason, Remaining
from lethe.reach import documents_of
from lethe.stores.postgres.apply import SQL_BATCH, one
from lethe.stores.postgres.predicate import Predicate, Question, table_name


def remaining(conn: psycopg.Connection, question: Question) -> Remaining:
    """Count the rows whose last day is over and that nothing protects; name partitions whose fate is open."""
    predicate = Predicate(question)
    rule = question.rule
    query = SQL("SELECT count(*) FROM {} AS t{} WHERE {}").format(
        table_name(rule.dataset), predicate.scope.joined(), _is_over(predicate)
    )
    rows = one(conn, query)[0]
    detached = conn.execute(SQL_BATCH["unsettled"], {"dataset": rule.dataset.name}).fetchall()
    documents = sum(
        one(conn, SQL_BATCH["unsettled_documents"], {"dataset": dataset.name, "field": column})[0]
        for dataset, column in documents_of(rule)
    )
    return Remaining(rule.name, question.today, rows, tuple(name for (name,) in detached), documents)


def _is_over(predicate: Predicate) -> Composable:
    """The clock's last day lies before today, and none of the reasons that are not the clock's holds."""
    rule, question = predicate.question.rule, predicate.question
    tests: list[Composable] = [
        SQL("CASE WHEN isfinite({clock}) THEN ({day} + {period}::interval)::date < {today} ELSE false END").format(
            clock=predicate.clock,
            day=predicate.local_date(predicate.clock),
            period=Literal(str(rule.keep)),
            today=Literal(question.today),
        ),
        SQL("NOT {}").format(predicate.reasons[Reason.UNDATED]),
    ]
    tests += [
        SQL("NOT {}").format(test)
        for reason, test in predicate.reasons.items()
        if reason not in Reason.UNDATED | Reason.FUTURE | Reason.NOT_DUE
    ]
    return SQL(" AND ").join(tests)
