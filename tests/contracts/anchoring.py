"""A log for the anchor contract: heads signed by the Python core, and storage as it must lie."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final

from nous_ledger.protocol import eip712
from nous_ledger.protocol.hashing import compute_log_id, keccak256, next_key_hash
from nous_ledger.protocol.signing import SigningKey, address_of
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, LogId, UnixSeconds
from tests.contracts.abi import AbiValue
from tests.contracts.evm import State

ORIGIN: Final = "ledger.example.com/main"
ED25519: Final = sha256(b"ed25519").digest()
EMPTY_ROOT: Final = sha256(b"").digest()
NOW: Final = 1_800_000_000
NO_KEY: Final = bytes(32)
# Signers of the epochs 0, 1, 2, … of every log here; the key of an epoch commits to the next one.
KEYS: Final = tuple(SigningKey(sha256(b"key %d" % epoch).digest()) for epoch in range(65))
FOREIGNER: Final = SigningKey(sha256(b"foreigner").digest())

Head = tuple[bytes, int, int, bytes, int]
SignedHead = tuple[AbiValue, bytes, bytes, int]


def commitment(epoch: int) -> bytes:
    """Return the hash that commits to the key of an epoch."""
    return next_key_hash(KEYS[epoch].public_key)


LOG: Final = compute_log_id(ORIGIN, KEYS[0].public_key, ED25519, commitment(1))
REGISTRATION: Final = (ORIGIN.encode(), KEYS[0].public_key, ED25519, commitment(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the contract holds of the log: `size` to `timestamp` are those of the anchored head."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    timestamp: int = 0
    head_epoch: int = 0
    epoch: int = 0
    anchors: int = 0
    closed: bool = False
    chain: bytes = LOG
    next_hash: bytes = commitment(1)
    forked: frozenset[int] = field(default=frozenset())

    def words(self) -> dict[int, bytes]:
        """Return the log's slots by their distance from its first (ANCH-12)."""
        state = b"".join(
            (
                b"\x01",
                bytes([self.closed]),
                self.anchors.to_bytes(6, "big"),
                self.epoch.to_bytes(4, "big"),
                self.head_epoch.to_bytes(4, "big"),
                self.timestamp.to_bytes(8, "big"),
                self.size.to_bytes(8, "big"),
            )
        )
        signers = {
            4 + epoch: bytes(11) + bytes([epoch in self.forked]) + address_of(key.public_key)
            for epoch, key in enumerate(KEYS[: self.epoch + 1])
        }
        return {0: state, 1: self.root, 2: self.chain, 3: self.next_hash} | signers

    def state(self, time: int = NOW) -> State:
        """Return what a call in a block of this time finds."""
        slots = {slot_of(offset): "0x" + word.hex() for offset, word in self.words().items()}
        return State(slots=slots, time=time)

    def after(self, head: Head) -> Stored:
        """Return what the contract holds once it accepted a head."""
        _, epoch, size, root, timestamp = head
        linked = b"nous-ledger/1 anchor\x00" + self.chain + digest_of(head)
        return replace(
            self,
            size=size,
            root=root,
            timestamp=timestamp,
            head_epoch=epoch,
            anchors=self.anchors + 1,
            chain=sha256(linked).digest(),
        )

    def rotated(self, next_hash: bytes | None = None) -> Stored:
        """Return what it holds after the next rotation; to a hash of zeros it is a close."""
        following = commitment(self.epoch + 2) if next_hash is None else next_hash
        return replace(self, epoch=self.epoch + 1, next_hash=following, closed=following == NO_KEY)


def slot_of(offset: int, log: bytes = LOG) -> str:
    """Return the number of a slot of a log, as JSON-RPC writes it."""
    base = int.from_bytes(keccak256(log + bytes(32)), "big")
    return f"0x{base + offset:064x}"


def digest_of(head: Head) -> Hash32:
    """Return the digest that a head's signature covers, by the Python core."""
    log, epoch, size, root, timestamp = head
    return eip712.head_digest(
        LogId(log), Epoch(epoch), LeafCount(size), Hash32(root), UnixSeconds(timestamp)
    )


def split_signature(signature: bytes) -> tuple[bytes, bytes, int]:
    """Return r, s and v as the contract takes them."""
    return signature[:32], signature[32:64], signature[64]


def sign_head(head: Head, key: SigningKey | None = None) -> SignedHead:
    """Sign a head, by the key of its epoch unless another one is given."""
    return (head, *split_signature((key or KEYS[head[1]]).sign(digest_of(head))))


def rotation(
    epoch: int, next_hash: bytes, *, key: SigningKey | None = None, reveal: bytes | None = None
) -> tuple[Any, ...]:
    """Return the arguments of a rotation, by the key of the new epoch unless others are given."""
    signer = key or KEYS[epoch]
    signature = signer.sign(eip712.rotation_digest(LOG, Epoch(epoch), next_hash))
    revealed = reveal or KEYS[epoch].public_key
    return (LOG, epoch, revealed, next_hash, *split_signature(signature))
