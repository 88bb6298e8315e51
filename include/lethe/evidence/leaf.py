"""Leaves: lines of evidence in canonical JSON (RFC 8785) from a closed, versioned schema (leaf.schema.json).

A leaf holds enums, integers, digests, dates and the policy's own names; no free text and nothing of a row.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import rfc8785

from lethe.model import Plan, Reason, Rule, Verdict

VERSION = 1


def canonical(leaf: dict[str, Any]) -> str:
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


def _head(kind: str, at: datetime, run: str) -> dict[str, Any]:
    return {"v": VERSION, "kind": kind, "at": instant(at), "run": run, "code": code_version()}


def instant(at: datetime) -> str:
    """A moment in UTC to the millisecond, RFC 3339."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _of_plan(plan: Plan, rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "obligation": rule.obligation,
        "plan": plan.digest,
        "policy": plan.policy_digest,
        "store": plan.survey.store_id,
        "epoch": plan.survey.epoch,
    }


def plan_leaf(plan: Plan, rule: Rule, at: datetime, run: str) -> dict[str, Any]:
    """What a plan found: counts by verdict and reason, its date, its bounds, whether a person must approve."""
    survey = plan.survey
    return {
        **_head("plan", at, run),
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


def approval_leaf(
    plan: Plan, rule: Rule, at: datetime, *, approved: bool, role: str, approver: str, via: str
) -> dict[str, Any]:
    """A person's answer to a plan: the role and a random id, never a name; the id stands for the run too."""
    return {
        **_head("approval", at, approver),
        **_of_plan(plan, rule),
        "decision": "approved" if approved else "rejected",
        "role": role,
        "approver": approver,
        "via": via,
    }


def confirmation_leaf(rule: Rule, at: datetime, *, role: str, approver: str) -> dict[str, Any]:
    """A role's word that an assumed period is the one to act on, for this meaning of the rule."""
    return {
        **_head("confirmation", at, approver),
        "rule": rule.name,
        "obligation": rule.obligation,
        "rule_digest": rule.digest,
        "keep": str(rule.keep),
        "role": role,
        "approver": approver,
    }


def batch_leaf(
    plan: Plan,
    rule: Rule,
    at: datetime,
    run: str,
    *,
    seq: int,
    shard: int,
    batch: int,
    way: str,
    rows: int,
    reach: dict[str, int],
    suppressed: int,
    backups_until: date | None,
) -> dict[str, Any]:
    """What one batch did, written in its own transaction; `gone_from_backups` is when no backup holds the rows."""
    return {
        **_head("batch", at, run),
        **_of_plan(plan, rule),
        "seq": seq,
        "shard": shard,
        "batch": batch,
        "way": way,
        "rows": rows,
        "reach": reach,
        "suppressed": suppressed,
        "gone_from_backups": backups_until.isoformat() if backups_until else None,
    }


def run_leaf(
    at: datetime, run: str, *, state: str, rule: Rule, plan: Plan | None, dag: str | None, dag_run: str | None,
    counts: dict[str, int],
) -> dict[str, Any]:  # fmt: skip
    """How a run of one rule ended (waiting, rejected, nothing to do, ended, failed), with what was done of its plan."""
    return {
        **_head("run", at, run),
        "state": state,
        "rule": rule.name,
        "obligation": rule.obligation,
        "plan": plan.digest if plan else None,
        "policy": plan.policy_digest if plan else None,
        "dag": dag,
        "dag_run": dag_run,
        "counts": counts,
    }
