"""Sealing: leaves are collected from the outboxes into the log, signed, and brought outside.

    collect ──▶ checkpoint ──▶ anchor
    outboxes    signed after   authorities, mail,
    → log       the commit     write-once places

Each step finds out how far the last one came, so any of them can be repeated, and none of them stops a sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from lethe.deadlines import cutoff, local_date
from lethe.errors import Behind, ConfigError, EvidenceError, Forked, StoreError
from lethe.evidence.anchors import open_anchor
from lethe.evidence.bundle import Limits, Material
from lethe.evidence.guard import require_current
from lethe.evidence.leaf import anchor_leaf, heartbeat_leaf, key_leaf, manifest_leaf
from lethe.evidence.log import Log, Sealed
from lethe.evidence.note import Checkpoint, SigningKey, endorsement, sign_note
from lethe.evidence.outside import Head, Outside, Position
from lethe.model import Evidence
from lethe.state import State
from lethe.stores.postgres.outbox import Outbox, place_of

_BEGINNING: Position = (1, 0)
BATCH = 50_000
"""Leaves that are taken over in one transaction."""


@dataclass(frozen=True)
class Gap:
    """Places of an outbox that hold no leaf any more, `first` to `last`: their rows were removed."""

    outbox: str
    epoch: int
    first: int
    last: int


@dataclass(frozen=True)
class Collected:
    """What one look at all outboxes brought, and which could not be looked at, with why."""

    leaves: int
    gaps: tuple[Gap, ...]
    unreachable: Mapping[str, str]


class _Unanswered(Exception):
    """An outbox does not answer. What goes wrong with the log itself is another matter, and ends the collecting."""


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise _Unanswered(str(error)) from None


def _waiting(outbox: Outbox, at: Position) -> Iterator[list[bytes]]:
    """The leaves after a place, a transaction's worth at a time; the next are fetched while these are taken over."""
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(_leaves_after, outbox, at)
        while lines := following.result():
            following = ahead.submit(_leaves_after, outbox, place_of(lines[-1]))
            yield lines


def _leaves_after(outbox: Outbox, at: Position) -> list[bytes]:
    with _asking():
        return outbox.leaves_after(*at, limit=BATCH)


