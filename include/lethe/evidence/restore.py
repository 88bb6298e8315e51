"""Declaring a restore: what holds less than was published of it goes on from there, and the evidence says so.

    log             gets back from the directory outside what it lost, to the byte; or gives the directory back
    store, state    begins a new epoch, so that the same deed done again is evidence again

The log comes first: how far a store had come is read from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from lethe.deadlines import cutoff
from lethe.errors import Behind, ConfigError, EvidenceError, Forked, LetheError, StoreError
from lethe.evidence.leaf import restore_leaf
from lethe.evidence.log import Log, Sealed
from lethe.evidence.note import Checkpoint, NoteError, VerifierKey, open_note
from lethe.evidence.outside import Head, Outside, Position
from lethe.evidence.seal import Sealing
from lethe.stores.postgres.outbox import Outbox

LOG = "log"
_CHUNK = 20_000
_PLACE = re.compile(rb'"outbox":\{"epoch":([0-9]+),"seq":([0-9]+),"store":"([0-9a-f-]{36})"\}')


@dataclass(frozen=True)
class Declared:
    """A restore that was declared: the last number that was found, and the last that had been published.

    For the log these are numbers of leaves; `epoch` is the new one of a store or of lethe_state, None for the log.
    """

    name: str
    database: Literal["store", "state", "log"]
    found: int
    published: int
    epoch: int | None = None
    taken_over: int = 0
    """Leaves that were written after the backup was put back and before this: they stand in the new epoch now."""
    put_back: int = 0
    """Leaves that came back into the log from the directory outside; 0 when it was the directory that was behind."""
    notes: tuple[str, ...] = ()
    """What a person should know or do next."""


def declare_restore(sealing: Sealing, name: str, run: str) -> Declared:
    """Declare that a backup was put back into a store of the policy, into `lethe_state`, or into the `log`.

    EvidenceError when nothing speaks for a restore, Behind when the log must be declared first, Forked when what is
    there does not go together with what was signed; StoreRefused for who is not the database's owner.
    """
    if name == LOG:
        return _declare_log(sealing, run)
    if name not in sealing.outboxes:
        raise ConfigError(f'found no database "{name}", expected one of: {", ".join((*sealing.outboxes, LOG))}')
    return _declare_outbox(sealing, sealing.outboxes[name], run)


def _declare_outbox(sealing: Sealing, outbox: Outbox, run: str) -> Declared:
    database: Literal["store", "state"] = "state" if outbox is sealing.state.outbox else "store"
    notes = list[str]()
    with sealing.log.alone():
        published, shared = _published(sealing, outbox), _shared(sealing.log, outbox)
        if database == "state":
            notes += _put_back_runs(sealing, shared)
        place, strayed = outbox.begin_epoch(
            published[0],
            shared,
            lambda place: restore_leaf(place, run, database=database, found=shared[1], published=published[1]),
        )
        if database == "state" and tell_of_log(sealing):
            notes.append(_LOG_TOLD)
    if strayed:
        notes.append(_STRAYED.format(strayed))
    notes.append(_REPLAY.format(outbox.name) if database == "store" else _ANSWERS)
    return Declared(outbox.name, database, shared[1], published[1], place.epoch, strayed, notes=tuple(notes))


def missing(sealing: Sealing, outbox: Outbox) -> Position | None:
    """The last place of the outbox that the log has, if the database does not hold it as the log does; else None.

    Behind or Forked when the log itself is not in order.
    """
    head = sealing.outside.head() or Head()
    sealing.require_history(head)
    here = outbox.position()
    known = head.stores.get(outbox.name, here.store)
    if known != here.store and here.epoch == 1:
        return head.position(known)
    last = max(sealing.log.positions().get(here.store, (0, 0)), head.position(here.store))
    if (here.epoch, here.seq) < last:
        return last
    return None if outbox.leaf_at(*last) in (None, sealing.log.leaf_from(here.store, last)) else last


def _published(sealing: Sealing, outbox: Outbox) -> Position:
    last = missing(sealing, outbox)
    if last is None:
        here = outbox.position()
        raise EvidenceError(
            f"{outbox.name}: found evidence up to number {here.seq} of epoch {here.epoch}, and all that the log has "
            "from there: no backup was put back, or that was declared before; there is nothing to declare"
        )
    return last


def _shared(log: Log, outbox: Outbox) -> Position:
    """The last place up to which the outbox and the log tell the same."""
    here = outbox.position()
    at = here.epoch, here.seq + 1
    while (found := outbox.last_before(*at)) is not None:
        epoch, seq, leaf = found
        if log.leaf_from(here.store, (epoch, seq)) == leaf:
            return epoch, seq
        at = epoch, seq
    return at[0], at[1] - 1


def _put_back_runs(sealing: Sealing, shared: Position) -> Iterator[str]:
    """Which rules ran on which day is read from lethe_state: without what the log knows, a manifest would miss some."""
    outbox = sealing.state.outbox
    here = {**{epoch: seq for epoch, seq in outbox.held().items() if epoch < shared[0]}, shared[0]: shared[1]}
    lost = sealing.log.leaves_of(outbox.position().store, "run", here)
    for leaf in lost:
        sealing.state.put_back_run(leaf)
    if lost:
        yield f"{len(lost)} entries on runs came back from the log"


_REPLAY = "next: `lethe evidence seal`, then `lethe replay {}`, which deletes again what the backup brought back"
_ANSWERS = (
    "plans, answers and confirmations since the backup are in the log as evidence, but are to be given again; "
    "next: `lethe evidence seal`"
)
_STRAYED = (
    "{} leaves were written after the backup was put back, unseen; they stand in the new epoch now: what they tell of "
    "was done, look into how"
)
_LOG_TOLD = "the restore of the log is written down now, too"


# -- the log ----------------------------------------------------------------------------------------------------------


def _declare_log(sealing: Sealing, run: str) -> Declared:
    log, outside = sealing.log, sealing.outside
    with log.alone():
        head, size, last = _readable(outside), log.size(), log.last_checkpoint()
        before, notes, put_back = outside.restore(), list[str](), 0
        if size < head.size:
            found, published = size, head.size
        elif last is not None and last.size > head.size:
            found, published = head.size, last.size
        elif before is not None:
            found, published = before["found"], before["published"]
        else:
            raise EvidenceError(
                f"{log.name}: found {size} leaves, of which {head.size} are signed here and outside; there is nothing "
                "to declare"
            )
        outside.keep_restore({"run": run, "found": found, "published": published, **(before or {})})
        try:
            if size < head.size:
                put_back = _put_back(sealing, head)
            elif last is not None and last.size > head.size:
                _rebuild(sealing, last)
                notes.append(_COMPARE.format(outside.directory))
            else:
                _put_back_around(sealing, head)
        except LetheError:
            if before is None:
                outside.forget_restore()
            raise
        if tell_of_log(sealing) is False:
            notes.append(_LOG_UNTOLD)
    return Declared(LOG, "log", found, published, put_back=put_back, notes=(*notes, _SEAL))


_COMPARE = "{} was made anew from the log's own last checkpoint: compare that with the copy at an anchor"
_LOG_UNTOLD = (
    "it is written down as soon as lethe_state can be written: `lethe restore lethe_state`, if it was restored"
)
_SEAL = "next: `lethe restore` for every other database that was put back, then `lethe evidence seal`"


def _readable(outside: Outside) -> Head:
    """The head outside; an empty one when it is lost or damaged."""
    try:
        return outside.head() or Head()
    except ConfigError:
        return Head()


def tell_of_log(sealing: Sealing) -> bool | None:
    """Write down an open restore of the log; False while lethe_state cannot be written, None when none is open."""
    told = sealing.outside.restore()
    if told is None:
        return None
    numbers = {"found": told["found"], "published": told["published"]}
    try:
        sealing.state.outbox.write_once(
            f"restore/log/{told['run']}", lambda place: restore_leaf(place, told["run"], database="log", **numbers)
        )
    except (Behind, StoreError):
        return False
    sealing.outside.forget_restore()
    return True


def _put_back(sealing: Sealing, head: Head) -> int:
    """The leaves between the log's end and the head's, from outside: all of them, or none when they do not fit."""
    log, size = sealing.log, sealing.log.size()
    with log.at_once():
        for lines in _chunks(map(_line, sealing.outside.leaves(size, head.size))):
            log.append(lines)
        if log.root(head.size) != head.root:
            raise Forked(
                f"{sealing.outside.directory / 'leaves'}: behind the {size} leaves that {log.name} has, these do not "
                "lead to the signed root; nothing was kept; put back another, perhaps an older backup of the database"
            )
        _put_back_around(sealing, head)
    return head.size - size


def _put_back_around(sealing: Sealing, head: Head) -> None:
    """Keys, checkpoints and what came from anchors, as the directory outside has them; what is there stays."""
    log, keys = sealing.log, _keys(head.keys, sealing)
    for vkey, endorsement, size in head.keys:
        log.add_key(vkey, endorsement, size)
    for size, note in sealing.outside.notes():
        if size <= head.size:  # a run that was stopped may have left one that it did not publish
            root = log.root(size)
            _require_signed(sealing, note, keys, Checkpoint(sealing.setting.origin, size, root))
            log.add_checkpoint(size, root, note)
    _require_signed(sealing, head.note, keys, Checkpoint(sealing.setting.origin, head.size, head.root))
    log.add_checkpoint(head.size, head.root, head.note)
    known = {sealed.size for sealed in log.checkpoints()}
    for token in sealing.outside.tokens():
        if token["size"] in known:
            log.add_anchor(token["anchor"], token["kind"], token["size"], token["token"])


def _keys(chain: Iterable[tuple[str, str | None, int]], sealing: Sealing) -> list[VerifierKey]:
    try:
        return [VerifierKey.parse(vkey) for vkey, _, _ in chain]
    except NoteError as error:
        where = f"the keys in {sealing.outside.directory} or {sealing.log.name}"
        raise Forked(f"{where}: {error}; nothing was changed; put the database or the directory back") from None


def _require_signed(sealing: Sealing, note: str, keys: Iterable[VerifierKey], expected: Checkpoint) -> None:
    """Forked unless the note is that of the expected checkpoint, signed by one of the keys."""
    where = f"the checkpoint of {expected.size} leaves in {sealing.outside.directory} or {sealing.log.name}"
    try:
        text, _ = open_note(note, keys)
        same = Checkpoint.parse(text) == expected
    except NoteError as error:
        raise Forked(f"{where}: {error}; nothing was changed; put the database or the directory back") from None
    if not same:
        raise Forked(f"{where}: it is not that of the log's leaves; nothing was changed; put another backup back")


def _rebuild(sealing: Sealing, last: Sealed) -> None:
    """The directory outside made anew from the log, as long back as a backup may be old; the head comes last."""
    log, outside, keys = sealing.log, sealing.outside, sealing.log.key_chain()
    expected = Checkpoint(sealing.setting.origin, last.size, log.root(last.size))
    _require_signed(sealing, last.note, _keys(keys, sealing), expected)
    day, sealed = last.at.date(), log.checkpoints()
    oldest = cutoff(day, sealing.setting.backups)
    first = max((each.size for each in sealed if each.at.date() < oldest), default=0)
    outside.keep_leaves(first, log.leaves(first, last.size), day)
    for each in sealed:
        if each.size >= first:
            outside.keep_note(each.size, each.note, each.at.date())
    for anchored in log.anchors():
        outside.keep_token(anchored.anchor, anchored.kind, anchored.size, anchored.token)
    outboxes = log.positions_before(last.size)
    outside.publish(Head(last.size, last.root, last.note, outboxes, keys, sealing.store_ids(outboxes)), day)


def _line(leaf: bytes) -> bytes:
    """The leaf as the log takes it over from an outbox: the place that it says itself, then the leaf."""
    place = _PLACE.search(leaf)
    if place is None:
        raise Forked("a leaf that is kept outside does not say where it was written; put the directory back")
    epoch, seq, store = place.groups()
    return b"%b\t%b\t%b\t%b\n" % (store, epoch, seq, leaf)


def _chunks(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    while chunk := list(islice(lines, _CHUNK)):
        yield chunk
