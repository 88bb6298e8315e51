"""Plans as the templates and the machines want them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from lethe.model import Plan, Policy, Verdict
from lethe.pages.words import REASONS, WAYS, WORDS
from lethe.plan import to_json
from lethe.sentences import date_words, describe, meaning
from lethe.state import Listed, Ran

_SPACE = "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True)
class Speech:
    """One language and one zone: what a page needs to put values into words."""

    lang: str
    zone: ZoneInfo

    def __call__(self, key: str, **values: object) -> str:
        """The page's own text under this key."""
        return WORDS[self.lang][key].format(**values)

    def number(self, count: int) -> str:
        """18 204, in groups of three."""
        return f"{count:,}".replace(",", _SPACE)

    def day(self, day: date) -> str:
        """A date written out."""
        return date_words(day, self.lang)

    def moment(self, moment: datetime) -> str:
        """A moment by the organisation's clock, to the minute."""
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M}"


def summary(entry: Listed, policy: Policy) -> dict[str, Any]:
    """One row of the table, as JSON data."""
    plan = entry.plan
    return {
        "plan": entry.digest,
        "rule": plan.rule,
        "obligation": policy.rules[plan.rule].obligation if plan.rule in policy.rules else None,
        "today": plan.today.isoformat(),
        "due": plan.survey.of(Verdict.DUE),
        "kept": plan.survey.of(Verdict.KEPT),
        "done": plan.survey.of(Verdict.DONE),
        "state": entry.state,
        "needs": list(plan.needs),
        "made_at": entry.made_at.isoformat(),
        "answer": _answer(entry),
    }


def whole(entry: Listed, runs: tuple[Ran, ...], policy: Policy, lang: str) -> dict[str, Any]:
    """One plan with everything there is to know about it, as JSON data; `content` is what its digest is of."""
    return {
        **summary(entry, policy),
        "sentence": sentence(entry.plan, policy, lang),
        "runs": [{**ran._asdict(), "at": ran.at.isoformat()} for ran in runs],
        "content": to_json(entry.plan),
    }


def sentence(plan: Plan, policy: Policy, lang: str) -> str | None:
    """What the rule does, and what that means on the plan's day; None when the policy no longer has the rule."""
    rule = policy.rules.get(plan.rule)
    if rule is None:
        return None
    return f"{describe(rule, policy, lang)} {meaning(rule, policy, plan.today, lang)}"


def title(plan: Plan, policy: Policy, lang: str) -> str:
    """What the rule is about, in words; its name when the policy no longer has it."""
    rule = policy.rules.get(plan.rule)
    return rule.title[lang] if rule else plan.rule


def obligation(plan: Plan, policy: Policy, lang: str) -> str:
    """The obligation that the plan's rule serves, with its words where the organisation gives them."""
    found = policy.rules[plan.rule].obligation
    words = policy.organisation.obligations.get(found, {}).get(lang)
    return f"{found}: {words}" if words else found


def answered(entry: Listed, policy: Policy, say: Speech) -> str:
    """Who said what, and where; or that nobody did."""
    if entry.answer.approved is None:
        return say("nobody yet" if entry.plan.needs else "nobody asked")
    role = policy.organisation.roles.get(entry.role or "")
    said = say("said yes" if entry.answer.approved else "said no", role=role.title[say.lang] if role else entry.role)
    return f"{said} {say(f'via {entry.via}')}"


def is_changed(plan: Plan, policy: Policy) -> bool:
    """Whether the rule has another meaning now than the one the plan was made for."""
    rule = policy.rules.get(plan.rule)
    return rule is not None and rule.digest != plan.rule_digest


def reasons(plan: Plan) -> list[tuple[str, int]]:
    """Every reason that keeps rows, with how many: the key of its words, and the rows."""
    found = [(f"reason {reason.value}", plan.survey.because(reason)) for reason in REASONS]
    return [(key, rows) for key, rows in found if rows]


def ways(plan: Plan) -> list[tuple[str, int]]:
    """The pieces of work by how they reach their rows: the key of its words, and the pieces."""
    found = [shard.way for shard in plan.survey.shards]
    return [(f"way {way}", found.count(way)) for way in WAYS if way in found]


def bar(plan: Plan) -> list[tuple[str, float, float]]:
    """Parts of a bar from 0 to 100: class, start, width. What is there is seen, however little it is."""
    survey, start, parts = plan.survey, 0.0, []
    for verdict in (Verdict.DUE, Verdict.DONE, Verdict.KEPT):
        if rows := survey.of(verdict):
            width = min(max(100 * rows / survey.total, 0.5), 100 - start)
            parts.append((str(verdict), round(start, 2), round(width, 2)))
            start += width
    return parts


def _answer(entry: Listed) -> dict[str, Any] | None:
    if entry.answer.approved is None:
        return None
    at = entry.answered_at.isoformat() if entry.answered_at else None
    return {"approved": entry.answer.approved, "role": entry.role, "via": entry.via, "at": at}
