"""One record that is not a receipt, appended inside a transaction.

Spec:
    PROTOCOL.md REC-10, BODY-10.
"""

from __future__ import annotations

from nous_ledger.ledger.heads import earliest_time
from nous_ledger.ledger.model import NewLeaf, Tip
from nous_ledger.ledger.sequencer import grow
from nous_ledger.ledger.store import WriteTransaction
from nous_ledger.protocol.bodies import Redaction, check_body_in_record, encode_body
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.mmr import node_count
from nous_ledger.protocol.record import (
    TYPE_KEY,
    TYPE_REDACTION,
    decode_record,
    leaf_hash,
    sign_record,
)
from nous_ledger.protocol.signer import DigestSigner
from nous_ledger.protocol.types import Epoch, LeafIndex, LogId, UnixMillis


def append_single(
    transaction: WriteTransaction,
    body: KeyEvent | Redaction,
    *,
    key: DigestSigner,
    log_id: LogId,
    epoch: Epoch,
    now: int,
) -> Tip:
    """Append one record and return where the tree stands then.

    Args:
        transaction: what it is written with.
        body: body of the record.
        key: secp256k1 key of the epoch.
        log_id: 32 bytes.
        epoch: the key epoch of the record.
        now: milliseconds.

    Raises:
        BodyError: index-order, if the body speaks of records that come later.
    """
    tip = transaction.tip()
    record_type = TYPE_KEY if isinstance(body, KeyEvent) else TYPE_REDACTION
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
    return after
