r"""Where the nodes of a Merkle Mountain Range stand in its array.

Nodes stand in post order: a leaf is appended, then every parent that it
completes. The array only grows, and a node never changes.

    height 2         6
                   /   \
           1      2     5      9
                 / \   / \    / \
           0    0   1 3   4  7   8  10      7 leaves; the peaks are 6, 9, 10

Spec:
    PROTOCOL.md, section "Hashes and positions" (MMR-2 to MMR-4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.types import MAX_UINT, Height, LeafCount, LeafIndex, NodePos


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtree:
    """A perfect subtree: the leaves `[start, start + 2**height)`.

    Attributes:
        start: first leaf; a multiple of 2**height.
        height: 0 for a single leaf.
    """

    start: LeafIndex
    height: Height


def node_count(leaf_count: LeafCount) -> int:
    """Return the number of nodes of the array for some leaves.

    Spec:
        PROTOCOL.md MMR-2.

    Raises:
        InputError: leaf_count is outside 0..2^53-1.

    >>> node_count(LeafCount(7))
    11
    """
    check_leaf_count(leaf_count)
    return 2 * leaf_count - leaf_count.bit_count()


def leaf_count_of(nodes: int) -> LeafCount:
    """Return the leaf count whose array has exactly this many nodes.

    Args:
        nodes: number of nodes, 0 <= nodes.

    Raises:
        InputError: no leaf count has this many nodes, or it is above 2^53-1.

    >>> leaf_count_of(11)
    7
    """
    leaves, rest = 0, nodes
    for height in reversed(range(max(nodes + 1, 1).bit_length())):
        size = (2 << height) - 1
        if rest >= size:
            rest -= size
            leaves += 1 << height
    if rest != 0 or leaves > MAX_UINT:
        raise InputError("input", f"no tree has {nodes} nodes")
    return LeafCount(leaves)


def leaf_position(index: LeafIndex) -> NodePos:
    """Return the position of a leaf in the node array.

    Spec:
        PROTOCOL.md MMR-3.

    Raises:
        InputError: index is outside 0..2^53-1.

    >>> leaf_position(LeafIndex(6))
    10
    """
    check_leaf_count(LeafCount(index))
    return NodePos(2 * index - index.bit_count())


def subtree_position(start: int, height: int) -> NodePos:
    """Return the position of the root of a perfect subtree.

    Args:
        start: first leaf of the subtree; a multiple of 2**height.
        height: 0..52.

    >>> subtree_position(4, 1)
    9
    """
    # Below the root stand 2**(height+1) - 2 nodes, the first leaf before all others.
    return NodePos(2 * start - start.bit_count() + (2 << height) - 2)


def sibling_positions(index: int, height: int) -> list[NodePos]:
    """Return where the siblings on the way from a leaf up a mountain stand, lowest first.

    Args:
        index: the leaf.
        height: of the mountain, 0..52.

    >>> sibling_positions(4, 2)
    [8, 12]
    """
    # As `subtree_position` of each, without its call: this is most of what a proof computes.
    starts = [(index >> level ^ 1) << level for level in range(height)]
    positions = [s * 2 - s.bit_count() + (2 << level) - 2 for level, s in enumerate(starts)]
    return cast("list[NodePos]", positions)


def locate(position: NodePos) -> Subtree:
    """Return the perfect subtree whose root stands at a position.

    Args:
        position: any position, 0 <= position < 2**54.

    Raises:
        InputError: position is out of range.

    >>> locate(NodePos(9))
    Subtree(start=4, height=1)
    """
    if not 0 <= position < 2 * MAX_UINT:
        raise InputError("input", f"node position {position} is out of range")
    start, rest = 0, int(position)
    height = (rest + 1).bit_length() - 1  # the smallest mountain that reaches the position
    while rest != (2 << height) - 2:
        height -= 1
        left_child_nodes = (2 << height) - 1
        if rest >= left_child_nodes:
            rest -= left_child_nodes
            start += 1 << height
    return Subtree(start=LeafIndex(start), height=Height(height))


def peak_subtrees(leaf_count: LeafCount) -> tuple[Subtree, ...]:
    """Return the mountains, tallest first: one per set bit of leaf_count.

    Raises:
        InputError: leaf_count is outside 0..2^53-1.
    """
    check_leaf_count(leaf_count)
    peaks: list[Subtree] = []
    start = 0
    for height in reversed(range(leaf_count.bit_length())):
        if leaf_count >> height & 1:
            peaks.append(Subtree(start=LeafIndex(start), height=Height(height)))
            start += 1 << height
    return tuple(peaks)


def peak_positions(leaf_count: LeafCount) -> tuple[NodePos, ...]:
    """Return the node positions of the peaks, tallest mountain first.

    Spec:
        PROTOCOL.md MMR-4.

    Args:
        leaf_count: leaves in the log, 0..2^53-1.

    Raises:
        InputError: leaf_count is out of range.

    >>> peak_positions(LeafCount(11))
    (14, 17, 18)
    """
    return tuple(subtree_position(peak.start, peak.height) for peak in peak_subtrees(leaf_count))


def check_leaf_count(leaf_count: LeafCount) -> LeafCount:
    """Return the leaf count if a log can have it.

    Raises:
        InputError: leaf_count is outside 0..2^53-1.
    """
    if not 0 <= leaf_count <= MAX_UINT:
        raise InputError("input", f"leaf count or index {leaf_count} is outside 0..2^53-1")
    return leaf_count
