"""`lethe explain`: what runs on one person's rows, from which day, and why; names and texts stay in the store."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from lethe.cli.explained import explained_as_text
from lethe.cli.explained_json import explained_as_json
from lethe.cli.options import each_of, moment_of, now_option, open_lethe, raise_first, rows_from
from lethe.cli.policy import directory_option, json_option, language_option
from lethe.errors import SubjectError
from lethe.explain import Explained
from lethe.holds import targets_of

ONE_BY_ONE = 20
"""So many rows of each dataset are told one by one; a customer can have thousands."""


@click.command()
@now_option
@click.option("--all", "everything", is_flag=True, help=f"Each row, not only {ONE_BY_ONE} of a dataset.")
@click.option("--keys", is_flag=True, help="With the keys of rows, which name people.")
@directory_option
@json_option
@language_option
def explain(
    now: datetime | date | None, everything: bool, keys: bool, directory: Path, as_json: bool, lang: str
) -> None:
    """Say what runs on one person's rows: each rule, from which day, on which fields, and what keeps them.

    Rows are read from standard input, one a line: DATASET KEY. A person stands in several stores: a line for each.
    What hangs on a row by the relations of the policy is told with it. Of the rows themselves nothing is shown but the
    dates of clocks; `lethe policy explain` says what a rule means.

        echo 'webshop-customers 1042' | lethe explain
    """
    named, shown = list(rows_from(sys.stdin)), list[dict[str, Any]]()
    if not named:
        raise click.UsageError("found nothing to explain, expected rows on standard input, one a line: DATASET KEY")
    stopped = False
    with open_lethe(directory) as lethe:
        for _ in targets_of(lethe.policy, named):
            pass  # a dataset that the policy does not have is said before any store is asked
        today = lethe.today(moment_of(now, lethe.policy.organisation.zone))

        def show(number: int) -> None:
            nonlocal stopped
            dataset, key = named[number]
            try:
                found = lethe.explain(lethe.policy.datasets[dataset], key, today, None if everything else ONE_BY_ONE)
            except SubjectError as error:
                raise SubjectError(f"row {number + 1}: {error}") from None
            stopped |= _is_stopped(found)
            if as_json:
                shown.append(explained_as_json(found, lethe.policy, keys=keys))
            else:
                click.echo(explained_as_text(found, lethe.policy, lang, keys=keys))

        failed = each_of(range(len(named)), show)
    if as_json:
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    raise_first(failed)
    if stopped:
        raise SystemExit(4)


def _is_stopped(found: Explained) -> bool:
    """Whether something could not be told: the live schema stops a rule, as `store check` says too, or a table."""
    return any(told.stopped or told.problem for told in found.told)
