"""Bundles: the evidence of a log in one file, for somebody who is to verify it without us (verify_bundle.py).

A zip in which every byte is content or prescribed, so that one signature covers all of it. Leaves are streamed; what is
left out of a partial bundle stands in it as the largest subtrees without an included leaf.
"""

from __future__ import annotations

import json
import os
import zlib
from array import array
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import rfc8785

from lethe.errors import EvidenceError
from lethe.evidence.account import Account
from lethe.evidence.leaf import instant
from lethe.evidence.log import Anchored, Sealed
from lethe.evidence.note import Checkpoint, SigningKey, sign_note
from lethe.evidence.tree import Node, consistency_proof, cover, subtree_root
from lethe.evidence.verify_bundle import MEMBERS, Member, directory, local_header

VERSION = 1
TOO_LARGE = 2**32
"""Bytes of which a bundle has fewer: a zip of the plain kind cannot tell of more."""


@dataclass(frozen=True)
class Limits:
    """What a bundle is about: leaves from a day to a day (UTC, inclusive) and of an activity; None is no limit.

    A leaf of no activity, such as a policy, a key or a sign of life, counts for each of them.
    """

    first: date | None = None
    last: date | None = None
    activity: str | None = None

    def admit(self, line: bytes) -> bool:
        """Whether a leaf is within them."""
        leaf = json.loads(line)
        day = leaf["at"][:10]
        return (
            (self.first is None or day >= self.first.isoformat())
            and (self.last is None or day <= self.last.isoformat())
            and (self.activity is None or leaf.get("activity", self.activity) == self.activity)
        )

    def __str__(self) -> str:
        """The manifest's line."""
        return " ".join("-" if limit is None else str(limit) for limit in (self.first, self.last, self.activity))


@dataclass(frozen=True)
class Material:
    """What goes into a bundle, as the log has it: the last checkpoint is the one that is proven.

    `leaves(first, end)` gives canonical texts, each with a line feed at its end; a partial bundle asks twice.
    `keys` are verifier key, endorsement and size, first to newest; `policies` canonical texts by their digests.
    """

    origin: str
    leaves: Callable[[int, int], Iterable[bytes]]
    node: Node
    checkpoints: Sequence[Sealed]
    keys: Sequence[tuple[str, str | None, int]]
    anchors: Iterable[Anchored]
    policies: Mapping[str, str]
    exported_at: datetime
    limits: Limits = Limits()


def write_bundle(path: Path, material: Material, key: SigningKey) -> None:
    """Write the bundle, whole or not at all; the same material gives the same bytes.

    EvidenceError when the material cannot make a bundle that holds: no checkpoint, another key than the newest, leaves
    or policies that are not what they should be, 4 GiB or more. OSError when it cannot be written.
    """
    _check(material, key)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb", buffering=1 << 20) as file:
            _write(_Container(file), material, key)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _check(material: Material, key: SigningKey) -> None:
    if not material.checkpoints:
        raise EvidenceError(f"{material.origin}: nothing is signed yet; seal the evidence first, then export it")
    newest = material.keys[-1][0] if material.keys else "none"
    if newest != str(key.verifier):
        raise EvidenceError(f"a bundle is signed by the log's newest key, {newest}; found {key.verifier}")
    for digest, text in material.policies.items():
        if sha256(text.encode()).hexdigest() != digest:
            raise EvidenceError(f"policy {digest[:12]}: its text has another digest; restore the log from a backup")


def _write(container: _Container, material: Material, key: SigningKey) -> None:
    size, account = material.checkpoints[-1].size, Account(material.policies)
    included = _included(material, size)
    gaps = list(cover(size, included))
    container.add("leaves.jsonl", _leaves(material, size, included, account))
    container.add("gaps.jsonl", (_gap(first, count, material.node) for first, count in gaps))
    container.add("checkpoints.jsonl", (_line({"note": sealed.note}) for sealed in material.checkpoints))
    container.add("proofs.jsonl", _proofs(material) if gaps else ())
    container.add("keys.jsonl", (_line({"endorsement": note, "key": vkey}) for vkey, note, _ in material.keys))
    container.add("anchors.jsonl", (_anchor(anchored) for anchored in material.anchors if anchored.size <= size))
    container.add("policies.jsonl", (_policy(*policy) for policy in sorted(material.policies.items())))
    container.add("leaf.schema.json", [(files(__package__) / "leaf.schema.json").read_bytes()])
    container.add("index.html", [_page(material, account, key).encode()])
    container.add("manifest", [sign_note(_manifest(material, container), key).encode()])
    container.close()


