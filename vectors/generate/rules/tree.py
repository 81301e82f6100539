"""The tree, twice: RFC 9162 by its recursive definition, and the post-order node array.

The recursion over leaf lists gives roots and proofs; the array gives positions and peaks.
That both have one root is checked while the vectors are written.
"""

from collections.abc import Callable, Sequence
from functools import cache

from vectors.generate.rules.checks import MAX_UINT, require
from vectors.generate.rules.primitives import sha256

NodeHash = Callable[[int, bytes, bytes], bytes]  # (position of the parent, left, right)
MAX_PROOF = 63


def rfc9162_node(_: int, left: bytes, right: bytes) -> bytes:
    """Return the parent hash of the protocol's profile."""
    return sha256(b"\x01" + left + right)


def ietf_node(position: int, left: bytes, right: bytes) -> bytes:
    """Return the parent hash of the ietf-mmr profile; its position counts from one there."""
    return sha256((position + 1).to_bytes(8, "big") + left + right)


def join(left: bytes, right: bytes) -> bytes:
    """Return the parent hash where no position is needed."""
    return sha256(b"\x01" + left + right)


def split(count: int) -> int:
    """Return the largest power of two that is smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


@cache
def root(leaves: tuple[bytes, ...]) -> bytes:
    """Return the RFC 9162 tree head of leaf hashes."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    left = split(len(leaves))
    return join(root(leaves[:left]), root(leaves[left:]))


def inclusion_path(index: int, leaves: tuple[bytes, ...]) -> list[bytes]:
    """Return the audit path of RFC 9162 section 2.1.3.1, sibling of the leaf first."""
    if len(leaves) == 1:
        return []
    left = split(len(leaves))
    if index < left:
        return [*inclusion_path(index, leaves[:left]), root(leaves[left:])]
    return [*inclusion_path(index - left, leaves[left:]), root(leaves[:left])]


def path_length(index: int, count: int) -> int:
    """Return the number of hashes that (index, count) implies."""
    if count == 1:
        return 0
    left = split(count)
    return 1 + (
        path_length(index, left) if index < left else path_length(index - left, count - left)
    )


def climb(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes:
    """Return the root that a path of the right length leads to."""
    if count == 1:
        return leaf
    left = split(count)
    if index < left:
        return join(climb(leaf, index, left, path[:-1]), path[-1])
    return join(path[-1], climb(leaf, index - left, count - left, path[:-1]))


def check_hashes(*hashes: bytes) -> None:
    """Refuse a hash that is not 32 bytes."""
    require(all(len(item) == 32 for item in hashes), "proof-shape")


def verify_inclusion(
    leaf: bytes, index: int, count: int, path: Sequence[bytes], head: bytes
) -> None:
    """Refuse unless the leaf is at `index` of the tree with `count` leaves and this root."""
    require(count <= MAX_UINT, "proof-counts")
    require(index < count, "proof-index")
    check_hashes(leaf, head, *path)
    require(len(path) == path_length(index, count), "proof-shape")
    require(climb(leaf, index, count, path) == head, "root-mismatch")


def consistency_path(first: int, leaves: tuple[bytes, ...], *, whole: bool = True) -> list[bytes]:
    """Return SUBPROOF of RFC 9162 section 2.1.4.1."""
    if first == len(leaves):
        return [] if whole else [root(leaves)]
    left = split(len(leaves))
    if first <= left:
        return [*consistency_path(first, leaves[:left], whole=whole), root(leaves[left:])]
    return [
        *consistency_path(first - left, leaves[left:], whole=False),
        root(leaves[:left]),
    ]


def consistency_length(first: int, second: int, *, whole: bool = True) -> int:
    """Return the number of hashes that the two counts imply."""
    if first == second:
        return 0 if whole else 1
    left = split(second)
    if first <= left:
        return 1 + consistency_length(first, left, whole=whole)
    return 1 + consistency_length(first - left, second - left, whole=False)


def replay(
    first: int, second: int, path: Sequence[bytes], old: bytes | None
) -> tuple[bytes, bytes]:
    """Return both roots that a path leads to; `old` stands for the old root where it is given."""
    if first == second:
        known = path[0] if old is None else old
        return known, known
    left = split(second)
    if first <= left:
        before, after = replay(first, left, path[:-1], old)
        return before, join(after, path[-1])
    before, after = replay(first - left, second - left, path[:-1], None)
    return join(path[-1], before), join(path[-1], after)


def verify_consistency(
    first: int, old: bytes, second: int, new: bytes, path: Sequence[bytes]
) -> None:
    """Refuse unless the tree of `first` leaves is a prefix of the tree of `second`."""
    require(0 < first <= second <= MAX_UINT, "proof-counts")
    check_hashes(old, new, *path)
    require(len(path) <= MAX_PROOF, "proof-shape")
    require(len(path) == consistency_length(first, second), "proof-shape")
    require(replay(first, second, path, old) == (old, new), "root-mismatch")


class Array:
    """The post-order node array of a Merkle Mountain Range, kept whole."""

    def __init__(self, node: NodeHash = rfc9162_node) -> None:
        """Start empty."""
        self.node = node
        self.nodes: list[bytes] = []
        self.heights: list[int] = []
        self.peaks: list[int] = []  # positions, tallest first
        self.children: dict[int, tuple[int, int]] = {}

    def append(self, leaf: bytes) -> None:
        """Append a leaf and every parent that it completes."""
        self._push(leaf, 0)
        while len(self.peaks) > 1 and self.height(-1) == self.height(-2):
            right, left = self.peaks.pop(), self.peaks.pop()
            position = len(self.nodes)
            self.children[position] = (left, right)
            parent = self.node(position, self.nodes[left], self.nodes[right])
            self._push(parent, self.heights[left] + 1)

    def _push(self, value: bytes, height: int) -> None:
        self.peaks.append(len(self.nodes))
        self.nodes.append(value)
        self.heights.append(height)

    def height(self, peak: int) -> int:
        """Return the height of a peak by its place in the list."""
        return self.heights[self.peaks[peak]]

    def bag(self) -> bytes:
        """Return the peaks bagged from right to left."""
        if not self.peaks:
            return sha256(b"")
        hashes = [self.nodes[position] for position in self.peaks]
        bagged = hashes.pop()
        while hashes:
            bagged = join(hashes.pop(), bagged)
        return bagged

    def path_to_peak(self, position: int) -> tuple[list[int], int]:
        """Return the sibling positions from `position` up, and the peak reached."""
        parents = {child: parent for parent, pair in self.children.items() for child in pair}
        siblings = []
        while position not in self.peaks:
            left, right = self.children[parents[position]]
            siblings.append(left + right - position)
            position = parents[position]
        return siblings, position
