"""A whole partition goes at once: intent, detach, look at every row again, then drop with its evidence or attach again.

DETACH CONCURRENTLY cannot run inside a transaction, so the way is cut into steps that each find out how far the last
run came. Until the intent is settled, verification counts the detached partition as remaining.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic, sleep
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from lethe.errors import BoundExceeded, Stale, StoreRefused
from lethe.model import Receipt, Rule, Shard, Way
from lethe.stores.postgres.apply import (
    BUSY_SECONDS,
    SQL_BATCH,
    Deed,
    Pace,
    Progress,
    Work,
    apply_range,
    one,
    open_batch,
    seal,
    take_shard,
    with_holds,
)
from lethe.stores.postgres.live import Part
from lethe.stores.postgres.predicate import Predicate
from lethe.stores.postgres.statement import add_up, grouped

LOCK_TIMEOUT = "5s"
"""How long a survey waits for a table that it puts a partition back to; PostgreSQL's lock_timeout."""

Names = tuple[str, str, str]
"""The table, its partition and the partition's bound, as the server wrote them down, quoted."""


def apply_partition(conn: psycopg.Connection, work: Work, shard: Shard, pace: Pace) -> Receipt | None:
    """Drop the shard's partition if every row of it is due; None when nothing of the shard is left.

    A partition that had to go back, since not all of it is due any more, is worked block by block.
    """
    started = monotonic()
    if not _intend(conn, work, shard):
        return None
    parent, partition, bound, settled = one(conn, SQL_BATCH["intent"], work.place(shard))
    if settled is None:
        with _alone_with(conn, work, partition):
            settled = one(conn, SQL_BATCH["intent"], work.place(shard))[3]
            if settled is None:  # else another run was quicker
                _detach(conn, parent, partition, work.lock_timeout)
                batch, rows, seq = _settle(conn, work, shard, (parent, partition, bound))
                return Receipt(work.plan.digest, shard.number, batch, rows, {}, monotonic() - started, seq)
    return None if settled == "dropped" else apply_range(conn, work, replace(shard, way=Way.BLOCKS), pace)


def put_back(conn: psycopg.Connection, work: Work) -> None:
    """Attach again what runs of other plans took off and left behind: nobody finishes those plans any more."""
    for names, place in _left_behind(conn, work.rule, besides=work.plan.digest):
        with _alone_with(conn, work, names[1]):
            if one(conn, SQL_BATCH["intent"], place)[3] is None:
                _attach(conn, names, place, work.lock_timeout)


def try_to_put_back(conn: psycopg.Connection, rule: Rule) -> Iterator[str]:
    """Attach again what stopped runs left behind and no run is busy with; a warning for each that cannot be."""
    for names, place in list(_left_behind(conn, rule)):
        parent, partition, bound = names
        if not one(conn, SQL_BATCH["try_detaching"], {"key": partition})[0]:
            continue
        try:
            if one(conn, SQL_BATCH["intent"], place)[3] is None:
                _attach(conn, names, place, LOCK_TIMEOUT)
        except psycopg.Error:
            if conn.closed:
                raise
            yield (
                f"partition {partition} was taken off its table by a run that was stopped, and nothing in it is judged "
                f"until its owner puts it back: ALTER TABLE {parent} ATTACH PARTITION {partition} {bound};"
            )
        finally:
            if not conn.closed:
                one(conn, SQL_BATCH["unlock_detaching"], {"key": partition})


def _left_behind(conn: psycopg.Connection, rule: Rule, besides: str = "") -> Iterator[tuple[Names, dict[str, Any]]]:
    """Partitions whose fate is open, and the keys of their intents; those of one plan left out."""
    left = conn.execute(SQL_BATCH["left_behind"], {"dataset": rule.dataset.name, "plan": besides}).fetchall()
    for epoch, plan, shard, *names in left:
        parent, partition, bound = names
        yield (parent, partition, bound), {"epoch": epoch, "plan": plan, "shard": shard}


@contextmanager
def _alone_with(conn: psycopg.Connection, work: Work, partition: str) -> Iterator[None]:
    """Wait until no other run is busy with the partition; a session's lock, for detaching has no transaction."""
    deadline = monotonic() + BUSY_SECONDS
    while not one(conn, SQL_BATCH["try_detaching"], {"key": partition})[0]:
        if monotonic() > deadline:
            raise StoreRefused(f"{work.where}: partition {partition} is held by another run; try again later")
        sleep(0.1)
    try:
        yield
    finally:
        if not conn.closed:
            one(conn, SQL_BATCH["unlock_detaching"], {"key": partition})


