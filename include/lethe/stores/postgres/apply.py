"""One batch in one transaction: the deed, its progress and its evidence, all of them or none.

Every batch evaluates the whole predicate again, with the holds and floors of this moment; the range only locates rows.
A shard's next batch starts where its last committed one ended, so a run that was killed goes on without doing or
recording anything twice, and two runs at once take turns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from time import monotonic, sleep
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg.sql import SQL, Composed, Literal

from lethe.deadlines import last_day, local_date
from lethe.errors import BoundExceeded, Stale, StoreRefused
from lethe.evidence.leaf import batch_leaf
from lethe.evidence.receipts import commit_to, period_of
from lethe.model import NO_REASON, Plan, Reason, Receipt, Rule, Shard, Store, Way
from lethe.reach import changed_by
from lethe.sql import queries
from lethe.stores.postgres import documents, outbox, receipts
from lethe.stores.postgres.elsewhere import Elsewhere, Rows
from lethe.stores.postgres.live import read_inbound, read_triggers
from lethe.stores.postgres.predicate import Holds, Predicate, Question
from lethe.stores.postgres.redacting import forget, mark, redact_texts, texts_of
from lethe.stores.postgres.statement import (
    Range,
    candidates,
    deed,
    is_plain,
    locks,
    names_documents,
    range_of,
    rewritten_of,
    suppress,
    within,
)

SQL_BATCH = queries("batch")

HOLDS_LOCK = 0x4C455448
"""Advisory lock that a batch takes shared and the placing of a hold takes exclusively."""

BUSY_SECONDS = 300.0
TRIES = 5
"""How often a batch is begun anew because documents were added to its rows between its two transactions."""


@dataclass
class Pace:
    """Batch sizes that follow a target time; each worker finds its own."""

    seconds: float = 2.0
    size: dict[Way, int] = field(default_factory=lambda: {Way.BLOCKS: 2_000, Way.INDEX: 50_000})

    def learn(self, way: Way, seconds: float, *, is_full: bool = True) -> None:
        """Grow to at most double, shrink to no less than half, towards the target time.

        A batch that was not full says nothing of a larger one, however quick it was.
        """
        factor = min(2.0 if is_full else 1.0, max(0.5, self.seconds / max(seconds, 0.01)))
        self.size[way] = max(100, int(self.size[way] * factor))


class Progress(NamedTuple):
    """How far a shard has come: its last batch, where that ended, and whether nothing is left."""

    batch: int
    upto: str | None
    finished: bool


@dataclass(frozen=True)
class Work:
    """What all batches of one plan share; the timeouts are PostgreSQL settings."""

    plan: Plan
    question: Question
    store: Store
    run: str
    elsewhere: Elsewhere
    folders: documents.Folders = field(default_factory=dict)
    lock_timeout: str = "5s"
    statement_timeout: str = "5min"

    @property
    def rule(self) -> Rule:
        """The rule that is planned for."""
        return self.question.rule

    @property
    def where(self) -> str:
        """What an error names first."""
        return f"store {self.store.name}, rule {self.rule.name}"

    def place(self, shard: Shard) -> dict[str, Any]:
        """The key of the shard's rows in the schema `lethe`."""
        return {"epoch": self.plan.survey.epoch, "plan": self.plan.digest, "shard": shard.number}


@dataclass(frozen=True)
class Deed:
    """What a batch did, for its evidence and progress."""

    rows: int
    reach: Mapping[str, int]
    upto: str | None
    finished: bool
    suppressed: int = 0
    """Groups of the statistics that were too small to keep."""
    subjects: Sequence[str] = field(default=(), repr=False)
    """The keys of the rows, where the rule gives receipts."""


def one(
    conn: psycopg.Connection, query: LiteralString | SQL | Composed, params: Mapping[str, Any] | None = None
) -> Any:
    """The single row that a query returns."""
    row = conn.execute(query, params).fetchone()
    assert row is not None
    return row


