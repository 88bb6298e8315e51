from __future__ import annotations

import json
from base64 import b64decode
from contextlib import nullcontext
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.evidence.tree import (
    EMPTY_ROOT,
    Frontier,
    ProofError,
    consistency_proof,
    cover,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
    subtree_root,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(__file__).parents[1] / "data" / "vectors" / "merkle"
LARGEST = 300
LEAVES = [leaf_hash(b"leaf %d" % number) for number in range(LARGEST)]
SIZES = st.integers(0, LARGEST)
GROWN = st.integers(1, LARGEST)


def _split(count: int) -> int:
    return max(2**power for power in range(count) if 2**power < count)


@cache
def mth(first: int, end: int) -> bytes:
    """MTH(D[first:end]), word by word from RFC 6962, 2.1."""
    if first == end:
        return sha256(b"").digest()
    if end - first == 1:
        return LEAVES[first]
    k = _split(end - first)
    return sha256(b"\x01" + mth(first, first + k) + mth(first + k, end)).digest()


def path(m: int, first: int, end: int) -> list[bytes]:
    """PATH(m, D[first:end]), word by word from RFC 6962, 2.1.1."""
    if end - first == 1:
        return []
    k = _split(end - first)
    if m < k:
        return [*path(m, first, first + k), mth(first + k, end)]
    return [*path(m - k, first + k, end), mth(first, first + k)]


def subproof(m: int, first: int, end: int, *, known: bool) -> list[bytes]:
    """SUBPROOF(m, D[first:end], b), word by word from RFC 6962, 2.1.2."""
    if m == end - first:
        return [] if known else [mth(first, end)]
    k = _split(end - first)
    if m <= k:
        return [*subproof(m, first, first + k, known=known), mth(first + k, end)]
    return [*subproof(m - k, first + k, end, known=False), mth(first, first + k)]


def node(level: int, index: int) -> bytes:
    """A complete node of the tree over LEAVES; one that is not complete is not there."""
    assert 0 <= index < LARGEST >> level
    return mth(index << level, (index + 1) << level)


def _vectors(kind: str) -> list[Any]:
    files = sorted((VECTORS / kind).rglob("*.json"))
    return [pytest.param(json.loads(file.read_bytes()), id=str(file.relative_to(VECTORS))) for file in files]


def _hashes(texts: list[str] | None) -> list[bytes]:
    return [b64decode(text) for text in texts or []]


def test_all_public_vectors_are_there() -> None:
    assert (len(_vectors("inclusion")), len(_vectors("consistency"))) == (98, 98)


@pytest.mark.parametrize("vector", _vectors("inclusion"))
def test_public_vectors_of_inclusion_are_answered_as_they_say(vector: dict[str, Any]) -> None:
    leaf, root = _hashes([vector["leafHash"], vector["root"]])
    facts = (vector["leafIdx"], vector["treeSize"], leaf, _hashes(vector["proof"]), root)
    with pytest.raises(ProofError) if vector["wantErr"] else nullcontext():
        verify_inclusion(*facts)


@pytest.mark.parametrize("vector", _vectors("consistency"))
def test_public_vectors_of_consistency_are_answered_as_they_say(vector: dict[str, Any]) -> None:
    roots = _hashes([vector["root1"], vector["root2"]])
    facts = (vector["size1"], vector["size2"], _hashes(vector["proof"]), *roots)
    with pytest.raises(ProofError) if vector["wantErr"] else nullcontext():
        verify_consistency(*facts)


def test_hashes_of_leaves_and_nodes_are_kept_apart_by_their_first_byte() -> None:
    assert sha256(b"").digest() == EMPTY_ROOT
    assert leaf_hash(b"ab") == sha256(b"\x00ab").digest()
    assert node_hash(b"a", b"b") == sha256(b"\x01ab").digest()


def test_every_root_is_that_of_the_definition() -> None:
    for size in range(LARGEST + 1):
        assert (size, root_at(size, node)) == (size, mth(0, size))


def test_every_inclusion_proof_is_that_of_the_definition_and_verifies() -> None:
    for size in range(LARGEST + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, node)
            assert (index, size, proof) == (index, size, path(index, 0, size))
            verify_inclusion(index, size, LEAVES[index], proof, mth(0, size))


@given(st.tuples(GROWN, GROWN).map(sorted))
def test_a_consistency_proof_is_that_of_the_definition_and_verifies(sizes: list[int]) -> None:
    first, second = sizes
    proof = consistency_proof(first, second, node)
    assert proof == subproof(first, 0, second, known=True)
    verify_consistency(first, second, proof, mth(0, first), mth(0, second))


def test_every_consistency_proof_of_small_trees_is_that_of_the_definition_and_verifies() -> None:
    for second in range(1, 67):
        for first in range(1, second + 1):
            proof = consistency_proof(first, second, node)
            assert proof == subproof(first, 0, second, known=True)
            verify_consistency(first, second, proof, mth(0, first), mth(0, second))


@given(GROWN, st.data())
def test_an_inclusion_proof_shows_nothing_else(size: int, data: st.DataObject) -> None:
    """Another leaf, place, root, or any change to the proof is refused."""
    index = data.draw(st.integers(0, size - 1))
    proof, root = path(index, 0, size), mth(0, size)
    elsewhere = data.draw(st.sampled_from([other for other in range(-1, size + 1) if other != index]))
    wrong = [
        (elsewhere, size, LEAVES[index], proof, root),
        (index, size, EMPTY_ROOT, proof, root),
        (index, size, LEAVES[index], proof, EMPTY_ROOT),
        *((index, size, LEAVES[index], changed, root) for changed in _changes(proof, data)),
    ]
    for facts in wrong:
        with pytest.raises(ProofError):
            verify_inclusion(*facts)


@given(st.tuples(GROWN, GROWN).map(sorted), st.data())
def test_a_consistency_proof_shows_nothing_else(sizes: list[int], data: st.DataObject) -> None:
    """Another root, sizes that fall, an empty tree, or any change to the proof is refused."""
    first, second = sizes
    proof, roots = subproof(first, 0, second, known=True), (mth(0, first), mth(0, second))
    wrong = [
        (first, second, proof, EMPTY_ROOT, roots[1]),
        (first, second, proof, roots[0], EMPTY_ROOT),
        (second + 1, second, proof, *roots),
        (0, second, proof, EMPTY_ROOT, roots[1]),
        *((first, second, changed, *roots) for changed in _changes(proof, data)),
    ]
    for facts in wrong:
        with pytest.raises(ProofError):
            verify_consistency(*facts)


def _changes(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    longer = [[*proof, EMPTY_ROOT], [EMPTY_ROOT, *proof]]
    if not proof:
        return longer
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    flipped = (int.from_bytes(proof[at]) ^ 1 << bit).to_bytes(32)
    shorter = [proof[:at] + proof[at + 1 :]]
    replaced = [[*proof[:at], other, *proof[at + 1 :]] for other in (flipped, proof[at] + b"\0", proof[at][:-1])]
    return longer + shorter + replaced


def test_bytes_do_not_move_between_a_leaf_and_its_sibling() -> None:
    """A hash of 33 bytes beside one of 31 gives the same node as two of 32, and is no proof."""
    left, right = LEAVES[:2]
    with pytest.raises(ProofError, match="a hash of 31 bytes, expected 32"):
        verify_inclusion(0, 2, left[:-1], [left[-1:] + right], mth(0, 2))
    with pytest.raises(ProofError, match="a hash of 33 bytes, expected 32"):
        verify_consistency(1, 2, [left[-1:] + right], left[:-1], mth(0, 2))


def test_no_leaf_is_in_a_tree_that_ends_before_it() -> None:
    """The proof and the root are those of a tree that is larger than said."""
    with pytest.raises(ProofError, match="leaf 1 cannot be in a tree of 1 leaves"):
        verify_inclusion(1, 1, LEAVES[1], [LEAVES[0]], mth(0, 2))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 1), (8, 7)])
