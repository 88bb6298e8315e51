"""`lethe evidence`: seal it, look through it, and hand it to somebody who trusts nobody here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lethe import clock
from lethe.cli.options import open_lethe
from lethe.cli.policy import directory_option, json_option
from lethe.cli.receipt import receipt
from lethe.errors import LetheError, StoreError
from lethe.run import Lethe
from lethe.sql import script

if TYPE_CHECKING:
    from lethe.evidence.seal import Sealing

T = TypeVar("T")


@click.group()
def evidence() -> None:
    """Seal the evidence, verify it, and export it for an auditor.

    What a deed wrote down lies in its store's outbox until it is sealed: collected into one log, signed, and brought
    outside. The DAG seal_evidence does this; `seal` does the same by hand.
    """


@contextmanager
def opened(directory: Path) -> Iterator[tuple[Lethe, Sealing]]:
    """Lethe and its log, for one command."""
    with open_lethe(directory) as lethe, closing(lethe.sealing()) as sealing:
        yield lethe, sealing


@contextmanager
def counting(what: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A running count of leaves; silent in pipes."""
    columns = (SpinnerColumn(), TextColumn(what), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn())
    hidden = quiet or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task(what, total=None)
        yield lambda count: progress.advance(task, count)


@evidence.command()
@directory_option
@json_option
def seal(directory: Path, as_json: bool) -> None:
    """Collect from all outboxes, sign, and bring the signature to every anchor.

    Exit 1 when an outbox or an anchor could not be reached, or leaves were removed before they were collected: what
    could be done is done, and the next call goes on.
    """
    from lethe.evidence.keys import load_key
    from lethe.evidence.restore import tell_of_log
    from lethe.evidence.seal import Collected
    from lethe.urls import url_from_environment

    run, problems = uuid4().hex, list[str]()
    with opened(directory) as (lethe, sealing):
        today = lethe.today(clock.now())
        key = load_key(sealing.setting.origin, os.environ)
        _try(problems, lambda: sealing.heartbeat(today, run))
        _try(problems, lambda: tell_of_log(sealing))
        _try(problems, lambda: _list_erased(lethe, sealing, today))
        with counting("leaves", quiet=as_json) as progress:
            collected = _try(problems, lambda: sealing.collect(progress)) or Collected(0, (), {})
        sealed = sealing.checkpoint(key, run, today)
        anchored = sealing.anchor(url_from_environment, run)
    problems += collected.unreachable.values()
    problems += [
        f"{gap.outbox}: leaves {gap.first} to {gap.last} of epoch {gap.epoch} are gone" for gap in collected.gaps
    ]
    size, failed = sealed.size if sealed else 0, [why for why in anchored.values() if why]
    if as_json:
        told = {"collected": collected.leaves, "size": size, "root": sealed.root.hex() if sealed else None}
        everything = {**told, "anchored": anchored, "problems": [*problems, *failed]}
        click.echo(json.dumps(everything, ensure_ascii=False, indent=2))
    else:
        click.echo(f"{collected.leaves} leaves collected; {size} are signed")
        for name, why in anchored.items():
            click.echo(f"anchor {name}: {why or 'has the checkpoint'}")
        for problem in problems:
            click.echo(problem)
    if problems or failed:
        raise SystemExit(1)


def _try(problems: list[str], work: Callable[[], T]) -> T | None:
    """What the work gives; None when it fails, and why goes to the problems: the rest is done nonetheless."""
    try:
        return work()
    except LetheError as error:
        problems.append(str(error))
        return None


def _list_erased(lethe: Lethe, sealing: Sealing, today: date) -> int:
    """List outside whose records went."""
    from lethe.evidence.again import ReplayList, load_replay_key
    from lethe.evidence.replay import list_erased

    return list_erased(lethe, sealing, lambda: ReplayList(sealing.outside, load_replay_key(os.environ)), today)


@evidence.command()
@directory_option
@json_option
def status(directory: Path, as_json: bool) -> None:
    """Say how much is signed, what waits to be, and which anchors lag behind; exit 1 when something waits too long."""
    from lethe.evidence.guard import require_sealed
    from lethe.evidence.outside import Head

    with opened(directory) as (lethe, sealing):
        head = sealing.outside.head() or Head()
        waiting, wrong = dict[str, str | None](), list[str]()
        for name, outbox in sealing.outboxes.items():
            try:
                since = outbox.waiting_since(*head.position(outbox.position().store))
                waiting[name] = since.isoformat(timespec="seconds") if since else None
                require_sealed(head, outbox, sealing.setting.stop_after, lethe.policy.organisation.zone)
            except LetheError as error:
                wrong.append(str(error))
        unanchored = _unanchored(sealing, wrong)
    if as_json:
        told = {"size": head.size, "root": head.root.hex(), "waiting_since": waiting, "unanchored_since": unanchored}
        click.echo(json.dumps({**told, "problems": wrong}, ensure_ascii=False, indent=2))
    else:
        click.echo(f"{head.size} leaves are signed, root {head.root.hex()[:16] or 'none'}")
        for name, waits in waiting.items():
            click.echo(f"{name}: {'waits to be sealed since ' + waits if waits else 'all is sealed'}")
        for name, lags in unanchored.items():
            click.echo(f"anchor {name}: {'unanchored since ' + lags if lags else 'has the last checkpoint'}")
        for problem in wrong:
            click.echo(problem)
    if wrong:
        raise SystemExit(1)


