"""Looks through the log as it lies in the database: every leaf against its node, every checkpoint against its leaves.

What was looked through before is not looked through again, unless it is asked for: its root is held to the one found
then. An auditor who trusts nobody here takes a bundle and verify_bundle.py instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from lethe.evidence.log import Log, Sealed
from lethe.evidence.note import Checkpoint, NoteError, VerifierKey, open_note, read_endorsement
from lethe.evidence.outside import Head, Outside
from lethe.evidence.tree import Frontier, leaf_hash

_CHUNK = 50_000
_HASH = 32


@dataclass(frozen=True)
class Finding:
    """What is wrong with the log: invalid, forked or incomplete, as a bundle of it would be."""

    kind: Literal["invalid", "forked", "incomplete"]
    text: str


@dataclass(frozen=True)
class Verified:
    """The log up to a signed size, how many leaves were looked through for it now, and what was found."""

    size: int
    root: bytes
    looked_at: int
    unsigned: int
    """Leaves that came after the last checkpoint."""
    findings: tuple[Finding, ...]


def verify_log(
    log: Log, outside: Outside, origin: str, *, full: bool, progress: Callable[[int], None] = lambda _: None
) -> Verified:
    """Verify the log from where it was verified last, or from the beginning; sound parts are not gone through again."""
    sealed, head = log.checkpoints(), outside.head() or Head()
    size = sealed[-1].size if sealed else 0
    verifiers, findings = _keys(log)
    findings += [*_gaps(log), *_head(log, head, sealed)]
    known, root = (0, b"") if full else log.last_verified()
    frontier = Frontier.at(known, log.node)
    if known and (known > size or frontier.root() != root):
        findings.append(Finding("forked", f"the first {known} leaves are not those that were verified before"))
        known, frontier = 0, Frontier()
    for checkpoint in sealed:
        if checkpoint.size <= known:
            continue
        findings += _leaves(log, frontier, checkpoint.size, progress)
        findings += _checkpoint(checkpoint, frontier, verifiers, origin)
    if size > known and not findings:
        log.add_verified(size, frontier.root())
    return Verified(size, frontier.root(), size - known, log.size() - size, tuple(findings))


def _leaves(log: Log, frontier: Frontier, end: int, progress: Callable[[int], None]) -> Iterator[Finding]:
    """Bring the frontier up to `end` by the leaves themselves; those whose stored node differs, or that are missing."""
    while frontier.size < end:
        first, stop = frontier.size, min(frontier.size + _CHUNK, end)
        hashes = [leaf_hash(leaf.rstrip(b"\n")) for leaf in log.leaves(first, stop)]
        if len(hashes) < stop - first:
            yield Finding("invalid", f"leaves are missing between {first} and {stop - 1}")
            hashes += [bytes(_HASH)] * (stop - first - len(hashes))  # no leaf has it: what is signed cannot come out
        stored = log.hashes(first, stop)
        if b"".join(hashes) != stored:
            at = next(n for n, own in enumerate(hashes) if stored[n * _HASH : (n + 1) * _HASH] != own)
            yield Finding("invalid", f"leaf {first + at} is not the one that was added: its hash differs")
        frontier.extend(hashes)
        progress(stop - first)


def _checkpoint(sealed: Sealed, frontier: Frontier, verifiers: list[VerifierKey], origin: str) -> Iterator[Finding]:
    try:
        text, _ = open_note(sealed.note, verifiers)
        told = Checkpoint.parse(text)
    except NoteError as error:
        yield Finding("invalid", f"the checkpoint of {sealed.size} leaves: {error}")
        return
    if told != Checkpoint(origin, sealed.size, sealed.root):
        yield Finding("invalid", f"the checkpoint of {sealed.size} leaves is not the one that is kept beside it")
    elif told.root != frontier.root():
        yield Finding("forked", f"the leaves do not lead to the checkpoint of {sealed.size} leaves that was signed")


def _keys(log: Log) -> tuple[list[VerifierKey], list[Finding]]:
    """The keys, each endorsed by the one before it; what is wrong with the first that is not, and none after it."""
    chain: list[VerifierKey] = []
    for vkey, endorsement, _ in log.key_chain():
        try:
            key = VerifierKey.parse(vkey)
            if chain and read_endorsement(endorsement or "", chain[-1])[0] != key:
                return chain, [Finding("invalid", f"key {vkey} is not the one that the key before it endorsed")]
        except NoteError as error:
            return chain, [Finding("invalid", f"key {vkey}: {error}")]
        chain.append(key)
    return chain, []


def _gaps(log: Log) -> Iterator[Finding]:
    for store, epoch, first, last in log.gaps():
        yield Finding("incomplete", f"outbox {store}, epoch {epoch}: leaves {first} to {last} were removed unseen")


def _head(log: Log, head: Head, sealed: tuple[Sealed, ...]) -> Iterator[Finding]:
    """What the directory outside tells is what the database tells."""
    if head.size > log.size():
        yield Finding("forked", f"the head outside tells of {head.size} leaves, the log has {log.size()}")
    same = next((each for each in sealed if each.size == head.size), None)
    if same is not None and same.root != head.root:
        yield Finding("forked", f"the head outside has another root at {head.size} leaves than the log")