def open_batch(conn: psycopg.Connection, work: Work) -> date:
    """Set the timeouts, take the holds' lock shared, and make sure that the store is the one that was planned for.

    Returns the day by the store's own clock.
    """
    one(conn, SQL_BATCH["timeouts"], {"lock": work.lock_timeout, "statement": work.statement_timeout})
    one(conn, SQL_BATCH["share_holds"], {"lock": HOLDS_LOCK})
    zone = work.question.agreed.policy.organisation.zone
    epoch, day = one(conn, SQL_BATCH["epoch"], {"zone": zone.key})
    today: date = day
    if epoch != work.plan.survey.epoch:
        raise Stale(f"{work.where}: found epoch {epoch}, planned for {work.plan.survey.epoch}; plan again")
    if work.plan.today > today:
        raise Stale(
            f"{work.where}: the plan is for {work.plan.today}, the store's clock says {today}; "
            "nothing is deleted ahead of time"
        )
    return today


def take_shard(conn: psycopg.Connection, work: Work, shard: Shard) -> Progress:
    """Wait for the shard's lock, held to the end of the transaction, and read how far it has come."""
    key = f"{work.plan.digest}/{shard.number}"
    deadline = monotonic() + BUSY_SECONDS
    while not one(conn, SQL_BATCH["try_shard"], {"key": key})[0]:
        if monotonic() > deadline:
            raise StoreRefused(f"{work.where}: shard {shard.number} is held by another run; try again later")
        sleep(0.1)
    found = conn.execute(SQL_BATCH["progress"], work.place(shard)).fetchone()
    return Progress(*found) if found else Progress(0, shard.start, False)


def with_holds(conn: psycopg.Connection, question: Question) -> Question:
    """The question with the holds in force now; to be asked under the holds' lock."""
    return replace(question, holds=read_holds(conn))


def read_holds(conn: psycopg.Connection) -> Holds:
    """Which kinds of hold the store's mirror knows."""
    kinds = {"held": Reason.HELD, "restricted": Reason.RESTRICTED}
    rows, whole = dict[str, Reason](), dict[str, Reason]()
    for dataset, kind, all_of_it in conn.execute(SQL_BATCH["held_kinds"]).fetchall():
        found = whole if all_of_it else rows
        found[dataset] = found.get(dataset, NO_REASON) | kinds[kind]
    return Holds(rows, whole)


def apply_range(conn: psycopg.Connection, work: Work, shard: Shard, pace: Pace) -> Receipt | None:
    """Do the shard's next batch by blocks or by index; None when nothing of it is left."""
    started = monotonic()
    for _ in range(TRIES):
        if names_documents(work.rule):
            with work.elsewhere.holding(), conn.transaction():
                if (batch := _next_batch(conn, work, shard, pace)) is not None:
                    documents.intend(conn, work, documents.find(conn, batch.predicate, batch.where), shard.number)
        done: tuple[Deed, int] | None = None
        with work.elsewhere.holding(), conn.transaction():
            batch = _next_batch(conn, work, shard, pace)
            if batch is None:
                return None
            done = _do(conn, work, shard, batch)
            work.elsewhere.require_held()
        if done is not None:  # else it was rolled back, to be begun anew
            found, seq = done
            seconds = monotonic() - started
            pace.learn(shard.way, seconds, is_full=not batch.last)
            number = batch.before.batch + 1
            return Receipt(work.plan.digest, shard.number, number, found.rows, found.reach, seconds, seq)
    raise Stale(f"{work.where}: documents were added or renamed all the while; plan again")


class Batch(NamedTuple):
    """The next batch of a shard: what is due in its range is locked, where more than one statement is needed."""

    before: Progress
    predicate: Predicate
    where: Range
    last: bool


