"""`lethe store`: what a store's owner runs, and whether the store is what the policy says."""

from __future__ import annotations

import re
from pathlib import Path

import click

from lethe import checking
from lethe.cli.options import one_of, open_lethe
from lethe.cli.policy import directory_option
from lethe.errors import ConfigError, LetheError
from lethe.sql import script
from lethe.stores.postgres.grants import WORKER, grants


@click.group()
def store() -> None:
    """Prepare stores for Lethe, and check them against the policy."""


@store.command(name="grants")
@click.argument("name")
@click.option("--role", default=WORKER, show_default=True, help="The database role that Lethe signs in with.")
@directory_option
def print_grants(name: str, role: str, directory: Path) -> None:
    """Print the SQL that the owner of store NAME runs once; NAME `state` means Lethe's own database lethe_state."""
    if name == "state":
        click.echo(script("store") + "\n" + _state_for(role), nl=False)
        return
    with open_lethe(directory) as lethe:
        if name not in lethe.policy.stores:
            raise click.UsageError(
                f'found no store "{name}", expected state, or one of: {", ".join(lethe.policy.stores)}'
            )
        click.echo(grants(lethe.policy, lethe.policy.stores[name], role), nl=False)


def _state_for(role: str) -> str:
    """The SQL of lethe_state, with another name for the role of the tasks."""
    if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", role):
        raise click.UsageError(f'found role "{role}", expected lower-case letters, digits and underscores')
    return script("state").replace(WORKER, role)


@store.command()
@directory_option
def check(directory: Path) -> None:
    """Compare every rule with the live schema of its store; changes nothing."""
    failed: list[LetheError] = []
    with open_lethe(directory) as lethe:
        for rule in lethe.policy.rules.values():
            try:
                warnings = lethe.store(rule).check(rule)
            except ConfigError:
                raise
            except LetheError as error:
                failed.append(error)
                click.echo(str(error))
            else:
                click.echo(f"{rule.name}: agrees with {rule.dataset.store}.{rule.dataset.table}")
                for warning in warnings:
                    click.echo(f"  warning: {warning}")
    if failed:
        raise SystemExit(4)


@store.command()
@click.argument("name")
@directory_option
def remember(name: str, directory: Path) -> None:
    """Say that the database that answers for store NAME, with its tables as they are now, is the one that is meant.

    The daily check remembers both when it first asks, and from then on tells of another database, of an older state of
    it, of a table that was replaced and of columns that changed. Look into what it told of, then say this.
    """
    with open_lethe(directory) as lethe:
        checking.remember(lethe, one_of(lethe.policy.stores, "store", name))
    click.echo(f"{name}: remembered; the next check holds it to this")
