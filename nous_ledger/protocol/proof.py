"""Inclusion and consistency proofs to the bagged root, in the forms of RFC 9162.

Both come from one fact: the path of a perfect subtree to the root of a larger
tree is its siblings up to its peak, then the peaks to its right bagged into one
hash, then the peaks to its left, one by one.

    inclusion of leaf i in n       path of the subtree [i, i+1)
    consistency from n to m        path of the last peak of n in the tree of m,
                                   preceded by that peak unless it is the whole of n

A path has exactly the length that the indices imply. It does not bind the leaf
counts (a proof from 4 to 6 also fits 1 to 2): counts and roots must come from a
signed head.

Spec:
    PROTOCOL.md, sections "Inclusion proofs" and "Consistency proofs" (PROOF-1 to PROOF-11).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from nous_ledger.protocol.errors import ProofError
from nous_ledger.protocol.mmr import (
    NodeReader,
    bag_peaks,
    peak_subtrees,
    read_nodes,
    subtree_position,
)
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafCount, LeafIndex, NodePos


def prove_inclusion(read: NodeReader, index: LeafIndex, count: LeafCount) -> tuple[Hash32, ...]:
    """Return the path from a leaf to the root of a tree, the leaf's sibling first.

    Spec:
        PROTOCOL.md PROOF-1, PROOF-5.

    Args:
        read: returns node hashes; called once.
        index: leaf to prove, 0 <= index < count.
        count: leaves of the tree, 1..2^53-1.

    Raises:
        ProofError: proof-index, proof-counts.
        InputError: the reader returned another number of hashes than asked for.
    """
    _check_index(index, count)
    return _read_bagged(read, _path(index, 0, count))


def verify_inclusion(
    leaf: Hash32, index: LeafIndex, count: LeafCount, path: Sequence[Hash32], root: Hash32
) -> Hash32:
    """Return the root after checking that a leaf stands at an index below it.

    Spec:
        PROTOCOL.md PROOF-1 to PROOF-4.

    Args:
        leaf: leaf hash, 32 bytes.
        index: zero-based index of the leaf.
        count: leaf count from the signed head that the root comes from.
        path: sibling hashes, the leaf's own first.
        root: root of that head, 32 bytes.

    Raises:
        ProofError: proof-counts (count above 2^53-1), proof-index (index not
            below count), proof-shape (another number of hashes than index and
            count imply, or a hash that is not 32 bytes), root-mismatch.
    """
    _check_index(index, count)
    inner = (index ^ (count - 1)).bit_length()
    _check_shape(path, inner + (index >> inner).bit_count(), leaf, root)
    node: bytes = leaf
    turns = int(index)
    for sibling in path[:inner]:
        if turns & 1:
            node = sha256(b"\x01" + sibling + node).digest()
        else:
            node = sha256(b"\x01" + node + sibling).digest()
        turns >>= 1
    for peak in path[inner:]:  # to the left of the leaf's own part
        node = sha256(b"\x01" + peak + node).digest()
    return _same_root(node, root)


def prove_consistency(read: NodeReader, old: LeafCount, new: LeafCount) -> tuple[Hash32, ...]:
    """Return the proof that the first leaves of a tree are those of a smaller one.

    Spec:
        PROTOCOL.md PROOF-7, PROOF-11.

    Args:
        read: returns node hashes; called once, or not at all for equal counts.
        old: leaves of the smaller tree, 1 <= old <= new.
        new: leaves of the larger tree, at most 2^53-1.

    Returns:
        The hashes in the order of RFC 9162; none for equal counts.

    Raises:
        ProofError: proof-counts.
        InputError: the reader returned another number of hashes than asked for.
    """
    _check_counts(old, new)
    if old == new:
        return ()
    height = _trailing_zeros(old)
    start = old - (1 << height)
    plan = _path(start, height, new)
    if start:  # the last peak is not the whole old tree, whose root the verifier has
        plan.insert(0, (subtree_position(start, height),))
    return _read_bagged(read, plan)


def verify_consistency(
    old: LeafCount, old_root: Hash32, new: LeafCount, new_root: Hash32, path: Sequence[Hash32]
) -> Hash32:
    """Return the new root after checking that its tree extends the old one.

    Spec:
        PROTOCOL.md PROOF-7 to PROOF-10.

    Args:
        old: leaf count of the trusted head, 1 <= old <= new.
        old_root: root of that head, 32 bytes.
        new: leaf count of the other head, at most 2^53-1.
        new_root: root of that head, 32 bytes.
        path: proof hashes in the order of RFC 9162.

    Raises:
        ProofError: proof-counts, proof-shape, root-mismatch.
    """
    _check_counts(old, new)
    if old == new:
        _check_shape(path, 0, old_root, new_root)
        return _same_root(old_root, new_root)
    height = _trailing_zeros(old)
    start = old - (1 << height)
    turns = (old - 1) >> height
    inner = ((old - 1) ^ (new - 1)).bit_length() - height
    seeds = 1 if start else 0
    length = seeds + inner + (turns >> inner).bit_count()
    _check_shape(path, length, old_root, new_root)
    before: bytes = path[0] if start else old_root
    after = before
    for sibling in path[seeds : seeds + inner]:
        if turns & 1:  # a sibling on the left belongs to both trees
            before = sha256(b"\x01" + sibling + before).digest()
            after = sha256(b"\x01" + sibling + after).digest()
        else:
            after = sha256(b"\x01" + after + sibling).digest()
        turns >>= 1
    for peak in path[seeds + inner :]:
        before = sha256(b"\x01" + peak + before).digest()
        after = sha256(b"\x01" + peak + after).digest()
    _same_root(before, old_root)
    return _same_root(after, new_root)


def _path(start: int, height: int, count: LeafCount) -> list[tuple[NodePos, ...]]:
    """Return what each path hash of a subtree is made of: nodes to be bagged."""
    top = (start ^ count).bit_length() - 1  # height of the mountain over the subtree
    plan: list[tuple[NodePos, ...]] = [
        (subtree_position((start >> level ^ 1) << level, level),) for level in range(height, top)
    ]
    left: list[NodePos] = []
    right: list[NodePos] = []
    for peak in peak_subtrees(count):
        if peak.height != top:
            side = left if peak.height > top else right
            side.append(subtree_position(peak.start, peak.height))
    if right:
        plan.append(tuple(right))
    plan.extend((position,) for position in reversed(left))
    return plan


def _read_bagged(read: NodeReader, plan: list[tuple[NodePos, ...]]) -> tuple[Hash32, ...]:
    nodes = read_nodes(read, tuple(position for group in plan for position in group))
    path: list[Hash32] = []
    at = 0
    for group in plan:
        path.append(bag_peaks(nodes[at : at + len(group)]))
        at += len(group)
    return tuple(path)


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1


def _check_index(index: int, count: int) -> None:
    if count > MAX_UINT:
        raise ProofError("proof-counts", f"a leaf count of {count} is above 2^53-1")
    if not 0 <= index < count:
        raise ProofError("proof-index", f"index {index} is not below the leaf count {count}")


def _check_counts(old: int, new: int) -> None:
    if not 1 <= old <= new <= MAX_UINT:
        raise ProofError("proof-counts", f"no consistency proof goes from {old} to {new} leaves")


def _check_shape(path: Sequence[bytes], length: int, *others: bytes) -> None:
    if len(path) != length:
        raise ProofError("proof-shape", f"the proof has {len(path)} hashes, not {length}")
    if not {32}.issuperset(map(len, (*path, *others))):
        raise ProofError("proof-shape", "a hash of the proof is not 32 bytes")


def _same_root(computed: bytes, expected: Hash32) -> Hash32:
    if computed != expected:
        raise ProofError(
            "root-mismatch",
            "the proof leads to another root",
            computed=computed.hex(),
            expected=expected.hex(),
        )
    return expected
