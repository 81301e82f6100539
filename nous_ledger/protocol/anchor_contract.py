"""What the anchor contract stores and emits, as words of the EVM.

    mapping at slot 0; base = keccak256(log id || u256(0))
    base       registered 1 | closed 1 | anchors 6 | epoch 4 | head epoch 4 | time 8 | count 8
    base + 1   root of the anchored head
    base + 2   running hash over all anchored heads
    base + 4+e signer of epoch e: zeros 11 | forked 1 | address 20

Spec:
    PROTOCOL.md, section "Anchoring" (ANCH-9, ANCH-12, ANCH-13).
"""

from __future__ import annotations

from typing import Final

from nous_ledger.protocol.anchor_block import EventLog
from nous_ledger.protocol.eip712 import head_digest
from nous_ledger.protocol.errors import AnchorError
from nous_ledger.protocol.hashing import keccak256, sha256
from nous_ledger.protocol.types import MAX_UINT, Epoch, Hash32, LeafCount, LogId, UnixSeconds
from nous_ledger.protocol.values import value

SLOT_STATE: Final = 0
SLOT_ROOT: Final = 1
SLOT_CHAIN: Final = 2
SLOT_SIGNER: Final = 4
"""Offset of the slot of epoch 0's signer."""

ANCHORED_TOPIC: Final = keccak256(
    b"Anchored(bytes32,uint32,uint64,bytes32,uint64,bytes32,bytes32,uint8,bytes32)"
)
_ANCHORED_WORDS: Final = 8
_TAG_ANCHOR: Final = b"nous-ledger/1 anchor\x00"


@value
class AnchoredHead:
    """A head that the contract has taken.

    Attributes:
        epoch: key epoch that signed it.
        leaf_count: its leaves, at least 1.
        root: its root, 32 bytes.
        timestamp: seconds; when it was signed.
    """

    epoch: Epoch
    leaf_count: LeafCount
    root: Hash32
    timestamp: UnixSeconds

    def digest(self, log_id: LogId) -> Hash32:
        """Return what the log signed."""
        return head_digest(log_id, self.epoch, self.leaf_count, self.root, self.timestamp)


@value
class AnchoredEvent:
    """One event `Anchored` of the contract.

    Attributes:
        log_id: the log, 32 bytes.
        head: the head that was taken.
        signature: r || s || v of the log's key, 65 bytes.
        chain: running hash after this head.
    """

    log_id: LogId
    head: AnchoredHead
    signature: bytes
    chain: Hash32


@value
class LogState:
    """The first word that the contract stores for a log.

    Attributes:
        closed: whether the contract knows of the log's close.
        anchors: heads taken so far.
        epoch: key epoch in force.
        head_epoch: key epoch of the anchored head.
        timestamp: time of the anchored head, seconds.
        leaf_count: leaves of the anchored head; 0 before the first.
    """

    closed: bool
    anchors: int
    epoch: Epoch
    head_epoch: Epoch
    timestamp: UnixSeconds
    leaf_count: LeafCount


def storage_base(log_id: LogId) -> int:
    """Return the first storage slot of a log.

    Spec:
        PROTOCOL.md ANCH-12.
    """
    return int.from_bytes(keccak256(log_id + bytes(32)), "big")


def storage_slot(log_id: LogId, offset: int) -> int:
    """Return a storage slot of a log."""
    return (storage_base(log_id) + offset) % (1 << 256)


def read_state(word: int) -> LogState:
    """Return what the first word of a log says.

    Raises:
        AnchorError: anchor-head (no registered log, or a value that no log has).
    """
    data = word.to_bytes(32, "big")
    if data[0] != 1 or data[1] > 1:
        raise _wrong("the contract's first word is not that of a registered log")
    count, time = int.from_bytes(data[24:], "big"), int.from_bytes(data[16:24], "big")
    if max(count, time) > MAX_UINT:
        raise _wrong("a stored count or time is above 2^53-1")
    return LogState(
        closed=data[1] == 1,
        anchors=int.from_bytes(data[2:8], "big"),
        epoch=Epoch(int.from_bytes(data[8:12], "big")),
        head_epoch=Epoch(int.from_bytes(data[12:16], "big")),
        timestamp=UnixSeconds(time),
        leaf_count=LeafCount(count),
    )


def read_signer(word: int) -> tuple[bytes, bool]:
    """Return a signer's address and whether a fork under its key was proved.

    Raises:
        AnchorError: anchor-head (no signer).
    """
    data = word.to_bytes(32, "big")
    if any(data[:11]) or data[11] > 1 or not any(data[12:]):
        raise _wrong("the contract's word of the signer is none")
    return data[12:], data[11] == 1


def next_chain(chain: Hash32, digest: Hash32) -> Hash32:
    """Return the running hash after one more head; before the first it is the log id.

    Spec:
        PROTOCOL.md ANCH-9.
    """
    return sha256(_TAG_ANCHOR + chain + digest)


def read_anchored(event: EventLog, contract: bytes) -> AnchoredEvent | None:
    """Return what an event says if it is `Anchored` of this contract, else None.

    Args:
        event: of a transaction.
        contract: address, 20 bytes.

    Raises:
        AnchorError: anchor-event (it is, and its data is not of the declared types).
    """
    if event.address != contract or event.topics[:1] != (ANCHORED_TOPIC,):
        return None
    data = event.data
    if len(event.topics) != 2 or len(data) != 32 * _ANCHORED_WORDS:
        raise AnchorError("anchor-event", "an event Anchored has another shape than declared")
    words = [data[32 * k : 32 * k + 32] for k in range(_ANCHORED_WORDS)]
    epoch, count, time, v = (int.from_bytes(words[k], "big") for k in (0, 1, 3, 6))
    if epoch >> 32 or max(count, time) > MAX_UINT or v > 255:
        raise AnchorError("anchor-event", "an event Anchored has a value out of range")
    head = AnchoredHead(
        epoch=Epoch(epoch),
        leaf_count=LeafCount(count),
        root=Hash32(words[2]),
        timestamp=UnixSeconds(time),
    )
    return AnchoredEvent(
        log_id=LogId(event.topics[1]),
        head=head,
        signature=words[4] + words[5] + bytes([v]),
        chain=Hash32(words[7]),
    )


def _wrong(reason: str) -> AnchorError:
    return AnchorError("anchor-head", reason)
