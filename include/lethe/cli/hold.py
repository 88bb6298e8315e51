"""`lethe hold`: keep what is due, for a reason that the law knows, until somebody says that it is over."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from lethe import clock
from lethe.cli.options import open_lethe, rows_from
from lethe.cli.policy import directory_option, json_option
from lethe.errors import HoldError, StoreError, StoreUnreachable
from lethe.holds import ALL, Because, Hold, Target, targets_of
from lethe.run import Lethe

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def hold() -> None:
    """Keep what is due: place holds, look at them again, release them.

    A hold covers its row and all that hangs on it: a customer's cases, a case's messages. Who places and releases is
    the database role that signs in to lethe_state, as with `approve`. A restriction (GDPR 18) is a hold that everybody
    who reads the store can see, in its view lethe.restricted.
    """


@hold.command()
@click.option("--because", type=click.Choice([str(each) for each in Because]), required=True, help="The law's reason.")
@click.option("--review", "until", type=_DAY, required=True, metavar="DATE", help="When to look at it again.")
@click.option("--rows", is_flag=True, help="Rows: read from standard input, one a line: DATASET KEY.")
@click.option("--dataset", "datasets", multiple=True, metavar="NAME", help="All of a dataset.")
@click.option("--rule", "rules", multiple=True, metavar="NAME", help="All that a rule would do.")
@directory_option
def place(
    because: str, until: datetime, rows: bool, datasets: tuple[str, ...], rules: tuple[str, ...], directory: Path
) -> None:
    """Place a hold on rows, on whole datasets, or on rules.

    Keys name people: they are read from standard input, never from the command line, where others could see them.

        echo 'cases 1042' | lethe hold place --rows --because legal-claim --review 2026-06-30
    """
    named = list(rows_from(sys.stdin)) if rows else []
    if not (named or datasets or rules):
        raise click.UsageError("found nothing to hold, expected --rows with rows, --dataset or --rule")
    with open_lethe(directory) as lethe:
        targets = tuple(targets_of(lethe.policy, named, datasets, rules))
        _require_rows(lethe, targets)
        _require_ahead(lethe, until.date())
        role = lethe.policy.organisation.privacy_officer
        placed = lethe.state.holds.place(Because(because), targets, until.date(), role=role, via="cli")
        click.echo(f"hold {placed[:12]}: placed as {role}, to be looked at again on {until.date()}")
        _bring_up(lethe, {target.store for target in targets})


def _require_rows(lethe: Lethe, targets: Iterable[Target]) -> None:
    """A mistyped hold holds nothing: the row is there, unless its store cannot be asked from here."""
    for number, target in enumerate(targets, 1):
        if target.key in (ALL, None):
            continue
        assert target.key is not None
        try:
            found = lethe.mirror(target.store).has_row(lethe.policy.datasets[target.dataset], target.key)
        except StoreUnreachable:
            click.echo(f"row {number}: whether {target.dataset} has it cannot be asked from here", err=True)
        else:
            if not found:
                raise HoldError(f"row {number}: {target.dataset} has no row with this key; nothing was placed")


def _require_ahead(lethe: Lethe, until: date) -> None:
    today = lethe.today(clock.now())
    if until <= today:
        raise click.UsageError(f"found {until} for the next look, expected a day after today, {today}")


def _bring_up(lethe: Lethe, stores: Iterable[str]) -> None:
    """Tell store by store whether its mirror has what the register says; StoreError when one has not."""
    failed = list[StoreError]()
    for store in sorted(stores):
        try:
            lethe.bring_up_holds(store, uuid4().hex)
        except StoreError as error:
            click.echo(f"{store}: not yet; nothing is done there before it has it: {error}", err=True)
            failed.append(error)
        else:
            click.echo(f"{store}: has the holds in force")
    if failed:
        raise failed[0]


@hold.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Those that were released, too.")
@click.option("--keys", is_flag=True, help="With the keys of rows, which name people.")
@directory_option
@json_option
def list_holds(everything: bool, keys: bool, directory: Path, as_json: bool) -> None:
    """List the holds; exit 1 when one should have been looked at again by now."""
    with open_lethe(directory) as lethe:
        found, today = lethe.state.holds.holds(released=everything), lethe.today(clock.now())
    if as_json:
        click.echo(json.dumps([_as_json(each, today, keys=keys) for each in found], indent=2))
    else:
        for each in found:
            click.echo(_as_line(each, today, keys=keys))
    if any(each.past_review(today) for each in found):
        raise SystemExit(1)


def _as_line(found: Hold, today: date, *, keys: bool) -> str:
    late = "  PAST REVIEW" if found.past_review(today) else ""
    until = f"until {found.review}" if found.released_at is None else f"released {found.released_at:%Y-%m-%d}"
    line = f"{found.id[:12]}  {found.because:<20} {_state(found):<12} {until}{late}"
    for target in found.targets:
        key = (target.key or "forgotten") if keys else "*" if target.key == ALL else "one row"
        waits = "" if target.in_force_at or found.released_at else "  not in force there yet"
        line += f"\n    {target.store}  {target.dataset}  {key}{waits}"
    return line


def _state(found: Hold) -> str:
    if found.released_at is not None:
        return "released" if all(t.lifted_at or not t.in_force_at for t in found.targets) else "being lifted"
    return "in force" if found.in_force else "waits"


def _as_json(found: Hold, today: date, *, keys: bool) -> dict[str, Any]:
    targets = [
        {
            "store": target.store,
            "dataset": target.dataset,
            "whole": target.key == ALL,
            **({"key": target.key} if keys else {}),
            "in_force_at": target.in_force_at.isoformat() if target.in_force_at else None,
            "lifted_at": target.lifted_at.isoformat() if target.lifted_at else None,
        }
        for target in found.targets
    ]
    return {
        "hold": found.id,
        "because": str(found.because),
        "kind": found.because.kind,
        "role": found.role,
        "state": _state(found),
        "placed_at": found.placed_at.isoformat(),
        "review": found.review.isoformat(),
        "past_review": found.past_review(today),
        "released_at": found.released_at.isoformat() if found.released_at else None,
        "targets": targets,
    }


@hold.command()
@click.argument("start", metavar="HOLD")
@click.option("--until", type=_DAY, required=True, metavar="DATE", help="When to look at it again.")
@directory_option
def review(start: str, until: datetime, directory: Path) -> None:
    """Say that HOLD, or the one whose id begins so, was looked at and is still needed."""
    with open_lethe(directory) as lethe:
        found = _unreleased(lethe, start)
        _require_ahead(lethe, until.date())
        lethe.state.holds.review(found.id, until.date(), role=lethe.policy.organisation.privacy_officer, via="cli")
    click.echo(f"hold {found.id[:12]}: stays, to be looked at again on {until.date()}")


@hold.command()
@click.argument("start", metavar="HOLD")
@directory_option
def release(start: str, directory: Path) -> None:
    """Release HOLD, or the one whose id begins so: what it kept is judged again by the next plan."""
    with open_lethe(directory) as lethe:
        found = _unreleased(lethe, start)
        lethe.state.holds.release(found.id, role=lethe.policy.organisation.privacy_officer, via="cli")
        click.echo(f"hold {found.id[:12]}: released; its keys are forgotten in a year")
        _bring_up(lethe, {target.store for target in found.targets})


def _unreleased(lethe: Lethe, start: str) -> Hold:
    found = lethe.state.holds.hold(start)
    if found.released_at is not None:
        raise HoldError(f"hold {found.id[:12]}: it was released before, on {found.released_at:%Y-%m-%d}")
    return found


@hold.command()
@directory_option
def sync(directory: Path) -> None:
    """Bring the mirror in every store up to what was placed and released, as each plan does for its own store."""
    with open_lethe(directory) as lethe:
        _bring_up(lethe, lethe.policy.stores)