def _intend(conn: psycopg.Connection, work: Work, shard: Shard) -> bool:
    """Write down what is about to happen; False when it has happened."""
    part = next((p for p in work.question.agreed.table(work.rule.dataset).parts if _name(p) == shard.relation), None)
    with conn.transaction():
        open_batch(conn, work)
        if take_shard(conn, work, shard).finished:
            return False
        if part is None:  # taken off by an earlier run that was stopped; its intent tells the rest
            if conn.execute(SQL_BATCH["intent"], work.place(shard)).fetchone() is None:
                raise Stale(f"{work.where}: {shard.relation} is no longer a part of the table; plan again")
            return True
        assert part.parent is not None
        names = {
            "dataset": work.rule.dataset.name,
            "parent": Identifier(*part.parent).as_string(),
            "partition": Identifier(part.schema, part.table).as_string(),
            "bound": part.bound,
        }
        conn.execute(SQL_BATCH["intend"], {**work.place(shard), **names})
    return True


def _name(part: Part) -> str:
    return f"{part.schema}.{part.table}"


def _detach(conn: psycopg.Connection, parent: str, partition: str, lock_timeout: str) -> None:
    """Take the partition off its table, or finish an earlier attempt; nothing when it is off."""
    conn.execute(SQL("SET lock_timeout = {}").format(Literal(lock_timeout)))
    found = conn.execute(SQL_BATCH["attachment"], {"parent": parent, "partition": partition}).fetchone()
    if found is not None:
        word = SQL("FINALIZE" if found[0] else "CONCURRENTLY")
        conn.execute(SQL("ALTER TABLE {} DETACH PARTITION {} {}").format(_sql(parent), _sql(partition), word))


def _attach(conn: psycopg.Connection, names: Names, place: Mapping[str, Any], lock_timeout: str) -> None:
    """The partition is where it was, and its intent is settled."""
    parent, partition, bound = names
    conn.execute(SQL("SET lock_timeout = {}").format(Literal(lock_timeout)))
    found = conn.execute(SQL_BATCH["attachment"], {"parent": parent, "partition": partition}).fetchone()
    if found is not None and found[0]:
        _detach(conn, parent, partition, lock_timeout)
    with conn.transaction():
        if found is None or found[0]:
            conn.execute(SQL("ALTER TABLE {} ATTACH PARTITION {} {}").format(*map(_sql, (parent, partition, bound))))
        conn.execute(SQL_BATCH["settle"], {**place, "settled": "attached"})


def _settle(conn: psycopg.Connection, work: Work, shard: Shard, names: Names) -> tuple[int, int, int]:
    """Drop it, or let it go back, in one transaction with the evidence; batch, rows dropped, and seq."""
    try:
        with conn.transaction():
            open_batch(conn, work)
            before = take_shard(conn, work, shard)
            return before.batch + 1, *_drop_or_attach(conn, work, shard, before, names)
    except BoundExceeded:
        _attach(conn, names, work.place(shard), work.lock_timeout)
        raise


def _sql(name: LiteralString) -> Composable:
    """A name that the server wrote down itself, quoted already."""
    return SQL(name)


def _drop_or_attach(
    conn: psycopg.Connection, work: Work, shard: Shard, before: Progress, names: Names
) -> tuple[int, int]:
    """Every row due and none protected: drop. Else the partition goes back where it was. Rows dropped, and seq."""
    parent, partition, bound = names
    predicate = Predicate(with_holds(conn, work.question))
    conn.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(_sql(partition)))
    rows = one(conn, SQL("SELECT count(*) FROM ONLY {}").format(_sql(partition)))[0]
    if _keeps_any(conn, predicate, partition):
        conn.execute(SQL("ALTER TABLE {} ATTACH PARTITION {} {}").format(_sql(parent), _sql(partition), _sql(bound)))
        conn.execute(SQL_BATCH["settle"], {**work.place(shard), "settled": "attached"})
        seal(conn, work, shard, before, Deed(0, {}, None, finished=False))
        return 0, 0
    if work.rule.aggregate is not None:
        source = SQL("(SELECT {} FROM ONLY {} AS t)").format(grouped(predicate, work.rule.aggregate), _sql(partition))
        conn.execute(add_up(predicate, work.rule.aggregate, source))
    conn.execute(SQL("DROP TABLE {}").format(_sql(partition)))
    conn.execute(SQL_BATCH["settle"], {**work.place(shard), "settled": "dropped"})
    return rows, seal(conn, work, shard, before, Deed(rows, {}, None, finished=True))


def _keeps_any(conn: psycopg.Connection, predicate: Predicate, partition: str) -> bool:
    """Whether any row of the partition has a reason to stay; a test that cannot be answered is one.

    A detached partition keeps its bound as a check constraint, so the planner proves most answers without reading.
    Where holds are on rows of other stores it is left to batches, which read those again.
    """
    if predicate.reads_elsewhere:
        return True
    conn.execute("SET LOCAL constraint_exclusion = on")
    query = SQL("SELECT EXISTS (SELECT FROM ONLY {} AS t{} WHERE {})").format(
        _sql(partition), predicate.scope.joined(), predicate.kept
    )
    return bool(one(conn, query)[0])
