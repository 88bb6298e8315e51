"""lethe_state: plans, who answered them, which assumptions are confirmed, how runs ended; each with its leaf."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from functools import partial
from typing import Any, Literal, NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
from psycopg import errors

from lethe.canaries import Canaries
from lethe.checks.identity import Identity
from lethe.checks.result import StoreChecked
from lethe.errors import NotApproved, PlanError
from lethe.evidence.leaf import (
    Leaf,
    Place,
    approval_leaf,
    check_leaf,
    confirmation_leaf,
    finding_leaf,
    plan_leaf,
    policy_leaf,
    run_leaf,
    verification_leaf,
)
from lethe.findings import Changed, Findings, Known
from lethe.holds import Register
from lethe.model import Plan, Policy, Remaining, Rule, Verdict
from lethe.offboarding.departures import Departures
from lethe.offboarding.looked import Looked
from lethe.plan import from_json, to_json
from lethe.policy.digest import policy_text
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, telling
from lethe.stores.postgres.outbox import Outbox, take_place, write

_SQL = queries("plans")
_FINDINGS = queries("findings")
_START = re.compile("[0-9a-f]{8,64}…?")

STATES = ("waiting", "ready", "approved", "done", "stopped", "rejected", "superseded", "nothing", "altered")
"""What can have become of a plan, in the order in which a person wants to know."""


class Answer(NamedTuple):
    """A person's answer, if there is one; how the plan ended: done, stopped, or None; whether a newer one is there."""

    approved: bool | None = None
    outcome: str | None = None
    superseded: bool = False


class Listed(NamedTuple):
    """A plan as the lists show it; `digest` is the one that it was stored under."""

    digest: str
    plan: Plan
    made_at: datetime
    answer: Answer
    role: str | None
    via: str | None
    answered_at: datetime | None

    @property
    def state(self) -> str:
        """What became of the plan, one of STATES; one whose text was changed is altered, and is left alone."""
        if self.plan.digest != self.digest:
            return "altered"
        if self.answer.outcome is not None:
            return self.answer.outcome
        if self.answer.approved is not None:
            return "approved" if self.answer.approved else "rejected"
        if not self.plan.survey.of(Verdict.DUE):
            return "nothing"
        if not self.plan.needs:
            return "ready"
        return "superseded" if self.answer.superseded else "waiting"


class Ran(NamedTuple):
    """How one run of a plan ended, and what all runs together had done of it by then."""

    run: str
    state: str
    at: datetime
    rows: int
    reach: int


