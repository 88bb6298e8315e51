"""Options that several commands share, and how a command opens Lethe."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import click

from lethe import clock
from lethe.connections import conninfo_from_environment
from lethe.errors import LetheError
from lethe.run import Lethe

_T = TypeVar("_T")

YEARS = (1900, 2999)
"""Periods are counted from such days: neither they nor what is due on them leave the calendar."""

rules_option = click.option(
    "--rule", "rules", multiple=True, metavar="NAME", help="Only this rule; may be given several times."
)
now_option = click.option(
    "--now",
    "now",
    metavar="DATE|TIME",
    callback=lambda _context, _option, text: _moment(text),
    help="The day, or the moment with its zone, to plan for; this moment when left out. Nothing is done ahead of time.",
)


def _moment(text: str | None) -> datetime | date | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f'found "{text}", expected a date such as 2025-03-01') from None
    if not YEARS[0] <= moment.year <= YEARS[1]:
        raise click.BadParameter(f'found "{text}", expected a date from {YEARS[0]} to {YEARS[1]}')
    if len(text) <= len("2025-03-01"):
        return moment.date()
    if moment.tzinfo is None:
        raise click.BadParameter(f'found "{text}", a time without zone; add one, such as +01:00')
    return moment


def open_lethe(directory: Path) -> Lethe:
    """Lethe over the policy directory and the connections of the environment."""
    return Lethe.open(directory, conninfo_from_environment)


def moment_of(given: datetime | date | None, zone: ZoneInfo) -> datetime:
    """The moment that --now means: the clock's own, or the end of a given day in the organisation's zone."""
    if given is None:
        return clock.now()
    if isinstance(given, datetime):
        return given
    return datetime.combine(given, time(23, 59), tzinfo=zone).astimezone(UTC)


def chosen(lethe: Lethe, rules: tuple[str, ...]) -> tuple[str, ...]:
    """The rules asked for, all when none is; UsageError for one that the policy does not have."""
    return tuple(known(lethe, name) for name in rules) or tuple(lethe.policy.rules)


def known(lethe: Lethe, name: str) -> str:
    """The rule's name, if the policy has it; UsageError with the nearest one, and all there are."""
    return one_of(lethe.policy.rules, "rule", name)


def one_of(names: Collection[str], kind: str, name: str) -> str:
    """The name, if it is one of them; UsageError with the nearest one, and all there are."""
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        listed = ", ".join(sorted(names)) or "none"
        raise click.UsageError(f'found no {kind} "{name}"; {hint}expected one of: {listed}')
    return name


def each_of(names: Iterable[_T], work: Callable[[_T], None]) -> list[LetheError]:
    """Do the work for each name; one that fails is told, and the others go on."""
    failed = []
    for name in names:
        try:
            work(name)
        except LetheError as error:
            failed.append(error)
    return failed


def raise_first(failed: list[LetheError]) -> None:
    """Say every failure; the first decides the exit code."""
    for error in failed[1:]:
        click.echo(str(error), err=True)
    if failed:
        raise failed[0]


def rows_from(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Rows as (dataset, key), one a line: keys name people, and others can see a command line."""
    for number, line in enumerate(lines, 1):
        dataset, _, key = line.strip().partition(" ")
        if dataset and not key.strip():
            raise click.UsageError(f"standard input, line {number}: expected a dataset, a space and the key of a row")
        if dataset:
            yield dataset, key.strip()
