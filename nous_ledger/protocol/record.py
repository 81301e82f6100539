"""The 120-byte signed record: the leaf of the log.

    offset  0  u8   version = 1
            1  u16  type
            3  u32  epoch
            7  u64  index
           15  u64  logged_at, milliseconds
           23  32   body_hash
           55  32   r
           87  32   s
          119  u8   v

Spec:
    PROTOCOL.md, section "Records".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from nous_ledger.protocol.batch import verify_signatures
from nous_ledger.protocol.errors import InputError, RecordError, UnavailableError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.signer import DigestSigner
from nous_ledger.protocol.signing import check_signature_shape, verify_signature
from nous_ledger.protocol.types import (
    MAX_UINT,
    Epoch,
    Hash32,
    LeafIndex,
    LogId,
    UnixMillis,
)
from nous_ledger.protocol.values import value

RECORD_LENGTH: Final = 120
SIGNED_LENGTH: Final = 55
RECORD_VERSION: Final = 1

TYPE_KEY: Final = 0
TYPE_RECEIPT: Final = 1
TYPE_RECONCILIATION: Final = 2
TYPE_BINDING: Final = 3
TYPE_STATEMENT: Final = 4
TYPE_REDACTION: Final = 5

_TAG_ENTRY: Final = b"nous-ledger/1 entry\x00"
_LAYOUT: Final = struct.Struct(">BHIQQ32s")


@value
class Record:
    """One entry of the log.

    Attributes:
        version: 1.
        type: record type, 0..65535; unknown types keep an opaque body.
        epoch: key epoch under which the record is signed.
        index: zero-based position in the log.
        logged_at: milliseconds, assigned when the index was.
        body_hash: SHA-256 of the body.
        signature: r || s || v, 65 bytes.
    """

    version: int = RECORD_VERSION
    type: int
    epoch: Epoch
    index: LeafIndex
    logged_at: UnixMillis
    body_hash: Hash32
    signature: bytes


def encode_record(record: Record) -> bytes:
    """Return the 120 bytes of a record.

    Raises:
        InputError: a value does not fit its place.
        SignatureError: the signature is malformed or malleable.
    """
    check_signature_shape(record.signature)
    return _signed_part(record) + record.signature


@lru_cache(maxsize=128)
def decode_record(data: bytes) -> Record:
    """Return the record in 120 bytes; the signature is not checked here.

    Raises:
        RecordError: record-length, record-version (0), record-range.
        UnavailableError: newer-version (version above 1).
    """
    return _read_record(data)


def _read_record(data: bytes) -> Record:
    if len(data) != RECORD_LENGTH:
        raise RecordError("record-length", f"a record has 120 bytes, not {len(data)}")
    version, type_, epoch, index, logged_at, body_hash = _LAYOUT.unpack_from(data)
    if version == 0:
        raise RecordError("record-version", "a record of version 0 does not exist")
    if version > RECORD_VERSION:
        raise UnavailableError(
            "newer-version", f"record version {version}: newer than 1, or damaged; cannot tell"
        )
    if index > MAX_UINT or logged_at > MAX_UINT:
        raise RecordError("record-range", "index or logged_at is larger than 2^53-1")
    return Record(
        version=version,
        type=type_,
        epoch=epoch,
        index=index,
        logged_at=logged_at,
        body_hash=body_hash,
        signature=data[SIGNED_LENGTH:],
    )


def record_digest(log_id: LogId, signed_part: bytes) -> Hash32:
    """Return the digest that a record's signature is over.

    Args:
        log_id: the log that the record belongs to, 32 bytes.
        signed_part: the first 55 bytes of the record.

    Raises:
        InputError: a length is wrong.
    """
    if len(log_id) != 32 or len(signed_part) != SIGNED_LENGTH:
        raise InputError("input", "a record digest takes a 32-byte log id and 55 record bytes")
    return sha256(_TAG_ENTRY + log_id + signed_part)


def leaf_hash(record: bytes) -> Hash32:
    """Return the Merkle leaf hash of an encoded record.

    Raises:
        RecordError: record-length.
    """
    if len(record) != RECORD_LENGTH:
        raise RecordError("record-length", f"a record has 120 bytes, not {len(record)}")
    return sha256(b"\x00" + record)


def sign_record(
    key: DigestSigner,
    log_id: LogId,
    *,
    type: int,
    epoch: Epoch,
    index: LeafIndex,
    logged_at: UnixMillis,
    body_hash: Hash32,
) -> bytes:
    """Return the 120 bytes of a newly signed record.

    Args:
        key: key of the epoch.
        log_id: 32 bytes.
        type: record type, 0..65535.
        epoch: key epoch in force at the index.
        index: position in the log.
        logged_at: milliseconds.
        body_hash: SHA-256 of the body.

    Raises:
        InputError: a value does not fit its place.
    """
    signed_part, digest = prepare_record(
        log_id, type=type, epoch=epoch, index=index, logged_at=logged_at, body_hash=body_hash
    )
    return signed_part + key.sign(digest)


def prepare_record(
    log_id: LogId,
    *,
    type: int,
    epoch: Epoch,
    index: LeafIndex,
    logged_at: UnixMillis,
    body_hash: Hash32,
) -> tuple[bytes, Hash32]:
    """Return what a signature turns into a record, and what that is to be over.

    Args:
        log_id: 32 bytes.
        type: record type, 0..65535.
        epoch: key epoch in force at the index.
        index: position in the log.
        logged_at: milliseconds.
        body_hash: SHA-256 of the body.

    Returns:
        The first 55 bytes of the record, which the 65 of the signature follow, and
        the digest.

    Raises:
        InputError: a value does not fit its place.
    """
    signed_part = _pack(type, epoch, index, logged_at, body_hash)
    return signed_part, record_digest(log_id, signed_part)


def prepare_records(
    log_id: LogId, type_: int, place: tuple[int, int, int], body_hashes: Sequence[Hash32]
) -> list[tuple[bytes, Hash32]]:
    """Return what `prepare_record` does of records that follow each other.

    Args:
        log_id: 32 bytes.
        type_: type of all of them, 0..65535.
        place: their epoch, the index of the first, their time in milliseconds.
        body_hashes: SHA-256 of their bodies.

    Raises:
        InputError: a value does not fit its place.
    """
    epoch, first, logged_at = place
    tag = _TAG_ENTRY + log_id
    if len(log_id) != 32:
        raise InputError("input", f"a log id has 32 bytes, not {len(log_id)}")
    places = range(first, first + len(body_hashes))
    if logged_at > MAX_UINT or places.stop > MAX_UINT + 1 or not {*map(len, body_hashes)} <= {32}:
        raise InputError("input", "a value of the record is outside its range")
    pack = _LAYOUT.pack
    try:
        parts = [
            pack(RECORD_VERSION, type_, epoch, index, logged_at, body_hash)
            for index, body_hash in zip(places, body_hashes, strict=True)
        ]
    except struct.error as error:
        raise _not_fitting(error) from error
    return [(part, sha256(tag + part)) for part in parts]


def verify_record(data: bytes, log_id: LogId, public_key: bytes) -> Record:
    """Return the decoded record after checking its signature.

    Args:
        data: 120 bytes.
        log_id: the log it must belong to.
        public_key: compressed key of its epoch, 33 bytes.

    Raises:
        RecordError: record-length, record-version, record-range.
        SignatureError: malformed, high-s, bad-recovery-id, mismatch.
        UnavailableError: newer-version.
    """
    record = decode_record(data)
    verify_signature(record_digest(log_id, data[:SIGNED_LENGTH]), record.signature, public_key)
    return record


def verify_records(data: Sequence[bytes], log_id: LogId, public_key: bytes) -> tuple[Record, ...]:
    """Return the decoded records after checking the signatures of all, together.

    Args:
        data: 120 bytes each.
        log_id: the log they must belong to.
        public_key: compressed key of their epoch, 33 bytes.

    Raises:
        RecordError, UnavailableError: as `decode_record`, of the first that is none.
        SignatureError: as `verify_record`, of the first that is wrong.
    """
    records = tuple([_read_record(record) for record in data])  # each stands there once
    digests = [record_digest(log_id, record[:SIGNED_LENGTH]) for record in data]
    verify_signatures(digests, [record.signature for record in records], public_key)
    return records


def _signed_part(record: Record) -> bytes:
    if record.version != RECORD_VERSION:
        raise InputError("input", f"version {record.version} cannot be written")
    return _pack(record.type, record.epoch, record.index, record.logged_at, record.body_hash)


def _pack(type_: int, epoch: int, index: int, logged_at: int, body_hash: bytes) -> bytes:
    if index > MAX_UINT or logged_at > MAX_UINT or len(body_hash) != 32:
        raise InputError("input", "a value of the record is outside its range")
    try:
        return _LAYOUT.pack(RECORD_VERSION, type_, epoch, index, logged_at, body_hash)
    except struct.error as error:
        raise _not_fitting(error) from error


def _not_fitting(error: struct.error) -> InputError:
    return InputError("input", f"a value of the record does not fit: {error}")
