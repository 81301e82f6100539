"""Inclusion and consistency proofs to the peaks, as in the IETF MMR draft.

A path to a peak never changes once the mountain stands, and it needs no bagging:
whoever keeps the peaks of a tree checks any node of it. The peaks themselves are
trusted because they bag to the root of a signed head, or came from such a check.

Spec:
    PROTOCOL.md, section "Proofs to peaks" (PROOF-12).
"""

from __future__ import annotations

from collections.abc import Sequence

from nous_ledger.protocol.errors import ProofError
from nous_ledger.protocol.mmr import (
    RFC9162,
    NodeReader,
    Profile,
    Subtree,
    locate,
    peak_positions,
    read_nodes,
    subtree_position,
)
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafCount, NodePos


def prove_inclusion_to_peak(
    read: NodeReader, position: NodePos, count: LeafCount
) -> tuple[Hash32, ...]:
    """Return the siblings from any node up to its peak, the node's own first.

    Args:
        read: returns node hashes; called at most once.
        position: node of the array, leaf or not.
        count: leaves of the tree, 1..2^53-1.

    Raises:
        ProofError: proof-counts, proof-index (no such node in the tree).
        InputError: the reader returned another number of hashes than asked for.
    """
    return read_nodes(read, _siblings(*_under_peak(position, count)))


def verify_inclusion_to_peak(
    node: Hash32,
    position: NodePos,
    count: LeafCount,
    path: Sequence[Hash32],
    peaks: Sequence[Hash32],
    *,
    profile: Profile = RFC9162,
) -> Hash32:
    """Return the peak after checking that a node stands below it.

    Spec:
        PROTOCOL.md PROOF-12.

    Args:
        node: hash of the node, 32 bytes.
        position: its position in the node array.
        count: leaves of the tree.
        path: sibling hashes, the node's own first.
        peaks: the peaks of that tree, tallest first.
        profile: how parents are hashed.

    Raises:
        ProofError: proof-counts, proof-index (no such node in the tree),
            proof-shape, root-mismatch.
    """
    subtree, top = _under_peak(position, count)
    _check_peaks(count, peaks)
    _check_path(path, top - subtree.height, node)
    slot = (count >> (top + 1)).bit_count()  # peaks taller than this one
    return _same_peak(_climb(node, subtree, path, profile), peaks[slot])


def prove_consistency_to_peaks(
    read: NodeReader, old: LeafCount, new: LeafCount
) -> tuple[tuple[Hash32, ...], ...]:
    """Return for each peak of a smaller tree its path to a peak of a larger one.

    Args:
        read: returns node hashes; called at most once.
        old: leaves of the smaller tree, 1 <= old <= new.
        new: leaves of the larger tree, at most 2^53-1.

    Returns:
        One path per old peak, tallest first; empty where the peak is still one.

    Raises:
        ProofError: proof-counts.
        InputError: the reader returned another number of hashes than asked for.
    """
    plans = [_siblings(*place) for place in _old_peaks(old, new)]
    nodes = read_nodes(read, tuple(position for plan in plans for position in plan))
    paths: list[tuple[Hash32, ...]] = []
    at = 0
    for plan in plans:
        paths.append(nodes[at : at + len(plan)])
        at += len(plan)
    return tuple(paths)


def verify_consistency_to_peaks(
    old: LeafCount,
    old_peaks: Sequence[Hash32],
    new: LeafCount,
    new_peaks: Sequence[Hash32],
    paths: Sequence[Sequence[Hash32]],
    *,
    profile: Profile = RFC9162,
) -> tuple[Hash32, ...]:
    """Return the new peaks after checking that every old peak stands below one.

    New peaks with no old peak below them hold only newer leaves: nothing about
    them follows from the old tree.

    Spec:
        PROTOCOL.md PROOF-12.

    Args:
        old: leaves of the trusted tree, 1 <= old <= new.
        old_peaks: its peaks, tallest first.
        new: leaves of the other tree, at most 2^53-1.
        new_peaks: its peaks, tallest first.
        paths: one path per old peak, as `prove_consistency_to_peaks` returns.
        profile: how parents are hashed.

    Raises:
        ProofError: proof-counts, proof-shape, root-mismatch.
    """
    places = _old_peaks(old, new)
    _check_peaks(old, old_peaks)
    _check_peaks(new, new_peaks)
    if len(paths) != len(places):
        raise ProofError("proof-shape", f"{len(paths)} paths for {len(places)} peaks")
    for peak, (subtree, top), path in zip(old_peaks, places, paths, strict=True):
        _check_path(path, top - subtree.height, peak)
    for peak, (subtree, top), path in zip(old_peaks, places, paths, strict=True):
        slot = (new >> (top + 1)).bit_count()
        _same_peak(_climb(peak, subtree, path, profile), new_peaks[slot])
    return tuple(new_peaks)


def _under_peak(position: NodePos, count: LeafCount) -> tuple[Subtree, int]:
    """Return the node's subtree and the height of the peak over it."""
    if not 1 <= count <= MAX_UINT:
        raise ProofError("proof-counts", f"a leaf count of {count} is outside 1..2^53-1")
    if not 0 <= position < 2 * count - count.bit_count():
        raise ProofError("proof-index", f"a tree of {count} leaves has no node {position}")
    subtree = locate(position)
    return subtree, (subtree.start ^ count).bit_length() - 1


def _old_peaks(old: LeafCount, new: LeafCount) -> list[tuple[Subtree, int]]:
    if not 1 <= old <= new <= MAX_UINT:
        raise ProofError("proof-counts", f"no consistency proof goes from {old} to {new} leaves")
    return [_under_peak(position, new) for position in peak_positions(old)]


def _siblings(subtree: Subtree, top: int) -> tuple[NodePos, ...]:
    return tuple(
        subtree_position((subtree.start >> level ^ 1) << level, level)
        for level in range(subtree.height, top)
    )


def _climb(node: Hash32, subtree: Subtree, path: Sequence[Hash32], profile: Profile) -> Hash32:
    for height, sibling in enumerate(path, subtree.height):
        parent = subtree_position(subtree.start >> (height + 1) << (height + 1), height + 1)
        if subtree.start >> height & 1:
            node = profile.parent(parent, sibling, node)
        else:
            node = profile.parent(parent, node, sibling)
    return node


def _check_peaks(count: LeafCount, peaks: Sequence[Hash32]) -> None:
    if len(peaks) != count.bit_count():
        raise ProofError("proof-shape", f"{len(peaks)} peaks cannot stand over {count} leaves")
    _check_lengths(peaks)


def _check_path(path: Sequence[Hash32], length: int, node: Hash32) -> None:
    if len(path) != length:
        raise ProofError("proof-shape", f"the path has {len(path)} hashes, not {length}")
    _check_lengths((*path, node))


def _check_lengths(hashes: Sequence[Hash32]) -> None:
    if any(len(item) != 32 for item in hashes):
        raise ProofError("proof-shape", "a hash of the proof is not 32 bytes")


def _same_peak(computed: Hash32, expected: Hash32) -> Hash32:
    if computed != expected:
        raise ProofError(
            "root-mismatch",
            "the proof leads to another peak",
            computed=computed.hex(),
            expected=expected.hex(),
        )
    return expected
