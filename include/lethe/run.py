"""The only composer: plan → gate → act → verify → record, over a policy, its stores and lethe_state.

Each step is a function of its own and of one task of the DAG; what passes between them is a plan's digest and counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from lethe import clock
from lethe.deadlines import local_date
from lethe.errors import (
    BoundExceeded,
    ConfigError,
    LetheError,
    NotApproved,
    PlanError,
    PolicyError,
    Stale,
    StoreError,
    SubjectError,
)
from lethe.evidence.guard import require_current, require_sealed
from lethe.evidence.outside import Head, Outside
from lethe.explain import Explained, Told
from lethe.model import Dataset, Done, Evidence, Plan, Policy, Reason, Receipt, Remaining, Rule, Shard, Verdict
from lethe.plan import finish_shard, make_plan
from lethe.policy import load
from lethe.reach import above_elsewhere, below_of, datasets_of
from lethe.state import Listed, State
from lethe.stores import DataStore, open_store
from lethe.stores.postgres.connection import Connection
from lethe.stores.postgres.outbox import Outbox
from lethe.urls import url_from_environment

if TYPE_CHECKING:
    from lethe.evidence.seal import Sealing
    from lethe.stores.postgres.holds import Mirror

STATE_CONNECTION = "lethe_state"

RunState = Literal["waiting", "rejected", "nothing", "ended", "failed"]


@dataclass(frozen=True)
class Gate:
    """Whether a plan may be acted on: only `go` may. Waiting is for a person; with why."""

    state: Literal["go", "waiting", "rejected", "superseded", "nothing", "done", "stopped"]
    why: tuple[str, ...] = ()


class Lethe:
    """A policy at work: opens stores as they are needed, closes them at the end."""

    def __init__(
        self,
        policy: Policy,
        conninfo: Callable[[str], str],
        environment: Mapping[str, str] = os.environ,
        url: Callable[[str], str] = url_from_environment,
    ) -> None:
        """As open(), over a policy that is read."""
        self.policy, self._url = policy, url
        self._conninfo, self._environment = conninfo, environment
        self._stores: dict[str, DataStore] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._state: State | None = None

    @classmethod
    def open(
        cls,
        policy_dir: Path,
        conninfo: Callable[[str], str],
        environment: Mapping[str, str] = os.environ,
        url: Callable[[str], str] = url_from_environment,
    ) -> Self:
        """Read the policy from a directory; `conninfo` turns a connection id into a libpq connection string.

        `url` turns the id of a folder of documents into its URL. `environment` says where the evidence has its
        directory outside, if the policy has it sealed.
        """
        return cls(load(policy_dir), conninfo, environment, url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for store in self._stores.values():
            store.__exit__(kind, error, trace)
        for outbox in self._outboxes.values():
            outbox.close()
        if self._state is not None:
            self._state.close()

    @property
    def state(self) -> State:
        """lethe_state, connected on first use."""
        if self._state is None:
            self._state = State(self._conninfo(STATE_CONNECTION), self._guard)
        return self._state

    def outbox(self, store: str) -> Outbox:
        """The outbox of a store of the policy, or of lethe_state."""
        if store == STATE_CONNECTION:
            return self.state.outbox
        if store not in self._outboxes:
            if store not in self.policy.stores:
                known = ", ".join((*self.policy.stores, STATE_CONNECTION))
                raise ConfigError(f'found no store "{store}", expected one of: {known}')
            self._outboxes[store] = Outbox(Connection(store, partial(self.address, store)))
        return self._outboxes[store]

    def mirror(self, store: str) -> Mirror:
        """The mirror of the holds in a store of the policy."""
        from lethe.stores.postgres.holds import Mirror  # what acts on a store is loaded by who acts

        outbox = self.outbox(store)
        return Mirror(outbox.connection, outbox.require_open)

    def bring_up_holds(self, store: str, run: str) -> None:
        """Let a store's mirror have the holds that the register has; StoreError when it cannot, and so may not act."""
        register = self.state.holds
        register.spread(store, above_elsewhere(self.policy, store))
        if targets := register.of_store(store):
            for target in self.mirror(store).bring_up(targets, run):
                register.note(target, lifted=target.released)

    def address(self, store: str) -> str:
        """The libpq connection string of a store of the policy."""
        return self._conninfo(self.policy.stores[store].connection)

    def sealing(self) -> Sealing:
        """The log with all that feeds it; ConfigError when the policy has no evidence sealed."""
        from lethe.evidence.log import EVIDENCE_CONNECTION, Log  # cryptography is loaded by who seals, not by a sweep
        from lethe.evidence.seal import Sealing

        setting = self.sealing_setting()
        outboxes = {name: self.outbox(name) for name in (*self.policy.stores, STATE_CONNECTION)}
        log = Log(self._conninfo(EVIDENCE_CONNECTION))
        return Sealing(setting, log, Outside.from_environment(self._environment), self.state, outboxes)

    def sealing_setting(self) -> Evidence:
        """How the policy has evidence sealed; ConfigError when it does not say."""
        if self.policy.organisation.evidence is None:
            raise ConfigError("organisation.yaml: found no `evidence:`, expected how evidence is sealed")
        return self.policy.organisation.evidence

    def _guard(self, outbox: Outbox) -> None:
        """Behind when something is about to be written into a database that was put back."""
        if self.policy.organisation.evidence is not None:
            require_current(self._head(), outbox)

    def _head(self) -> Head:
        return Outside.from_environment(self._environment).head() or Head()

    def _in_order(self, rule: Rule) -> None:
        """Behind or Unsealed when nothing may be done in the rule's store, whatever was approved."""
        setting = self.policy.organisation.evidence
        if setting is None:
            return
        head = self._head()
        for name in (rule.dataset.store, STATE_CONNECTION):
            require_sealed(head, self.outbox(name), setting.stop_after, self.policy.organisation.zone)
        for name in {dataset.store for dataset in datasets_of(self.policy, rule)} - {rule.dataset.store}:
            require_current(head, self.outbox(name))  # what a restored store says is what was so once

    def rule(self, name: str) -> Rule:
        """The rule of this name; PolicyError when the policy has none."""
        if name not in self.policy.rules:
            raise PolicyError((f"rule {name}: not in the policy; `lethe policy show` lists its rules",))
        return self.policy.rules[name]

    def store(self, rule: Rule) -> DataStore:
        """The store that the rule's dataset lives in."""
        return self.store_named(rule.dataset.store)

    def store_named(self, name: str) -> DataStore:
        """The store of this name in the policy."""
        if name not in self._stores:
            store = self.policy.stores[name]
            self._stores[name] = open_store(store, self.policy, self.address, self._url)
        return self._stores[name]

    def today(self, now: datetime) -> date:
        """The organisation's calendar date at a moment."""
        return local_date(now, self.policy.organisation.zone)

    def plan(self, name: str, now: datetime, run: str) -> Plan:
        """Survey the rule and keep the plan; a plan of this day that a person approved already is taken up instead."""
        rule, today = self.rule(name), self.today(now)
        confirmed = self.state.is_confirmed(rule)
        approved = self.state.open_plan(rule, today, today)
        if approved is not None and approved.policy_digest == self.policy.digest:
            return approved
        self.bring_up_holds(rule.dataset.store, run)
        survey = self.store(rule).survey(rule, today, confirmed=confirmed)
        earlier = self.state.finished(rule, today)
        plan = make_plan(self.policy, rule, survey, today, self.state.last_approved(rule), earlier)
        self.state.save_policy(self.policy, run)
        self.state.save_plan(plan, rule, run)
        return plan

    def approved_plan(self, name: str, now: datetime) -> Plan | None:
        """The rule's plan that a person approved last and that is not carried out, of this day or one before."""
        return self.state.open_plan(self.rule(name), date.min, self.today(now))

    def approved_rules(self, now: datetime) -> tuple[str, ...]:
        """Rules with such a plan."""
        return self.state.approved_rules(self.today(now))

    def gate(self, digest: str) -> Gate:
        """Whether the plan may be acted on now."""
        plan, answer = self.state.plan(digest), self.state.answer_to(digest)
        if answer.outcome == "done":
            return Gate("done", ("it was carried out before",))
        if answer.outcome is not None:
            return Gate("stopped", ("it was stopped and stays so; plan again",))
        if answer.approved is False:
            return Gate("rejected", ("a person said no",))
        if not plan.survey.of(Verdict.DUE):
            return Gate("nothing", self._unconfirmed(plan))
        if plan.needs and answer.approved is None:
            newer = "the rule was planned anew since; answer that plan"
            return Gate("superseded", (newer,)) if answer.superseded else Gate("waiting", plan.needs)
        return Gate("go")

    def _unconfirmed(self, plan: Plan) -> tuple[str, ...]:
        """Why a plan is empty, where the only thing missing is somebody's word on the period."""
        rows, rule = plan.survey.counts.get(Reason.UNCONFIRMED, 0), self.policy.rules.get(plan.rule)
        if not rows or rule is None or rule.assumption is None or self.state.is_confirmed(rule):
            return ()
        who = rule.assumption.confirm_by
        what = "that redacted text stays" if rule.redacts else "the assumed period"
        return (f"{who} confirms {what}, {rows} rows wait (lethe confirm {rule.name})",)

    def answer(self, digest: str, approved: bool, *, via: str, role: str, person: str | None = None) -> bool:
        """Keep a person's answer to a plan that waits; False when it was answered before, which stands."""
        plan, gate = self.state.plan(digest), self.gate(digest)
        if self.state.answer_to(digest).approved is not None:
            return False
        if gate.state != "waiting":
            why = "; ".join(gate.why) or "nobody needs to"
            raise PlanError(f"plan {digest[:12]} of rule {plan.rule}: it takes no answer: {why}")
        if plan.today > self.today(clock.now()):
            raise PlanError(f"plan {digest[:12]} of rule {plan.rule}: it takes no answer before its day, {plan.today}")
        return self.state.approve(plan, self.rule(plan.rule), approved=approved, role=role, via=via, person=person)

    def confirm(self, name: str) -> bool:
        """Confirm the rule's assumed period as the role that the policy names; False when it was confirmed before."""
        rule = self.rule(name)
        if rule.assumption is None:
            raise PlanError(f"rule {name}: its period is the statement's own; there is nothing to confirm")
        return self.state.confirm(rule, role=rule.assumption.confirm_by)

    def act(
        self, digest: str, shard: int, now: datetime, run: str, progress: Callable[[Receipt], None] | None = None
    ) -> None:
        """Do one shard of an approved plan to its end; resumes where an earlier run stopped, does nothing twice."""
        plan = self.may_act(digest, now)
        if plan is None:
            return
        if not 0 <= shard < len(plan.survey.shards):
            raise PlanError(f"plan {digest[:12]}: found shard {shard}, expected 0 to {len(plan.survey.shards) - 1}")
        self.bring_up_holds(self.rule(plan.rule).dataset.store, run)
        self._work_off(plan, plan.survey.shards[shard], run, progress)

    def finish(self, digest: str, now: datetime, run: str) -> None:
        """What comes after all shards: small groups go or are made coarser, and the tables are purged."""
        from lethe.anonymous import hide

        plan = self.may_act(digest, now)
        if plan is None:
            return
        hide(self, plan, run)
        dataset = self.rule(plan.rule).dataset
        self._work_off(plan, finish_shard(f"{dataset.schema}.{dataset.table}"), run, None)

    def carry_out(
        self, digest: str, now: datetime, run: str, progress: Callable[[Receipt], None] | None = None
    ) -> Remaining | None:
        """Act on every shard, finish, verify and record; what is left, None when it was carried out before.

        What may not begin is no run, and is not recorded as one.
        """
        plan = self.may_act(digest, now)
        if plan is None:
            return None
        self.begin(plan.rule, run, "started")
        try:
            for shard in plan.survey.shards:
                self.act(digest, shard.number, now, run, progress)
            self.finish(digest, now, run)
        except LetheError:
            self.record(plan.rule, run, digest=digest, failed=True)
            raise
        remaining = self.verify(digest, run)
        self.record(plan.rule, run, digest=digest, failed=not remaining.is_nothing)
        return remaining

    def done(self, digest: str) -> Done:
        """What has been done of the plan, by all runs together."""
        plan = self.state.plan(digest)
        return self.store(self.rule(plan.rule)).done(plan)

    def verify(self, digest: str, run: str) -> Remaining:
        """Ask the store by other means what is left of what was due on the plan's day, and write it down.

        Of what was anonymised it is measured how anonymous it is, where the policy says how it must be.
        """
        from lethe.anonymous import measure, write_down

        plan = self.state.plan(digest)
        remaining = self.remaining(plan.rule, plan.today)
        self.state.verified(plan, self.rule(plan.rule), remaining, run)
        anonymity = self.policy.anonymity.get(self.rule(plan.rule).dataset.name)
        if anonymity is None or anonymity.rule != plan.rule:
            return remaining
        found = measure(self, anonymity.dataset)
        write_down(self, found, run)
        return replace(remaining, findings=tuple(found.findings()))

    def remaining(self, name: str, today: date) -> Remaining:
        """Ask the store by other means what was due on a day and is still there."""
        rule = self.rule(name)
        return self.store(rule).remaining(rule, today, confirmed=self.state.is_confirmed(rule))

    def explain(self, dataset: Dataset, key: str, today: date, most: int | None) -> Explained:
        """What runs on one row and on all that hangs on it, at most so many of each dataset one by one.

        SubjectError when there is no such row; StoreError when the store cannot say.
        """
        from lethe.stores.postgres.store import PostgresStore
        from lethe.stores.postgres.subject import Subject

        confirmed = {name for name, rule in self.policy.rules.items() if self.state.is_confirmed(rule)}
        subject, told, behind = Subject(dataset, key, most), list[Told](), 0
        below = list(below_of(self.policy, dataset))
        for name in dict.fromkeys(each.store for each, _ in below):  # its own store first
            store = self.store_named(name)
            if not isinstance(store, PostgresStore):
                raise ConfigError(f"store {name}: found kind {store}, expected one that can name rows")
            try:
                told += store.explain(subject, today, confirmed)
                behind += self.mirror(name).behind(self.state.holds.of_store(name))
            except StoreError as error:
                if name == dataset.store:
                    raise
                told += (Told(each, paths, problem=str(error)) for each, paths in below if each.store == name)
            if not told:
                raise SubjectError(f"{dataset.name} has no row with this key")
        return Explained(dataset, today, tuple(told), behind)

    def begin(
        self, name: str, run: str, state: Literal["scheduled", "started"], *, dag: str | None = None,
        dag_run: str | None = None,
    ) -> None:  # fmt: skip
        """Write down that a run of a rule is to be, or began: one that then never ends can be told from none at all."""
        self.state.record(self.rule(name), run, state, plan=None, dag=dag, dag_run=dag_run, counts={})

    def record(  # noqa: PLR0913 - all but the first two are named
        self, name: str, run: str, *, digest: str | None, failed: bool = False, acted: bool = True,
        dag: str | None = None, dag_run: str | None = None,
    ) -> RunState:  # fmt: skip
        """Write down how the run of a rule ended; a plan that was carried out to its end is finished with it.

        `acted` tells whether the run went past the gate. What it did then is asked of the store, not believed.
        """
        plan = self.state.plan(digest) if digest else None
        done = self._so_far(plan) if plan else Done()
        state = "failed" if failed or plan is None else _ended_as(self.gate(plan.digest), acted=acted, done=done)
        counts = {"rows": done.rows, "reach": done.reach, "batches": done.batches} if plan else {}
        told = counts if state in ("ended", "failed") else {}
        self.state.record(self.rule(name), run, state, plan=plan, dag=dag, dag_run=dag_run, counts=told)
        if state == "failed" and plan and done.finished:
            self.state.give_up(plan)  # all of it was done and rows are left: only a new plan reaches them
        return state

    def _so_far(self, plan: Plan) -> Done:
        """What has been done of the plan; nothing that is known of when its store does not answer."""
        try:
            return self.store(self.rule(plan.rule)).done(plan)
        except StoreError:
            return Done()

    def ready(self, now: datetime) -> tuple[str, ...]:
        """Digests of the plans to act on: each rule's last approved one, else its latest if that needs nobody."""
        found = (self.approved_plan(name, now) or self._latest(name, self.today(now)) for name in self.policy.rules)
        return tuple(plan.digest for plan in found if plan is not None and self.gate(plan.digest).state == "go")

    def _latest(self, name: str, today: date) -> Plan | None:
        """The rule's latest plan of this day or one before, if it may be acted on without an answer."""
        listed = (entry for entry in self.state.plans(100, rule=name) if entry.plan.today <= today)
        latest = next(listed, None)
        return latest.plan if latest is not None and latest.state == "ready" else None

    def plans(self, limit: int = 50) -> tuple[Listed, ...]:
        """The latest plans with their answers."""
        return self.state.plans(limit)

    def may_act(self, digest: str, now: datetime) -> Plan | None:
        """The plan, if it is approved and what the approval was bound to still holds; None if it was carried out."""
        plan, gate = self.state.plan(digest), self.gate(digest)
        if gate.state == "done":
            return None
        where = f"plan {digest[:12]} of rule {plan.rule}"
        if gate.state in ("waiting", "rejected", "superseded"):
            raise NotApproved(f"{where}: {gate.state}: {'; '.join(gate.why)}")
        if gate.state == "stopped":
            raise Stale(f"{where}: {'; '.join(gate.why)}")
        rule = self.rule(plan.rule)
        if rule.digest != plan.rule_digest or self.policy.digest != plan.policy_digest:
            self.state.give_up(plan)  # or every run that an approval starts would take it up again
            raise Stale(f"rule {rule.name}: the policy changed since the plan was made; plan again")
        if plan.today > self.today(now):
            raise Stale(
                f"rule {rule.name}: the plan is for {plan.today}, which is still to come; nothing is done early"
            )
        if not self.state.is_confirmed(rule):
            what = "text that is redacted stays" if rule.redacts else "its period is an assumption"
            raise NotApproved(f"rule {rule.name}: {what}; `lethe confirm {rule.name}` by its role")
        if gate.state == "nothing":
            raise PlanError(f"{where}: nothing is due; there is nothing to carry out")
        self._in_order(rule)
        return plan

    def _work_off(self, plan: Plan, shard: Shard, run: str, progress: Callable[[Receipt], None] | None) -> None:
        store = self.store(self.rule(plan.rule))
        try:
            while (receipt := store.apply(plan, shard, run=run)) is not None:
                if progress is not None:
                    progress(receipt)
        except (Stale, BoundExceeded):
            self.state.give_up(plan)  # or plan() would take it up again all day long
            raise


def _ended_as(gate: Gate, *, acted: bool, done: Done) -> RunState:
    """What a run without failures has come to, given how its plan stands and what the store has seen of it."""
    if acted and gate.state in ("go", "done", "stopped"):
        return "ended" if done.finished else "failed"
    states: dict[str, RunState] = {"go": "waiting", "waiting": "waiting", "rejected": "rejected"}
    return states.get(gate.state, "nothing")  # go: the answer came after this run had ended its way at the gate
