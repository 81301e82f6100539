"""A record as calldata of a transaction: a copy of it that stays where the chain stays.

    "nous-ledger/1 calldata" 00 || log id || canonical encoding of [record, body]

The body is an empty byte string where it is withheld. Nothing here makes the record true:
it is compared with the record that a bundle or a ledger proves.

Spec:
    PROTOCOL.md, section "Records as calldata" (EVID-14).
"""

from __future__ import annotations

from typing import Final

from nous_ledger.protocol.encoding import MAX_BODY_BYTES, decode, encode
from nous_ledger.protocol.errors import AnchorError, EncodingError, RecordError
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.types import LogId
from nous_ledger.protocol.values import value

TAG: Final = b"nous-ledger/1 calldata\x00"
MAX_PAYLOAD_BYTES: Final = len(TAG) + 32 + MAX_BODY_BYTES + 256


@value
class CalldataRecord:
    """What the calldata holds.

    Attributes:
        log_id: the log, 32 bytes.
        record: 120 bytes.
        body: its body; empty where it is withheld.
    """

    log_id: LogId
    record: bytes
    body: bytes


def format_calldata(stored: CalldataRecord) -> bytes:
    """Return the calldata of a record."""
    return TAG + stored.log_id + encode((stored.record, stored.body))


def parse_calldata(data: bytes) -> CalldataRecord:
    """Return the record in calldata; neither signature nor body hash is checked.

    Spec:
        PROTOCOL.md EVID-14.

    Args:
        data: the calldata.

    Raises:
        AnchorError: anchor-format.
        UnavailableError: newer-version, of the record.
    """
    if not data.startswith(TAG) or len(data) > MAX_PAYLOAD_BYTES:
        raise _wrong("the calldata holds no record of this protocol")
    log_id, encoded = data[len(TAG) :][:32], data[len(TAG) + 32 :]
    try:
        parts = decode(encoded)
    except EncodingError as error:
        raise _wrong(f"the calldata is not canonical: {error.message}") from error
    if not isinstance(parts, tuple) or len(parts) != 2:
        raise _wrong("the calldata is not [record, body]")
    record, body = parts
    if not isinstance(record, bytes) or not isinstance(body, bytes):
        raise _wrong("the calldata is not [record, body]")
    try:
        decode_record(record)
    except RecordError as error:
        raise _wrong(f"the calldata holds no record: {error.message}") from error
    return CalldataRecord(log_id=LogId(log_id), record=record, body=body)


def _wrong(reason: str) -> AnchorError:
    return AnchorError("anchor-format", reason)
