"""The Merkle tree of RFC 6962, section 2.1, over SHA-256: hashes, proofs, and the right edge of a tree that grows.

Pure. A node is named (level, index): level 0 holds the leaf hashes, and node i of level n covers the leaves from
i * 2**n up to (i + 1) * 2**n. Only complete nodes are looked up; what hangs over on the right is put together here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from hashlib import sha256

Node = Callable[[int, int], bytes]
"""Looks up the hash of a complete node by (level, index)."""

EMPTY_ROOT = sha256(b"").digest()


class ProofError(ValueError):
    """A proof does not show what it should; the message says what was found and what was expected."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash under which a leaf stands in the tree."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an interior node."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the roots of its perfect subtrees, one for each bit of `size`."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []  # largest first

    @classmethod
    def at(cls, size: int, node: Node) -> Frontier:
        """The frontier of the first `size` leaves of a stored tree."""
        frontier = cls()
        frontier.size, frontier._roots = size, _perfect_roots(0, size, node)
        return frontier

    def root(self) -> bytes:
        """The root over all leaves so far."""
        return _fold(self._roots)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Append a leaf hash; the interior nodes that are complete by it, as (level, index, hash), lowest first."""
        new, level, index, node = [], 0, self.size, leaf
        while index & 1:
            node, level, index = node_hash(self._roots.pop(), node), level + 1, index >> 1
            new.append((level, index, node))
        self._roots.append(node)
        self.size += 1
        return new

    def extend(self, leaves: Sequence[bytes]) -> list[tuple[int, int, list[bytes]]]:
        """Append many leaf hashes, a level at a time, which is faster than one by one.

        Returns the interior nodes that are complete by it, lowest level first, as (level, index of the first, hashes).
        """
        new, left_over, level, index, row = [], [], 0, self.size, list(leaves)
        while row:
            if index & 1:
                row = [self._roots.pop(), *row]
            if len(row) & 1:
                left_over.append(row[-1])
            pairs = iter(row)
            row = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
            level, index = level + 1, index >> 1
            if row:
                new.append((level, index, row))
        self._roots += reversed(left_over)
        self.size += len(leaves)
        return new


def root_at(size: int, node: Node) -> bytes:
    """The root of the first `size` leaves: MTH(D[0:size])."""
    return subtree_root(0, size, node)


def subtree_root(first: int, count: int, node: Node) -> bytes:
    """MTH(D[first : first + count]) of a subtree that RFC 6962 splits off, such as those of `cover`."""
    return _fold(_perfect_roots(first, count, node))


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """The audit path from leaf `index` to the root of the first `size` leaves: PATH(index, D[0:size]), 2.1.1."""
    if not 0 <= index < size:
        raise ProofError(f"leaf {index} is not in a tree of {size} leaves")
    proof, first, count = [], 0, size
    while count > 1:
        split = _split(count)
        if index < first + split:
            proof.append(subtree_root(first + split, count - split, node))
            count = split
        else:
            proof.append(subtree_root(first, split, node))
            first, count = first + split, count - split
    return proof[::-1]


def consistency_proof(first: int, second: int, node: Node) -> list[bytes]:
    """What shows that the first `first` of `second` leaves have not changed: PROOF(first, D[0:second]), 2.1.2."""
    _check_sizes(first, second)
    proof, start, count = [], 0, second
    while start + count != first:
        split = _split(count)
        if first <= start + split:
            proof.append(subtree_root(start + split, count - split, node))
            count = split
        else:
            proof.append(subtree_root(start, split, node))
            start, count = start + split, count - split
    if start > 0:  # else it is the older root, which the verifier has
        proof.append(subtree_root(start, count, node))
    return proof[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """ProofError unless the leaf hash `leaf` is leaf `index` of the tree of `size` leaves with this root."""
    if not 0 <= index < size:
        raise ProofError(f"leaf {index} cannot be in a tree of {size} leaves")
    _check_hashes([leaf, *proof])
    # Up to the fork, the path has a sibling on each level; from there on it is the right edge, with left ones only.
    fork = (index ^ (size - 1)).bit_length()
    _check_length(proof, fork + (index >> fork).bit_count())
    for level, sibling in enumerate(proof):
        right = level < fork and not index >> level & 1
        leaf = node_hash(leaf, sibling) if right else node_hash(sibling, leaf)
    if leaf != root:
        raise ProofError(f"leaf {index}: its proof leads to root {leaf.hex()}, expected {root.hex()}")


def verify_consistency(first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes) -> None:
    """ProofError unless the tree of `first` leaves is the beginning of that of `second`; nothing follows from 0."""
    _check_sizes(first, second)
    _check_hashes(proof)
    # The walk begins at the last subtree that both have whole. The proof names it, unless it is the older tree itself.
    shared = first if first == second else first & -first
    begin, named = (shared - 1).bit_length(), int(shared != first)
    index, last = (first - 1) >> begin, (second - 1) >> begin
    fork = (index ^ last).bit_length()
    _check_length(proof, named + fork + (index >> fork).bit_count())
    old = new = proof[0] if named else first_root
    for level, sibling in enumerate(proof[named:]):
        if level < fork and not index >> level & 1:
            new = node_hash(new, sibling)
        else:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
    for size, found, expected in ((first, old, first_root), (second, new, second_root)):
        if found != expected:
            raise ProofError(f"size {size}: the proof leads to root {found.hex()}, expected {expected.hex()}")


def cover(size: int, included: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The largest subtrees in which no included leaf is, in order, as (first, count).

    `included` rises strictly, within 0..size-1; together they are all leaves. Takes at most about len(included) *
    log(size) steps, and one where nothing or everything is included.
    """
    open_parts = [(0, size, 0, len(included))] if size else []
    while open_parts:
        first, count, low, high = open_parts.pop()
        if low == high:
            yield first, count
        elif high - low < count:
            split = _split(count)
            middle = bisect_left(included, first + split, low, high)
            open_parts += [(first + split, count - split, middle, high), (first, split, low, middle)]


def _split(count: int) -> int:
    """The largest power of two below `count`: where RFC 6962 divides a tree."""
    return 1 << ((count - 1).bit_length() - 1)


def _perfect_roots(first: int, count: int, node: Node) -> list[bytes]:
    """The roots of the perfect subtrees of `count` leaves from `first` on, largest first."""
    levels = (level for level in reversed(range(count.bit_length())) if count >> level & 1)
    return [node(level, (first + count >> level) - 1) for level in levels]


def _fold(roots: Sequence[bytes]) -> bytes:
    return reduce(lambda right, left: node_hash(left, right), reversed(roots)) if roots else EMPTY_ROOT


def _check_sizes(first: int, second: int) -> None:
    if not 1 <= first <= second:
        raise ProofError(f"sizes {first} and {second}: expected two that do not fall, and no empty tree")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if wrong := [len(part) for part in hashes if len(part) != sha256().digest_size]:
        raise ProofError(f"a hash of {wrong[0]} bytes, expected {sha256().digest_size}")


def _check_length(proof: Sequence[bytes], expected: int) -> None:
    if len(proof) != expected:
        raise ProofError(f"a proof of {len(proof)} hashes, expected {expected} for these sizes")
