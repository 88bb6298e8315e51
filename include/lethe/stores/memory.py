"""A store in memory: rows are dictionaries, and decide() itself judges each of them.

What the protocol means at its plainest; the conformance suite holds it and the real stores to the same sentences, and
simulations let years pass over it in seconds. It keeps no statistics and gives no receipts: rules that want either are
refused.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from threading import RLock
from types import TracebackType
from typing import Any, NamedTuple, Self

from lethe.anonymise.changes import as_text, changed
from lethe.anonymise.texts import document_anew, written_anew
from lethe.clock import now
from lethe.deadlines import Unbounded, is_due, last_day, local_date, next_day
from lethe.decide import decide, start_date
from lethe.errors import BoundExceeded, SchemaMismatch, Stale
from lethe.evidence.leaf import Place, batch_leaf, canonical
from lethe.model import (
    Anonymise,
    ByPath,
    Change,
    ColumnRef,
    Dataset,
    Dependent,
    Done,
    Kin,
    Plan,
    Policy,
    Reason,
    Receipt,
    Record,
    Redact,
    Relation,
    Remaining,
    Rule,
    Shard,
    Store,
    Survey,
    Way,
    WriteDown,
)
from lethe.reach import above_of, along, conditions_of, datasets_of, documents_of, lost_holds

Row = dict[str, Any]

_OF_CLOCK = Reason.UNDATED | Reason.FUTURE | Reason.NOT_DUE


class Progress(NamedTuple):
    """How far a shard has come: its last batch, what all of them did, and whether nothing is left."""

    batch: int = 0
    rows: int = 0
    reach: int = 0
    finished: bool = False


@dataclass
class Memory:
    """What every store opened over the same rows shares: the rows by dataset, the holds in force and the evidence.

    A hold is (dataset, key as text, HELD or RESTRICTED). `moment` is the store's own clock.
    """

    tables: dict[str, list[Row]]
    holds: set[tuple[str, str, Reason]] = field(default_factory=set)
    redacted: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    """What texts were left as when they were redacted, by dataset, key and column."""
    outbox: list[str] = field(default_factory=list)
    progress: dict[tuple[int, str, int], Progress] = field(default_factory=dict)
    moment: Callable[[], datetime] = now
    store_id: str = "00000000-0000-4000-8000-000000000000"
    epoch: int = 1
    lock: RLock = field(default_factory=RLock)


class MemoryStore:
    """Rows in memory under the rules of a policy; satisfies DataStore."""

    def __init__(self, store: Store, policy: Policy, memory: Memory, batch_rows: int = 1_000) -> None:
        self.store = store
        self.policy = policy
        self.memory = memory
        self.batch_rows = batch_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def check(self, rule: Rule) -> tuple[str, ...]:
        """SchemaMismatch when a dataset has no rows' place, a clock is no date, or the rule wants what is not kept."""
        problems = [
            f"dataset {dataset.name}: not found in memory"
            for dataset in datasets_of(self.policy, rule)
            if dataset.name not in self.memory.tables
        ]
        if rule.aggregate is not None:
            problems.append("aggregate: this kind of store keeps no statistics")
        if rule.receipts:
            problems.append("receipts: this kind of store gives none")
        if any(documents_of(rule)):
            problems.append("documents: this kind of store has none")
        if not problems:
            clocks = (row.values.get(str(rule.clock.at)) for _, row in View(self).records(rule))
            wrong = {type(value).__name__ for value in clocks if not isinstance(value, date | Unbounded | None)}
            problems += [f"clock {rule.clock.at}: found type {name}, expected date or timestamp" for name in wrong]
        if problems:
            raise SchemaMismatch(tuple(f"rule {rule.name}: {line}" for line in problems))
        return ()

    def survey(self, rule: Rule, today: date, *, confirmed: bool) -> Survey:
        """Count by reasons, one decision a row; changes nothing."""
        self.check(rule)
        view = View(self)
        found = list(view.decided(rule, today, confirmed=confirmed))
        due = [row for row, _, reasons in found if not reasons]
        zone = self.policy.organisation.zone
        starts = [start_date(rule.clock, record, zone) for _, record, reasons in found if not reasons]
        days = [start for start in starts if isinstance(start, date)]
        relation = f"{rule.dataset.schema}.{rule.dataset.table}"
        return Survey(
            counts=dict(Counter(reasons for _, _, reasons in found)),
            oldest=min(days, default=None),
            newest=max(days, default=None),
            reach={name: len(rows) for name, rows in view.along(rule, due).items()} if due else {},
            unseen=tuple(view.unseen(rule)),
            warnings=(),
            shards=(Shard(0, Way.BLOCKS, relation, "0"),) if due else (),
            fingerprint=self._fingerprint(rule),
            store_id=self.memory.store_id,
            epoch=self.memory.epoch,
        )

    def apply(self, plan: Plan, shard: Shard, *, run: str) -> Receipt | None:
        """Do the shard's next batch, all of it or nothing; None when nothing of the shard is left."""
        rule, memory = self.policy.rules[plan.rule], self.memory
        with memory.lock:
            self._still_planned(plan, rule)
            place = (plan.survey.epoch, plan.digest, shard.number)
            before = memory.progress.get(place, Progress())
            if before.finished:
                return None
            due: list[Row] = []
            if shard.way is not Way.FINISH:
                decided = View(self).decided(rule, plan.today, confirmed=True)
                due = [row for row, _, reasons in decided if not reasons]
            batch = due[: self.batch_rows]
            along = View(self).along(rule, batch)
            reach = {name: len(rows) for name, rows in along.items() if rows}
            self._keep_bounds(plan, len(batch), sum(reach.values()))
            self._change(rule, batch, along)
            memory.progress[place] = Progress(
                before.batch + 1, before.rows + len(batch), before.reach + sum(reach.values()), len(batch) == len(due)
            )
            done = Receipt(plan.digest, shard.number, before.batch + 1, len(batch), reach, 0.0, 0)
            return self._written(plan, rule, shard, run, done) if batch else done

    def done(self, plan: Plan) -> Done:
        """Sum up the plan's progress."""
        found = {shard: each for (*_, digest, shard), each in self.memory.progress.items() if digest == plan.digest}
        sums, finished = found.values(), any(each.finished for shard, each in found.items() if shard < 0)
        batches = sum(each.batch for shard, each in found.items() if shard >= 0)
        return Done(sum(s.rows for s in sums), sum(s.reach for s in sums), batches, finished)

    def remaining(self, rule: Rule, today: date, *, confirmed: bool) -> Remaining:
        """Count what is left by forward arithmetic: the last day of the period is over, and nothing protects."""
        zone, rows = self.policy.organisation.zone, 0
        for _, record, reasons in View(self).decided(rule, today, confirmed=confirmed):
            start = start_date(rule.clock, record, zone)
            over = isinstance(start, date) and is_due(start, rule.keep, today)
            rows += over and not reasons & ~_OF_CLOCK
        return Remaining(rule.name, today, rows)

    def _fingerprint(self, rule: Rule) -> str:
        shape = [[dataset.name, *dataset.key] for dataset in datasets_of(self.policy, rule)]
        return hashlib.sha256(json.dumps(shape).encode()).hexdigest()

    def _still_planned(self, plan: Plan, rule: Rule) -> None:
        found = (self.memory.store_id, self.memory.epoch, self._fingerprint(rule))
        if found != (plan.survey.store_id, plan.survey.epoch, plan.survey.fingerprint):
            raise Stale(f"rule {rule.name}: the store is not the one that was planned for; plan again")
        today = local_date(self.memory.moment(), self.policy.organisation.zone)
        if plan.today > next_day(today):
            raise Stale(f"rule {rule.name}: the plan is for {plan.today}, the store's clock says {today}")

    def _keep_bounds(self, plan: Plan, rows: int, reach: int) -> None:
        done = self.done(plan)
        rows, reach = done.rows + rows, done.reach + reach
        if rows > plan.bounds.rows or reach > plan.bounds.reach:
            raise BoundExceeded(
                f"rule {plan.rule}: found {rows} rows and {reach} that follow, approved are at most {plan.bounds.rows} "
                f"and {plan.bounds.reach}; the batch was not done; plan again"
            )

    def _change(self, rule: Rule, batch: list[Row], along: Mapping[str, list[Row]]) -> None:
        if isinstance(rule.action, Anonymise):
            for row, new in [(row, self._anonymised(rule, rule.action, row)) for row in batch]:
                row.update(new)
                for name in rule.action.rewritten:
                    self.memory.redacted[rule.dataset.name, key_text(rule.dataset, row), name] = row[name]
            return
        for name, rows in [(rule.dataset.name, batch), *along.items()]:
            gone = set(map(id, rows))
            self.memory.tables[name][:] = [row for row in self.memory.tables[name] if id(row) not in gone]

    def _anonymised(self, rule: Rule, action: Anonymise, row: Row) -> Row:
        values = Values(View(self), rule.dataset, row)

        def new(name: str, change: Change) -> Any:
            if isinstance(change, WriteDown):
                return values[str(change.of)] if row[name] is None else row[name]
            if isinstance(change, Redact | ByPath):
                return None if row[name] is None else _anew(row[name], change, values)
            return changed(row[name], change, self.policy.organisation.zone)

        return {name: new(name, change) for name, change in action.fields.items()}

    def _written(self, plan: Plan, rule: Rule, shard: Shard, run: str, done: Receipt) -> Receipt:
        """The receipt with the number of its evidence, which is now in the outbox."""
        memory = self.memory
        place = Place(memory.store_id, memory.epoch, len(memory.outbox) + 1, memory.moment())
        today, backups = local_date(place.at, self.policy.organisation.zone), self.store.backups
        until = last_day(today, backups) if backups else None
        leaf = batch_leaf(plan, rule, place, run, done=done, way=shard.way, suppressed=0, backups_until=until)
        memory.outbox.append(canonical(leaf))
        return replace(done, seq=place.seq)


