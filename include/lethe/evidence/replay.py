"""After a restore: what the backup brought back is deleted again, under today's rules, and proven.

What came back is read from the log: the batches that it has and the database, by its own outbox, does not. A rule that
took them is planned as of now, never ahead of time, and goes its usual way; the evidence is a batch in the new epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Literal

from lethe.deadlines import Period, last_day
from lethe.errors import Behind, ConfigError, LetheError
from lethe.evidence.again import Erased, ReplayList
from lethe.evidence.guard import require_current
from lethe.evidence.outside import Head
from lethe.evidence.restore import missing
from lethe.evidence.seal import Sealing
from lethe.model import Reason, Receipt
from lethe.run import Lethe
from lethe.stores.postgres.connection import Connection
from lethe.stores.postgres.receipts import Receipts


@dataclass(frozen=True)
class Again:
    """What one rule had done, with one meaning, that the database no longer tells of: `rows` may be back.

    `days` are those of its plans. `why` is set when the rule is not to be guessed: a person decides.
    """

    rule: str
    rows: int
    batches: int
    days: tuple[date, ...]
    why: str | None = None


@dataclass(frozen=True)
class Replayed:
    """What became of one rule: done, left (rows are still there), failed, person, or why its plan may not go (Gate).

    `rows` and `reach` are what was done under the plan, `remaining` what is due and still there; None if nobody asked.
    """

    rule: str
    state: Literal["done", "left", "failed", "person", "waiting", "rejected", "superseded", "nothing", "stopped"]
    came_back: int
    plan: str | None = None
    rows: int = 0
    reach: int = 0
    remaining: int | None = None
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundAgain:
    """How many of a rule's erased records are in the store again, by verdict; `listed` is how many were erased.

    Those due are taken by the rule's next plan. Those kept are not due by their data: a person decides.
    """

    rule: str
    listed: int
    due: int = 0
    held: int = 0
    kept: int = 0
    why: str | None = None


def to_replay(lethe: Lethe, sealing: Sealing, store: str) -> list[Again]:
    """What may be back in a store whose restore was declared, in the policy's order of rules; changes nothing.

    Behind when a restore is not declared yet, of the store or of the log.
    """
    if store not in lethe.policy.stores:
        raise ConfigError(f'found no store "{store}", expected one of: {", ".join(lethe.policy.stores)}')
    outbox = lethe.outbox(store)
    if missing(sealing, outbox) is not None:
        raise Behind(f"{store}: found less evidence than was published: first declare it, `lethe restore {store}`")
    # Held against the outbox, not against the number in a leaf on the restore: a backup may be from before another one.
    lost = sealing.log.leaves_of(outbox.position().store, "batch", outbox.held())
    plans = sealing.log.leaves_of(lethe.state.outbox.position().store, "plan", {}) if lost else []
    planned = {leaf["plan"]: leaf for leaf in plans}
    found = dict[tuple[str, str | None], list[tuple[int, str]]]()
    for leaf in lost:
        plan = planned.get(leaf["plan"], {})
        key = leaf["rule"], plan.get("rule_digest")
        found.setdefault(key, []).append((leaf["rows"], plan.get("today", leaf["at"][:10])))
    order = {name: number for number, name in enumerate(lethe.policy.rules)}
    names = sorted(found, key=lambda key: (order.get(key[0], len(order)), key[0], key[1] or ""))
    return [_again(lethe, name, digest, found[name, digest]) for name, digest in names]


def _again(lethe: Lethe, name: str, digest: str | None, batches: list[tuple[int, str]]) -> Again:
    rule, why = lethe.policy.rules.get(name), None
    if rule is None:
        why = "the rule is no longer in the policy"
    elif digest is None:
        why = "the plan that it was done under is not in the log"
    elif digest != rule.digest:
        why = "the rule means something else now than when this was done"
    days = sorted({date.fromisoformat(day) for _, day in batches})
    return Again(name, sum(rows for rows, _ in batches), len(batches), tuple(days), why)


def replay(
    lethe: Lethe,
    sealing: Sealing,
    store: str,
    now: datetime,
    run: str,
    progress: Callable[[Receipt], None] | None = None,
) -> list[Replayed]:
    """Plan each rule concerned as of now, and carry the plan out if it may go; called again, it does what is left.

    A rule that fails is told, and the others go on.
    """
    return [_replay(lethe, each, now, run, progress) for each in to_replay(lethe, sealing, store)]


def _replay(lethe: Lethe, each: Again, now: datetime, run: str, progress: Callable[[Receipt], None] | None) -> Replayed:
    if each.why is not None:
        return Replayed(each.rule, "person", each.rows, why=(each.why,))
    digest = None
    try:
        plan = lethe.plan(each.rule, now, run)
        digest, gate = plan.digest, lethe.gate(plan.digest)
        if gate.state != "go":
            left = lethe.remaining(each.rule, plan.today).rows
            return Replayed(each.rule, gate.state, each.rows, digest, remaining=left, why=gate.why)
        lethe.carry_out(digest, now, run, progress)
        done, remaining = lethe.done(digest), lethe.remaining(each.rule, plan.today)
    except LetheError as error:
        return Replayed(each.rule, "failed", each.rows, digest, why=(str(error),))
    state: Literal["done", "left"] = "done" if remaining.is_nothing else "left"
    return Replayed(each.rule, state, each.rows, digest, done.rows, done.reach, remaining.rows)


def list_erased(lethe: Lethe, sealing: Sealing, listed: Callable[[], ReplayList], today: date) -> int:
    """List outside whose records went since the last time, for each store with receipts and backups; how many batches.

    To be done before what tells of them is signed, so that a store cannot be put back to before it unseen. What no
    backup can hold any more is forgotten, and so are receipts that nobody can ask for any more. `listed` opens the
    lists, and is asked only when there is something to list. A store that fails is told when the others are done.
    """
    count, head, failed = 0, sealing.outside.head() or Head(), list[LetheError]()
    for name, store in lethe.policy.stores.items():
        try:
            require_current(head, lethe.outbox(name))
            count += _list(lethe, name, listed, store.backups, today)
        except LetheError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return count


def _list(lethe: Lethe, name: str, listed: Callable[[], ReplayList], backups: Period | None, today: date) -> int:
    count, store = 0, lethe.outbox(name).position().store
    with closing(Connection(name, lethe.address(name))) as connection:
        receipts = Receipts(connection)
        receipts.forget(today)
        if backups is None or not receipts.subjects_after(0, 0):
            return 0
        lists = listed()
        gone = receipts.subjects_after(*lists.last(store))
    for (epoch, seq, plan, rule), batch in groupby(gone, key=lambda each: each[:4]):
        keys = tuple(each.subject for each in batch)
        lists.add(Erased(store, epoch, seq, rule, plan, keys, last_day(today, backups)))
        lists.listed(store, (epoch, seq))
        count += 1
    lists.expire(today)
    return count


def found_again(lethe: Lethe, store: str, erased: Iterable[Erased], now: datetime) -> list[FoundAgain]:
    """Which of the records that were erased from a store (ReplayList.read) are in it again, as counts by rule."""
    keys = dict[str, set[str]]()
    for each in erased:
        keys.setdefault(each.rule, set()).update(each.keys)
    return [_judged(lethe, store, name, keys[name], now) for name in sorted(keys)]


def _judged(lethe: Lethe, name: str, rule_name: str, keys: set[str], now: datetime) -> FoundAgain:
    from lethe.stores.postgres.store import PostgresStore

    rule = lethe.policy.rules.get(rule_name)
    if rule is None or rule.dataset.store != name:
        return FoundAgain(rule_name, len(keys), why="the policy has no such rule for this store")
    store = lethe.store(rule)
    if not isinstance(store, PostgresStore):
        raise ConfigError(f"store {name}: records are looked up by their keys in PostgreSQL alone")
    confirmed = lethe.state.is_confirmed(rule)
    counts = store.verdicts(rule, lethe.today(now), sorted(keys), confirmed=confirmed)
    there = {reasons: rows for reasons, rows in counts.items() if Reason.DONE not in reasons}
    due, held = there.pop(Reason(0), 0), sum(rows for mask, rows in there.items() if mask & _HELD)
    return FoundAgain(rule_name, len(keys), due, held, sum(there.values()) - held)


_HELD = Reason.HELD | Reason.RESTRICTED
