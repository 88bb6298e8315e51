"""`lethe risk`: how well what has no names hides each of its people."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from lethe.anonymise.risk import Risk
from lethe.cli.options import each_of, one_of, open_lethe, raise_first
from lethe.cli.policy import directory_option, json_option


@click.command()
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@directory_option
@json_option
def risk(datasets: tuple[str, ...], directory: Path, as_json: bool) -> None:
    """Measure how well rows without a person hide each of them; exit 1 when not well enough.

    Every DATASET with `anonymity:` in the policy, unless some are named: how many rows stand in groups of fewer than k
    by its quasi-identifiers, and how many could be matched with rows elsewhere that still have names. Changes nothing,
    and tells numbers only.
    """
    from lethe.anonymous import measure

    found = list[Risk]()
    with open_lethe(directory) as lethe:

        def ask(name: str) -> None:
            found.append(measure(lethe, name))
            if not as_json:
                click.echo(_as_line(found[-1]))

        measured = lethe.policy.anonymity
        failed = each_of([one_of(measured, "anonymity of", each) for each in datasets] or measured, ask)
    if as_json:
        told = [{**asdict(each), "anonymous_enough": each.is_anonymous_enough} for each in found]
        click.echo(json.dumps(told, indent=2))
    raise_first(failed)
    if not all(each.is_anonymous_enough for each in found):
        raise SystemExit(1)


def _as_line(found: Risk) -> str:
    groups, wrong = found.groups, list(found.findings())
    smallest = f", the smallest of {groups.smallest}" if groups.smallest is not None else ""
    head = f"{found.dataset}: {groups.rows} rows in {groups.groups} groups{smallest}; at least {found.k} are wanted"
    return "\n  ".join([head, *wrong])
