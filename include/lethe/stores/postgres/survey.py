"""What is due and why not: counts by reason in one pass, what goes along, and how the work is cut up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time
from itertools import pairwise
from math import ceil
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from lethe.deadlines import cutoff, next_day, start_of
from lethe.holds import whole_rule
from lethe.model import Delete, Kin, Reason, Shard, Survey, Way
from lethe.reach import changed_by, conditions_of, datasets_of, lost_holds
from lethe.stores.postgres.apply import one
from lethe.stores.postgres.live import Part
from lethe.stores.postgres.predicate import Predicate, Question, key_text, link, seen_from, table_name
from lethe.stores.postgres.statement import names_documents

INDEX_SHARE = 0.1
"""Below this share of due rows the clock's index finds them faster than reading the table in order."""
SHARD_ROWS = 250_000
MOST_SHARDS = 8

_MASKS = 2 * max(Reason)
"""More than any combination of reasons."""


def survey(conn: psycopg.Connection, question: Question, store_id: str, epoch: int) -> Survey:
    """Count the rule's rows by combination of reasons and cut the work into shards; reads only."""
    predicate = Predicate(question)
    by_part: dict[int, dict[Reason, int]] = {}
    counts: dict[Reason, int] = {}
    oldest, newest = None, None
    for key, rows, lowest, highest in conn.execute(_count(predicate)).fetchall():
        part, mask = divmod(key, _MASKS)
        reasons = Reason(mask)
        counts[reasons] = counts.get(reasons, 0) + rows
        by_part.setdefault(part, {})[reasons] = rows
        if not reasons:
            oldest = min(oldest or lowest, lowest)
            newest = max(newest or highest, highest)
    due = counts.get(Reason(0), 0)
    return Survey(
        counts=counts,
        oldest=oldest,
        newest=newest,
        reach=dict(_reach(conn, predicate)) if due else {},
        unseen=(*_unseen(conn, question), *_lost_holds(conn, question)),
        warnings=question.agreed.warnings,
        shards=tuple(_shards(conn, predicate, by_part)),
        fingerprint=question.agreed.fingerprint,
        store_id=store_id,
        epoch=epoch,
    )


def _count(predicate: Predicate) -> Composed:
    """One pass over the table, rows by part and mask: as one number, for grouping by two takes longer.

    Behind UNION ALL the planner expects few groups, as there are, and shares the pass between workers. From the clock's
    own statistics it would expect one for every row and read the table alone.
    """
    table = predicate.question.agreed.table(predicate.question.rule.dataset)
    key = predicate.mask()
    if table.partitioned:
        key = SQL("t.tableoid::bigint * {} + ({})").format(Literal(_MASKS), key)
    return SQL(
        "SELECT key, count(*), CASE WHEN {is_due} THEN {lowest} END, CASE WHEN {is_due} THEN {highest} END"
        " FROM (SELECT {key} AS key, {clock} AS clock FROM {table} AS t{joins}"
        " UNION ALL SELECT 0, NULL WHERE false) AS s GROUP BY key"
    ).format(
        is_due=SQL("key % {} = 0").format(Literal(_MASKS)),
        lowest=predicate.local_date(SQL("min(clock)")),
        highest=predicate.local_date(SQL("max(clock)")),
        key=key,
        clock=predicate.clock,
        table=table_name(predicate.question.rule.dataset),
        joins=predicate.scope.joined(),
    )


def _reach(conn: psycopg.Connection, predicate: Predicate) -> Iterator[tuple[str, int]]:
    """Rows of each follower that would go along, counted from the rows that are due."""
    due = SQL("SELECT t.* FROM {} AS t{} WHERE {}").format(
        table_name(predicate.question.rule.dataset), predicate.scope.joined(), predicate.due
    )
    pending: list[tuple[Composable, Kin]] = [(due, f) for f in predicate.question.rule.followers]
    ways: dict[str, list[Composable]] = {}
    while pending:
        parents, follower = pending.pop(0)
        follows = SQL("EXISTS (SELECT FROM ({}) AS p WHERE {})").format(parents, link(follower.relation, "f", "p"))
        ways.setdefault(follower.dataset.name, []).append(follows)
        rows = SQL("SELECT f.* FROM {} AS f WHERE {}").format(table_name(follower.dataset), follows)
        pending += [(rows, inner) for inner in follower.kin]
    for dataset in {each.name: each for each in changed_by(predicate.question.rule) if each.name in ways}.values():
        any_way = SQL(" OR ").join(ways[dataset.name])  # a row that several ways lead to goes once
        row = conn.execute(SQL("SELECT count(*) FROM {} AS f WHERE {}").format(table_name(dataset), any_way)).fetchone()
        assert row is not None
        yield dataset.name, row[0]


