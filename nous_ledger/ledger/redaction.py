"""Erasing bodies, and the notice that says so, in one transaction.

Spec:
    PROTOCOL.md RED-1, RED-2, BODY-10.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.ledger.heads import renew_head
from nous_ledger.ledger.identity import Identity, Signer
from nous_ledger.ledger.keychange import check_open
from nous_ledger.ledger.single import append_entry
from nous_ledger.ledger.store import View, WriteTransaction
from nous_ledger.protocol.bodies import Redaction, decode_body
from nous_ledger.protocol.errors import InputError, LedgerError, ProofError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_KEY, TYPE_REDACTION
from nous_ledger.protocol.types import LeafIndex

MAX_TOGETHER: Final = 4_096
"""Most bodies of one call."""
_MAX_INDICES: Final = 64
_KEPT: Final = {TYPE_KEY: "a key event", TYPE_REDACTION: "a redaction"}


def redact_bodies(
    transaction: WriteTransaction,
    identity: Identity,
    signer: Signer,
    *,
    indices: Sequence[int],
    reason: int,
    now: int,
) -> tuple[LeafIndex, ...]:
    """Erase bodies and log the notices; return the indices of the notices.

    Args:
        transaction: what they are erased and logged with.
        identity: the log.
        signer: its keys in force.
        indices: the leaves, in any order; at most 4,096.
        reason: number of the reason.
        now: milliseconds.

    Raises:
        InputError: no index, or too many.
        ProofError: proof-index, if the log has no such leaf.
        LedgerUseError: log-closed; not-erasable (a key event or redaction);
            already-erased.
    """
    check_open(identity)
    wanted = tuple(LeafIndex(index) for index in sorted(set(indices)))
    if not 1 <= len(wanted) <= MAX_TOGETHER:
        raise InputError("input", f"{len(wanted)} bodies are not 1..{MAX_TOGETHER}")
    transaction.erase({index: _receipt_id(transaction, index) for index in wanted})
    notices: list[LeafIndex] = []
    tip = transaction.tip()
    for first in range(0, len(wanted), _MAX_INDICES):
        notice = Redaction(
            salt=secrets.token_bytes(16),
            indices=wanted[first : first + _MAX_INDICES],
            reason=reason,
        )
        notices.append(LeafIndex(tip.leaf_count))
        _, tip = append_entry(
            transaction,
            notice,
            key=signer.secp256k1,
            log_id=identity.log_id,
            epoch=identity.epoch,
            now=now,
        )
    renew_head(transaction, tip, identity, signer, now)
    return tuple(notices)


def _receipt_id(view: View, index: LeafIndex) -> bytes | None:
    """Return the id of the receipt at a leaf that may be erased; None if it has none."""
    leaf_count = view.leaf_count()
    if not 0 <= index < leaf_count:
        raise ProofError("proof-index", f"the log has leaves 0..{leaf_count - 1}, not {index}")
    record_type = view.decoded(index).type
    if record_type in _KEPT:
        raise LedgerUseError(
            "not-erasable", f"record {index} is {_KEPT[record_type]}: it stays readable"
        )
    data = view.body(index)
    if not data:
        raise LedgerUseError("already-erased", f"the body of record {index} is gone already")
    try:
        body = decode_body(record_type, data)
    except LedgerError:
        return None  # damaged, and to be erased all the same
    return body.id if isinstance(body, Receipt) else None
