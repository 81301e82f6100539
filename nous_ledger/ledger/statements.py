"""Statements: the sums over a range of one subject's receipts.

Spec:
    PROTOCOL.md, section "Statement" (STMT-*).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from nous_ledger.ledger.errors import StoreContentError
from nous_ledger.ledger.model import Entry
from nous_ledger.ledger.store import Store
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.errors import InputError, UnavailableError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_RECEIPT, decode_record
from nous_ledger.protocol.statement import Statement
from nous_ledger.protocol.statement_sums import StatementSums
from nous_ledger.protocol.types import LeafCount, LeafIndex, SubjectId

MAX_STATED: Final = 10_000
"""Most receipts of one statement; more are for the next one."""
_AT_A_TIME: Final = 256


def draft_statement(
    store: Store,
    subject: SubjectId,
    first_seq: int,
    leaves: Sequence[LeafIndex],
    *,
    count: LeafCount,
    salt: bytes,
) -> Statement:
    """Return the statement over some consecutive receipts of a subject, not logged yet.

    It ends before the first receipt that does not fit: see `StatementSums.add`. The
    database is not held while receipts are added up, and memory stays bounded.

    Args:
        store: the store.
        subject: whose receipts, 32 bytes.
        first_seq: subject_seq of the first of them.
        leaves: where they stand, in the order of the chain; 1..10,000.
        count: leaves of the head that the statement names; all of `leaves` lie below it.
        salt: 16 random bytes.

    Raises:
        InputError: no receipt, or too many; one lies beyond the head.
        UnavailableError: withheld, if a body was erased; its subject_seq is the
            attribute `subject_seq`.
        StoreContentError: subject-chain, if they do not form the subject's chain.
    """
    if not 1 <= len(leaves) <= MAX_STATED or leaves[-1] >= count:
        raise InputError("input", f"a statement is over 1..{MAX_STATED} receipts below its head")
    sums = StatementSums()
    last_hash: bytes | None = None
    for seq, entry in enumerate(_entries(store, leaves), first_seq):
        receipt = _receipt_in_chain(entry, subject, seq, last_hash)
        if not sums.add(receipt):
            break
        last_hash = decode_record(entry.record).body_hash
    if last_hash is None:
        raise InputError("input", "one receipt alone does not fit a statement")
    return Statement(
        salt=salt,
        subject=subject,
        first_seq=first_seq,
        last_seq=first_seq + sums.calls - 1,
        last_body_hash=last_hash,
        count=count,
        rows=sums.rows(),
    )


def _entries(store: Store, leaves: Sequence[LeafIndex]) -> Iterator[Entry]:
    for start in range(0, len(leaves), _AT_A_TIME):
        with store.read() as view:
            found = [
                Entry(index=leaf, record=view.record(leaf), body=view.body(leaf))
                for leaf in leaves[start : start + _AT_A_TIME]
            ]
        yield from found


def _receipt_in_chain(entry: Entry, subject: bytes, seq: int, previous: bytes | None) -> Receipt:
    if not entry.body:
        raise UnavailableError(
            "withheld",
            f"the body of receipt {seq} was erased, so no statement can be made over it",
            subject_seq=seq,
        )
    receipt = decode_body(TYPE_RECEIPT, entry.body)
    linked = (
        isinstance(receipt, Receipt)
        and (receipt.subject, receipt.subject_seq) == (subject, seq)
        and previous in (None, receipt.subject_prev)
    )
    if not linked or not isinstance(receipt, Receipt):
        raise StoreContentError(
            "subject-chain", f"record {entry.index} is not receipt {seq} of its subject"
        )
    return receipt
