"""EIP-712 digests that wallets and the anchor contract can check.

The domain has a name and a version only: one signature serves every chain.

Spec:
    PROTOCOL.md, section "EIP-712".
"""

from __future__ import annotations

from typing import Final

from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.hashing import keccak256
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, LogId, SubjectId, UnixSeconds

DOMAIN_TYPE: Final = "EIP712Domain(string name,string version)"
CHECKPOINT_TYPE: Final = (
    "Checkpoint(bytes32 log,uint32 epoch,uint64 size,bytes32 root,uint64 timestamp)"
)
ROTATION_TYPE: Final = "Rotation(bytes32 log,uint32 epoch,bytes32 next)"
BINDING_TYPE: Final = (
    "Binding(bytes32 log,bytes32 subject,address wallet,uint64 nonce,uint64 deadline)"
)


def _type_hash(text: str) -> bytes:
    return keccak256(text.encode("ascii"))


DOMAIN_SEPARATOR: Final = keccak256(
    _type_hash(DOMAIN_TYPE) + keccak256(b"nous-ledger") + keccak256(b"1")
)
CHECKPOINT_TYPE_HASH: Final = _type_hash(CHECKPOINT_TYPE)
ROTATION_TYPE_HASH: Final = _type_hash(ROTATION_TYPE)
BINDING_TYPE_HASH: Final = _type_hash(BINDING_TYPE)

_PREFIX: Final = b"\x19\x01" + DOMAIN_SEPARATOR


def head_digest(
    log_id: LogId, epoch: Epoch, leaf_count: LeafCount, root: Hash32, timestamp: UnixSeconds
) -> Hash32:
    """Return the digest that the log's secp256k1 key signs for a head.

    Args:
        log_id: 32 bytes.
        epoch: key epoch of the head, below 2**32.
        leaf_count: leaves of the tree, below 2**64.
        root: tree root, 32 bytes.
        timestamp: seconds, below 2**64.

    Raises:
        InputError: a value does not fit its type.
    """
    return _digest(
        CHECKPOINT_TYPE_HASH,
        _bytes32(log_id),
        _uint(epoch, 32),
        _uint(leaf_count, 64),
        _bytes32(root),
        _uint(timestamp, 64),
    )


def rotation_digest(log_id: LogId, epoch: Epoch, next_hash: bytes) -> Hash32:
    """Return the digest that a revealed key signs to take over at `epoch`.

    Args:
        log_id: 32 bytes.
        epoch: the new epoch.
        next_hash: commitment to the key after; 32 zero bytes close the log.

    Raises:
        InputError: a value does not fit its type.
    """
    return _digest(ROTATION_TYPE_HASH, _bytes32(log_id), _uint(epoch, 32), _bytes32(next_hash))


def binding_digest(
    log_id: LogId, subject: SubjectId, wallet: bytes, nonce: int, deadline: UnixSeconds
) -> Hash32:
    """Return the digest that a wallet signs to bind itself to a subject.

    Args:
        log_id: 32 bytes.
        subject: pseudonym, 32 bytes.
        wallet: address, 20 bytes; zeros unbind.
        nonce: below 2**64, strictly increasing per log and signer.
        deadline: last second at which the binding may be logged.

    Raises:
        InputError: a value does not fit its type.
    """
    if len(wallet) != 20:
        raise InputError("input", f"a wallet address has 20 bytes, not {len(wallet)}")
    return _digest(
        BINDING_TYPE_HASH,
        _bytes32(log_id),
        _bytes32(subject),
        wallet.rjust(32, b"\x00"),
        _uint(nonce, 64),
        _uint(deadline, 64),
    )


def _digest(type_hash: bytes, *words: bytes) -> Hash32:
    return keccak256(_PREFIX + keccak256(type_hash + b"".join(words)))


def _bytes32(value: bytes) -> bytes:
    if len(value) != 32:
        raise InputError("input", f"bytes32 has 32 bytes, not {len(value)}")
    return value


def _uint(value: int, bits: int) -> bytes:
    if not 0 <= value < 1 << bits:
        raise InputError("input", f"{value} does not fit uint{bits}")
    return value.to_bytes(32, "big")