def _next_batch(conn: psycopg.Connection, work: Work, shard: Shard, pace: Pace) -> Batch | None:
    """The shard's next batch, in the transaction that is open; None when nothing of the shard is left."""
    open_batch(conn, work)
    before = take_shard(conn, work, shard)
    if before.finished:
        return None
    predicate = Predicate(with_holds(conn, work.question))
    where, last = _next_range(conn, predicate, shard, before, pace)
    if not is_plain(predicate):
        where = replace(where, rows=tuple(one(conn, candidates(predicate, where))[0]))
        texts_of(predicate, where)  # names the joins by which texts know their data subject: they are locked too
        for lock in locks(predicate, where):
            if isinstance(lock, Rows):
                work.elsewhere.read_again(conn, lock)
            else:
                one(conn, lock)
    return Batch(before, predicate, where, last)


def _do(conn: psycopg.Connection, work: Work, shard: Shard, batch: Batch) -> tuple[Deed, int]:
    """The deed of a batch with its evidence, and the evidence's number; Rollback when it is to be tried again."""
    rule, predicate, where = work.rule, batch.predicate, batch.where
    named = documents.find(conn, predicate, where) if names_documents(rule) else None
    statement, names = deed(predicate, where)
    texts = redact_texts(conn, predicate, where) if rewritten_of(rule) else None
    done = conn.execute(statement, texts.params() if texts else None)
    rows, *others = (done.fetchone() or ()) if done.description else (done.rowcount,)
    subjects = others.pop() if rule.receipts else ()
    if texts:
        mark(conn, predicate, texts)
    _same_reach(conn, work)
    reach: Counter[str] = Counter()
    for name, count in zip(names, others, strict=True):  # a dataset that several ways lead to stands there as often
        reach[name] += count
    found = Deed(rows, +reach, where.end, finished=batch.last, subjects=subjects)
    outcome = _documents_too(conn, work, found, named) if named else {}
    seq = seal(conn, work, shard, batch.before, found)
    documents.tell(conn, work, shard.number, batch.before.batch + 1, outcome)
    return found, seq


def _documents_too(conn: psycopg.Connection, work: Work, found: Deed, named: documents.Found) -> documents.Outcome:
    """Let the documents go, when all of them were meant to and no bound stands in the way; else Rollback."""
    told = {work.rule.dataset.name: found.rows, **found.reach}
    same = all(told.get(name, 0) == rows for name, rows in named.rows.items())
    if not (same and documents.all_intended(conn, named)):
        raise psycopg.Rollback  # somebody added a row or a document meanwhile
    one(conn, SQL_BATCH["one_at_a_time"], {"plan": work.plan.digest})
    rows, reach, _ = one(conn, SQL_BATCH["so_far"], {"epoch": work.plan.survey.epoch, "plan": work.plan.digest})
    _keep_bounds(work, rows + found.rows, reach + sum(found.reach.values()))
    return documents.carry_out(conn, work, named)


def _same_reach(conn: psycopg.Connection, work: Work) -> None:
    """Stale, and the deed undone, when it could have set off what nobody looked at.

    Asked after the deed: its locks keep new foreign keys and triggers out until the commit.
    """
    for dataset in changed_by(work.rule):
        table = work.question.agreed.table(dataset)
        if (read_inbound(conn, table.oid), read_triggers(conn, table.oid)) != (table.inbound, table.triggers):
            raise Stale(f"{work.where}: {table.schema}.{table.name} got a foreign key or trigger meanwhile; plan again")


def _next_range(
    conn: psycopg.Connection, predicate: Predicate, shard: Shard, before: Progress, pace: Pace
) -> tuple[Range, bool]:
    """The next batch's range, and whether it is the shard's last."""
    size, start = pace.size[shard.way], before.upto
    if shard.way is Way.INDEX:
        end = _index_end(conn, predicate, range_of(shard, start, shard.end), size)
    else:
        stop = int(shard.end) if shard.end is not None else _blocks(conn, shard)
        end = str(int(start or 0) + size) if int(start or 0) + size < stop else None
    return range_of(shard, start, end or shard.end), end is None


def _blocks(conn: psycopg.Connection, shard: Shard) -> int:
    size = "SELECT pg_relation_size({}::regclass) / current_setting('block_size')::bigint"
    relation = SQL("{}").format(Literal(range_of(shard, None, None).relation.as_string()))
    return int(one(conn, SQL(size).format(relation))[0])


