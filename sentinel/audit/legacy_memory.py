"""What is remembered of a nous-v2 gateway from one audit to the next.

Its roots are not signed and nothing of it can be proved to others, so all depends on
memory: the last count and root, the key, and each record's leaf and signature.

Spec:
    PROTOCOL.md, section "Auditing nous-v2" (WIT-19 to WIT-25).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.legacy import LegacyPublicKey, legacy_node

NO_SIGNATURE: Final = bytes(64)

_NO_KEY: Final = LegacyPublicKey(b"")


class KnownRecord(NamedTuple):
    """What is kept of a record.

    Attributes:
        leaf: its leaf hash as stated, 32 bytes.
        signature: r || s, 64 bytes; zeros where it had none of that form.
        content: the first 16 bytes of a hash over its fields: a leaf can stand for several.
    """

    leaf: bytes
    signature: bytes
    content: bytes


class LegacyChain(NamedTuple):
    """What `GET /api/chain` says.

    Attributes:
        root: 64 hex digits; "" or "empty" for no leaves.
        leaf_count: leaves below it.
    """

    root: str
    leaf_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyMemory:
    """Where the audit of a gateway stands.

    Attributes:
        key: the key that was trusted so far, 65 bytes; empty before the first audit.
        leaf_count: leaves of the last root that was established.
        root: that root; "" for none.
        waiting: for each thing that may pass by itself, the second it was first seen.
        totals: how many of the leaves have each peculiarity, by code.
    """

    key: LegacyPublicKey = _NO_KEY
    leaf_count: int = 0
    root: str = ""
    waiting: Mapping[str, int] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)


class PeakTracker:
    """The peaks of a growing nous-v2 tree.

    Attributes:
        leaf_count: leaves so far.
    """

    def __init__(self) -> None:
        """Start with no leaves."""
        self.leaf_count = 0
        self._peaks: list[tuple[int, str]] = []

    def append(self, leaf: str) -> None:
        """Add a leaf, 64 hex digits."""
        height, node = 0, leaf
        while self._peaks and self._peaks[-1][0] == height:
            node = legacy_node(self._peaks.pop()[1], node)
            height += 1
        self._peaks.append((height, node))
        self.leaf_count += 1

    def root(self) -> str:
        """Return the root in the stored form: "" over no leaves."""
        peaks = [node for _, node in self._peaks]
        if len(peaks) < 2:
            return "".join(peaks)
        return sha256("|".join(peaks).encode()).hex()


def memory_to_json(memory: LegacyMemory) -> str:
    """Return a memory as text."""
    return json.dumps(
        {
            "protocol": "nous-v2",
            "key": memory.key.hex(),
            "leaf_count": memory.leaf_count,
            "root": memory.root,
            "waiting": dict(memory.waiting),
            "totals": dict(memory.totals),
        },
        sort_keys=True,
    )


def memory_from_json(text: str) -> LegacyMemory:
    """Return the memory in a text that `memory_to_json` made; an empty text is a new one."""
    if not text:
        return LegacyMemory()
    read = json.loads(text)
    return LegacyMemory(
        key=LegacyPublicKey(bytes.fromhex(read["key"])),
        leaf_count=read["leaf_count"],
        root=read["root"],
        waiting=read["waiting"],
        totals=read["totals"],
    )