class View:
    """The rows as they stand during one call, with what refers to what."""

    def __init__(self, store: MemoryStore) -> None:
        self.policy, self.memory = store.policy, store.memory
        self._indexes: dict[tuple[str, tuple[str, ...], bool], dict[tuple[object, ...], list[Row]]] = {}

    def decided(self, rule: Rule, today: date, *, confirmed: bool) -> Iterator[tuple[Row, Record, Reason]]:
        """Every row of the rule's dataset with decide()'s reasons."""
        head = self.policy.organisation
        for row, record in self.records(rule):
            verdict = decide(rule, record, today, zone=head.zone, year_end=head.year_end, confirmed=confirmed)
            yield row, record, verdict.reasons

    def records(self, rule: Rule) -> Iterator[tuple[Row, Record]]:
        """Every row of the rule's dataset as decide() wants it."""
        for row in self.memory.tables[rule.dataset.name]:
            record = self._record(rule.dataset, row, rule.followers, rule.leaders)
            dependents = tuple(self._dependents(rule, row))
            held = record.holds | self._holds_on(f"rule:{rule.name}", "*")
            yield row, replace(record, holds=held, dependents=dependents)

    def _dependents(self, rule: Rule, row: Row) -> Iterator[tuple[Dependent, Record]]:
        for each in rule.dependents:
            steps = [each.dataset, *along(self.policy, each.dataset, each.path)]
            rows = [row]
            for below, name in reversed(list(zip(steps, each.path, strict=False))):
                rows = [child for parent in rows for child in self.referring(below, below.relations[name], parent)]
            yield from ((each, self._record(each.dataset, child)) for child in rows)

    def along(self, rule: Rule, rows: list[Row]) -> dict[str, list[Row]]:
        """What goes when `rows` go, by following dataset; each row once, however many ways lead to it."""
        found: dict[str, dict[int, Row]] = {}
        pending = [(kin, rows) for kin in rule.followers]
        while pending:
            kin, parents = pending.pop(0)
            children = [child for parent in parents for child in self.referring(kin.dataset, kin.relation, parent)]
            found.setdefault(kin.dataset.name, {}).update((id(child), child) for child in children)
            pending += [(inner, children) for inner in kin.kin]
        return {name: list(children.values()) for name, children in found.items()}

    def referred(self, relation: Relation, row: Row) -> Row | None:
        """The row that `row` refers to."""
        columns, key = zip(*relation.columns, strict=True)
        wanted = _tuple(row, columns, relation.as_text)
        if wanted is None or not _means(relation, row):
            return None
        return next(iter(self._index(relation.to, key, relation.as_text).get(wanted, ())), None)

    def referring(self, dataset: Dataset, relation: Relation, row: Row) -> list[Row]:
        """The rows of `dataset` that refer to `row`."""
        columns, key = zip(*relation.columns, strict=True)
        wanted = _tuple(row, key, relation.as_text)
        found = self._index(dataset.name, columns, relation.as_text).get(wanted, ()) if wanted else ()
        return [child for child in found if _means(relation, child)]

    def unseen(self, rule: Rule) -> Iterator[str]:
        """Values that a condition, hold or floor names and that occur nowhere, as `schema.table.column = value`."""
        for dataset, condition in sorted(set(conditions_of(self.policy, rule)), key=str):
            home, column = self._owner(dataset, condition.at), condition.at.column
            seen = {as_text(row[column]) for row in self.memory.tables[home.name] if row[column] is not None}
            unseen = (value for value in condition.values if value not in seen)
            yield from (f"{home.schema}.{home.table}.{column} = {value}" for value in unseen)
        yield from self._lost_holds(rule)

    def _lost_holds(self, rule: Rule) -> Iterator[str]:
        for dataset in {each.name: each for each in datasets_of(self.policy, rule)}.values():
            keys = {"*", *(key_text(dataset, row) for row in self.memory.tables[dataset.name])}
            lost = [key for name, key, _ in self.memory.holds if name == dataset.name and key not in keys]
            yield from lost_holds(len(lost), dataset.name)
        known = {*self.policy.datasets, *(f"rule:{name}" for name in self.policy.rules)}
        yield from lost_holds(sum(name not in known for name, *_ in self.memory.holds))

    def _owner(self, dataset: Dataset, ref: ColumnRef) -> Dataset:
        for name in ref.path:
            dataset = self.policy.datasets[dataset.relations[name].to]
        return dataset

    def _record(self, dataset: Dataset, row: Row, down: tuple[Kin, ...] = (), up: tuple[Kin, ...] = ()) -> Record:
        kin = [
            (k, self._record(k.dataset, r, down=k.kin, up=k.others))
            for k in down
            for r in self.referring(k.dataset, k.relation, row)
        ]
        kin += [(k, self._record(k.dataset, r, up=k.kin)) for k in up if (r := self.referred(k.relation, row))]
        key = key_text(dataset, row)
        left = (name for name in row if self.memory.redacted.get((dataset.name, key, name), row[name]) == row[name])
        known = {name for of, at, name in self.memory.redacted if (of, at) == (dataset.name, key)}
        return Record(Values(self, dataset, row), self._holds(dataset, row), tuple(kin), frozenset(known & set(left)))

    def _holds(self, dataset: Dataset, row: Row) -> Reason:
        """The holds on a row and on all that it hangs on."""
        found = self._holds_on(dataset.name, key_text(dataset, row)) | self._holds_on(dataset.name, "*")
        for path, above in above_of(self.policy, dataset):
            over: Row | None = row
            for home, name in zip([dataset, *along(self.policy, dataset, path)], path, strict=False):
                over = self.referred(home.relations[name], over) if over is not None else None
            if over is not None:
                found |= self._holds_on(above.name, key_text(above, over)) | self._holds_on(above.name, "*")
        return found

    def _holds_on(self, name: str, key: str) -> Reason:
        kinds = (kind for kind in (Reason.HELD, Reason.RESTRICTED) if (name, key, kind) in self.memory.holds)
        return sum(kinds, Reason(0))

    def _index(self, name: str, columns: tuple[str, ...], text: bool) -> dict[tuple[object, ...], list[Row]]:
        place = (name, columns, text)
        if place not in self._indexes:
            index = self._indexes[place] = {}
            for row in self.memory.tables[name]:
                if (key := _tuple(row, columns, text)) is not None:
                    index.setdefault(key, []).append(row)
        return self._indexes[place]


