"""The tree of nous-v2: roots and inclusion paths.

A node is the SHA-256 of two hex hashes joined by "|", a root the SHA-256 of
all peak hashes joined by "|". Leaves, nodes and roots are hashed alike and the
root does not name the count, so one root can be read in more than one way.
`LegacyRoot.readings` names those readings; they are facts about the root, not
faults of the records.

Spec:
    PROTOCOL.md, section "Legacy: nous-v2".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from nous_ledger.protocol.errors import LegacyError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.legacy_record import is_hash_hex
from nous_ledger.protocol.types import MAX_UINT, LeafCount, LeafIndex

EMPTY_ROOTS: Final = ("", "empty")
"""The root of no leaves: as stored, and as served."""
_RECORD_FIELDS: Final = 9


class LegacyReading(StrEnum):
    """Another way to read a root, under another count or as another kind of hash."""

    PARENT_NODE = "parent-node"  # a bag of two peaks is hashed like a node over two children
    PEAK_BAG = "peak-bag"  # and a single peak over two children like a bag of two
    RECORD = "record"  # nine peaks joined by "|" are hashed like the nine fields of a record


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyRoot:
    """A root that follows from its leaves.

    Attributes:
        root: 64 hex digits, or "" for no leaves.
        leaf_count: leaves below it; not covered by the hash.
        peaks: peak hashes, tallest mountain first.
        readings: what else the same hash can be read as.
    """

    root: str
    leaf_count: LeafCount
    peaks: tuple[str, ...]
    readings: tuple[LegacyReading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyInclusion:
    """A leaf that is below a root.

    Attributes:
        leaf: 64 hex digits.
        leaf_index: zero-based position.
        root: the root, with the count and the peaks that were claimed for it.
    """

    leaf: str
    leaf_index: LeafIndex
    root: LegacyRoot


def legacy_node(left: str, right: str) -> str:
    """Return the hash over two hex hashes, 64 hex digits."""
    return _join((left, right))


def legacy_peaks(leaves: Sequence[str]) -> tuple[str, ...]:
    """Return the peaks over leaves in log order, tallest mountain first."""
    peaks: list[tuple[int, str]] = []  # (height, hash); heights fall from left to right
    for leaf in leaves:
        height, node = 0, leaf
        while peaks and peaks[-1][0] == height:
            node = legacy_node(peaks.pop()[1], node)
            height += 1
        peaks.append((height, node))
    return tuple(node for _, node in peaks)


def legacy_root(leaves: Sequence[str]) -> str:
    """Return the root over leaves in log order, in the stored form.

    Args:
        leaves: 64 hex digits each.

    Returns:
        64 hex digits; "" for no leaves (the API serves "empty").

    Raises:
        LegacyError: legacy-format: a leaf is not 64 lower-case hex digits.
    """
    _check_hashes(leaves)
    return _bag(legacy_peaks(leaves))


def verify_legacy_root(leaves: Sequence[str], root: str, count: int) -> LegacyRoot:
    """Return the root after computing it from its leaves.

    Spec:
        PROTOCOL.md V2-10.

    Args:
        leaves: 64 hex digits each, in log order.
        root: stated root; "" and "empty" both stand for no leaves.
        count: stated leaf count. It must be compared: the hash does not cover it.

    Raises:
        LegacyError: legacy-format (a leaf is not a hash), legacy-root (the count
            is not the number of leaves, or the leaves lead to another root).
    """
    if count != len(leaves):
        message = f"{len(leaves)} leaves, but the stated count is {count}"
        raise LegacyError("legacy-root", message, count=count, leaves=len(leaves))
    _check_hashes(leaves)
    return _checked_root(legacy_peaks(leaves), root, LeafCount(count))


def verify_legacy_inclusion(
    leaf: str, index: int, path: Sequence[str], *, count: int, peaks: Sequence[str], root: str
) -> LegacyInclusion:
    """Return the place of a leaf after checking its path to a root.

    The sides of the path follow from index and count and are not taken from the
    proof. Index and count are only as good as their source: the root covers
    neither.

    Spec:
        PROTOCOL.md V2-11.

    Args:
        leaf: leaf hash, computed from the record by the caller.
        index: zero-based position; 0 <= index < count.
        path: sibling hashes from the leaf up to its peak.
        count: leaf count that the root was stated for.
        peaks: all peaks of the tree, tallest first.
        root: stated root.

    Raises:
        LegacyError: legacy-format (index not below count, a hash that is none,
            or another number of hashes than index and count imply), legacy-root.
    """
    if not 0 <= index < count <= MAX_UINT:
        raise LegacyError("legacy-format", f"leaf index {index} is not below the count {count}")
    _check_hashes((leaf, *path, *peaks))
    ordinal, offset, height = _mountain(index, count)
    if len(path) != height or len(peaks) != count.bit_count():
        message = f"index {index} of {count} needs {height} hashes and {count.bit_count()} peaks"
        raise LegacyError("legacy-format", message)
    node = leaf
    for level, sibling in enumerate(path):
        is_right = offset >> level & 1
        node = legacy_node(sibling, node) if is_right else legacy_node(node, sibling)
    if node != peaks[ordinal]:
        raise LegacyError("legacy-root", "the path leads to another peak", peak=node)
    verified = _checked_root(tuple(peaks), root, LeafCount(count))
    return LegacyInclusion(leaf=leaf, leaf_index=LeafIndex(index), root=verified)


def _checked_root(peaks: tuple[str, ...], root: str, count: LeafCount) -> LegacyRoot:
    computed = _bag(peaks)
    if root != computed and (peaks or root not in EMPTY_ROOTS):
        message = f"{count} leaves lead to another root"
        raise LegacyError("legacy-root", message, computed=computed, stated=root)
    return LegacyRoot(
        root=computed, leaf_count=count, peaks=peaks, readings=_readings(len(peaks), count)
    )


def _readings(peak_count: int, count: int) -> tuple[LegacyReading, ...]:
    if peak_count == 2:
        return (LegacyReading.PARENT_NODE,)
    if peak_count == 1 and count > 1:
        return (LegacyReading.PEAK_BAG,)
    return (LegacyReading.RECORD,) if peak_count == _RECORD_FIELDS else ()


def _mountain(index: int, count: int) -> tuple[int, int, int]:
    """Return the peak's ordinal, the leaf's offset below it and its height."""
    ordinal, start, height = 0, 0, count.bit_length() - 1
    while True:
        if count >> height & 1:  # a mountain over leaves [start, start + 2**height)
            if index < start + (1 << height):
                return ordinal, index - start, height
            start += 1 << height
            ordinal += 1
        height -= 1


def _bag(peaks: tuple[str, ...]) -> str:
    if len(peaks) < 2:
        return peaks[0] if peaks else ""
    return _join(peaks)


def _join(hashes: Sequence[str]) -> str:
    return sha256("|".join(hashes).encode()).hex()


def _check_hashes(hashes: Sequence[str]) -> None:
    for position, value in enumerate(hashes):
        if not is_hash_hex(value):
            message = f"hash {position} is not 64 lower-case hex digits"
            raise LegacyError("legacy-format", message)
