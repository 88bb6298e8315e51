"""`lethe policy`: check the files, show the record of processing activities, explain a rule, print the JSON Schema."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import click
from rich.console import Console

from lethe import clock, sentences
from lethe.cli.record import print_record, record_of_processing
from lethe.deadlines import local_date
from lethe.errors import PolicyError
from lethe.model import Policy
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
def check(directory: Path, as_json: bool) -> None:
    """Say everything that is wrong with the policy; exit 0 when nothing is, else 1."""
    try:
        loaded = load(_short(directory))
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
    print_record(record_of_processing(loaded, lang), lang, Console(soft_wrap=False))


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