def test_no_inclusion_proof_is_made_of_a_leaf_that_is_not_in_the_tree(index: int, size: int) -> None:
    with pytest.raises(ProofError, match=f"leaf {index} is not in a tree of {size} leaves"):
        inclusion_proof(index, size, node)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (2, 1), (-1, 1)])
def test_no_consistency_proof_is_made_from_an_empty_or_larger_tree(first: int, second: int) -> None:
    with pytest.raises(ProofError, match=f"sizes {first} and {second}"):
        consistency_proof(first, second, node)


def test_a_tree_that_grows_leaf_by_leaf_has_every_root_and_completes_every_node_once() -> None:
    frontier, nodes = Frontier(), []
    for size, leaf in enumerate(LEAVES):
        assert (frontier.size, frontier.root()) == (size, mth(0, size))
        nodes += frontier.append(leaf)
    assert sorted(nodes) == sorted(_interior(0, LARGEST))


@given(SIZES, st.lists(st.integers(0, 80), max_size=6))
def test_a_tree_grows_by_many_leaves_as_it_does_by_one(size: int, steps: list[int]) -> None:
    """Taken up at any size and extended by any numbers of leaves, it has the root and the nodes of the definition."""
    frontier = Frontier.at(size, node)
    for step in steps:
        begin, leaves = frontier.size, tuple(LEAVES[frontier.size : frontier.size + step])
        rows = frontier.extend(leaves)
        nodes = [(level, first + at, found) for level, first, row in rows for at, found in enumerate(row)]
        assert sorted(nodes) == sorted(_interior(begin, frontier.size))
        assert (frontier.size, frontier.root()) == (begin + len(leaves), mth(0, begin + len(leaves)))


