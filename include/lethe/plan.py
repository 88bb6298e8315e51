"""From a survey to a plan: what one rule would do on one day, and what a person must approve of it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import date
from math import ceil
from typing import Any

import rfc8785

from lethe.deadlines import cutoff
from lethe.model import Bounds, Limits, Plan, Policy, Reason, Rule, Shard, Survey, Verdict, Way

SLACK = 10
"""How far past the numbers that a person approved the work may go before it stops, as their part: data always moves."""


def make_plan(policy: Policy, rule: Rule, survey: Survey, today: date, approved: Plan | None, earlier: int = 0) -> Plan:
    """The plan of `rule` on `today`; `approved` is the last plan of this meaning of the rule that a person approved.

    `earlier` tells apart plans that would look the same: how many of this day were carried out before.
    """
    needs = tuple(_needs(rule, survey, approved)) if survey.of(Verdict.DUE) else ()
    plan = Plan(
        rule=rule.name,
        rule_digest=rule.digest,
        policy_digest=policy.digest,
        store=rule.dataset.store,
        today=today,
        cutoff=cutoff(today, rule.keep),
        survey=survey,
        bounds=_bounds(rule.limits, survey, asked=bool(needs)),
        needs=needs,
        earlier=earlier,
        digest="",
    )
    return replace(plan, digest=hashlib.sha256(rfc8785.dumps(to_json(plan))).hexdigest())


def _needs(rule: Rule, survey: Survey, approved: Plan | None) -> Iterator[str]:
    """Why a person must approve, in words that say what was found and what the limit is."""
    due, allowed = survey.of(Verdict.DUE), rule.limits
    if approved is None:
        yield "first plan of this rule as it now reads"
    elif approved.survey.fingerprint != survey.fingerprint:
        yield "the schema of the store changed since the last approval"
    elif (approved.survey.store_id, approved.survey.epoch) != (survey.store_id, survey.epoch):
        yield "the store is another one, or was restored, since the last approval"
    if due > allowed.rows:
        yield f"limit {allowed.rows} rows: found {due}"
    if due > allowed.share * survey.total:
        found = f"found {100 * due / survey.total:.3g} % ({_number(due)} of {_number(survey.total)})"
        yield f"limit {100 * allowed.share:.3g} % of the table: {found}"
    seen_before = set(approved.survey.unseen) if approved else set()
    for condition in survey.unseen:
        if condition not in seen_before:
            yield f"nothing in the store matches: {condition}"


def _bounds(limits: Limits, survey: Survey, *, asked: bool) -> Bounds:
    """What a person was shown and a little more; the rule's own limits where nobody is asked."""
    due, allowed = survey.of(Verdict.DUE), min(limits.rows, int(limits.share * survey.total))
    rows = _and_a_little(due) if asked else max(due, allowed)
    return Bounds(rows, _and_a_little(sum(survey.reach.values())))


def _number(count: int) -> str:
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _and_a_little(rows: int) -> int:
    return rows + ceil(rows / SLACK)


def finish_shard(relation: str) -> Shard:
    """The piece of work that comes after all shards."""
    return Shard(-1, Way.FINISH, relation)


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data: counts, dates and names of the schema, nothing of a row."""
    body = asdict(plan)
    body["today"], body["cutoff"] = plan.today.isoformat(), plan.cutoff.isoformat()
    survey = body["survey"]
    survey["counts"] = {str(int(reasons)): rows for reasons, rows in plan.survey.counts.items()}
    for edge in ("oldest", "newest"):
        found: date | None = getattr(plan.survey, edge)
        survey[edge] = found.isoformat() if found else None
    survey["shards"] = [{**shard, "way": str(shard["way"])} for shard in survey["shards"]]
    survey["reach"] = dict(plan.survey.reach)
    del body["digest"]
    loaded: dict[str, Any] = json.loads(json.dumps(body))
    return loaded


def from_json(body: dict[str, Any]) -> Plan:
    """The plan that to_json() wrote, its digest computed anew."""
    digest = hashlib.sha256(rfc8785.dumps(body)).hexdigest()
    found = body["survey"]
    survey = Survey(
        counts={Reason(int(mask)): rows for mask, rows in found["counts"].items()},
        oldest=date.fromisoformat(found["oldest"]) if found["oldest"] else None,
        newest=date.fromisoformat(found["newest"]) if found["newest"] else None,
        reach=found["reach"],
        unseen=tuple(found["unseen"]),
        warnings=tuple(found["warnings"]),
        shards=tuple(Shard(**{**shard, "way": Way(shard["way"])}) for shard in found["shards"]),
        fingerprint=found["fingerprint"],
        store_id=found["store_id"],
        epoch=found["epoch"],
    )
    return Plan(
        rule=body["rule"],
        rule_digest=body["rule_digest"],
        policy_digest=body["policy_digest"],
        store=body["store"],
        today=date.fromisoformat(body["today"]),
        cutoff=date.fromisoformat(body["cutoff"]),
        survey=survey,
        bounds=Bounds(**body["bounds"]),
        needs=tuple(body["needs"]),
        earlier=body["earlier"],
        digest=digest,
    )
