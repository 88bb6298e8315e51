"""Leaves: lines of evidence in canonical JSON (RFC 8785) from a closed, versioned schema (leaf.schema.json).

A leaf holds enums, integers, digests, dates and the policy's own names; no free text and nothing of a row.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import rfc8785

from lethe.model import Plan, Policy, Reason, Receipt, Remaining, Rule, Subjects, Verdict

if TYPE_CHECKING:
    from lethe.anonymise.risk import Risk
    from lethe.checks.questions import Counts
    from lethe.checks.result import StoreChecked
    from lethe.findings import Known
    from lethe.holds import Open

VERSION = 1

Leaf = dict[str, Any]


class Place(NamedTuple):
    """Where a leaf is written: the outbox of a store, its epoch, the number there, and the database's own moment."""

    store: str
    epoch: int
    seq: int
    at: datetime


def canonical(leaf: Leaf) -> str:
    """The leaf's canonical JSON text."""
    return rfc8785.dumps(leaf).decode()


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) that every leaf of this version meets."""
    text = (files(__package__) / "leaf.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def code_version() -> str:
    """The git commit of the running code: LETHE_CODE_VERSION, else the checkout's HEAD, else "unknown"."""
    if told := os.environ.get("LETHE_CODE_VERSION"):
        return told
    git = next((up / ".git" for up in Path(__file__).resolve().parents if (up / ".git").is_dir()), None)
    if git is None or not (git / "HEAD").is_file():
        return "unknown"
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head
    ref = git / head.removeprefix("ref: ")
    return ref.read_text().strip() if ref.is_file() else "unknown"


def instant(at: datetime) -> str:
    """A moment in UTC to the millisecond, RFC 3339."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _head(kind: str, place: Place, run: str) -> Leaf:
    outbox = {"store": place.store, "epoch": place.epoch, "seq": place.seq}
    head = {"v": VERSION, "kind": kind, "at": instant(place.at), "run": run, "code": code_version()}
    return {**head, "outbox": outbox}


def _of_rule(rule: Rule) -> Leaf:
    return {"rule": rule.name, "obligation": rule.obligation, "activity": rule.activity}


def _of_plan(plan: Plan, rule: Rule) -> Leaf:
    survey = plan.survey
    digests = {"plan": plan.digest, "policy": plan.policy_digest}
    return {**_of_rule(rule), **digests, "store": survey.store_id, "epoch": survey.epoch}


def policy_leaf(policy: Policy, place: Place, run: str) -> Leaf:
    """A policy that comes into use: its digest, those of its rules, what it answers for and what it assumes."""
    return {
        **_head("policy", place, run),
        "policy": policy.digest,
        "obligations": sorted(policy.organisation.obligations),
        "rules": {name: rule.digest for name, rule in policy.rules.items()},
        "assumptions": sorted(name for name, rule in policy.rules.items() if rule.assumption),
    }


def run_leaf(
    rule: Rule, place: Place, run: str, *, state: str, plan: Plan | None, dag: str | None, dag_run: str | None,
    counts: Mapping[str, int],
) -> Leaf:  # fmt: skip
    """That a run of one rule is to be, began, or how it ended, with what was done of its plan."""
    return {
        **_head("run", place, run),
        **_of_rule(rule),
        "state": state,
        "plan": plan.digest if plan else None,
        "policy": plan.policy_digest if plan else None,
        "dag": dag,
        "dag_run": dag_run,
        "counts": dict(counts),
    }


def plan_leaf(plan: Plan, rule: Rule, place: Place, run: str) -> Leaf:
    """What a plan found: counts by verdict and reason, its date, its bounds, whether a person must approve."""
    survey = plan.survey
    return {
        **_head("plan", place, run),
        **_of_plan(plan, rule),
        "rule_digest": plan.rule_digest,
        "schema": survey.fingerprint,
        "today": plan.today.isoformat(),
        "cutoff": plan.cutoff.isoformat(),
        "due": survey.of(Verdict.DUE),
        "done": survey.of(Verdict.DONE),
        "kept": survey.of(Verdict.KEPT),
        "reasons": {r.name.lower(): n for r in Reason if r.name and (n := survey.because(r))},
        "reach": dict(survey.reach),
        "shards": len(survey.shards),
        "bounds": {"rows": plan.bounds.rows, "reach": plan.bounds.reach},
        "needs_approval": bool(plan.needs),
    }


def approval_leaf(plan: Plan, rule: Rule, place: Place, *, approved: bool, role: str, approver: str, via: str) -> Leaf:
    """A person's answer to a plan: the role and a random id, never a name; the id stands for the run too."""
    return {
        **_head("approval", place, approver),
        **_of_plan(plan, rule),
        "decision": "approved" if approved else "rejected",
        "role": role,
        "approver": approver,
        "via": via,
    }