def _unseen(conn: psycopg.Connection, question: Question) -> Iterator[str]:
    """Values that a condition, hold, floor or relation names and that occur nowhere: a misspelling looks like this."""
    asked = set()
    for dataset, condition in conditions_of(question.agreed.policy, question.rule):
        owner = question.agreed.owner(dataset, condition.at)
        for value in condition.values:
            if (owner.name, condition.at.column, value) in asked:
                continue
            asked.add((owner.name, condition.at.column, value))
            query = SQL("SELECT EXISTS (SELECT FROM {} WHERE {}::text = {})").format(
                seen_from(question.rule.dataset.store, owner), Identifier(condition.at.column), Literal(value)
            )
            found = conn.execute(query).fetchone()
            if found is not None and not found[0]:
                yield f"{owner.schema}.{owner.table}.{condition.at.column} = {value}"


def _lost_holds(conn: psycopg.Connection, question: Question) -> Iterator[str]:
    """Holds that protect nothing, as counts: their key, or the name of their dataset, may have been mistyped."""
    policy = question.agreed.policy
    for name, dataset in {each.name: each for each in datasets_of(policy, question.rule)}.items():
        if name in question.holds.rows:
            query = SQL(
                "SELECT count(*) FROM lethe.hold AS h WHERE h.dataset = {} AND h.key <> '*' AND NOT EXISTS"
                " (SELECT FROM {} AS t WHERE {} = h.key)"
            ).format(Literal(name), seen_from(question.rule.dataset.store, dataset), key_text(dataset, "t"))
            yield from lost_holds(one(conn, query)[0], name)
    known = SQL("SELECT count(*) FROM lethe.hold WHERE dataset <> ALL ({})")
    names = [*policy.datasets, *map(whole_rule, policy.rules)]
    yield from lost_holds(one(conn, known.format(Literal(names)))[0])


def _shards(conn: psycopg.Connection, predicate: Predicate, by_part: dict[int, dict[Reason, int]]) -> Iterator[Shard]:
    table = predicate.question.agreed.table(predicate.question.rule.dataset)
    number = 0
    for part in table.parts:
        counts = by_part.get(part.oid if table.partitioned else 0, {})
        if not counts.get(Reason(0)):
            continue
        for shard in _cut(conn, predicate, part, counts):
            yield replace(shard, number=number)
            number += 1


def _cut(conn: psycopg.Connection, predicate: Predicate, part: Part, counts: dict[Reason, int]) -> Iterator[Shard]:
    """One part of the table by the way that suits it: as a whole, by the clock's index, or block by block."""
    relation, due, total = f"{part.schema}.{part.table}", counts[Reason(0)], sum(counts.values())
    pieces = min(MOST_SHARDS, ceil(due / SHARD_ROWS))
    rule, table = predicate.question.rule, predicate.question.agreed.table(predicate.question.rule.dataset)
    if due == total and _is_over(part, predicate) and isinstance(rule.action, Delete) and not table.inbound:
        yield Shard(0, Way.PARTITION, relation)
    elif not rule.clock.at.path and rule.clock.at.column in table.indexed and due < INDEX_SHARE * total:
        edges: list[str | None] = [None, *_days(conn, predicate, part, pieces), None]
        for start, end in pairwise(edges):
            yield Shard(0, Way.INDEX, relation, start, end)
    else:
        blocks: list[str | None] = [str(part.blocks * piece // pieces) for piece in range(pieces)]
        for start, end in zip(blocks, [*blocks[1:], None], strict=True):  # the last is open: rows move while we work
            yield Shard(0, Way.BLOCKS, relation, start, end)


def _is_over(part: Part, predicate: Predicate) -> bool:
    """Whether no row that is not due could still come into the partition: its range ends by the cutoff."""
    question, rule = predicate.question, predicate.question.rule
    if not part.droppable or part.ranged_by != rule.clock.at.column or rule.clock.at.path or part.upper is None:
        return False
    if rule.followers or rule.leaders or predicate.joins or rule.clock.unset or rule.receipts or names_documents(rule):
        return False  # a partition that is dropped whole does not say whose rows went with it
    day = next_day(cutoff(question.today, rule.keep))
    upper = datetime.fromisoformat(part.upper)
    end = start_of(day, question.agreed.policy.organisation.zone)
    if upper.tzinfo is None:
        is_date = question.agreed.type_of(rule.dataset, rule.clock.at) == "date"
        end = datetime.combine(day, time()) if is_date else end.astimezone(rule.clock.zone).replace(tzinfo=None)
    return upper <= end


def _days(conn: psycopg.Connection, predicate: Predicate, part: Part, pieces: int) -> Iterator[str]:
    """The local dates at which the due rows fall into equal pieces."""
    if pieces < 2:
        return
    query = SQL(
        "SELECT DISTINCT unnest(percentile_disc({}) WITHIN GROUP (ORDER BY {})) FROM ONLY {} AS t{} WHERE {} ORDER BY 1"
    ).format(
        Literal([piece / pieces for piece in range(1, pieces)]),
        predicate.local_date(predicate.clock),
        Identifier(part.schema, part.table),
        predicate.scope.joined(),
        predicate.due,
    )
    rows: list[tuple[Any, ...]] = conn.execute(query).fetchall()
    for (day,) in rows:
        assert isinstance(day, date)
        yield day.isoformat()
