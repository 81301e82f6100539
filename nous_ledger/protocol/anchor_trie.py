"""Merkle Patricia tries: that a key has a value under a root.

A proof is the list of nodes from the root to the value. Every node is looked up by its hash
in the node before it, so the list has one order and one length; a node of less than 32 bytes
stands inside the one before it. That a key is absent is never a result here: it is an error.

Spec:
    PROTOCOL.md, section "Anchor evidence" (EVID-4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nous_ledger.protocol.anchor_rlp import RlpItem, decode_rlp
from nous_ledger.protocol.errors import AnchorError
from nous_ledger.protocol.hashing import keccak256
from nous_ledger.protocol.types import Hash32

MAX_TRIE_NODES: Final = 66
"""Most nodes of a proof: a key has at most 64 half-bytes, and a leaf may follow the last branch."""

MAX_KEY_BYTES: Final = 32
_BRANCH: Final = 17
_SHORTENED: Final = 2


def nibbles(key: bytes) -> tuple[int, ...]:
    """Return the half-bytes of a key, the higher one first."""
    return tuple(half for byte in key for half in (byte >> 4, byte & 15))


def verify_trie(root: Hash32, key: bytes, proof: Sequence[bytes]) -> bytes:
    """Return the value of a key after checking the way to it from the root.

    Args:
        root: hash of the root node, 32 bytes, from a verified header or account.
        key: the whole key, 1..32 bytes; already hashed where the trie is of hashed keys.
        proof: encoded nodes, the root first, 1..66.

    Returns:
        The value, never empty.

    Raises:
        AnchorError: anchor-proof (a hash, a path or the number of nodes does not fit, or
            the key is absent), anchor-rlp.
    """
    if not 1 <= len(key) <= MAX_KEY_BYTES or len(root) != 32:
        raise _wrong("a key has 1..32 bytes and a root 32")
    if not 1 <= len(proof) <= MAX_TRIE_NODES:
        raise _wrong(f"{len(proof)} nodes are not 1..{MAX_TRIE_NODES}")
    walk = _Walk(nibbles(key), proof)
    value = walk.descend(bytes(root))
    if walk.used != len(proof):
        raise _wrong(f"{len(proof) - walk.used} nodes are left over")
    return value


class _Walk:
    """The way down one trie; `used` counts the nodes that were looked up by hash."""

    __slots__ = ("at", "path", "proof", "used")

    def __init__(self, path: tuple[int, ...], proof: Sequence[bytes]) -> None:
        self.path = path
        self.proof = proof
        self.at = 0
        self.used = 0

    def descend(self, child: RlpItem) -> bytes:
        """Return the value below a child of the node before."""
        while True:  # each node goes on by a half-byte of the key at least, or is the last
            node = self._node(child)
            if len(node) == _BRANCH:
                if self.at == len(self.path):
                    return _value(node[16])
                child = node[self.path[self.at]]
                self.at += 1
                continue
            rest, is_leaf = _unpack(node[0])
            if self.path[self.at : self.at + len(rest)] != rest:
                raise _wrong("the key is absent: its path parts from the proof")
            self.at += len(rest)
            if is_leaf:
                if self.at != len(self.path):
                    raise _wrong("the key is absent: a shorter one ends here")
                return _value(node[1])
            child = node[1]

    def _node(self, child: RlpItem) -> tuple[RlpItem, ...]:
        if isinstance(child, bytes):
            return self._looked_up(child)
        return _checked(child)

    def _looked_up(self, reference: bytes) -> tuple[RlpItem, ...]:
        if not reference:
            raise _wrong("the key is absent")
        if len(reference) != 32:
            raise _wrong("a reference is neither a hash nor a short node")
        if self.used == len(self.proof):
            raise _wrong("the proof ends before its value")
        encoded = self.proof[self.used]
        if keccak256(encoded) != reference:
            raise _wrong(f"node {self.used} does not hash to its reference")
        if self.used and len(encoded) < 32:
            raise _wrong("a node of less than 32 bytes stands apart from the one before it")
        self.used += 1
        return _checked(decode_rlp(encoded))


def _checked(node: RlpItem) -> tuple[RlpItem, ...]:
    if isinstance(node, tuple) and len(node) in (_BRANCH, _SHORTENED):
        return node
    raise _wrong("a node is neither a branch nor a shortened path")


def _unpack(item: RlpItem) -> tuple[tuple[int, ...], bool]:
    """Return the half-bytes of a shortened path, and whether a value follows it."""
    if not isinstance(item, bytes) or not item:
        raise _wrong("a shortened path is not a byte string")
    halves = nibbles(item)
    flag = halves[0]
    if flag > 3 or (not flag & 1 and halves[1] != 0):
        raise _wrong("a shortened path has a wrong prefix")
    rest = halves[1:] if flag & 1 else halves[2:]
    if not rest and flag < 2:
        raise _wrong("an extension of no length")
    return rest, flag >= 2


def _value(item: RlpItem) -> bytes:
    if not isinstance(item, bytes) or not item:
        raise _wrong("the key is absent: it has no value")
    return item


def _wrong(reason: str) -> AnchorError:
    return AnchorError("anchor-proof", f"the trie proof fails: {reason}")
