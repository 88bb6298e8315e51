"""The receipts that a store can still give: kept with the deed, issued to one person once, forgotten after a period.

Nothing of it leaves the store but the receipt itself. The subjects of a batch stand in one table of the store that held
their records, as long as the policy says and no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, NamedTuple

import psycopg

from lethe.errors import ReceiptError
from lethe.evidence.leaf import Place
from lethe.evidence.receipts import Committed, SubjectReceipt, path_to
from lethe.model import Receipt, Rule
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, telling

_SQL = queries("receipts")


class Gone(NamedTuple):
    """Whose record a batch took, with the place of its evidence."""

    epoch: int
    seq: int
    plan: str
    rule: str
    subject: str


def keep(
    conn: psycopg.Connection, place: Place, done: Receipt, rule: Rule, committed: Sequence[Committed], until: date
) -> None:
    """Write down whom a batch committed to, in the transaction that is open; `until` is the last day to ask.

    By COPY, not only for its speed: a server that logs slow statements would log the parameters of any other.
    """
    batch = (rule.name, done.plan, done.shard, done.batch)
    with conn.cursor().copy(_SQL["keep"]) as rows:
        for position, (subject, nonce, digest) in enumerate(committed):
            rows.write_row((place.epoch, place.seq, position, *batch, digest, subject, nonce, until))


def forget(conn: psycopg.Connection, today: date) -> int:
    """Forget the batches whose receipts could be asked for until a day before `today`; how many subjects."""
    return conn.execute(_SQL["forget"], {"today": today}).rowcount


class Receipts:
    """The receipts of one store; what the database says against a call is StoreError and names nobody."""

    def __init__(self, connection: Connection) -> None:
        self.name = connection.name
        self._connection = connection

    @property
    def store(self) -> Receipts:
        """Itself: errors name this database."""
        return self

    @telling
    def issue(self, rule: str, subject: str, today: date, deliver: Callable[[SubjectReceipt], None]) -> None:
        """Give `deliver` the receipt of the record that a rule took last under the key `subject`; its nonce is gone.

        All of it or nothing: what `deliver` raises keeps the nonce. ReceiptError when there is nothing to give.
        """
        conn, where = self._connection.get(), f"store {self.name}, rule {rule}"
        forget(conn, today)
        with conn.transaction():
            found = conn.execute(_SQL["find"], {"rule": rule, "subject": subject}).fetchone()
            if found is None:
                raise ReceiptError(
                    f"{where}: found nobody with this key: the rule took no such record, gave no receipts when it did, "
                    "or the time to ask for one is over"
                )
            epoch, seq, position, plan, nonce, store = found
            if nonce is None:
                raise ReceiptError(
                    f"{where}: the receipt of this record was issued before, and what made it up was destroyed then; "
                    "the letter that it went into is the only one"
                )
            place = {"epoch": epoch, "seq": seq}
            hashes = [each for (each,) in conn.execute(_SQL["hashes"], place).fetchall()]
            path, root = path_to(position, hashes)
            conn.execute(_SQL["destroy"], {**place, "position": position})
            deliver(
                SubjectReceipt(
                    plan=plan,
                    store=store,
                    **place,
                    nonce=nonce.hex(),
                    index=position,
                    size=len(hashes),
                    path=tuple(each.hex() for each in path),
                    root=root.hex(),
                )
            )

    @telling
    def forget(self, today: date) -> int:
        """Forget whoever could ask until a day before `today`; how many."""
        return forget(self._connection.get(), today)

    @telling
    def subjects_after(self, epoch: int, seq: int) -> list[Gone]:
        """Whose records went after a place in the outbox, batch by batch; those issued since are among them."""
        rows: list[tuple[Any, ...]] = (
            self._connection.get().execute(_SQL["subjects_after"], {"epoch": epoch, "seq": seq}).fetchall()
        )
        return [Gone(*row) for row in rows]
