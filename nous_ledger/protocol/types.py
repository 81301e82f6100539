"""Names for the integers and byte strings of the protocol.

Every value that crosses a public boundary says what it counts. The aliases are
checked by the type checker and cost nothing at run time.

Spec:
    PROTOCOL.md, section "Types".
"""

from __future__ import annotations

from typing import Final, NewType

LeafIndex = NewType("LeafIndex", int)
"""Zero-based position of a record in the log; 0 <= n <= 2**53 - 1."""
LeafCount = NewType("LeafCount", int)
"""Number of leaves of a tree; 0 <= n <= 2**53 - 1."""
NodePos = NewType("NodePos", int)
"""Zero-based position of a node in the post-order node array."""
Height = NewType("Height", int)
"""Height of a node above the leaves; a leaf has height 0."""
TokenCount = NewType("TokenCount", int)
"""A number of tokens; 0 <= n <= 2**53 - 1."""
UnixMillis = NewType("UnixMillis", int)
"""Milliseconds since 1970-01-01T00:00:00Z."""
UnixSeconds = NewType("UnixSeconds", int)
"""Seconds since 1970-01-01T00:00:00Z."""
Epoch = NewType("Epoch", int)
"""Key epoch of a log; 0 for the genesis key, at most 63."""
PicoUsd = NewType("PicoUsd", int)
"""Money in units of 10**-12 US dollars."""
Hash32 = NewType("Hash32", bytes)
"""A SHA-256 or Keccak-256 hash: 32 bytes."""
LogId = NewType("LogId", bytes)
"""Self-certifying identity of a log: 32 bytes."""
SubjectId = NewType("SubjectId", bytes)
"""Pseudonym of a caller under one log: 32 bytes."""

MAX_UINT: Final = 2**53 - 1
"""Largest integer of the protocol; every double holds it exactly."""
