"""`lethe evidence receipt`: proof for one person that exactly their record went."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from pathlib import Path

import click

from lethe import clock
from lethe.cli.options import known, open_lethe
from lethe.cli.policy import directory_option
from lethe.errors import EvidenceError


@click.group()
def receipt() -> None:
    """Give a person proof that exactly their record went, and check such proof.

    The key of the record, a customer number for example, is read from standard input or asked for: on a command line
    it would stay in the shell's history.
    """


@receipt.command()
@click.argument("rule")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@directory_option
def issue(rule: str, file: Path, directory: Path) -> None:
    """Write into FILE the receipt of the record that RULE took last under the key that is read; this works once.

    What made the receipt up is destroyed with it: FILE goes into the person's letter and nowhere else.
    """
    from lethe.evidence.receipts import SubjectReceipt
    from lethe.stores.postgres.connection import Connection
    from lethe.stores.postgres.receipts import Receipts

    def deliver(made: SubjectReceipt) -> None:
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.write(made.text() + "\n")
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            why = f"the receipt cannot be written there ({error.strerror}); none was issued"
            raise EvidenceError(f"{file}: {why}") from None

    with open_lethe(directory) as lethe:
        store = lethe.rule(known(lethe, rule)).dataset.store
        connection = Connection(store, lethe.address(store))
        with closing(connection):
            Receipts(connection).issue(rule, _subject(), lethe.today(clock.now()), deliver)
    click.echo(f"{file}: a receipt for one person; what made it up is gone from the store")


@receipt.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@directory_option
def check(file: Path, directory: Path) -> None:
    """Check the receipt in FILE against the key that is read and the batch in the log; exit 4 when it proves none."""
    from lethe.evidence.receipts import SubjectReceipt, check_receipt

    try:
        told = SubjectReceipt.parse(file.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise click.UsageError(f"{file}: cannot be read ({error.strerror}), expected a receipt") from None
    with open_lethe(directory) as lethe, closing(lethe.sealing()) as sealing:
        leaf = sealing.log.leaf_from(told.store, (told.epoch, told.seq))
    if leaf is None:
        raise EvidenceError("the log has no batch in the receipt's place; was it sealed? `lethe evidence status`")
    batch = json.loads(leaf)
    check_receipt(told, _subject(), batch)
    click.echo(f"the record with this key was taken by rule {batch['rule']} ({batch['obligation']}) at {batch['at']}")


def _subject() -> str:
    """The key of a record, from standard input; asked for on a terminal."""
    if sys.stdin.isatty():
        return str(click.prompt("key of the record", hide_input=True))
    try:
        return sys.stdin.readline().rstrip("\n").encode().decode()
    except UnicodeError:
        raise click.UsageError("found a key that is no text in UTF-8, expected that of a record") from None