def confirmation_leaf(rule: Rule, place: Place, *, role: str, approver: str) -> Leaf:
    """A role's word that an assumed period is the one to act on, for this meaning of the rule."""
    return {
        **_head("confirmation", place, approver),
        **_of_rule(rule),
        "rule_digest": rule.digest,
        "keep": str(rule.keep),
        "role": role,
        "approver": approver,
    }


def batch_leaf(
    plan: Plan, rule: Rule, place: Place, run: str, *, done: Receipt, way: str, suppressed: int,
    backups_until: date | None, subjects: Subjects | None = None,
) -> Leaf:  # fmt: skip
    """What one batch did, written in its own transaction; `gone_from_backups` is when no backup holds the rows."""
    return {
        **_head("batch", place, run),
        **_of_plan(plan, rule),
        "shard": done.shard,
        "batch": done.batch,
        "way": way,
        "rows": done.rows,
        "reach": dict(done.reach),
        "suppressed": suppressed,
        "gone_from_backups": backups_until.isoformat() if backups_until else None,
        "receipts": {"count": subjects.count, "root": subjects.root} if subjects else None,
    }


def intent_leaf(plan: Plan, rule: Rule, place: Place, run: str, *, shard: int, documents: Mapping[str, int]) -> Leaf:
    """That so many documents of each folder are about to be deleted; written and committed before the first goes."""
    return {**_head("intent", place, run), **_of_plan(plan, rule), "shard": shard, "documents": dict(documents)}


def outcome_leaf(
    plan: Plan, rule: Rule, place: Place, run: str, *, shard: int, batch: int, outcome: Mapping[str, Mapping[str, int]]
) -> Leaf:
    """What became of documents, by folder: deleted, missing before, named by others still, or not due any more."""
    told = {folder: dict(counts) for folder, counts in outcome.items()}
    return {**_head("outcome", place, run), **_of_plan(plan, rule), "shard": shard, "batch": batch, "outcome": told}


def coarsening_leaf(
    plan: Plan, rule: Rule, place: Place, run: str, *, step: int, matched_with: str | None, rows: int
) -> Leaf:
    """That rows in groups too small, or that could be matched with too few people, were made coarser by a step."""
    told = {"step": step, "matched_with": matched_with, "rows": rows}
    return {**_head("coarsening", place, run), **_of_plan(plan, rule), **told}


def risk_leaf(place: Place, run: str, *, found: Risk, policy: str) -> Leaf:
    """How well a dataset's rows without a person hide each of them."""
    return {
        **_head("risk", place, run),
        "policy": policy,
        "dataset": found.dataset,
        "k": found.k,
        "rows": found.groups.rows,
        "groups": found.groups.groups,
        "smallest": found.groups.smallest,
        "small": found.groups.small,
        "linked": dict(found.linked),
        "telling": sum(found.telling.values()),
    }


def check_leaf(place: Place, run: str, *, found: StoreChecked, policy: str, opened: int, gone: int) -> Leaf:
    """What a store answered when it was asked by other means whether anything expired remains."""
    return {
        **_head("check", place, run),
        "policy": policy,
        "store": found.store,
        "today": found.today.isoformat(),
        "grace": found.grace,
        "document": found.digest,
        "rules": {
            each.rule: {
                "state": each.state,
                "counts": _counted(each.counts) if each.counts else None,
                "trial": each.trial.state if each.trial else None,
            }
            for each in found.rules
        },
        "canaries": dict(sorted(Counter(each.fate for each in found.canaries).items())),
        "opened": opened,
        "gone": gone,
    }


def _counted(counts: Counts) -> Leaf:
    kept = {reason: rows for reason, rows in counts.kept.items() if rows}
    whole = {name: getattr(counts, name) for name in ("rows", "dated", "over", "due", "remaining")}
    return {**whole, "kept": kept}


