"""`lethe hold`: keep what is due, for a reason that the law knows, until somebody says that it is over."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path

import click

from lethe import clock, holding
from lethe.cli.options import open_lethe, rows_from
from lethe.cli.policy import directory_option, json_option
from lethe.errors import StoreError
from lethe.hold_forms import HoldTold
from lethe.holds import ALL, BY_LAW, Because, Hold, targets_of
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
@click.option("--because", type=click.Choice([str(each) for each in BY_LAW]), required=True, help="The law's reason.")
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
        placed = holding.place(lethe, Because(because), targets, until.date(), via="cli")
        for each in placed.unasked:
            click.echo(each, err=True)
        role = lethe.policy.organisation.privacy_officer
        click.echo(f"hold {placed.hold[:12]}: placed as {role}, to be looked at again on {until.date()}")
        _bring_up(lethe, (target.store for target in targets))


def _bring_up(lethe: Lethe, stores: Iterable[str]) -> None:
    """Tell store by store whether its mirror has what the register says; StoreError when one has not."""
    failed = list[StoreError]()
    for each in holding.bring_up(lethe, stores):
        click.echo(str(each), err=each.error is not None)
        failed += [each.error] if each.error else []
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
        told = [HoldTold.of(each, today, keys=keys) for each in found]
        click.echo(json.dumps([each.model_dump(mode="json", exclude_unset=True) for each in told], indent=2))
    else:
        for each in found:
            click.echo(_as_line(each, today, keys=keys))
    if any(each.past_review(today) for each in found):
        raise SystemExit(1)


def _as_line(found: Hold, today: date, *, keys: bool) -> str:
    late = "  PAST REVIEW" if found.past_review(today) else ""
    until = f"until {found.review}" if found.released_at is None else f"released {found.released_at:%Y-%m-%d}"
    line = f"{found.id[:12]}  {found.because:<20} {found.state:<12} {until}{late}"
    for target in found.targets:
        key = (target.key or "forgotten") if keys else "*" if target.key == ALL else "one row"
        waits = "" if target.in_force_at or found.released_at else "  not in force there yet"
        line += f"\n    {target.store}  {target.dataset}  {key}{waits}"
    return line


@hold.command()
@click.argument("start", metavar="HOLD")
@click.option("--until", type=_DAY, required=True, metavar="DATE", help="When to look at it again.")
@directory_option
def review(start: str, until: datetime, directory: Path) -> None:
    """Say that HOLD, or the one whose id begins so, was looked at and is still needed."""
    with open_lethe(directory) as lethe:
        found = holding.review(lethe, start, until.date(), via="cli")
    click.echo(f"hold {found.id[:12]}: stays, to be looked at again on {until.date()}")


@hold.command()
@click.argument("start", metavar="HOLD")
@directory_option
def release(start: str, directory: Path) -> None:
    """Release HOLD, or the one whose id begins so: what it kept is judged again by the next plan."""
    with open_lethe(directory) as lethe:
        found = holding.release(lethe, start, via="cli")
        click.echo(f"hold {found.id[:12]}: released; its keys are forgotten in a year")
        _bring_up(lethe, (target.store for target in found.targets))


@hold.command()
@directory_option
def sync(directory: Path) -> None:
    """Bring the mirror in every store up to what was placed and released, as each plan does for its own store."""
    with open_lethe(directory) as lethe:
        _bring_up(lethe, lethe.policy.stores)