def _interior(begin: int, end: int) -> list[tuple[int, int, bytes]]:
    """The interior nodes that a tree of `end` leaves has complete and one of `begin` has not."""
    return [
        (level, index, node(level, index))
        for level in range(1, LARGEST.bit_length())
        for index in range(begin >> level, end >> level)
    ]


def naive_cover(first: int, end: int, included: set[int]) -> list[tuple[int, int]]:
    """What is not included, word by word: the whole when nothing of it is, else what the two halves say."""
    if not included & set(range(first, end)):
        return [(first, end - first)] if end > first else []
    if end - first == 1:
        return []
    k = _split(end - first)
    return naive_cover(first, first + k, included) + naive_cover(first + k, end, included)


@given(GROWN, st.data())
def test_a_cover_holds_the_largest_subtrees_without_an_included_leaf(size: int, data: st.DataObject) -> None:
    included = data.draw(st.sets(st.integers(0, size - 1)))
    assert list(cover(size, sorted(included))) == naive_cover(0, size, included)


@given(GROWN, st.data())
def test_a_cover_and_the_included_leaves_make_the_root(size: int, data: st.DataObject) -> None:
    included = data.draw(st.sets(st.integers(0, size - 1)))
    parts = {(first, count): subtree_root(first, count, node) for first, count in cover(size, sorted(included))}
    parts |= {(index, 1): LEAVES[index] for index in included}

    def root(first: int, count: int) -> bytes:
        if (first, count) in parts:
            return parts.pop((first, count))
        k = _split(count)
        return node_hash(root(first, k), root(first + k, count - k))

    assert root(0, size) == mth(0, size)
    assert not parts


@pytest.mark.parametrize(
    ("size", "included", "expected"),
    [
        (0, [], []),
        (1, [], [(0, 1)]),
        (7, [], [(0, 7)]),
        (7, [6], [(0, 4), (4, 2)]),
        (7, [0], [(1, 1), (2, 2), (4, 3)]),
        (7, range(7), []),
    ],
)
def test_examples_of_covers(size: int, included: range, expected: list[tuple[int, int]]) -> None:
    assert list(cover(size, included)) == expected


def test_a_cover_of_a_huge_tree_takes_few_steps() -> None:
    size = 2**60 - 1
    assert sum(count for _, count in cover(size, [7, 2**40, size - 1])) == size - 3
    assert list(cover(size, range(3, 2**59))) == [(0, 2), (2, 1), (2**59, 2**59 - 1)]
