"""`lethe restore` and `lethe replay`: what to do after a backup was put back."""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import click

from lethe import clock
from lethe.cli.options import open_lethe
from lethe.cli.policy import directory_option, json_option
from lethe.errors import ConfigError


@click.command()
@click.argument("name")
@directory_option
@json_option
def restore(name: str, directory: Path, as_json: bool) -> None:
    """Declare that a backup was put back into NAME: a store, `lethe_state`, or `log` for lethe_evidence.

    Until then nothing is written or done there. The log gets back from the directory outside what it lost; a store
    begins a new epoch, so that what is deleted again is evidence again. With several, `log` comes first. For a store
    and for lethe_state the connection signs in as the database's owner for this one command.
    """
    from lethe.evidence.restore import declare_restore

    with open_lethe(directory) as lethe, closing(lethe.sealing()) as sealing:
        declared = declare_restore(sealing, name, uuid4().hex)
    if as_json:
        click.echo(json.dumps(asdict(declared), indent=2))
        return
    what = "leaves" if declared.database == "log" else "as its last number"
    epoch = f"; epoch {declared.epoch} begins" if declared.epoch else ""
    click.echo(f"{name}: found {declared.found} {what}, {declared.published} had been published{epoch}")
    if declared.put_back:
        click.echo(f"{declared.put_back} leaves came back from the directory outside")
    for note in declared.notes:
        click.echo(note)


@click.command()
@click.argument("store")
@directory_option
@json_option
def replay(store: str, directory: Path, as_json: bool) -> None:
    """Delete again what a backup that was put back into STORE brought back, and prove it.

    The rules that had taken something since that backup are planned as of now and carried out, in their usual way: a
    plan past its limits waits for a person. Records of people with receipts are looked for by their keys; those that
    are back and not due by their data are for a person to decide. Exit 3 when something waits for a person.
    """
    from lethe.evidence.again import Erased, ReplayList, load_replay_key
    from lethe.evidence.replay import found_again, to_replay
    from lethe.evidence.replay import replay as replay_store

    with open_lethe(directory) as lethe, closing(lethe.sealing()) as sealing:
        now, unread = clock.now(), list[str]()
        to_replay(lethe, sealing, store)  # first of all: is the restore declared?
        erased = list[Erased]()
        try:
            if (sealing.outside.directory / "again").is_dir():
                listed = ReplayList(sealing.outside, load_replay_key(os.environ))
                erased = list(listed.read(lethe.outbox(store).position().store))
        except ConfigError as error:
            unread.append(f"whose records with receipts are back was not looked for: {error}")
        done = replay_store(lethe, sealing, store, now, uuid4().hex)
        back = found_again(lethe, store, erased, now)
    if as_json:
        told = {"rules": [asdict(each) for each in done], "erased": [asdict(each) for each in back], "unread": unread}
        click.echo(json.dumps(told, indent=2, default=str))
    else:
        for each in done:
            why = f": {'; '.join(each.why)}" if each.why else ""
            click.echo(f"{each.rule}: {each.state}, {each.rows} rows gone again of {each.came_back}{why}")
        for found in back:
            why = found.why or f"{found.due} due, {found.held} held, {found.kept} not due by their data"
            click.echo(f"{found.rule}: of {found.listed} records with receipts there are again: {why}")
        for problem in unread:
            click.echo(problem)
        if not done:
            click.echo(f"{store}: nothing had been done there since the backup")
    if any(each.state == "failed" for each in done):
        raise SystemExit(5)
    if any(each.state not in ("done", "nothing") for each in done) or any(f.kept or f.why for f in back) or unread:
        raise SystemExit(3)
