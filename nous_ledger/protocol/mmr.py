"""The tree: a Merkle Mountain Range whose bagged root is the RFC 9162 tree head.

Appending a leaf adds it and every parent that it completes to the node array
(`positions` has the picture). The roots of the perfect subtrees so far are the
peaks; bagged from right to left they are the root:

    7 leaves, peaks at 6, 9 and 10:     root = H(6, H(9, 10))

This is how RFC 9162 splits a tree whose leaf count is no power of two, so one
tree serves MMR appends, peak proofs and every tool that speaks RFC 9162.

Spec:
    PROTOCOL.md, section "Tree" (MMR-1, MMR-5 to MMR-8).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.positions import (
    Subtree,
    check_leaf_count,
    leaf_count_of,
    leaf_position,
    locate,
    node_count,
    peak_positions,
    peak_subtrees,
    sibling_positions,
    subtree_position,
)
from nous_ledger.protocol.types import Hash32, LeafCount, NodePos

__all__ = [
    "EMPTY_ROOT",
    "IETF_MMR",
    "RFC9162",
    "NodeReader",
    "Profile",
    "Subtree",
    "append_nodes",
    "bag_peaks",
    "hash_children",
    "leaf_count_of",
    "leaf_position",
    "locate",
    "next_peaks",
    "node_count",
    "peak_positions",
    "peak_subtrees",
    "read_nodes",
    "read_root",
    "root_from_peaks",
    "sibling_positions",
    "subtree_position",
]

NodeReader = Callable[[tuple[NodePos, ...]], tuple[Hash32, ...]]
"""Returns the node hashes at some positions, in the order asked for; one call per proof."""

EMPTY_ROOT: Final = Hash32(hashlib.sha256(b"").digest())
"""Root of the tree without leaves."""


def hash_children(left: bytes, right: bytes) -> Hash32:
    """Return the RFC 9162 hash of an inner node: SHA-256(0x01 || left || right).

    Spec:
        PROTOCOL.md MMR-1.
    """
    return Hash32(hashlib.sha256(b"\x01" + left + right).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How two children make their parent.

    Attributes:
        name: `rfc9162` (the protocol) or `ietf-mmr` (published known answers only).
        parent: hash of a node from its position, left and right child.
    """

    name: str
    parent: Callable[[NodePos, bytes, bytes], Hash32]


def _rfc9162_parent(_position: NodePos, left: bytes, right: bytes) -> Hash32:
    return hash_children(left, right)


def _ietf_mmr_parent(position: NodePos, left: bytes, right: bytes) -> Hash32:
    number = (position + 1).to_bytes(8, "big")  # positions count from 1 in that draft
    return Hash32(hashlib.sha256(number + left + right).digest())


RFC9162: Final = Profile(name="rfc9162", parent=_rfc9162_parent)
"""The tree of the protocol."""
IETF_MMR: Final = Profile(name="ietf-mmr", parent=_ietf_mmr_parent)
"""A tree that binds node positions and is never bagged; runs known answers only."""


def append_nodes(
    leaf_count: LeafCount,
    leaf_hash: Hash32,
    peaks: Sequence[Hash32],
    *,
    profile: Profile = RFC9162,
) -> tuple[Hash32, ...]:
    """Return the nodes that one more leaf adds: the leaf, then the parents it completes.

    Spec:
        PROTOCOL.md MMR-5.

    Args:
        leaf_count: leaves before, 0..2^53-2.
        leaf_hash: hash of the new leaf, 32 bytes.
        peaks: the peaks before, tallest first.
        profile: how parents are hashed.

    Returns:
        The new nodes in array order; the first stands at `node_count(leaf_count)`.

    Raises:
        InputError: the log is full, or the peaks do not belong to leaf_count.
    """
    _check_peaks(leaf_count, peaks)
    check_leaf_count(LeafCount(leaf_count + 1))
    _check_hash(leaf_hash)
    nodes = [leaf_hash]
    position = node_count(leaf_count)
    # Each trailing one bit of the count is a mountain as tall as the new one.
    merges = (~leaf_count & (leaf_count + 1)).bit_length() - 1
    for left in reversed(peaks[len(peaks) - merges :]):
        position += 1
        nodes.append(profile.parent(NodePos(position), left, nodes[-1]))
    return tuple(nodes)


def next_peaks(peaks: Sequence[Hash32], new_nodes: Sequence[Hash32]) -> tuple[Hash32, ...]:
    """Return the peaks after one append.

    Args:
        peaks: the peaks before, tallest first.
        new_nodes: what `append_nodes` returned for them; at least one.
    """
    merged = len(new_nodes) - 1
    return (*peaks[: len(peaks) - merged], new_nodes[-1])


def bag_peaks(peaks: Sequence[Hash32]) -> Hash32:
    """Return the root over peaks, bagged from right to left.

    Spec:
        PROTOCOL.md MMR-6, MMR-7.

    Args:
        peaks: tallest first; without peaks the root is SHA-256 of nothing.
    """
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = hash_children(peak, root)
    return root


def root_from_peaks(leaf_count: LeafCount, peaks: Sequence[Hash32]) -> Hash32:
    """Return the RFC 9162 tree head of a tree, given its peaks.

    Spec:
        PROTOCOL.md MMR-6, MMR-7.

    Args:
        leaf_count: leaves of the tree, 0..2^53-1.
        peaks: one 32-byte hash per set bit of leaf_count, tallest first.

    Raises:
        InputError: the peaks do not belong to leaf_count.
    """
    _check_peaks(leaf_count, peaks)
    return bag_peaks(peaks)


def read_root(read: NodeReader, leaf_count: LeafCount) -> Hash32:
    """Return the tree head at any count that the node array covers.

    Args:
        read: returns node hashes; called once.
        leaf_count: leaves of the tree, 0..2^53-1.

    Raises:
        InputError: leaf_count is out of range, or the reader returned something else.
    """
    return bag_peaks(read_nodes(read, peak_positions(leaf_count)))


def read_nodes(read: NodeReader, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
    """Return the hashes at some positions; the reader is not called for none.

    Raises:
        InputError: the reader returned another number of hashes than asked for.
    """
    if not positions:
        return ()
    nodes = read(positions)
    if len(nodes) != len(positions):
        raise InputError("input", f"{len(nodes)} nodes were read where {len(positions)} were asked")
    return nodes


def _check_peaks(leaf_count: LeafCount, peaks: Sequence[Hash32]) -> None:
    check_leaf_count(leaf_count)
    if len(peaks) != leaf_count.bit_count():
        raise InputError("input", f"{len(peaks)} peaks cannot stand over {leaf_count} leaves")
    for peak in peaks:
        _check_hash(peak)


def _check_hash(value: bytes) -> None:
    if len(value) != 32:
        raise InputError("input", f"a node hash has 32 bytes, not {len(value)}")
