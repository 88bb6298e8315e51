"""`lethe check`: ask every store again, by other means than the sweep, whether anything expired remains."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from lethe import checking
from lethe.checks.finding import WHOLE
from lethe.checks.result import Checked, StoreChecked
from lethe.checks.trial import Tried
from lethe.cli.options import moment_of, now_option, one_of, open_lethe
from lethe.cli.policy import directory_option, json_option


@click.command()
@click.argument("stores", nargs=-1, metavar="[STORE]...")
@now_option
@click.option(
    "--grace",
    type=click.IntRange(min=0),
    default=checking.GRACE,
    show_default=True,
    metavar="DAYS",
    help="How long the sweep has to come by: what is due for no longer is due, and does not remain.",
)
@click.option(
    "--pages",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also write a page for people into this directory for each store, as STORE/DAY.html.",
)
@directory_option
@json_option
def check(
    stores: tuple[str, ...],
    now: datetime | date | None,
    grace: int,
    pages: Path | None,
    directory: Path,
    as_json: bool,
) -> None:
    """Ask whether anything expired remains, by Great Expectations and SQL that the sweep knows nothing of.

    Every STORE, unless some are named. Of each rule: how many rows are over their period, what keeps them, and how many
    remain; then what the store holds that the policy does not name, which `lethe discover` tells of at length. Exit 1
    when something is left, or when so little was there to see that it proves nothing; 5 when a store or a table could
    not be asked: that is unknown, and never clean. No value is told, and nothing stays changed: where it may insert, it
    tries itself with rows that it rolls back.
    """
    found = list[StoreChecked]()
    with open_lethe(directory) as lethe:
        policy, today = lethe.policy, lethe.today(moment_of(now, lethe.policy.organisation.zone))
        for store in [one_of(policy.stores, "store", name) for name in stores] or policy.stores:
            found.append(checking.look(lethe, store, today, grace))
            if pages is not None:
                checking.keep_page(found[-1], pages)
            if not as_json:
                click.echo("\n  ".join([store, *_lines(found[-1])]))
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found], indent=2, default=str))
    if not all(each.is_known for each in found):
        raise SystemExit(5)
    if not all(each.is_clean for each in found):
        raise SystemExit(1)


def _lines(found: StoreChecked) -> Iterator[str]:
    if found.identity is None:
        yield f"unknown: {found.problem}"
        return
    yield from (
        f"{each.severity.upper()}: {each.words('en')} ({each.detail})"
        for each in found.findings
        if each.kind in (*WHOLE, "floor-gone", "canary-died", "canary-lives")
    )
    yield from map(_as_line, found.rules)
    yield from _canaries(found)
    yield _covered(found)


def _canaries(found: StoreChecked) -> Iterator[str]:
    if found.canaries:
        fates = Counter(each.fate for each in found.canaries)
        told = ", ".join(f"{rows} {'LIVE' if fate == 'lives' else fate}" for fate, rows in sorted(fates.items()))
        yield f"canaries: {told}"


def _as_line(found: Checked) -> str:
    if found.counts is None:
        return f"{found.rule}: unknown: {found.problem}"
    counts = found.counts
    kept = ", ".join(f"{rows} {reason}" for reason, rows in counts.kept.items() if rows)
    over = f"{counts.over} of {counts.rows} rows over their period" + (f" ({kept})" if kept else "")
    due = f", {counts.due} due since the last sweep" if counts.due else ""
    state = {
        "clean": "clean",
        "remaining": f"{counts.remaining} REMAIN",
        "blind": f"BLIND: {found.problem}",
        "unconfirmed": f"{counts.remaining} wait for a person's word",
    }[found.state]
    stale = f"; statistics keep {found.stale} dates of rows that are gone: ANALYZE the table" if found.stale else ""
    return f"{found.rule}: {state}; {over}{due}{stale}{_tried(found.trial)}"


def _tried(trial: Tried | None) -> str:
    if trial is None:
        return ""
    if trial.state == "seen":
        return "; saw the rows that were put in and rolled back"
    return f"; not tried: {trial.why}" if trial.state == "untried" else f"; DOES NOT SEE: {trial.why}"


def _covered(found: StoreChecked) -> str:
    if found.gaps is None:
        return f"not looked into: {found.problem}"
    kinds = Counter(each.kind for each in found.gaps)
    told = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return f"NOT COVERED by the policy: {told}; see `lethe discover {found.store}`" if told else "all is covered"


def _as_json(found: StoreChecked) -> dict[str, Any]:
    rules = [
        {
            **asdict(each),
            "counts": each.counts._asdict() if each.counts is not None else None,
            "trial": each.trial._asdict() if each.trial is not None else None,
        }
        for each in found.rules
    ]
    findings = [{**asdict(each), "severity": each.severity} for each in found.findings]
    told = {"rules": rules, "canaries": dict(Counter(each.fate for each in found.canaries)), "findings": findings}
    return {"store": found.store, "today": found.today, "clean": found.is_clean, **told}