def _index_end(conn: psycopg.Connection, predicate: Predicate, where: Range, size: int) -> str | None:
    """Where about `size` rows of the range end, to the full second or day; None when fewer are left."""
    step = "{} + 1" if predicate.clock_type == "date" else "date_trunc('second', {}) + interval '1 second'"
    query = SQL("SELECT ({})::text FROM ONLY {} AS t WHERE {} AND {} ORDER BY {} OFFSET {} LIMIT 1").format(
        SQL(step).format(predicate.clock),
        where.relation,
        within(predicate, where),
        predicate.elapsed,
        predicate.clock,
        Literal(size),
    )
    row = conn.execute(query).fetchone()
    return None if row is None else str(row[0])


def seal(conn: psycopg.Connection, work: Work, shard: Shard, before: Progress, done: Deed) -> int:
    """Progress, bound and evidence, last before the commit; the sequence number, 0 when nothing was done.

    Raises BoundExceeded, and so undoes the batch, when the plan's rows or their reach pass what was approved.
    """
    reach, batch = sum(done.reach.values()), before.batch + 1
    progress = {"batch": batch, "upto": done.upto, "rows": done.rows, "reach": reach, "finished": done.finished}
    conn.execute(SQL_BATCH["save_progress"], {**work.place(shard), **progress})
    if not (done.rows or reach or done.suppressed):
        return 0
    committed, subjects = commit_to(work.plan.digest, done.subjects)
    place = outbox.take_place(conn)  # the lock that comes with it makes the sums below exact
    rows, follow, _ = one(conn, SQL_BATCH["so_far"], work.place(shard))
    _keep_bounds(work, rows, follow)
    organisation = work.question.agreed.policy.organisation
    today = local_date(place.at, organisation.zone)
    receipt = Receipt(work.plan.digest, shard.number, batch, done.rows, done.reach, 0.0, place.seq)
    leaf = batch_leaf(
        work.plan,
        work.rule,
        place,
        work.run,
        done=receipt,
        way=shard.way,
        suppressed=done.suppressed,
        backups_until=_backups_until(work, today),
        subjects=subjects if committed else None,
    )
    outbox.write(conn, place, f"{work.plan.digest}/{shard.number}/{batch}", leaf)
    if committed:
        receipts.keep(conn, place, receipt, work.rule, committed, last_day(today, period_of(organisation)))
    return place.seq


def _keep_bounds(work: Work, rows: int, reach: int) -> None:
    bounds = work.plan.bounds
    if rows > bounds.rows or reach > bounds.reach:
        raise BoundExceeded(
            f"{work.where}: found {rows} rows and {reach} that follow, approved are at most {bounds.rows} and "
            f"{bounds.reach}; the batch was undone; plan again"
        )


def _backups_until(work: Work, today: date) -> date | None:
    return last_day(today, work.store.backups) if work.store.backups else None


def finish(conn: psycopg.Connection, work: Work, shard: Shard) -> Receipt | None:
    """What comes after all shards: small groups of the statistics are taken out; None when that is done."""
    started = monotonic()
    with conn.transaction():
        today = open_batch(conn, work)
        before = take_shard(conn, work, shard)
        if before.finished:
            return None
        if work.rule.receipts:
            receipts.forget(conn, today)
        forget(conn, Predicate(work.question))
        documents.tell(conn, work, shard.number, 1, documents.withdraw(conn, work))
        groups = 0
        aggregate, found = work.rule.aggregate, work.plan.survey
        if aggregate is not None and found.oldest is not None and found.newest is not None:
            small = suppress(Predicate(work.question), aggregate, found.oldest, found.newest)
            groups = conn.execute(small).rowcount
        seq = seal(conn, work, shard, before, Deed(0, {}, None, finished=True, suppressed=groups))
    return Receipt(work.plan.digest, shard.number, 1, 0, {}, monotonic() - started, seq)
