"""`lethe policy`: check the files, show the record of processing activities, explain a rule, print the JSON Schema."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from lethe import clock, sentences
from lethe.deadlines import local_date
from lethe.errors import PolicyError
from lethe.model import Activity, Anonymise, Assumption, Policy, Rule
from lethe.policy import load, schema

DEFAULT = Path(__file__).parents[2] / "policy"

directory_option = click.option(
    "--policy",
    "directory",
    envvar="LETHE_POLICY",
    type=click.Path(path_type=Path),
    default=DEFAULT,
    show_default="the project's include/policy",
    help="The policy directory.",
)
language_option = click.option("--lang", type=click.Choice(["nb", "en"]), default="en", show_default=True)
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.group()
def policy() -> None:
    """Check, show and explain the policy."""


@policy.command()
@directory_option
@json_option
@click.argument("given", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def check(directory: Path, as_json: bool, given: Path | None) -> None:
    """Say everything that is wrong with the policy; exit 0 when nothing is, else 1."""
    try:
        loaded = load(_short(given or directory))
    except PolicyError as error:
        _say_check(error.problems, (), None, as_json=as_json)
        raise SystemExit(1) from None
    _say_check((), loaded.warnings, loaded, as_json=as_json)


def _say_check(problems: tuple[str, ...], warnings: tuple[str, ...], loaded: Policy | None, *, as_json: bool) -> None:
    if as_json:
        report = {"ok": loaded is not None, "problems": problems, "warnings": warnings}
        click.echo(json.dumps({**report, "digest": loaded.digest if loaded else None}, ensure_ascii=False, indent=2))
        return
    for problem in problems:
        click.echo(problem)
    for warning in warnings:
        click.echo(f"{warning} (warning)")
    if loaded is None:
        click.echo(
            f"{_count(len(problems), 'problem')} found: the policy is not used until nothing is wrong.", err=True
        )
    else:
        parts = f"{_count(len(loaded.rules), 'rule')} and {_count(len(loaded.floors), 'floor')}"
        click.echo(f"The policy is sound: {parts} in {len(loaded.activities)} activities, digest {loaded.digest[:12]}.")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@policy.command()
@directory_option
@json_option
@language_option
def show(directory: Path, as_json: bool, lang: str) -> None:
    """Show the record of processing activities (GDPR article 30)."""
    loaded = _load(directory)
    if as_json:
        click.echo(json.dumps(record_of_processing(loaded, lang), ensure_ascii=False, indent=2))
        return
    Console(soft_wrap=False).print(_table(loaded, lang))


@policy.command()
@directory_option
@language_option
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="The day it is explained for; today when left out.")
@click.argument("rule")
def explain(directory: Path, lang: str, today: datetime | None, rule: str) -> None:
    """Explain RULE in words, with the dates it means."""
    loaded = _load(directory)
    if rule not in loaded.rules:
        raise click.UsageError(f'found no rule "{rule}", expected one of: {", ".join(sorted(loaded.rules))}')
    click.echo(sentences.explain(loaded.rules[rule], loaded, _day(loaded, today), lang))


@policy.command(name="schema")
def print_schema() -> None:
    """Print the JSON Schema of the policy files, for editors."""
    click.echo(schema.text(), nl=False)


def _day(loaded: Policy, today: datetime | None) -> date:
    return today.date() if today else local_date(clock.now(), loaded.organisation.zone)


def _load(directory: Path) -> Policy:
    try:
        return load(_short(directory))
    except PolicyError as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from None


def _short(directory: Path) -> Path:
    """Relative to the working directory where it lies inside, so that lines stay readable and clickable."""
    absolute, here = directory.absolute(), Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else directory


def record_of_processing(loaded: Policy, lang: str) -> dict[str, Any]:
    """The record of processing activities as GDPR article 30 (1) wants it, ready for JSON (R21)."""
    organisation = loaded.organisation
    return {
        "controller": organisation.controller,
        "represented_by": organisation.represented_by,
        "contact": organisation.contact,
        "privacy_officer": organisation.roles[organisation.privacy_officer].title[lang],
        "policy_digest": loaded.digest,
        "activities": [_activity(loaded, activity, lang) for _, activity in sorted(loaded.activities.items())],
    }


def _activity(loaded: Policy, activity: Activity, lang: str) -> dict[str, Any]:
    organisation = loaded.organisation
    datasets = [loaded.datasets[name] for name in activity.datasets]
    return {
        "activity": activity.name,
        "title": activity.title[lang],
        "purpose": activity.purpose[lang],
        "legal_basis": activity.legal_basis,
        "responsible": organisation.roles[activity.responsible].title[lang],
        "categories_of_people": activity.people,
        "categories_of_data": sorted({each for dataset in datasets for each in dataset.personal_data.values()}),
        "processors": [organisation.processors[name][lang] for name in activity.processors],
        "recipients": activity.recipients,
        "transfers_to_third_countries": activity.transfers,
        "stores": sorted({loaded.stores[dataset.store].title[lang] for dataset in datasets}),
        "retention": [_retention(loaded, loaded.rules[name], lang) for name in activity.rules],
        "kept_by_law": [_floor(loaded, name) for name in activity.floors],
        "security_measures": activity.measures,
        "obligations": {
            name: organisation.obligations[name][lang] for name in (*activity.serves, *activity.not_automated)
        },
        "not_automated": dict(activity.not_automated),
    }


def _retention(loaded: Policy, rule: Rule, lang: str) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "obligation": rule.obligation,
        "dataset": rule.dataset.name,
        "clock": str(rule.clock.at),
        "period": str(rule.keep),
        "then": "anonymise" if isinstance(rule.action, Anonymise) else "delete",
        "assumption": _assumption(loaded, rule.assumption, lang),
        "sentence": sentences.describe(rule, loaded, lang),
    }


def _assumption(loaded: Policy, assumption: Assumption | None, lang: str) -> dict[str, str] | None:
    if assumption is None:
        return None
    role = loaded.organisation.roles[assumption.confirm_by].title[lang]
    return {"confirm_by": role, "because": assumption.because}


def _floor(loaded: Policy, name: str) -> dict[str, Any]:
    floor = loaded.floors[name]
    return {
        "floor": name,
        "obligation": floor.obligation,
        "law": floor.law,
        "dataset": floor.dataset,
        "fields": floor.fields,
        "period_after_fiscal_year": str(floor.period) if floor.period else None,
        "until": str(floor.until) if floor.until else None,
    }


_HEADS = {
    "en": ("Activity", "Purpose and basis", "People and data", "Processors and recipients", "Retention", "Measures"),
    "nb": (
        "Behandling", "Formål og grunnlag", "Personer og opplysninger", "Databehandlere og mottakere", "Sletting",
        "Tiltak",
    ),
}  # fmt: skip
_LABELS = {
    "en": {"title": "Record of processing activities", "assumed": "assumed, not confirmed", "manual": "not automated"},
    "nb": {
        "title": "Protokoll over behandlingsaktiviteter",
        "assumed": "antatt, ubekreftet",
        "manual": "ikke automatisert",
    },
}


def _table(loaded: Policy, lang: str) -> Table:
    record, labels = record_of_processing(loaded, lang), _LABELS[lang]
    head = f"{record['controller']}, {record['represented_by']} · {record['privacy_officer']}, {record['contact']}"
    table = Table(title=f"{labels['title']}\n{head}", show_lines=True)
    for name in _HEADS[lang]:
        table.add_column(name, overflow="fold")
    for activity in record["activities"]:
        table.add_row(*_cells(activity, labels))
    return table


def _cells(activity: dict[str, Any], labels: dict[str, str]) -> tuple[str, ...]:
    others = [*activity["processors"], *activity["recipients"], *activity["transfers_to_third_countries"]]
    cells = (
        [activity["title"], activity["responsible"]],
        [activity["purpose"], *activity["legal_basis"]],
        [*activity["categories_of_people"], *activity["categories_of_data"]],
        others,
        _retention_lines(activity, labels),
        activity["security_measures"],
    )
    return tuple("\n".join(lines).replace("[", r"\[") for lines in cells)


def _retention_lines(activity: dict[str, Any], labels: dict[str, str]) -> list[str]:
    rules = [
        f"{rule['obligation']} {rule['sentence']}" + (f" ({labels['assumed']})" if rule["assumption"] else "")
        for rule in activity["retention"]
    ]
    floors = [
        f"{floor['obligation']} {floor['law']}: {floor['period_after_fiscal_year'] or floor['until']}"
        for floor in activity["kept_by_law"]
    ]
    return rules + floors + [f"{name} {labels['manual']}: {why}" for name, why in activity["not_automated"].items()]
