"""How a plan reads: for a person as text, for machines as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lethe.anonymise.example import example
from lethe.model import Plan, Policy, Reason, Rule, Verdict, Way
from lethe.plan import to_json
from lethe.run import Gate
from lethe.sentences import describe, meaning

_REASONS = {
    Reason.NOT_DUE: "not yet due",
    Reason.HELD: "held",
    Reason.RESTRICTED: "restricted",
    Reason.FLOOR: "statutory floor",
    Reason.UNDATED: "undated",
    Reason.FUTURE: "future-dated",
    Reason.CONDITION: "condition not met",
    Reason.UNCONFIRMED: "assumption not confirmed",
    Reason.NEEDED: "needed by another rule first",
}
_WAYS = {
    Way.PARTITION: ("partition dropped whole", "partitions dropped whole"),
    Way.INDEX: ("range of the clock's index", "ranges of the clock's index"),
    Way.BLOCKS: ("range of blocks", "ranges of blocks"),
}


def plan_as_json(plan: Plan, gate: Gate) -> dict[str, Any]:
    """The plan as it is stored, with its digest and what it waits for."""
    return {"plan": plan.digest, "state": gate.state, "why": list(gate.why), **to_json(plan)}


def plan_as_text(plan: Plan, gate: Gate, policy: Policy, lang: str) -> str:
    """The plan as a person reads it before saying yes or no."""
    rule, survey = policy.rules[plan.rule], plan.survey
    lines = [
        f"{rule.name} ({rule.obligation})  {rule.dataset.store}.{rule.dataset.table}",
        f"  {describe(rule, policy, lang)} {meaning(rule, policy, plan.today, lang)}",
        *(_row("example", line) for line in _example(rule, lang)),
        _row("due", _number(survey.of(Verdict.DUE)) + _span(plan)),
        _row("kept", _number(survey.of(Verdict.KEPT)) + _why_kept(plan)),
    ]
    if survey.of(Verdict.DONE):
        lines.append(_row("done", f"{_number(survey.of(Verdict.DONE))}   anonymised already"))
    lines.append(_row("reach", _reach(plan)))
    if survey.shards:
        lines.append(_row("way", _way(plan)))
    lines += [_row("warning", warning) for warning in survey.warnings]
    lines += [_row("needs", need) for need in gate.why]
    lines.append(_row("plan", _digest(plan, gate)))
    return "\n".join(lines) + "\n"


def _example(rule: Rule, lang: str) -> Iterator[str]:
    """An invented record before and after; nothing for rules that delete."""
    empty = {"en": "empty", "nb": "tom"}[lang]
    if fields := [f"{column}: {before} → {after or empty}" for column, before, after in example(rule)]:
        yield " · ".join(fields)


def _row(label: str, text: str) -> str:
    return f"  {label:<8} {text}"


def _number(count: int) -> str:
    return f"{count:>12,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _span(plan: Plan) -> str:
    if plan.survey.oldest is None:
        return ""
    return f"   oldest {plan.survey.oldest}, newest {plan.survey.newest}"


def _why_kept(plan: Plan) -> str:
    """Every reason with its rows; a row can have several, so they can add up to more than are kept."""
    found = [(words, plan.survey.because(reason)) for reason, words in _REASONS.items()]
    listed = " · ".join(f"{words} {_number(count).strip()}" for words, count in found if count)
    return f"   {listed}" if listed else ""


def _reach(plan: Plan) -> str:
    if not plan.survey.reach:
        return "no other rows go along"
    return " · ".join(f"{name} {_number(count).strip()}" for name, count in plan.survey.reach.items()) + " go along"


def _way(plan: Plan) -> str:
    ways = [shard.way for shard in plan.survey.shards]
    counted = [(way, ways.count(way)) for way in _WAYS if way in ways]
    return ", ".join(f"{count} {_WAYS[way][count > 1]}" for way, count in counted)


def _digest(plan: Plan, gate: Gate) -> str:
    short = plan.digest[:12]
    hints = {"waiting": f"lethe approve {short}", "go": f"lethe apply {short}", "nothing": "nothing to do"}
    return f"{short}   ({hints.get(gate.state, gate.state)})"
