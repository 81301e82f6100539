"""A Merkle Patricia trie over a block's receipts, to prove one of them.

Nodes serve proofs of state, but none of receipts: the trie is built again from all receipts
of the block, and its root compared with the header's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from nous_ledger.protocol.anchor_rlp import RlpItem, encode_rlp
from nous_ledger.protocol.anchor_trie import nibbles
from nous_ledger.protocol.hashing import keccak256
from nous_ledger.protocol.types import Hash32

_Path: TypeAlias = tuple[int, ...]
_HASHED: Final = 32
"""A node of at least so many bytes is referred to by its hash, a shorter one stands inside."""


def build_trie(values: Mapping[bytes, bytes], wanted: bytes) -> tuple[Hash32, tuple[bytes, ...]]:
    """Return the root of a trie and the proof of one of its keys.

    Args:
        values: by key; not empty, no key a prefix of another.
        wanted: the key to prove; one of them.
    """
    pairs = {nibbles(key): value for key, value in values.items()}
    builder = _Builder(nibbles(wanted))
    root = encode_rlp(builder.node(pairs, 0))
    return keccak256(root), (root, *builder.proof)


class _Builder:
    """Builds from the leaves up; keeps the hashed nodes on the way to one key, the top first."""

    def __init__(self, wanted: _Path) -> None:
        self._wanted = wanted
        self.proof: list[bytes] = []

    def node(self, pairs: Mapping[_Path, bytes], depth: int) -> RlpItem:
        """Return the node over some keys that agree in their first half-bytes."""
        if len(pairs) == 1:
            ((path, value),) = pairs.items()
            return (_packed(path[depth:], is_leaf=True), value)
        shared = _shared(pairs, depth)
        if shared > depth:
            path = next(iter(pairs))
            child = self.reference(pairs, shared)
            return (_packed(path[depth:shared], is_leaf=False), child)
        branches: list[RlpItem] = [b""] * 17
        for half in range(16):
            below = {path: value for path, value in pairs.items() if path[depth] == half}
            if below:
                branches[half] = self.reference(below, depth + 1)
        return tuple(branches)

    def reference(self, pairs: Mapping[_Path, bytes], depth: int) -> RlpItem:
        """Return how a node is named in the one above it."""
        node = self.node(pairs, depth)
        encoded = encode_rlp(node)
        if len(encoded) < _HASHED:
            return node
        if self._wanted in pairs:
            self.proof.insert(0, encoded)
        return keccak256(encoded)


def _shared(pairs: Mapping[_Path, bytes], depth: int) -> int:
    """Return how far all paths agree."""
    first, last = min(pairs), max(pairs)
    at = depth
    while at < min(len(first), len(last)) and first[at] == last[at]:
        at += 1
    return at


def _packed(path: _Path, *, is_leaf: bool) -> bytes:
    """Return a shortened path: a flag for leaves and odd lengths, then the half-bytes."""
    flag = 2 * is_leaf + len(path) % 2
    halves = (flag, *path) if flag & 1 else (flag, 0, *path)
    return bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))
