"""RFC 6962 trees and proofs by their recursive definitions, for comparison with the MMR.

Nothing of the library is used here, and nothing clever: a tree is a range of leaves, split at
the largest power of two below its size.
"""

from collections.abc import Mapping
from hashlib import sha256

Path = tuple[bytes, ...]


def leaf_of(number: int) -> bytes:
    """Return the hash of the leaf whose entry is the number's eight bytes."""
    return sha256(b"\x00" + number.to_bytes(8, "big")).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """Return the largest power of two below size (size > 1)."""
    k = 1
    while k * 2 < size:
        k *= 2
    return k


class Oracle:
    """A tree of any number of leaves.

    Leaves that are not given are all alike, so a subtree without a given leaf depends on its
    size only: trees of 2**53 - 1 leaves cost no more than small ones.
    """

    def __init__(self, leaves: Mapping[int, bytes], other: bytes = b"\x0f" * 32) -> None:
        self._leaves = dict(leaves)
        self._alike = {1: other}
        self._roots: dict[tuple[int, int], bytes] = {}

    def leaf(self, index: int) -> bytes:
        return self._leaves.get(index, self._alike[1])

    def root(self, start: int, end: int) -> bytes:
        """Return MTH(D[start:end])."""
        if start == end:
            return sha256(b"").digest()
        if end - start == 1:
            return self.leaf(start)
        if not any(start <= index < end for index in self._leaves):
            return self._root_alike(end - start)
        if (start, end) not in self._roots:
            k = start + split(end - start)
            self._roots[start, end] = node_hash(self.root(start, k), self.root(k, end))
        return self._roots[start, end]

    def _root_alike(self, size: int) -> bytes:
        if size not in self._alike:
            k = split(size)
            self._alike[size] = node_hash(self._root_alike(k), self._root_alike(size - k))
        return self._alike[size]

    def inclusion(self, index: int, start: int, end: int) -> Path:
        """Return PATH(index - start, D[start:end])."""
        if end - start == 1:
            return ()
        k = start + split(end - start)
        if index < k:
            return (*self.inclusion(index, start, k), self.root(k, end))
        return (*self.inclusion(index, k, end), self.root(start, k))

    def consistency(self, old: int, new: int) -> Path:
        """Return PROOF(old, D[0:new])."""
        return self._subproof(old, 0, new, known=True)

    def _subproof(self, old: int, start: int, end: int, *, known: bool) -> Path:
        if old == end:
            return () if known else (self.root(start, end),)
        k = start + split(end - start)
        if old <= k:
            return (*self._subproof(old, start, k, known=known), self.root(k, end))
        return (*self._subproof(old, k, end, known=False), self.root(start, k))

    def node(self, position: int) -> bytes:
        """Return the node at a position of the post-order array."""
        start, size = span_of(position)
        return self.root(start, start + size)


def span_of(position: int) -> tuple[int, int]:
    """Return first leaf and number of leaves of the node at a position of the array."""
    size = 1
    while 2 * size - 1 <= position:  # a perfect tree of `size` leaves has 2 size - 1 nodes
        size *= 2
    start = 0
    while position != 2 * size - 2:
        size //= 2
        if position >= 2 * size - 1:
            position -= 2 * size - 1
            start += size
    return start, size


def all_given(count: int) -> Oracle:
    """Return a tree whose leaves all differ."""
    return Oracle({index: leaf_of(index) for index in range(count)})
