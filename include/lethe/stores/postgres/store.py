"""A PostgreSQL database as a store: set-based SQL, evidence in the same transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from time import monotonic
from types import TracebackType
from typing import Self

import rfc8785
from psycopg import errors

from lethe.anonymise.risk import Groups
from lethe.documents import Folder
from lethe.errors import Stale, StoreRefused
from lethe.evidence.leaf import purge_leaf
from lethe.explain import Told
from lethe.model import (
    Anonymity,
    Done,
    Plan,
    Policy,
    Reason,
    Receipt,
    Remaining,
    Rule,
    Shard,
    Store,
    Survey,
    Way,
)
from lethe.plan import finish_shard
from lethe.reach import datasets_of, documents_of
from lethe.sql import queries
from lethe.stores.postgres import risk
from lethe.stores.postgres.agree import Agreed, agree
from lethe.stores.postgres.apply import (
    SQL_BATCH,
    Pace,
    Work,
    apply_range,
    finish,
    one,
    open_batch,
    read_holds,
    with_holds,
)
from lethe.stores.postgres.connection import Connection, telling
from lethe.stores.postgres.documents import Folders
from lethe.stores.postgres.drop import apply_partition, put_back, try_to_put_back
from lethe.stores.postgres.elsewhere import Elsewhere
from lethe.stores.postgres.outbox import Outbox, rehearse
from lethe.stores.postgres.predicate import Predicate, Question
from lethe.stores.postgres.purge import purge
from lethe.stores.postgres.remaining import remaining
from lethe.stores.postgres.subject import READS_ONLY, Look, Subject
from lethe.stores.postgres.survey import survey
from lethe.stores.postgres.verdicts import verdicts
from lethe.urls import url_from_environment

LOOK_AGAIN = 10.0
"""Seconds after which a run that acts reads the live schema again: a foreign key may have been added meanwhile."""


class PostgresStore:
    """One PostgreSQL database (14 or later) under the rules of a policy; satisfies DataStore."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        address: Callable[[str], str],
        url: Callable[[str], str] = url_from_environment,
    ) -> None:
        """`address` gives the libpq connection string of a store by its name, `url` the URL of a connection.

        Other stores are asked for what rules of this one are read from there.
        """
        self.store = store
        self.policy = policy
        self.pace = Pace()
        self._url = url
        self._connection = Connection(store.name, address(store.name))
        self._elsewhere = Elsewhere(policy, store.name, address)
        self._work: Work | None = None
        self._looked_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._elsewhere.close()

    @telling
    def check(self, rule: Rule) -> tuple[str, ...]:
        """Compare the live schema with the policy; SchemaMismatch, or the warnings."""
        return self._agree(rule).warnings

    @telling
    def survey(self, rule: Rule, today: date, *, confirmed: bool) -> Survey:
        """Count by reasons and cut into shards; changes nothing, but puts back partitions that a stopped run left."""
        conn = self._connection.get()
        self._question(rule, today, confirmed)  # first of all: do the policy and the schema agree?
        self._bring(rule)
        store_id, epoch = self._identity(rule)
        left = tuple(try_to_put_back(conn, rule))
        found = survey(conn, self._question(rule, today, confirmed), store_id, epoch)
        return replace(found, warnings=(*found.warnings, *left))

    @telling
    def apply(self, plan: Plan, shard: Shard, *, run: str) -> Receipt | None:
        """Do the shard's next batch; Stale when the store or its schema is not what was planned for."""
        conn, work = self._connection.get(), self._planned(plan, run)
        if shard.way in (Way.BLOCKS, Way.INDEX) and not work.question.agreed.holds(work.rule.dataset, shard):
            raise Stale(f"{work.where}: {shard.relation} is no longer a part of the table; plan again")
        if shard.way is Way.PARTITION:
            return apply_partition(conn, work, shard, self.pace)
        if shard.way is Way.FINISH:
            receipt = finish(conn, work, shard)
            if receipt is not None and (tables := purge(conn, work)):
                self._tell_purge(work, tables)
            return receipt
        return apply_range(conn, work, shard, self.pace)

    @telling
    def done(self, plan: Plan) -> Done:
        """Sum up the plan's progress."""
        place = {"epoch": plan.survey.epoch, "plan": plan.digest}
        last = self._connection.get().execute(SQL_BATCH["progress"], {**place, "shard": finish_shard("").number})
        finished = (last.fetchone() or (0, None, False))[2]
        rows, reach, batches = one(self._connection.get(), SQL_BATCH["so_far"], place)
        return Done(rows, reach, batches, finished)

    @telling
    def remaining(self, rule: Rule, today: date, *, confirmed: bool) -> Remaining:
        """Count what is left by forward arithmetic, partitions on their way out included."""
        question = self._question(rule, today, confirmed)
        self._bring(rule)
        return remaining(self._connection.get(), question)

    @telling
    def verdicts(self, rule: Rule, today: date, keys: Sequence[str], *, confirmed: bool) -> Mapping[Reason, int]:
        """How many records with these keys are there, by combination of reasons; none of them is named."""
        question = self._question(rule, today, confirmed)
        self._bring(rule)
        return verdicts(self._connection.get(), question, keys)

    @telling
    def explain(self, subject: Subject, today: date, confirmed: Collection[str]) -> tuple[Told, ...]:
        """What runs on one row and on all that hangs on it in this store; nothing when there is no such row.

        Changes nothing. `confirmed` are the rules that may act. The row itself may be of another store.
        """
        conn = self._connection.get()
        self._elsewhere.bring(conn)
        with conn.transaction():
            conn.execute(READS_ONLY)

            def ask(rule: Rule) -> Question:
                return self._question(rule, today, rule.name in confirmed)

            return tuple(Look(conn, self.policy, subject, read_holds(conn), ask, self._elsewhere).told())

    @telling
    def groups(self, anonymity: Anonymity) -> Groups:
        """The groups that the dataset's rows without a person stand in."""
        return risk.groups(self._counted(anonymity.dataset), anonymity)

    @telling
    def telling_rows(self, anonymity: Anonymity) -> Mapping[str, int]:
        """Columns that tell rows or people apart, with how many; of a dataset whose rows never had a person."""
        return risk.telling(self._counted(anonymity.dataset))

    @telling
    def coarsen(self, plan: Plan, step: int, *, run: str, matched: risk.Matched | None = None) -> int:
        """Make rows of groups that are too small coarser by a step, or those that are matched with too few people.

        How many it was, in one transaction with its evidence.
        """
        conn, work = self._connection.get(), self._planned(plan, run)
        self._bring(work.rule)
        anonymity = self.policy.anonymity[work.rule.dataset.name]
        with conn.transaction():
            open_batch(conn, work)
            counted = self._counted(anonymity.dataset)
            predicate = Predicate(with_holds(conn, work.question))
            rows = risk.coarsen(counted, anonymity, anonymity.small_groups[step], predicate, matched)
            risk.tell(conn, work, step=step, matched_with=matched[0].to if matched else None, rows=rows)
        return rows

    def _counted(self, dataset: str) -> risk.Counted:
        return risk.Counted(self._connection.get(), self.policy, self.policy.datasets[dataset])

    def _tell_purge(self, work: Work, tables: int) -> None:
        """VACUUM has no transaction to write it down in: it is told afterwards, or not at all."""
        key = f"{work.plan.digest}/purge"
        written = Outbox(self._connection)
        written.write_once(key, lambda place: purge_leaf(work.plan, work.rule, place, work.run, tables=tables))

    def _folders(self, rule: Rule) -> Folders:
        names = {dataset.documents[column].store for dataset, column in documents_of(rule)}
        stores = (self.policy.documents[name] for name in names)
        return {store.name: Folder(store, self._url(store.connection)) for store in stores}

    def _agree(self, rule: Rule) -> Agreed:
        agreed = agree(self._connection.get(), self.policy, rule, self._elsewhere.table)
        others = self._elsewhere.identities(datasets_of(self.policy, rule))
        if not others:
            return agreed
        bound = rfc8785.dumps({"schema": agreed.fingerprint, "elsewhere": others})
        return replace(agreed, fingerprint=hashlib.sha256(bound).hexdigest())

    def _bring(self, rule: Rule) -> None:
        """Copy what the rule's verdicts are read from in other stores."""
        self._elsewhere.bring(self._connection.get(), datasets_of(self.policy, rule))

    def _question(self, rule: Rule, today: date, confirmed: bool) -> Question:
        agreed = self._agree(rule)
        self._identity(rule)
        return Question(rule, agreed, today, confirmed, read_holds(self._connection.get()))

    def _identity(self, rule: Rule) -> tuple[str, int]:
        """The store's own id and epoch."""
        try:
            store_id, epoch = one(self._connection.get(), queries("schema")["identity"])
        except (errors.UndefinedTable, errors.InsufficientPrivilege):
            store_id = None
        if store_id is None:
            raise StoreRefused(
                f"store {self.store.name}, rule {rule.name}: the schema lethe is missing or closed to this user; "
                f"its owner runs what `lethe store grants {self.store.name}` prints"
            )
        return store_id, epoch

    def _planned(self, plan: Plan, run: str) -> Work:
        """The plan's work; the live schema and the store are looked at again every few seconds."""
        known = self._work is not None and (self._work.plan.digest, self._work.run) == (plan.digest, run)
        here = self._elsewhere.is_brought(self._connection.get())
        if self._work is None or not known or not here or monotonic() > self._looked_at + LOOK_AGAIN:
            self._work = self._look(plan, run)
            self._looked_at = monotonic()
            if not (known and here):
                self._bring(self._work.rule)
        return self._work

    def _look(self, plan: Plan, run: str) -> Work:
        """The plan's work, after the live schema and the store were found to be those that were planned for."""
        rule = self.policy.rules[plan.rule]
        question = self._question(rule, plan.today, confirmed=True)
        found = (*self._identity(rule), question.agreed.fingerprint)
        planned = (plan.survey.store_id, plan.survey.epoch, plan.survey.fingerprint)
        schema = "schema, or a store that it is read from," if question.agreed.reads_elsewhere else "schema"
        for what, now, then in zip(("store", "epoch", schema), found, planned, strict=True):
            if now != then:
                where = f"store {self.store.name}, rule {rule.name}"
                raise Stale(f"{where}: the {what} is not the one that was planned for; plan again")
        rehearse(self._connection.get())
        work = Work(plan, question, self.store, run, self._elsewhere, self._folders(rule))
        put_back(self._connection.get(), work)
        return work