class Sealing:
    """The log of a policy, with all that feeds it and all that it is kept against."""

    def __init__(
        self, setting: Evidence, log: Log, outside: Outside, state: State, outboxes: Mapping[str, Outbox]
    ) -> None:
        self.setting, self.log, self.outside, self.state, self.outboxes = setting, log, outside, state, outboxes

    def close(self) -> None:
        """Close the connection to the log."""
        self.log.close()

    # -- collect ----------------------------------------------------------------------------------------------

    def collect(self, progress: Callable[[int], None] = lambda _: None) -> Collected:
        """Take over into the log what the outboxes hold and it does not; each outbox by itself, in its order.

        An outbox that does not answer is left for the next time. Forked when one has another history than the log.
        """
        leaves, gaps, unreachable, wrong = 0, list[Gap](), dict[str, str](), list[EvidenceError]()
        with self.log.alone():
            head = self.outside.head() or Head()
            self.require_history(head)
            done = self.log.positions()
            for outbox in self.outboxes.values():
                try:
                    found = self._collect(outbox, head, done, progress)
                except _Unanswered as error:
                    unreachable[outbox.name] = str(error)
                except EvidenceError as error:
                    wrong.append(error)
                else:
                    leaves, gaps = leaves + found[0], [*gaps, *found[1]]
            if self.state.name not in unreachable:
                for digest, body in self.state.policies(self.log.policies()):
                    self.log.add_policy(digest, body)
        if wrong:
            raise wrong[0]
        return Collected(leaves, tuple(gaps), unreachable)

    def _collect(
        self, outbox: Outbox, head: Head, done: Mapping[str, Position], progress: Callable[[int], None]
    ) -> tuple[int, list[Gap]]:
        with _asking():
            require_current(head, outbox)
            end = outbox.position()
            store, count, gaps = end.store, 0, list[Gap]()
            at = done.get(store, (0, 0))
            here = outbox.leaf_at(*at) if at != (0, 0) else None
        if here is not None and here != self.log.leaf_from(store, at):
            raise Forked(
                f"{outbox.name}: number {at[1]} of epoch {at[0]} is not the leaf that the log has from there; if the "
                f"database was restored and went on, its owner declares it with `lethe restore {outbox.name}`"
            )
        for lines in _waiting(outbox, at):
            self.log.append(lines)
            gaps += _gaps(outbox.name, at if any(at) else _BEGINNING, lines)
            at, count = place_of(lines[-1]), count + len(lines)
            progress(len(lines))
        last = at if any(at) else _BEGINNING
        if end.epoch == last[0] and end.seq > last[1]:
            gaps.append(Gap(outbox.name, end.epoch, last[1] + 1, end.seq))
        return count, gaps

    # -- checkpoint -------------------------------------------------------------------------------------------

    def checkpoint(self, key: SigningKey, run: str, today: date) -> Sealed | None:
        """Sign the log as it is, if it grew since it was last signed; None when it is empty.

        The head outside is written before the signature is kept inside: after a crash in between it is made good here.
        """
        with self.log.alone():
            head = self.outside.head() or Head()
            self.require_history(head)
            self._use_key(key, head, run)
            size = self.log.size()
            if size == 0:
                return None
            if size > head.size:
                head = self._sign(key, head, size, today)
            self.log.add_checkpoint(head.size, head.root, head.note)
            return self.log.last_checkpoint()

    def _sign(self, key: SigningKey, head: Head, size: int, today: date) -> Head:
        root = self.log.root(size)
        note = sign_note(Checkpoint(self.setting.origin, size, root).text(), key)
        self.outside.keep_leaves(head.size, self.log.leaves(head.size, size), today)
        outboxes = {**head.outboxes, **self.log.positions()}
        new = Head(size, root, note, outboxes, self.log.key_chain(), {**head.stores, **self.store_ids(outboxes)})
        self.outside.publish(new, today)
        self.outside.forget(cutoff(today, self.setting.backups))
        return new

    def store_ids(self, sealed: Mapping[str, Position]) -> dict[str, str]:
        """The ids of the databases that something was sealed of, by their names; of those that answer."""
        found = dict[str, str]()
        for name, outbox in self.outboxes.items():
            with suppress(StoreError):
                found[name] = outbox.position().store
        return {name: store for name, store in found.items() if store in sealed}

    def require_history(self, head: Head) -> None:
        """The log is what was signed last, or has grown from it; else Behind or Forked."""
        size, last = self.log.size(), self.log.last_checkpoint()
        if size < head.size:
            raise Behind(
                f"{self.log.name}: found {size} leaves, but {head.size} were signed; the database was restored from a "
                "backup: declare it with `lethe restore log`, which puts the missing leaves back"
            )
        if last is not None and last.size > head.size:
            raise Behind(
                f"{self.outside.directory}: the head tells of {head.size} leaves, but {last.size} were signed; the "
                "directory is lost or was put back: declare it with `lethe restore log`"
            )
        if head.size and self.log.root(head.size) != head.root:
            raise Forked(
                f"{self.log.name}: its first {head.size} leaves are not those that were signed; nothing is added and "
                "nothing is signed; restore the database from a backup, then `lethe restore log`"
            )

    def _use_key(self, key: SigningKey, head: Head, run: str) -> None:
        keys, new = self.log.key_chain(), str(key.verifier)
        if not keys and not head.keys:
            self.log.add_key(new, None, 0)
            keys = self.log.key_chain()
        elif new != (keys or head.keys)[-1][0]:
            raise EvidenceError(
                f"the log is signed by {(keys or head.keys)[-1][0]}, found {new}; a new key is brought in by "
                "`lethe evidence rotate`, which the old one must sign"
            )
        for before, (vkey, _, size) in zip((None, *keys), keys, strict=False):
            self._tell_key(run, vkey, before[0] if before else None, size)

    def _tell_key(self, run: str, new: str, old: str | None, size: int) -> None:
        def key_id(vkey: str) -> str:
            return vkey.split("+")[1]

        with suppress(StoreError, Behind):  # told the next time, then
            self.state.outbox.write_once(
                f"key/{key_id(new)}",
                lambda place: key_leaf(place, run, new=key_id(new), old=key_id(old) if old else None, size=size),
            )

    def rotate(self, old: SigningKey, new: SigningKey, run: str) -> None:
        """Bring in a new key, endorsed by the old one, which must be the one in use."""
        with self.log.alone():
            head = self.outside.head() or Head()
            self.require_history(head)
            self._use_key(old, head, run)
            if str(new.verifier) in [vkey for vkey, *_ in self.log.key_chain()]:
                raise EvidenceError(f"{new.verifier} has signed before; make a new key: `lethe evidence key FILE`")
            size = self.log.size()
            self.log.add_key(str(new.verifier), endorsement(old, new.verifier, size), size)
            self._tell_key(run, str(new.verifier), str(old.verifier), size)

    # -- anchor -----------------------------------------------------------------------------------------------

    def anchor(self, address: Callable[[str], str], run: str) -> dict[str, str | None]:
        """Bring the last checkpoint to every anchor that lacks it; what went wrong by anchor, None where nothing did.

        `address` gives the URL of a connection. A checkpoint that only tells of anchors is no news, else this would
        never come to rest.
        """
        last, told = self.log.last_checkpoint(), dict[str, str | None]()
        for setting in self.setting.anchors.values() if last is not None else ():
            assert last is not None
            if self.log.unanchored(setting.name, last.size) is None:
                continue
            try:
                token = open_anchor(setting, address).publish(last.note)
            except (EvidenceError, ConfigError) as error:
                told[setting.name] = str(error)
                continue
            self.outside.keep_token(setting.name, setting.kind, last.size, token)
            self.log.add_anchor(setting.name, setting.kind, last.size, token)
            told[setting.name] = None
        self._tell_anchors(run)
        return told

    def _tell_anchors(self, run: str) -> None:
        """A leaf for each checkpoint that was brought outside; what a stopped run left untold is told now."""
        if not self.setting.anchors:
            return
        roots = {sealed.size: sealed.root for sealed in self.log.checkpoints()}
        for anchored in self.log.anchors()[-2 * len(self.setting.anchors) :]:
            self.state.outbox.write_once(
                f"anchor/{anchored.anchor}/{anchored.size}",
                lambda place, a=anchored: anchor_leaf(  # type: ignore[misc]
                    place, run, anchor=a.anchor, of=a.kind, size=a.size, root=roots[a.size], token=a.token
                ),
            )

    def unanchored_since(self, anchor: str) -> str | None:
        """The moment of the first leaf that an anchor does not cover yet, RFC 3339; None when it covers all."""
        leaf = self.log.unanchored(anchor, self.log.size())
        return None if leaf is None else leaf.split('"at":"', 1)[1][:24]

    def material(
        self, limits: Limits, exported_at: datetime, progress: Callable[[int], None] = lambda _: None
    ) -> Material:
        """What a bundle is made of, as the log has it now."""

        def leaves(first: int, end: int) -> Iterator[bytes]:
            for leaf in self.log.leaves(first, end):
                progress(1)
                yield leaf

        return Material(
            origin=self.setting.origin,
            leaves=leaves,
            node=self.log.node,
            checkpoints=self.log.checkpoints(),
            keys=self.log.key_chain(),
            anchors=self.log.anchors(),
            policies=self.log.policies(),
            exported_at=exported_at,
            limits=limits,
        )

    # -- every day --------------------------------------------------------------------------------------------

    def heartbeat(self, today: date, run: str) -> bool:
        """Say once a day that the log lives; False when it was said."""
        unreachable, oldest, head = 0, list[str](), self.outside.head() or Head()
        try:
            oldest = [since for name in self.setting.anchors if (since := self.unanchored_since(name))]
            size = self.log.size()
        except StoreError:  # a log that is down is no reason for a day without a sign of life
            size = head.size
        for outbox in self.outboxes.values():
            try:
                outbox.position()
            except StoreError:
                unreachable += 1
        since = min(oldest, default=None)
        return self.state.outbox.write_once(
            f"heartbeat/{today}",
            lambda place: heartbeat_leaf(
                place,
                run,
                day=today,
                size=size,
                unreachable=unreachable,
                unanchored_since=datetime.fromisoformat(since) if since else None,
            ),
        )

    def manifest(self, today: date, zone: ZoneInfo, expected: Callable[[date], Iterable[str]], run: str) -> int:
        """Say for each day that has passed which rules should have run on it and which did not; how many were said.

        `expected` gives the rules that were scheduled for a day; those that no policy had before it do not count. The
        first day is that after the first use of a policy.
        """
        first, told = self.state.first_used(), 0
        if first is None:
            return 0
        day = max(local_date(first, zone) + timedelta(days=1), today - timedelta(days=_LOOK_BACK))
        while day < today:
            wanted = frozenset(expected(day)) & self.state.rules_in_use(day, zone)
            missing = wanted - self.state.rules_run_on(day, zone)
            told += self.state.outbox.write_once(
                f"manifest/{day}",
                lambda place, d=day, w=wanted, m=missing: manifest_leaf(  # type: ignore[misc]
                    place, run, day=d, expected=w, missing=m
                ),
            )
            day += timedelta(days=1)
        return told


def _gaps(outbox: str, at: Position, lines: list[bytes]) -> Iterator[Gap]:
    """Places after `at` that the lines, which rise, pass over."""
    if place_of(lines[-1]) == (at[0], at[1] + len(lines)):  # as a rule: then there is none, and nothing to go through
        return
    for line in lines:
        here = place_of(line)
        if here[0] == at[0] and here[1] > at[1] + 1:
            yield Gap(outbox, here[0], at[1] + 1, here[1] - 1)
        at = here


_LOOK_BACK = 40
"""Days after which a manifest that was never written is given up: longer than any holiday of the scheduler's."""
