"""The way of the data as commands: plan, approve, apply, verify; `confirm` and `plans` beside them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from lethe.cli.options import chosen, each_of, known, moment_of, now_option, open_lethe, raise_first, rules_option
from lethe.cli.policy import directory_option, json_option, language_option
from lethe.cli.show import plan_as_json, plan_as_text
from lethe.errors import PlanError
from lethe.model import Plan, Receipt, Remaining, Verdict
from lethe.run import Lethe


@click.command()
@rules_option
@now_option
@directory_option
@json_option
@language_option
def plan(rules: tuple[str, ...], now: datetime | date | None, directory: Path, as_json: bool, lang: str) -> None:
    """Say what is due and why the rest is kept; changes no data. This is the dry run."""
    run, shown = uuid4().hex, []
    with open_lethe(directory) as lethe:
        moment = moment_of(now, lethe.policy.organisation.zone)

        def show(name: str) -> None:
            made = lethe.plan(name, moment, run)
            gate = lethe.gate(made.digest)
            if as_json:
                shown.append(plan_as_json(made, gate))
            else:
                click.echo(plan_as_text(made, gate, lethe.policy, lang))

        failed = each_of(chosen(lethe, rules), show)
    if as_json:
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    raise_first(failed)


@click.command()
@click.argument("digest")
@click.option("--reject", is_flag=True, help="Say no: nothing is done with this plan.")
@directory_option
def approve(digest: str, reject: bool, directory: Path) -> None:
    """Approve the plan with this DIGEST, or its unmistakable beginning.

    Who approves is the database role that signs in to lethe_state, never an option. An answer stands.
    """
    with open_lethe(directory) as lethe:
        whole = lethe.state.whole_digest(digest)
        click.echo(_stored(lethe, whole, "en"))
        role = lethe.policy.organisation.privacy_officer
        if not lethe.answer(whole, not reject, via="cli", role=role):
            raise PlanError(f"plan {whole[:12]}: it was answered before, and that answer stands; see `lethe plans`")
    click.echo(f"plan {whole[:12]}: {'rejected' if reject else 'approved'} as {role}")


@click.command()
@click.argument("rule")
@directory_option
def confirm(rule: str, directory: Path) -> None:
    """Confirm the assumed period of RULE as it now reads, so that it may act."""
    with open_lethe(directory) as lethe:
        new = lethe.confirm(known(lethe, rule))
        keep = lethe.rule(rule).keep
    click.echo(f"rule {rule}: {keep} {'is confirmed' if new else 'was confirmed before'}")


@click.command()
@click.argument("digests", metavar="[DIGEST]...", nargs=-1)
@now_option
@directory_option
@json_option
def apply(digests: tuple[str, ...], now: datetime | date | None, directory: Path, as_json: bool) -> None:
    """Carry out approved plans: those named by DIGEST, or all that are approved and not carried out.

    Stopped half-way, it goes on where it was when it is called again; nothing is done or recorded twice.
    """
    run, done = uuid4().hex, list[dict[str, Any]]()
    with open_lethe(directory) as lethe:
        moment = moment_of(now, lethe.policy.organisation.zone)
        wanted = [lethe.state.whole_digest(digest) for digest in digests] or list(lethe.ready(moment))

        def carry_out(digest: str) -> None:
            done.extend(_carry_out(lethe, digest, moment, run, quiet=as_json))

        failed = each_of(wanted, carry_out)
        waiting = 0 if wanted else sum(entry.state == "waiting" for entry in lethe.plans(1000))
    if as_json:
        click.echo(json.dumps(done, indent=2))
    elif not wanted:
        click.echo(_nothing(waiting))
    raise_first(failed)
    if waiting:
        raise SystemExit(3)
    if any(entry["remaining"] or entry["detached"] for entry in done):
        raise SystemExit(1)


def _nothing(waiting: int) -> str:
    if not waiting:
        return "nothing is approved and waiting to be carried out"
    wait = "1 plan waits" if waiting == 1 else f"{waiting} plans wait"
    return f"nothing is approved; {wait} for a person (lethe plans)"


def _carry_out(lethe: Lethe, digest: str, now: datetime, run: str, *, quiet: bool) -> Iterator[dict[str, Any]]:
    """What was done of a plan, and what remains; nothing for one that was carried out before."""
    planned = lethe.state.plan(digest)
    with _bar(planned, quiet=quiet) as advance:
        remaining = lethe.carry_out(digest, now, run, advance)
    if remaining is None:
        click.echo(f"plan {digest[:12]}: it was carried out before", err=quiet)
        return
    done = lethe.done(digest)
    if not quiet:
        line = f"{planned.rule}: {done.rows} rows, {done.reach} that followed, {done.batches} batches"
        click.echo(f"{line}; {_remain(remaining)}")
    counts = {"rows": done.rows, "reach": done.reach, "batches": done.batches}
    yield {"plan": digest, **counts, **_left(remaining)}


def _remain(remaining: Remaining) -> str:
    detached = "".join(f", partition {name} is detached and not settled" for name in remaining.detached)
    documents = f", {remaining.documents} documents are not settled" if remaining.documents else ""
    return "; ".join([f"{remaining.rows} remain{detached}{documents}", *remaining.findings])


def _left(remaining: Remaining) -> dict[str, Any]:
    detached, documents = list(remaining.detached), remaining.documents
    return {
        "remaining": remaining.rows,
        "detached": detached,
        "documents": documents,
        "findings": list(remaining.findings),
    }


class _bar:  # noqa: N801 - reads as a function where it is used
    """A progress bar over the rows that are due; silent in pipes."""

    def __init__(self, plan: Plan, *, quiet: bool) -> None:
        self._due = plan.survey.of(Verdict.DUE)
        columns = (TextColumn(plan.rule), BarColumn(), TaskProgressColumn(show_speed=True), TimeElapsedColumn())
        self._progress = Progress(
            *columns, console=Console(stderr=True), transient=True, disable=quiet or not sys.stderr.isatty()
        )

    def __enter__(self) -> Callable[[Receipt], None]:
        self._progress.__enter__()
        task = self._progress.add_task("", total=self._due)
        return lambda receipt: self._progress.advance(task, receipt.rows)

    def __exit__(self, *failure: object) -> None:
        self._progress.stop()


@click.command()
@rules_option
@now_option
@directory_option
@json_option
def verify(rules: tuple[str, ...], now: datetime | date | None, directory: Path, as_json: bool) -> None:
    """Ask the stores, by other means than plan does, whether data is still there that was due; exit 1 if so."""
    found = []
    with open_lethe(directory) as lethe:
        today = lethe.today(moment_of(now, lethe.policy.organisation.zone))

        def ask(name: str) -> None:
            confirmed = lethe.state.is_confirmed(lethe.rule(name))
            remaining = lethe.remaining(name, today)
            judged = {"rule": name, "confirmed": confirmed}
            found.append({**judged, **_left(remaining)})
            if not as_json:
                said = _remain(remaining) if confirmed else "not judged: its period is not confirmed"
                click.echo(f"{name}: {said}")

        failed = each_of(chosen(lethe, rules), ask)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    raise_first(failed)
    if any(entry["remaining"] or entry["detached"] or entry["documents"] for entry in found):
        raise SystemExit(1)


@click.command()
@click.argument("digest", required=False)
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many, the latest first."
)
@directory_option
@json_option
@language_option
def plans(digest: str | None, limit: int, directory: Path, as_json: bool, lang: str) -> None:
    """List the latest plans and what became of them, or show the one with this DIGEST as it is stored."""
    with open_lethe(directory) as lethe:
        if digest is not None:
            click.echo(_stored(lethe, lethe.state.whole_digest(digest), None if as_json else lang))
            return
        listed = lethe.plans(limit)
    rows: list[dict[str, Any]] = [
        {
            "plan": entry.plan.digest,
            "rule": entry.plan.rule,
            "today": entry.plan.today.isoformat(),
            "due": entry.plan.survey.of(Verdict.DUE),
            "state": entry.state,
            "needs": list(entry.plan.needs),
        }
        for entry in listed
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for row in rows:
        click.echo(f"{row['plan'][:12]}  {row['today']}  {row['state']:<10} {row['due']:>9} due  {row['rule']}")


def _stored(lethe: Lethe, digest: str, lang: str | None) -> str:
    """The stored plan as text in a language, or as JSON for None; needs no store."""
    kept, gate = lethe.state.plan(digest), lethe.gate(digest)
    if lang is None:
        return json.dumps(plan_as_json(kept, gate), ensure_ascii=False, indent=2)
    lethe.rule(kept.rule)
    return plan_as_text(kept, gate, lethe.policy, lang)