def _included(material: Material, size: int) -> Sequence[int]:
    if material.limits == Limits():
        return range(size)
    leaves = enumerate(material.leaves(0, size))
    return array("Q", (position for position, leaf in leaves if material.limits.admit(leaf)))


def _leaves(material: Material, size: int, included: Sequence[int], account: Account) -> Iterator[bytes]:
    """The included leaves, told to the account as they pass."""
    wanted, count = iter(included), 0
    following = next(wanted, None)
    for position, leaf in enumerate(material.leaves(0, size)):
        count += 1
        if position == following:
            account.add(leaf)
            yield leaf
            following = next(wanted, None)
    if count != size:
        raise EvidenceError(f"{material.origin}: found {count} leaves, {size} were signed; seal the evidence first")


def _gap(first: int, count: int, node: Node) -> bytes:
    return _line({"count": count, "first": first, "hash": subtree_root(first, count, node).hex()})


def _proofs(material: Material) -> Iterator[bytes]:
    sizes = [sealed.size for sealed in material.checkpoints]
    for old, new in pairwise(sizes):
        proof = [part.hex() for part in consistency_proof(old, new, material.node)]
        yield _line({"from": old, "proof": proof, "to": new})


def _anchor(anchored: Anchored) -> bytes:
    token = b64encode(anchored.token).decode() if anchored.token is not None else None
    told = {"anchor": anchored.anchor, "at": instant(anchored.at), "kind": anchored.kind}
    return _line({**told, "size": anchored.size, "token": token})


def _policy(digest: str, text: str) -> bytes:
    """The policy's own text, as its digest was taken: written again, a number could look different."""
    return b'{"digest":"%b","policy":%b}\n' % (digest.encode(), text.encode())


def _line(record: Mapping[str, object]) -> bytes:
    return rfc8785.dumps(dict(record)) + b"\n"  # type: ignore[arg-type]


def _page(material: Material, account: Account, key: SigningKey) -> str:
    last = material.checkpoints[-1]
    told = {"origin": material.origin, "limits": material.limits, "size": last.size, "checkpoint": last.note}
    return account.page({**told, "key": str(key.verifier), "exported_at": instant(material.exported_at)})


def _manifest(material: Material, container: _Container) -> str:
    last = material.checkpoints[-1]
    _, size, root, _ = Checkpoint(material.origin, last.size, last.root).text().split("\n")
    head = [f"{material.origin}/bundle", str(VERSION), instant(material.exported_at), str(material.limits)]
    listed = [f"{container.digests[member.name]} {member.size} {member.name}" for member in container.members]
    return "\n".join([*head, f"{size} {root}", *listed, ""])


class _Container:
    """The zip as it is being written: each member once, in the order of MEMBERS."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.members: list[Member] = []
        self.digests: dict[str, str] = {}

    def add(self, name: str, content: Iterable[bytes]) -> None:
        """Write the next member; its header is put right once its size is known."""
        assert name == MEMBERS[len(self.members)]
        offset, size, crc, digest = self._file.tell(), 0, 0, sha256()
        self._file.write(local_header(name, 0, 0))
        for piece in content:
            self._file.write(piece)
            digest.update(piece)
            size, crc = size + len(piece), zlib.crc32(piece, crc)
            _require_room(offset + size)
        self._file.seek(offset)
        self._file.write(local_header(name, crc, size))
        self._file.seek(0, os.SEEK_END)
        self.members.append(Member(name, crc, size, offset))
        self.digests[name] = digest.hexdigest()

    def close(self) -> None:
        """Write what stands at the end of a zip."""
        self._file.write(directory(self.members))
        _require_room(self._file.tell())


def _require_room(end: int) -> None:
    if end >= TOO_LARGE:
        raise EvidenceError("a bundle has less than 4 GiB; export a shorter period: --from, --to")
