"""The receipts of one hand-over in lethe_state: each chosen message with its number, and how far it has come.

What a folder is called and which messages it had is personal data: it stays here, and only counts and a root over
nonced digests become evidence.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

from lethe.evidence.receipts import NONCE_BYTES
from lethe.offboarding.platform import Ref
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, telling

_SQL = queries("departures")

State = Literal["chosen", "received", "confirmed", "gone", "refused"]
"""Chosen: not handed over yet; received: deposited, with a receipt; confirmed: read back; else a person must look."""


class Received(NamedTuple):
    """A message that was deposited: its number, where it is, and the SHA-256 of what was read at its source."""

    number: int
    ref: Ref
    digest: bytes


class Handed:
    """What is handed over of a departure to one recipient; errors are StoreError."""

    name = "lethe_state"

    def __init__(self, connection: Connection, departure: str, recipient: str) -> None:
        self._connection, self._of = connection, {"departure": departure, "recipient": recipient}

    @property
    def store(self) -> Handed:
        """Itself: errors name this database."""
        return self

    @telling
    def choose(self, folder: tuple[str, ...], refs: Collection[Ref]) -> None:
        """Write down what is to be handed over of a folder; what was chosen before stays as it is."""
        if refs:
            with self._connection.get().transaction():
                self._connection.get().execute(_SQL["one_chooses"], self._of)
                told = {**self._of, "folder": list(folder), "refs": sorted(refs)}
                self._connection.get().execute(_SQL["choose"], told)

    @telling
    def folders(self) -> tuple[tuple[str, ...], ...]:
        """The folders from which something is still to be handed over."""
        found = self._connection.get().execute(_SQL["folders"], self._of).fetchall()
        return tuple(tuple(folder) for (folder,) in found)

    @telling
    def pending(self, folder: tuple[str, ...]) -> Mapping[Ref, int]:
        """What is still to be handed over of a folder, with its numbers."""
        found = self._connection.get().execute(_SQL["pending"], {**self._of, "folder": list(folder)}).fetchall()
        return {Ref(ref): number for ref, number in found}

    @telling
    def intend(self, digests: Mapping[int, bytes]) -> None:
        """Write down what the messages are that are about to be deposited."""
        told = {**self._of, "numbers": list(digests), "digests": list(digests.values())}
        self._connection.get().execute(_SQL["intend"], told)

    @telling
    def intended(self) -> tuple[tuple[int, bytes], ...]:
        """What was about to be deposited when somebody stopped: numbers and digests."""
        return tuple((number, digest) for number, digest in self._all("intended"))

    @telling
    def targets(self) -> frozenset[Ref]:
        """Every message in the recipient's folder that has a receipt."""
        return frozenset(Ref(target) for (target,) in self._all("targets"))

    @telling
    def received(self, refs: Mapping[int, Ref]) -> None:
        """Write down receipts: where each message is now."""
        told = {**self._of, "numbers": list(refs), "targets": list(refs.values())}
        self._connection.get().execute(_SQL["received"], told)

    @telling
    def settle(self, numbers: Iterable[int], state: State) -> None:
        """Write down what became of messages."""
        self._connection.get().execute(_SQL["settle"], {**self._of, "numbers": list(numbers), "state": state})

    @telling
    def try_again(self) -> None:
        """What was gone or refused is still to be handed over: it may be back, or the mailbox may take it now."""
        self._connection.get().execute(_SQL["try_again"], self._of)

    @telling
    def unconfirmed(self) -> tuple[Received, ...]:
        """What was deposited and not read back yet."""
        return tuple(Received(number, Ref(ref), digest) for number, ref, digest in self._all("unconfirmed"))

    @telling
    def by_folder(self) -> Mapping[tuple[str, ...], int]:
        """How many messages of which folders, whatever has become of them."""
        return {tuple(folder): number for folder, number in self._all("by_folder")}

    @telling
    def counts(self) -> Counter[State]:
        """How many messages have come how far."""
        return Counter(dict(self._all("counts")))

    @telling
    def committed(self) -> tuple[tuple[bytes, bytes], ...]:
        """The digests of what was confirmed, each with the nonce that hides it, which it gets here once."""
        conn = self._connection.get()
        with conn.transaction():
            conn.execute(_SQL["one_chooses"], self._of)
            bare = [number for (number,) in self._all("without_nonce")]
            nonces = [secrets.token_bytes(NONCE_BYTES) for _ in bare]
            conn.execute(_SQL["give_nonces"], {**self._of, "numbers": bare, "nonces": nonces})
            return tuple((digest, nonce) for digest, nonce in self._all("confirmed"))

    def _all(self, name: str) -> list[tuple]:  # type: ignore[type-arg]
        return self._connection.get().execute(_SQL[name], self._of).fetchall()