def _unanchored(sealing: Sealing, wrong: list[str]) -> dict[str, str | None]:
    """Since when each anchor lags behind; what keeps the log from saying so goes to `wrong`."""
    try:
        return {name: sealing.unanchored_since(name) for name in sealing.setting.anchors}
    except StoreError as error:
        wrong.append(str(error))
        return {}


@evidence.command()
@click.option("--full", is_flag=True, help="From the first leaf on, also what was verified before.")
@directory_option
@json_option
def verify(full: bool, directory: Path, as_json: bool) -> None:
    """Look through the log as it lies in the database: leaves, nodes, signatures, gaps; exit 1 when something is wrong.

    This is the company looking at itself. An auditor takes `lethe evidence export` and verify_bundle.py.
    """
    from lethe.evidence.verify import verify_log

    with opened(directory) as (_, sealing), counting("leaves", quiet=as_json) as progress:
        found = verify_log(sealing.log, sealing.outside, sealing.setting.origin, full=full, progress=progress)
    if as_json:
        findings = [{"kind": each.kind, "text": each.text} for each in found.findings]
        told = {"size": found.size, "root": found.root.hex(), "looked_at": found.looked_at, "unsigned": found.unsigned}
        click.echo(json.dumps({"ok": not findings, **told, "findings": findings}, indent=2))
    else:
        for each in found.findings:
            click.echo(f"{each.kind}: {each.text}")
        verdict = "something is wrong" if found.findings else "sound"
        looked = f"{found.looked_at} looked through now, {found.unsigned} not signed yet"
        click.echo(f"{found.size} signed leaves, {looked}: {verdict}")
    if found.findings:
        raise SystemExit(1)


@evidence.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="Only leaves from this day on (UTC).")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Only leaves up to this day.")
@click.option("--activity", metavar="NAME", help="Only leaves of this processing activity, and those of none.")
@directory_option
@json_option
def export(
    file: Path, first: datetime | None, last: datetime | None, activity: str | None, directory: Path, as_json: bool
) -> None:
    """Write the evidence into FILE, a zip that verify_bundle.py verifies anywhere, without the company and its systems.

    With limits, leaves outside of them are left out, and their places are filled by hashes: what is in the bundle is
    still proven to be in the log, but not that all of it is there.
    """
    from lethe.evidence.bundle import Limits, write_bundle
    from lethe.evidence.keys import load_key

    with opened(directory) as (lethe, sealing), counting("leaves", quiet=as_json) as progress:
        if activity is not None and activity not in lethe.policy.activities:
            known = ", ".join(sorted(lethe.policy.activities))
            raise click.UsageError(f'found no activity "{activity}", expected one of: {known}')
        limits = Limits(first.date() if first else None, last.date() if last else None, activity)
        signer = load_key(sealing.setting.origin, os.environ)
        material = sealing.material(limits, clock.now(), progress)
        try:
            write_bundle(file, material, signer)
        except OSError as error:
            raise click.UsageError(f"{file}: cannot be written ({error.strerror})") from None
    size = material.checkpoints[-1].size
    if as_json:
        told = {"file": str(file), "bytes": file.stat().st_size, "size": size, "key": str(signer.verifier)}
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"{file}: the log up to {size} leaves, {file.stat().st_size:,} bytes")
    click.echo(f"verify it with: python verify_bundle.py {file} --trust '{signer.verifier}'")


@evidence.command()
@click.argument("file", type=click.Path(path_type=Path))
@directory_option
def key(file: Path, directory: Path) -> None:
    """Make a new signing key in FILE, and print the line that others hold its signatures to.

    Set LETHE_EVIDENCE_KEY_FILE to FILE. Publish the line: who has it need not trust what a bundle says of itself.
    """
    from lethe.evidence.keys import create_key

    with open_lethe(directory) as lethe:
        click.echo(str(create_key(file, lethe.sealing_setting().origin).verifier))


@evidence.command()
@click.argument("file", type=click.Path(path_type=Path))
@directory_option
def rotate(file: Path, directory: Path) -> None:
    """Bring in the new key in FILE, which `lethe evidence key` made; the key in use must sign for it.

    Set LETHE_EVIDENCE_KEY_FILE to FILE right after; nothing is signed with the old key any more.
    """
    from lethe.evidence.keys import FILE_VARIABLE, load_key

    with opened(directory) as (_, sealing):
        old = load_key(sealing.setting.origin, os.environ)
        new = load_key(sealing.setting.origin, {FILE_VARIABLE: str(file)})
        sealing.rotate(old, new, uuid4().hex)
    click.echo(f"{new.verifier} signs from now on, endorsed by {old.verifier}; set {FILE_VARIABLE} to {file}")


@evidence.command(name="schema")
@click.option("--role", default="lethe_sealer", show_default=True, help="The database role that seals.")
def print_schema(role: str) -> None:
    """Print the SQL that the server's administrator runs once in the database lethe_evidence."""
    from psycopg.sql import SQL, Identifier

    grant = SQL("GRANT lethe_evidence_writer, lethe_evidence_integrator, lethe_evidence_reader TO {};\n")
    click.echo(script("evidence") + grant.format(Identifier(role)).as_string(), nl=False)


evidence.add_command(receipt)