class Values(Mapping[str, Any]):
    """A row's values by column reference; `relation.column` is looked up when it is asked for."""

    def __init__(self, view: View, dataset: Dataset, row: Row) -> None:
        self._view, self._dataset, self._row = view, dataset, row

    def __getitem__(self, reference: str) -> Any:
        *path, column = reference.split(".")
        dataset, row = self._dataset, self._row
        for name in path:
            relation = dataset.relations[name]
            found = self._view.referred(relation, row)
            if found is None:
                return None
            dataset, row = self._view.policy.datasets[relation.to], found
        return row[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)


def _anew(value: Any, change: Redact | ByPath, values: Values) -> Any:
    if isinstance(change, ByPath):
        return document_anew(value, change, lambda ref: values[str(ref)])
    return written_anew(value, change, lambda ref: values[str(ref)])


def key_text(dataset: Dataset, row: Row) -> str:
    """A row's key as holds name it: as text, several columns as a JSON array."""
    if len(dataset.key) == 1:
        return as_text(row[dataset.key[0]])
    return json.dumps([row[column] for column in dataset.key], ensure_ascii=False)


def _tuple(row: Row, columns: tuple[str, ...], text: bool) -> tuple[object, ...] | None:
    """The columns' values, to be compared; None when one is NULL, which equals nothing."""
    values = [row[column] for column in columns]
    if None in values:
        return None
    return tuple(as_text(value) if text else value for value in values)


def _means(relation: Relation, row: Row) -> bool:
    """Whether a polymorphic reference means this relation's dataset."""
    if relation.when is None:
        return True
    value = row[relation.when.at.column]
    return value is not None and as_text(value) in relation.when.values