def finding_leaf(place: Place, run: str, *, known: Known, state: Literal["opened", "gone"], rule: str | None) -> Leaf:
    """That something was found wrong, or is so no more; on which rule of the policy, and never on which table."""
    told = {"finding": known.id, "what": known.kind, "severity": known.severity, "role": known.role}
    return {**_head("finding", place, run), "state": state, **told, "store": known.store, "rule": rule}


def departure_leaf(
    place: Place, departure: str, *, event: str, counts: Mapping[str, int], role: str | None, approver: str | None,
    root: str | None,
) -> Leaf:  # fmt: skip
    """What happened with the mailbox of somebody who leaves: numbers, and one root over what was handed over.

    The random id of the departure stands for the run too.
    """
    said = {"role": role, "approver": approver, "root": root}
    return {**_head("departure", place, departure), "event": event, "counts": dict(sorted(counts.items())), **said}


def upkeep_leaf(place: Place, run: str, what: str, obligation: str, counts: Mapping[str, int]) -> Leaf:
    """What a round through the mailboxes of employees came to, in numbers."""
    return {**_head("upkeep", place, run), "what": what, "obligation": obligation, "counts": dict(counts)}


def hold_leaf(target: Open, place: Place, run: str) -> Leaf:
    """That something must be kept, or need not be any longer; on what of the policy, and never on which row."""
    of_rule = target.dataset.removeprefix("rule:") if target.dataset.startswith("rule:") else None
    return {
        **_head("hold", place, run),
        "state": "released" if target.released else "placed",
        "hold": target.hold,
        "number": target.number,
        "scope": "rule" if of_rule else "dataset" if target.key == "*" else "row",
        "dataset": None if of_rule else target.dataset,
        "rule": of_rule,
        "because": str(target.because),
        "role": target.role,
        "approver": target.approver,
        "review": target.review.isoformat(),
    }


def purge_leaf(plan: Plan, rule: Rule, place: Place, run: str, *, tables: int) -> Leaf:
    """That what a plan deleted was cleared out of the pages and the statistics of its tables."""
    return {**_head("purge", place, run), **_of_plan(plan, rule), "tables": tables}


def verification_leaf(plan: Plan, rule: Rule, place: Place, run: str, *, found: Remaining) -> Leaf:
    """What was found by other means after a plan was carried out."""
    return {
        **_head("verification", place, run),
        **_of_plan(plan, rule),
        "today": found.today.isoformat(),
        "remaining": found.rows,
        "detached": len(found.detached),
    }


def key_leaf(place: Place, run: str, *, new: str, old: str | None, size: int) -> Leaf:
    """A signing key that comes into use when the log has `size` leaves; ids as in a signed note, in hex."""
    return {**_head("key", place, run), "new": new, "old": old, "size": size}


def anchor_leaf(place: Place, run: str, *, anchor: str, of: str, size: int, root: bytes, token: bytes | None) -> Leaf:
    """A checkpoint that was brought outside, with the SHA-256 of the token that came back."""
    digest = hashlib.sha256(token).hexdigest() if token is not None else None
    what = {"anchor": anchor, "of": of, "size": size, "root": root.hex(), "digest": digest}
    return {**_head("anchor", place, run), **what}


def heartbeat_leaf(
    place: Place, run: str, *, day: date, size: int, unreachable: int, unanchored_since: datetime | None
) -> Leaf:
    """The log lives: its size on a day, how many outboxes could not be read, since when no anchor was reached."""
    since = instant(unanchored_since) if unanchored_since else None
    told = {"day": day.isoformat(), "size": size, "unreachable": unreachable, "unanchored_since": since}
    return {**_head("heartbeat", place, run), **told}


def manifest_leaf(place: Place, run: str, *, day: date, expected: Iterable[str], missing: Iterable[str]) -> Leaf:
    """The rules that should have run on a day, and those of them that did not."""
    told = {"day": day.isoformat(), "expected": sorted(expected), "missing": sorted(missing)}
    return {**_head("manifest", place, run), **told}


def restore_leaf(
    place: Place, run: str, *, database: Literal["store", "state", "log"], found: int, published: int
) -> Leaf:
    """A database that a backup was put back into: the last number it holds, and the last that was published of it."""
    return {**_head("restore", place, run), "database": database, "found": found, "published": published}
