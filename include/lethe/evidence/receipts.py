"""Receipts: proof for one person, years later, that exactly their record went, from evidence that names nobody.

A rule with `receipts: subject` has each batch commit to its data subjects: the keys of the rows that went, as text. A
subject is hashed with the plan and a random nonce, the hashes are the leaves of a tree (RFC 6962, section 2.1), and the
tree's root stands in the batch's leaf. Who has the nonce can show whose hash it is; without it nobody can guess. The
hashes stand in order of themselves, so that a position says nothing of the order of the rows.

Pure, but for the nonces.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from lethe.deadlines import Period
from lethe.errors import ReceiptError
from lethe.evidence.leaf import Leaf, canonical
from lethe.evidence.tree import Frontier, ProofError, inclusion_proof, leaf_hash, verify_inclusion
from lethe.model import Organisation, Subjects

VERSION = 1
NONCE_BYTES = 32
UNSAID = Period(days=90)
"""How long receipts are given where the policy has no evidence sealed, and so does not say."""

_HASH = re.compile(r"[0-9a-f]{64}")
_STORE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Committed(NamedTuple):
    """A subject of a batch, with the nonce that hides it and the hash that stands for it."""

    subject: str
    nonce: bytes
    hash: bytes


def subject_hash(nonce: bytes, plan: str, subject: str) -> bytes:
    """SHA-256(0x00, nonce, plan, subject): 32 bytes, the plan's digest as 32 bytes, and UTF-8."""
    return leaf_hash(nonce + bytes.fromhex(plan) + subject.encode())


def commit_to(plan: str, subjects: Iterable[str]) -> tuple[list[Committed], Subjects]:
    """Give each subject a nonce of its own; they in the order of their hashes, and what the batch's leaf says of all.

    `plan` is the plan's digest in hex.
    """
    made = []
    for subject in subjects:
        nonce = secrets.token_bytes(NONCE_BYTES)
        made.append(Committed(subject, nonce, subject_hash(nonce, plan, subject)))
    made.sort(key=lambda each: each.hash)
    tree = Frontier()
    tree.extend([each.hash for each in made])
    return made, Subjects(len(made), tree.root().hex())


def commit_root(nonced: Iterable[bytes]) -> str:
    """The root, in hex, over values that each have a nonce before them, in the order of their hashes."""
    tree = Frontier()
    tree.extend(sorted(leaf_hash(each) for each in nonced))
    return tree.root().hex()


def path_to(index: int, hashes: Sequence[bytes]) -> tuple[list[bytes], bytes]:
    """The audit path of one of a batch's hashes, in their order, and the root that it leads to."""
    tree = Frontier()
    nodes = {(0, at): each for at, each in enumerate(hashes)}
    for level, first, row in tree.extend(hashes):
        nodes |= {(level, first + at): each for at, each in enumerate(row)}
    return inclusion_proof(index, len(hashes), lambda *place: nodes[place]), tree.root()


def period_of(organisation: Organisation) -> Period:
    """How long a receipt can be given after the deed."""
    return organisation.evidence.receipts if organisation.evidence else UNSAID


@dataclass(frozen=True)
class SubjectReceipt:
    """What a person is given: where their batch is told of, and the way from their hash to its root; hashes in hex.

    It does not say who they are: whoever checks it must know the key of their record, as the letter around it tells it.
    """

    plan: str
    store: str
    epoch: int
    seq: int
    nonce: str = field(repr=False)
    index: int
    size: int
    path: tuple[str, ...]
    root: str
    v: int = VERSION

    def text(self) -> str:
        """Canonical JSON (RFC 8785)."""
        return canonical(asdict(self))

    @classmethod
    def parse(cls, text: str) -> SubjectReceipt:
        """Read what `text` wrote; ReceiptError when it is anything else."""
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            raise ReceiptError("the receipt cannot be read: expected the JSON that was given to the person") from None
        if not isinstance(read, Mapping) or read.keys() != _FORM.keys():
            raise ReceiptError(f"the receipt has other fields than {', '.join(sorted(_FORM))}")
        for name, (fits, expected) in _FORM.items():
            if not fits(read[name]):
                raise ReceiptError(f"the receipt's {name} is damaged, expected {expected}")
        return cls(**{**read, "path": tuple(read["path"])})


def check_receipt(receipt: SubjectReceipt, subject: str, leaf: Leaf) -> None:
    """ReceiptError unless the receipt shows that the batch this leaf tells of took the record with the key `subject`.

    That the leaf itself is genuine is for others to show: it comes out of a log or a bundle that was verified.
    """
    if leaf.get("kind") != "batch":
        raise ReceiptError(f"found a leaf of kind {leaf.get('kind')}, expected that of a batch")
    place = {"store": receipt.store, "epoch": receipt.epoch, "seq": receipt.seq}
    promised = {"count": receipt.size, "root": receipt.root}
    for what, found, expected in (
        ("place in the outbox", leaf.get("outbox"), place),
        ("plan", leaf.get("plan"), receipt.plan),
        ("number of subjects and root", leaf.get("receipts"), promised),
    ):
        if found != expected:
            raise ReceiptError(f"the batch has another {what} than the receipt: it is not the batch of this receipt")
    _check_path(receipt, subject)


def _check_path(receipt: SubjectReceipt, subject: str) -> None:
    try:
        mine = subject_hash(bytes.fromhex(receipt.nonce), receipt.plan, subject)
    except UnicodeEncodeError:
        raise ReceiptError("the subject is no text in Unicode, expected the key of the record") from None
    path = [bytes.fromhex(each) for each in receipt.path]
    try:
        verify_inclusion(receipt.index, receipt.size, mine, path, bytes.fromhex(receipt.root))
    except ProofError:
        raise ReceiptError(
            "the receipt does not lead to the root that the batch was written down with: it is another subject's, or "
            "its nonce, index or path was changed"
        ) from None


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _is_number(value: Any) -> bool:
    return type(value) is int and value >= 0


_HEX = (_is_hash, "64 lower-case hexadecimal digits")
_NUMBER = (_is_number, "a whole number from 0")
_FORM: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "v": (lambda value: type(value) is int and value == VERSION, f"version {VERSION}"),
    "plan": _HEX,
    "store": (lambda value: isinstance(value, str) and _STORE.fullmatch(value) is not None, "a store's id"),
    "epoch": _NUMBER,
    "seq": _NUMBER,
    "nonce": _HEX,
    "index": _NUMBER,
    "size": _NUMBER,
    "path": (lambda value: isinstance(value, list) and all(map(_is_hash, value)), "a list of hashes"),
    "root": _HEX,
}
