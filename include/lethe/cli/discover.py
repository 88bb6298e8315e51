"""`lethe discover`: what the stores hold that looks like personal data, and what the policy does not name."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from lethe.cli.options import each_of, one_of, open_lethe, raise_first
from lethe.cli.policy import directory_option, json_option
from lethe.model import Policy

if TYPE_CHECKING:
    from lethe.discovery.look import Discovered


@click.command()
@click.argument("stores", nargs=-1, metavar="[STORE]...")
@click.option("--yaml", "as_yaml", is_flag=True, help="What the policy lacks, as YAML to correct and paste.")
@directory_option
@json_option
def discover(stores: tuple[str, ...], as_yaml: bool, directory: Path, as_json: bool) -> None:
    """Find personal data that the policy does not name: columns, views, logs, copies that were left behind.

    Every STORE, unless some are named. Columns are judged by name, type, comment, and up to a thousand values each,
    which are counted and not kept. What is told is a category, how sure it is (0 to 1) and why, never a value; then
    what the policy lacks, and which tables hang on a person by foreign keys.

    What is no personal data is declared in the policy: no_personal_data of a dataset or a store. A finding that may
    stay is named under accepted of its store. Exit 1 when something is not covered, 5 when a store could not be asked.
    Nothing is changed.
    """
    from lethe.discovery.look import discover as look_into  # lists of names and numbering plans take a while

    found: list[Discovered] = []
    with open_lethe(directory) as lethe:

        def ask(name: str) -> None:
            found.append(look_into(lethe.policy, name, lethe.address(name), _progress(name)))
            if not (as_json or as_yaml):
                click.echo("\n".join(_lines(found[-1], lethe.policy)))

        failed = each_of([one_of(lethe.policy.stores, "store", each) for each in stores] or lethe.policy.stores, ask)
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found], indent=2, ensure_ascii=False))
    if as_yaml:
        click.echo("\n".join(_as_yaml(each) for each in found if each.findings), nl=False)
    raise_first(failed)
    if any(each.findings for each in found):
        raise SystemExit(1)


def _progress(store: str) -> Any:
    def tell(number: int, tables: int) -> None:
        if sys.stderr.isatty() and number % 20 == 0:
            click.echo(f"{store}: {number} of {tables} tables", err=True)

    return tell


def _lines(found: Discovered, policy: Policy) -> Iterator[str]:
    tables = len(found.looked.inventory.tables)
    yield f"{found.store}: {tables} tables, {len(found.looked.candidates)} columns that may hold personal data"
    for each in found.looked.candidates:
        known = (
            "in the policy"
            if found.knows(each.table, each.column)
            else "NOT IN THE POLICY"
            if each.is_sure
            else "not in the policy"
        )
        yield f"  {each.confidence:.2f}  {each.place}  {each.category}  {known}  ({'; '.join(each.why)})"
    for table, ways in found.reach().items():
        yield f"  reachable from {table}:"
        yield from (f"    {way}" for way in ways)
    for finding in found.findings:
        detail = f" ({finding.detail})" if finding.detail else ""
        yield f"  {finding.severity}: {finding.words('en')}{detail}; {finding.role(policy)}"
    yield from (f"  accepted, and not there: {each}" for each in found.accepted_in_vain)
    if not found.findings:
        yield "  everything is covered"


def _as_json(found: Discovered) -> dict[str, Any]:
    return {
        "store": found.store,
        "covered": not found.findings,
        "candidates": [
            {
                "column": each.place,
                "category": each.category,
                "confidence": each.confidence,
                "why": list(each.why),
                "in_policy": found.knows(each.table, each.column),
            }
            for each in found.looked.candidates
        ],
        "findings": [
            {"kind": each.kind, "subject": each.subject, "severity": each.severity, "detail": each.detail}
            for each in found.findings
        ],
        "reach": {table: [str(way) for way in ways] for table, ways in found.reach().items()},
        "accepted_in_vain": list(found.accepted_in_vain),
    }


def _as_yaml(found: Discovered) -> str:
    """A dataset for each table with something like personal data; the columns of the others as free of it."""
    sure = {(each.table, each.column): each.category for each in found.looked.candidates if each.is_sure}
    datasets, free = dict[str, Any](), dict[str, list[str]]()
    for table in found.looked.inventory.tables:
        lacking = [each.name for each in table.columns if not found.knows(table.place, each.name)]
        personal = {name: sure[table.place, name] for name in lacking if (table.place, name) in sure}
        known = found.declared.get(table.place)
        if personal or (lacking and known is not None and known.is_dataset):
            rest = [name for name in lacking if name not in personal and name not in table.key]
            key = list(table.key) if len(table.key) != 1 else table.key[0]
            head = {"in": found.store, "table": table.place, "key": key}
            datasets[table.name.replace("_", "-").lower()] = {
                **head,
                "personal_data": personal,
                "no_personal_data": rest,
            }
        elif lacking:
            free[table.place] = lacking
    parts = [f"# {found.store}: a proposal. Look at each column; what holds personal data wants a rule as well.\n"]
    if datasets:
        parts.append(f"# activities/….yaml\n{_dumped({'datasets': datasets})}")
    if free:
        parts.append(f"# stores.yaml, under {found.store}\n{_dumped({'no_personal_data': free})}")
    return "".join(parts)


def _dumped(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
