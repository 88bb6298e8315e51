"""What runs on one person's rows for machines: the same facts as the text has."""

from __future__ import annotations

from datetime import date
from typing import Any

from lethe.deadlines import YearEnd
from lethe.explain import (
    BY_DATE,
    Ending,
    Explained,
    Fate,
    Judged,
    Row,
    Standing,
    Told,
    by_kin,
    ends_on,
    fates,
    once,
    standing_until,
)
from lethe.model import Change, Generalise, Policy, Put, Reason


def explained_as_json(found: Explained, policy: Policy, *, keys: bool) -> dict[str, Any]:
    """The same for machines."""
    return {
        "dataset": found.subject.name,
        "store": found.subject.store,
        "today": found.today.isoformat(),
        "holds_behind": found.behind,
        "tables": [_table(told, policy.organisation.year_end, keys=keys) for told in found.told],
    }


def _table(told: Told, year_end: YearEnd, *, keys: bool) -> dict[str, Any]:
    return {
        "dataset": told.dataset.name,
        "table": f"{told.dataset.schema}.{told.dataset.table}",
        "by": [list(path) for path in told.paths],
        "rows": told.total,
        "problem": told.problem or None,
        "outside": told.outside,
        "stopped": {name: list(problems) for name, problems in told.stopped.items()},
        "told": [_row(told, row, year_end, keys=keys) for row in told.rows],
        "rest": [
            {**_ending(ending), "counts": [{**_reasons(reasons), "rows": rows} for reasons, rows in counts.items()]}
            for ending, counts in told.rest
        ],
    }


def _row(told: Told, row: Row, year_end: YearEnd, *, keys: bool) -> dict[str, Any]:
    return {
        "row": row.number,
        **({"key": row.key} if keys else {}),
        "holds": [{"kind": _names(held.kind)[0], "on": held.on, "by": held.by} for held in row.holds],
        "rules": [_judged(judged, row, year_end) for judged in row.judged],
        "fields": {fate.column: _fate(fate, year_end) for fate in fates(told.dataset, row, year_end)},
    }


def _judged(judged: Judged, row: Row, year_end: YearEnd) -> dict[str, Any]:
    rule = judged.ending.rule
    return {
        **_ending(judged.ending),
        **_reasons(judged.reasons),
        "clock": str(rule.clock),
        "date": _iso(judged.start),
        "keep": str(rule.keep),
        "last_day": _iso(judged.last_day),
        "due_from": _iso(judged.due_from(year_end)),
        "ends_on": _iso(ends_on(judged, year_end)),
        "floors": [_floor(each, year_end) for each in once(judged.floors)],
        "held_by_rule": _names(judged.rule_held),
        "held_by_kin": _names(by_kin(judged, row)),
    }


def _ending(ending: Ending) -> dict[str, Any]:
    rule = ending.rule
    fields = {name: _change(change) for name, change in ending.fields.items()}
    return {
        "rule": rule.name,
        "obligation": rule.obligation,
        "goes_with": ending.goes_with,
        "then": {"anonymise": fields} if fields else "delete",
        "order": rule.order,
    }


def _change(change: Change) -> str | dict[str, Any]:
    if isinstance(change, Generalise):
        return {"generalise": {"band": change.width} if change.to == "band" else change.to}
    if isinstance(change, Put):
        return "blank" if change.value is None else {"constant": change.value}
    return "surrogate"


def _floor(standing: Standing, year_end: YearEnd) -> dict[str, Any]:
    floor = standing.floor
    return {
        "floor": floor.name,
        "law": floor.law,
        "obligation": floor.obligation,
        "dataset": floor.dataset,
        "fields": list(floor.fields),
        "clock": str(floor.until or floor.clock),
        "date": _iso(standing.day),
        "last_day": _iso(standing_until(standing, year_end)),
    }


def _fate(fate: Fate, year_end: YearEnd) -> dict[str, Any]:
    first = fate.first
    return {
        "category": fate.category,
        "ended_by": [each.ending.rule.name for each in fate.done],
        "first": first and {"rule": first.ending.rule.name, "verdict": str(first.verdict),
                            "ends_on": _iso(ends_on(first, year_end)), "why": _names(first.reasons & ~BY_DATE)},
        "floors": [each.floor.name for each in fate.floors],
    }  # fmt: skip


def _reasons(reasons: Reason) -> dict[str, Any]:
    return {"verdict": str(reasons.verdict), "reasons": _names(reasons)}


def _names(reasons: Reason) -> list[str]:
    return [str(each.name).lower() for each in reasons]


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day is not None else None
