"""A log whose owner says whatever a test wants: heads over any leaves, signed by its real keys."""

import base64
import hashlib
from collections.abc import Sequence

from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.hashing import ZERO_HASH, compute_log_id
from nous_ledger.protocol.head import sign_head
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, UnixSeconds
from nous_ledger.protocol.vkey import ed25519_vkey, format_vkey, head_vkey
from tests.integration.ledger_audit import naive_root

NOW = 1_800_000_000


def leaf(number: int, branch: str = "") -> bytes:
    return hashlib.sha256(b"\x00" + f"{branch}{number}".encode()).digest()


def history(count: int, *, fork_at: int | None = None) -> list[bytes]:
    """Leaves that from some index on are others than the honest ones."""
    at = count if fork_at is None else fork_at
    return [leaf(number, "" if number < at else "forged") for number in range(count)]


def proof(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """The consistency proof of RFC 6962 section 2.1.2, by its definition."""
    return [] if old in (0, len(leaves)) else _subproof(old, leaves, whole=True)


def _subproof(old: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    left, right = leaves[:split], leaves[split:]
    if old <= split:
        return [*_subproof(old, left, whole=whole), naive_root(right)]
    return [*_subproof(old - split, right, whole=False), naive_root(left)]


class ForgedLog:
    """The keys of a log.

    Attributes:
        origin: its name.
        vkey: of its Ed25519 key.
        pin: its 0xff vkey.
    """

    def __init__(self, origin: str = "forged.example/log") -> None:
        self.origin = origin
        self._key = SigningKey(hashlib.sha256(b"k" + origin.encode()).digest())
        self._ed25519 = Ed25519Key(hashlib.sha256(b"e" + origin.encode()).digest())
        public, text_key = self._key.public_key, self._ed25519.public_key
        self._log_id = compute_log_id(origin, public, text_key, ZERO_HASH)
        self.vkey = format_vkey(ed25519_vkey(origin, text_key))
        self.pin = format_vkey(head_vkey(origin, self._log_id))

    def head(self, leaves: Sequence[bytes], *, time: int = NOW) -> bytes:
        """Return a head over some leaves, with both lines of the log."""
        checkpoint = Checkpoint(
            origin=self.origin,
            leaf_count=LeafCount(len(leaves)),
            root=Hash32(naive_root(leaves)),
        )
        return sign_head(
            checkpoint,
            log_id=self._log_id,
            epoch=Epoch(0),
            timestamp=UnixSeconds(time),
            key=self._key,
            ed25519=self._ed25519,
        )

    def request(self, leaves: Sequence[bytes], old: int = 0) -> bytes:
        """Return an add-checkpoint request from an old size, with the right proof for it."""
        return request(old, proof(leaves, old), self.head(leaves))


def request(old: int, hashes: Sequence[bytes], note: bytes) -> bytes:
    """Return the body of an add-checkpoint request."""
    lines = [f"old {old}", *(base64.b64encode(item).decode() for item in hashes), "", ""]
    return "\n".join(lines).encode() + note
