"""What a bundle's own page tells: totals of the leaves as they pass, in the words of the policies they were made under.

Bounded by the number of rules, not of leaves; of approvals only the latest are listed.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lethe.deadlines import Period
from lethe.evidence.leaf import Leaf
from lethe.sentences import period_words

APPROVALS = 500
"""So many answers are listed, the latest ones."""


@dataclass
class RuleTotal:
    """What the leaves tell of one rule; `policy` is the digest of the one it was last planned under."""

    obligation: str
    activity: str
    policy: str | None = None
    plans: int = 0
    batches: int = 0
    rows: int = 0
    reach: int = 0
    last: str = ""


class Account:
    """Sums up leaves, one at a time, and writes the page."""

    def __init__(self, policies: Mapping[str, str]) -> None:
        self._policies = policies
        self._policy: str | None = None
        self.count, self.first, self.last = 0, "", ""
        self.kinds, self.decisions = Counter[str](), Counter[str]()
        self.rules: dict[str, RuleTotal] = {}
        self.approvals: deque[Leaf] = deque(maxlen=APPROVALS)

    def add(self, line: bytes) -> None:
        """Take in the next leaf."""
        leaf: Leaf = json.loads(line)
        kind, at = leaf["kind"], leaf["at"]
        self.count += 1
        self.kinds[kind] += 1
        self.first, self.last = min(self.first or at, at), max(self.last, at)
        self._policy = leaf.get("policy") or self._policy
        if "obligation" in leaf:  # a hold on all that a rule would do names it too, and is no work of it
            self._add_to_rule(leaf)
        if kind == "approval":
            self.decisions[leaf["decision"]] += 1
            self.approvals.append(leaf)

    def _add_to_rule(self, leaf: Leaf) -> None:
        total = self.rules.setdefault(leaf["rule"], RuleTotal(leaf["obligation"], leaf["activity"]))
        total.policy = leaf.get("policy") or total.policy
        total.plans += leaf["kind"] == "plan"
        if leaf["kind"] == "batch":
            total.batches += 1
            total.rows += leaf["rows"]
            total.reach += sum(leaf["reach"].values())
            total.last = max(total.last, leaf["at"])

    def page(self, told: Mapping[str, Any]) -> str:
        """The page as HTML that needs nothing else; `told` is what the leaves do not tell."""
        rules = [(name, total, self._words(name, total)) for name, total in sorted(self.rules.items())]
        rendered: str = _template().render(account=self, rules=rules, controller=self._controller(), **told)
        return rendered

    def _controller(self) -> str | None:
        name = self._said(self._policy).get("organisation", {}).get("controller")
        return str(name) if name else None

    def _words(self, name: str, total: RuleTotal) -> dict[str, str]:
        """The rule's title and what it does, as the policy has them; its name where that is not known."""
        rule = self._said(total.policy).get("rules", {}).get(name)
        if not rule:
            return {"title": name, "does": ""}
        done = "anonymised" if rule["action"]["is"] == "Anonymise" else "deleted"
        after = f" after {rule['since']['en']}" if rule["since"].get("en") else ""
        return {"title": rule["title"]["en"], "does": f"{done} {period_words(Period.parse(rule['keep']), 'en')}{after}"}

    def _said(self, digest: str | None) -> dict[str, Any]:
        return _parsed(self._policies[digest]) if digest is not None and digest in self._policies else {}


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("lethe.evidence"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    environment.filters["moment"] = lambda at: f"{at[:10]}\N{NO-BREAK SPACE}{at[11:16]}\N{NO-BREAK SPACE}UTC"
    return environment.get_template("index.html.j2")


@cache
def _parsed(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text)
    return parsed
