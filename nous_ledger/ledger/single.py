"""One record that is not a receipt, appended inside a transaction.

Spec:
    PROTOCOL.md REC-10, BODY-10.
"""

from __future__ import annotations

from typing import TypeAlias

from nous_ledger.ledger.growing import grow
from nous_ledger.ledger.heads import earliest_time
from nous_ledger.ledger.model import Entry, NewLeaf, Tip
from nous_ledger.ledger.store import WriteTransaction
from nous_ledger.protocol.bodies import (
    Binding,
    Reconciliation,
    Redaction,
    check_body_in_record,
    encode_body,
)
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.mmr import node_count
from nous_ledger.protocol.record import (
    TYPE_BINDING,
    TYPE_KEY,
    TYPE_RECONCILIATION,
    TYPE_REDACTION,
    TYPE_STATEMENT,
    decode_record,
    leaf_hash,
    sign_record,
)
from nous_ledger.protocol.signer import DigestSigner
from nous_ledger.protocol.statement import Statement
from nous_ledger.protocol.types import Epoch, LeafIndex, LogId, UnixMillis

Unplaced: TypeAlias = KeyEvent | Redaction | Reconciliation | Binding | Statement
"""A body of which the log decides the index and time, and nothing else."""

_TYPES = {
    KeyEvent: TYPE_KEY,
    Redaction: TYPE_REDACTION,
    Reconciliation: TYPE_RECONCILIATION,
    Binding: TYPE_BINDING,
    Statement: TYPE_STATEMENT,
}


def append_entry(
    transaction: WriteTransaction,
    body: Unplaced,
    *,
    key: DigestSigner,
    log_id: LogId,
    epoch: Epoch,
    now: int,
) -> tuple[Entry, Tip]:
    """Append one record and return it, and where the tree stands then.

    Args:
        transaction: what it is written with.
        body: body of the record.
        key: secp256k1 key of the epoch.
        log_id: 32 bytes.
        epoch: the key epoch of the record.
        now: milliseconds.

    Raises:
        EncodingError: limit, if the body is too long.
        BodyError: index-order, if the body speaks of records that come later; time-order,
            if it is logged after its own deadline. Nothing was written.
    """
    tip = transaction.tip()
    record_type = _TYPES[type(body)]
    data = encode_body(body)
    logged_at = UnixMillis(max(now, earliest_time(tip, transaction.last_head())))
    index = LeafIndex(tip.leaf_count)
    record = sign_record(
        key,
        log_id,
        type=record_type,
        epoch=epoch,
        index=index,
        logged_at=logged_at,
        body_hash=sha256(data),
    )
    check_body_in_record(body, decode_record(record))
    nodes, after = grow(tip, logged_at, [leaf_hash(record)])
    transaction.add_leaves([NewLeaf(index=index, type=record_type, record=record, body=data)])
    transaction.add_nodes(node_count(tip.leaf_count), nodes)
    return Entry(index=index, record=record, body=data), after
