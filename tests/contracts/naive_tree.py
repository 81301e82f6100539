"""RFC 9162 trees and proof checks, transcribed as the RFC words them.

Deliberately another shape than the contract's: trees are defined by recursion over ranges of
leaves, and proofs are checked with the RFC's shifting registers, not with derived path lengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

MAX_COUNT = 2**53 - 1
Path = tuple[bytes, ...]


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def split(count: int) -> int:
    """Return the largest power of two below count (count > 1)."""
    return 1 << ((count - 1).bit_length() - 1)


class Tree:
    """An append-only tree whose leaves are all alike but for the given ones.

    Subtrees without a given leaf depend on their size only, which makes trees of 2**53 - 1
    leaves as cheap as small ones.
    """

    def __init__(self, leaves: Mapping[int, bytes], other: bytes = b"\x0f" * 32) -> None:
        self._leaves = dict(leaves)
        self._uniform = {1: other}
        self._cache: dict[tuple[int, int], bytes] = {}

    def leaf(self, index: int) -> bytes:
        return self._leaves.get(index, self._uniform[1])

    def _alike(self, size: int) -> bytes:
        if size not in self._uniform:
            k = split(size)
            self._uniform[size] = node_hash(self._alike(k), self._alike(size - k))
        return self._uniform[size]

    def root(self, start: int, end: int) -> bytes:
        """MTH(D[start:end])."""
        if not any(start <= index < end for index in self._leaves):
            return self._alike(end - start)
        if end - start == 1:
            return self._leaves[start]
        if (start, end) not in self._cache:
            k = start + split(end - start)
            self._cache[start, end] = node_hash(self.root(start, k), self.root(k, end))
        return self._cache[start, end]

    def inclusion(self, index: int, start: int, end: int) -> Path:
        """PATH(index, D[start:end]), index counted from the start of the whole list."""
        if end - start == 1:
            return ()
        k = start + split(end - start)
        if index < k:
            return (*self.inclusion(index, start, k), self.root(k, end))
        return (*self.inclusion(index, k, end), self.root(start, k))

    def consistency(self, old_count: int, new_count: int) -> Path:
        """PROOF(old_count, D[0:new_count])."""
        return self._subproof(old_count, 0, new_count, whole=True)

    def _subproof(self, old_count: int, start: int, end: int, *, whole: bool) -> Path:
        if old_count == end:
            return () if whole else (self.root(start, end),)
        k = start + split(end - start)
        if old_count <= k:
            return (*self._subproof(old_count, start, k, whole=whole), self.root(k, end))
        return (*self._subproof(old_count, k, end, whole=False), self.root(start, k))


def inclusion_length(index: int, count: int) -> int:
    """Return the number of hashes that PATH has, by the same recursion."""
    if count == 1:
        return 0
    k = split(count)
    return 1 + (inclusion_length(index, k) if index < k else inclusion_length(index - k, count - k))


def consistency_length(old_count: int, new_count: int, *, whole: bool = True) -> int:
    """Return the number of hashes that PROOF has, by the same recursion."""
    if old_count == new_count:
        return 0 if whole else 1
    k = split(new_count)
    if old_count <= k:
        return 1 + consistency_length(old_count, k, whole=whole)
    return 1 + consistency_length(old_count - k, new_count - k, whole=False)


def _inclusion_holds(leaf: bytes, index: int, count: int, path: Path, root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2."""
    fn, sn, r = index, count - 1, leaf
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def consistency_roots(
    old_count: int, old_root: bytes, new_count: int, path: Path
) -> tuple[bytes, bytes] | None:
    """Return the two roots that a path leads to, None if it is too long or too short.

    RFC 9162 section 2.1.4.2, for 0 < old_count < new_count.
    """
    if not path:
        return None
    if old_count & (old_count - 1) == 0:
        path = (old_root, *path)
    fn, sn = old_count - 1, new_count - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return (fr, sr) if sn == 0 else None


def _consistency_holds(
    old_count: int, old_root: bytes, new_count: int, new_root: bytes, path: Path
) -> bool:
    return consistency_roots(old_count, old_root, new_count, path) == (old_root, new_root)


def judge_inclusion(leaf: bytes, index: int, count: int, path: Path, root: bytes) -> str:
    """Return "" for a valid proof, else the protocol's error code."""
    if count > MAX_COUNT:
        return "proof-counts"
    if index >= count:
        return "proof-index"
    holds = _inclusion_holds(leaf, index, count, path, root)
    if len(path) != inclusion_length(index, count):
        assert not holds
        return "proof-shape"
    return "" if holds else "root-mismatch"


def judge_consistency(
    old_count: int, old_root: bytes, new_count: int, new_root: bytes, path: Path
) -> str:
    """Return "" for a valid proof, else the protocol's error code."""
    if not 0 < old_count <= new_count <= MAX_COUNT:
        return "proof-counts"
    if old_count == new_count:
        if path:
            return "proof-shape"
        return "" if old_root == new_root else "root-mismatch"
    holds = _consistency_holds(old_count, old_root, new_count, new_root, path)
    if len(path) != consistency_length(old_count, new_count):
        assert not holds
        return "proof-shape"
    return "" if holds else "root-mismatch"