class State:
    """The database lethe_state through the connection it is given; errors are StoreError."""

    name = "lethe_state"

    def __init__(self, conninfo: str, guard: Callable[[Outbox], None] = lambda _: None) -> None:
        """`guard` is asked before anything is written, and raises what speaks against it."""
        self._connection = Connection(self.name, conninfo)
        self.outbox = Outbox(self._connection, guard)
        self.holds = Register(self._connection, self._answering)
        self.findings = Findings(self._connection)
        self.canaries = Canaries(self._connection)
        self.departures = Departures(self._connection, self._write)
        self.looked = Looked(self._connection, self._write)

    @property
    def store(self) -> State:
        """Itself: errors name this database."""
        return self

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @telling
    def save_policy(self, policy: Policy, run: str) -> None:
        """Keep the policy as it is when it first comes into use."""
        with self._connection.get().transaction():
            params = {"digest": policy.digest, "body": policy_text(policy)}
            if self._connection.get().execute(_SQL["save_policy"], params).rowcount:
                self._write(f"policy/{policy.digest}", lambda place: policy_leaf(policy, place, run))

    @telling
    def policies(self, known: Collection[str]) -> tuple[tuple[str, str], ...]:
        """Digest and canonical text of the policies that were in use, besides those that are known."""
        found = self._connection.get().execute(_SQL["policies"], {"known": list(known)}).fetchall()
        return tuple((digest, body) for digest, body in found)

    @telling
    def save_plan(self, plan: Plan, rule: Rule, run: str) -> None:
        """Keep the plan; saving it again makes it the rule's latest, and is no news."""
        conn = self._connection.get()
        params = {"digest": plan.digest, "rule": plan.rule, "rule_digest": plan.rule_digest, "today": plan.today}
        with conn.transaction():
            body = json.dumps(to_json(plan), sort_keys=True)
            if conn.execute(_SQL["save_plan"], {**params, "body": body}).fetchone() == (True,):
                self._write(f"plan/{plan.digest}", lambda place: plan_leaf(plan, rule, place, run))

    @telling
    def plan(self, digest: str) -> Plan:
        """The plan with this digest; PlanError when there is none."""
        found = self._connection.get().execute(_SQL["plan"], {"digest": digest}).fetchone()
        if found is None:
            raise PlanError(f"plan {digest}: not found; `lethe plans` lists those there are")
        return _checked(found[0], digest)

    @telling
    def whole_digest(self, start: str) -> str:
        """The one digest that starts like this; PlanError when there is none, several, or it is too short to tell."""
        if not _START.fullmatch(start):
            raise PlanError(f'plan "{start}": expected 8 or more hexadecimal digits of its digest; see `lethe plans`')
        found = self._connection.get().execute(_SQL["digests_like"], {"start": start.rstrip("…")}).fetchall()
        if len(found) != 1:
            many = "several" if found else "none"
            raise PlanError(f"plan {start}: found {many} that start so, expected one; see `lethe plans`")
        return str(found[0][0])

    @telling
    def answer_to(self, digest: str) -> Answer:
        """What a person answered, and how the plan ended."""
        found = self._connection.get().execute(_SQL["state"], {"digest": digest}).fetchone()
        return Answer(*found) if found else Answer()

    @telling
    def open_plan(self, rule: Rule, first: date, last: date) -> Plan | None:
        """The plan of the rule for one of these days that was approved last and is not finished."""
        params = {"rule": rule.name, "rule_digest": rule.digest, "first": first, "last": last}
        found = self._connection.get().execute(_SQL["open_plan"], params).fetchone()
        return _load(found[0]) if found else None

    @telling
    def last_approved(self, rule: Rule) -> Plan | None:
        """The last plan that a person approved for this meaning of the rule."""
        params = {"rule": rule.name, "rule_digest": rule.digest}
        found = self._connection.get().execute(_SQL["last_approved"], params).fetchone()
        return _load(found[0]) if found else None

    @telling
    def finished(self, rule: Rule, today: date) -> int:
        """How many plans of the rule for this day have ended."""
        row = self._connection.get().execute(_SQL["finished"], {"rule": rule.name, "today": today}).fetchone()
        return int(row[0]) if row else 0

    @telling
    def approved_rules(self, today: date) -> tuple[str, ...]:
        """Rules with an approved plan, for no later day than this, that is not carried out yet."""
        found = self._connection.get().execute(_SQL["approved_rules"], {"today": today}).fetchall()
        return tuple(rule for (rule,) in found)

    @telling
    def plans(self, limit: int = 50, *, rule: str | None = None, digest: str | None = None) -> tuple[Listed, ...]:
        """The latest plans, newest first; of one rule, or the one with this digest."""
        params = {"limit": limit, "rule": rule, "digest": digest}
        return tuple(
            Listed(digest, _load(body), made_at, Answer(approved, outcome, newer), role, via, answered_at)
            for digest, body, made_at, approved, outcome, newer, role, via, answered_at in self._connection.get()
            .execute(_SQL["list"], params)
            .fetchall()
        )

    @telling
    def runs(self, digest: str) -> tuple[Ran, ...]:
        """The runs of a plan, first to last."""
        return tuple(Ran(*row) for row in self._connection.get().execute(_SQL["runs"], {"digest": digest}).fetchall())

    @telling
    def approve(self, plan: Plan, rule: Rule, *, approved: bool, role: str, via: str, person: str | None) -> bool:
        """Keep a person's answer under a random id; False when the plan was answered before, which stands.

        The database decides by the role that signed in whether this person may answer at all.
        """
        conn, approver = self._connection.get(), uuid4().hex
        with _only_who_may(), conn.transaction():
            conn.execute(_SQL["name_approver"], {"approver": approver, "person": person})
            params = {"plan": plan.digest, "approved": approved, "role": role, "via": via, "approver": approver}
            new = bool(conn.execute(_SQL["approve"], params).rowcount)
            if not new:
                raise psycopg.Rollback

            def leaf(place: Place) -> Leaf:
                return approval_leaf(plan, rule, place, approved=approved, role=role, approver=approver, via=via)

            self._write(f"approval/{plan.digest}", leaf)
        return new

    @telling
    def confirm(self, rule: Rule, *, role: str) -> bool:
        """Confirm the rule's assumed period; False when it was confirmed before."""
        conn, approver = self._connection.get(), uuid4().hex
        with _only_who_may(), conn.transaction():
            conn.execute(_SQL["name_approver"], {"approver": approver, "person": None})
            params = {"rule_digest": rule.digest, "rule": rule.name, "role": role, "via": "cli", "approver": approver}
            new = bool(conn.execute(_SQL["confirm"], params).rowcount)
            if not new:
                raise psycopg.Rollback
            key = f"confirmation/{rule.digest}"
            self._write(key, lambda place: confirmation_leaf(rule, place, role=role, approver=approver))
        return new

    @telling
    def is_confirmed(self, rule: Rule) -> bool:
        """Whether the rule may act: its period is the statement's, or its assumption was confirmed as it now reads."""
        if rule.assumption is None:
            return True
        found = self._connection.get().execute(_SQL["confirmed"], {"rule_digest": rule.digest}).fetchone()
        return bool(found and found[0])

    @telling
    def record(  # noqa: PLR0913 - all but the first three are named
        self, rule: Rule, run: str, state: str, *, plan: Plan | None, dag: str | None, dag_run: str | None,
        counts: Mapping[str, int],
    ) -> None:  # fmt: skip
        """Write down how a run of a rule ended, once for each state; one that ended well finishes its plan."""
        conn = self._connection.get()
        with conn.transaction():
            told: dict[str, Any] = {"state": state, "plan": plan, "dag": dag, "dag_run": dag_run, "counts": counts}
            params = {"run": run, "rule": rule.name, "state": state, "plan": plan.digest if plan else None}
            if conn.execute(_SQL["save_run"], {**params, "counts": json.dumps(dict(counts))}).rowcount:

                def leaf(place: Place) -> Leaf:
                    return run_leaf(rule, place, run, **told)

                self._write(f"run/{run}/{rule.name}/{state}", leaf)
            if state == "ended" and plan is not None:
                conn.execute(_SQL["finish"], {"digest": plan.digest, "outcome": "done"})

    @telling
    def put_back_run(self, leaf: Leaf) -> None:
        """Keep again what a leaf tells of a run, after a backup was put back; nothing when it is here."""
        told = {name: leaf[name] for name in ("run", "rule", "state", "plan", "at")}
        self._connection.get().execute(_SQL["put_back_run"], {**told, "counts": json.dumps(leaf["counts"])})

    @telling
    def rules_run_on(self, day: date, zone: ZoneInfo) -> frozenset[str]:
        """The rules of which a run began or ended on a calendar date."""
        found = self._connection.get().execute(_SQL["rules_run_on"], {"day": day, "zone": zone.key}).fetchall()
        return frozenset(rule for (rule,) in found)

    @telling
    def rules_in_use(self, day: date, zone: ZoneInfo) -> frozenset[str]:
        """The rules of the policy that came into use last before a calendar date."""
        found = self._connection.get().execute(_SQL["rules_in_use"], {"day": day, "zone": zone.key}).fetchall()
        return frozenset(rule for (rule,) in found)

    @telling
    def first_used(self) -> datetime | None:
        """When a policy came into use here for the first time."""
        found = self._connection.get().execute(_SQL["first_used"]).fetchone()
        return found[0] if found else None

    @telling
    def verified(self, plan: Plan, rule: Rule, found: Remaining, run: str) -> None:
        """Write down what a run found by other means after it carried out the plan."""
        key = f"verification/{plan.digest}/{run}"
        self.outbox.write_once(key, lambda place: verification_leaf(plan, rule, place, run, found=found))

    @telling
    def checked(self, policy: Policy, found: StoreChecked, run: str) -> Changed:
        """Write down what a check of a store came to, and what it changes of the findings, once for a run."""
        with self._connection.get().transaction():
            if found.identity is not None:
                self.remember(found.store, found.identity.after(found.before))
            if found.digest is not None:
                told = {"digest": found.digest, "store": found.store, "today": found.today, "body": found.canonical}
                self._connection.get().execute(_FINDINGS["keep_validation"], told)
            changed = self.findings.take(policy, found.store, found.findings, found.unseen)
            changes: tuple[tuple[Literal["opened", "gone"], tuple[Known, ...]], ...]
            changes = (("opened", changed.opened), ("gone", changed.gone))
            for state, known in changes:
                for each in known:
                    rule = each.subject if each.subject in policy.rules else None
                    self._write(
                        f"finding/{each.id}/{state}", partial(finding_leaf, run=run, known=each, state=state, rule=rule)
                    )
            count = {"opened": len(changed.opened), "gone": len(changed.gone)}
            self._write(
                f"check/{run}/{found.store}",
                lambda place: check_leaf(place, run, found=found, policy=policy.digest, **count),
            )
        return changed

    @telling
    def remembered(self, store: str) -> Identity | None:
        """Which database a store is meant to be, with its tables; None when it was never asked."""
        found = self._connection.get().execute(_FINDINGS["remembered"], {"store": store}).fetchone()
        return Identity.from_json(found[0]) if found else None

    @telling
    def remember(self, store: str, identity: Identity) -> None:
        """Let this be the database that is meant from now on."""
        self._connection.get().execute(_FINDINGS["remember"], {"store": store, "body": identity.to_json()})

    @telling
    def give_up(self, plan: Plan) -> None:
        """What the plan was approved for is no more: no run takes it up again."""
        self._connection.get().execute(_SQL["finish"], {"digest": plan.digest, "outcome": "stopped"})

    @contextmanager
    def _answering(self) -> Iterator[None]:
        self.outbox.require_open()
        with _only_who_may():
            yield

    def _write(self, key: str, leaf: Callable[[Place], Leaf]) -> None:
        """The leaf goes into the outbox in the transaction that is open."""
        self.outbox.require_open()
        place = take_place(self._connection.get())
        write(self._connection.get(), place, key, leaf(place))


@contextmanager
def _only_who_may() -> Iterator[None]:
    """The database's refusal of an answer, in words that say who may."""
    try:
        yield
    except errors.InsufficientPrivilege:
        raise NotApproved(
            "lethe_state: this sign-in may not answer for a person; sign in with a role that is, or is a member of, "
            "lethe_officer; Airflow's own is lethe_worker, for what its users say"
        ) from None


def _load(body: str) -> Plan:
    try:
        return from_json(json.loads(body))
    except (KeyError, TypeError, ValueError):
        pass
    raise PlanError("a stored plan is not one as this version of Lethe writes it; plan again")


def _checked(body: str, digest: str) -> Plan:
    plan = _load(body)
    if plan.digest != digest:
        raise PlanError(
            f"plan {digest}: its stored text has another digest; it was changed, so nothing is done with it"
        )
    return plan
