"""Statements and reconciliations, compared with the records that they speak of.

Spec:
    PROTOCOL.md sections "Reconciliation" and "Statement", RCON-1, LBL-6, and SENT-12, SENT-13.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nous_ledger.protocol.bodies import Reconciliation, decode_body
from nous_ledger.protocol.errors import BodyError, LabelError, LedgerError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.reconciled import check_reconciliation as check_fit
from nous_ledger.protocol.record import (
    SIGNED_LENGTH,
    TYPE_RECEIPT,
    TYPE_RECONCILIATION,
    TYPE_STATEMENT,
)
from nous_ledger.protocol.statement import Statement
from nous_ledger.protocol.statement_sums import StatementSums
from nous_ledger.protocol.types import LeafIndex
from sentinel.audit.codes import Place
from sentinel.audit.evidence import MAX_LEAVES
from sentinel.audit.findings import Finding


class Cited(NamedTuple):
    """A record that a claim speaks of.

    Attributes:
        leaf: where it stands.
        record: 120 bytes, as they are there.
        body: its body; None if it cannot be read.
    """

    leaf: LeafIndex
    record: bytes
    body: bytes | None


class SumRange(NamedTuple):
    """The receipts that a statement sums."""

    subject: bytes
    first_seq: int
    last_seq: int


def summed_range(body: bytes) -> SumRange:
    """Return which receipts a statement sums; its body was checked when it was audited."""
    statement = _statement(body)
    return SumRange(statement.subject, statement.first_seq, statement.last_seq)


def check_statement(
    leaf: LeafIndex, body: bytes, receipts: Iterable[Cited | None], *, complete: bool
) -> Finding | None:
    """Return what is wrong with a statement, or None.

    Args:
        leaf: where it stands.
        body: its body.
        receipts: the receipts of `summed_range` in order; None where one is not known.
        complete: whether every receipt of the log was read, so that one which is not
            known is not there.
    """
    statement, sums = _statement(body), StatementSums()
    leaves: list[LeafIndex] = []
    fits, last = True, b""
    for cited in receipts:
        receipt = None if cited is None or not cited.body else _receipt(cited.body)
        if cited is None or receipt is None:
            return _unsummed(leaf, missing=cited is None and complete)
        leaves.append(cited.leaf)
        fits &= sums.add(receipt) and cited.leaf < statement.count
        _, last = _type_and_hash(cited.record)
    if fits and last == statement.last_body_hash and sums.rows() == statement.rows:
        return None
    return Finding(
        place=Place.STATEMENT,
        code="statement-sums",
        message=f"the statement at leaf {leaf} differs from the {len(leaves)} receipts it sums",
        index=leaf,
        cites=(leaf, *leaves) if len(leaves) < MAX_LEAVES else (),
    )


def _unsummed(leaf: LeafIndex, *, missing: bool) -> Finding:
    if missing:
        text = f"the statement at leaf {leaf} sums receipts that the log does not have"
        return Finding(place=Place.STATEMENT, code="statement-range", message=text, index=leaf)
    text = f"the statement at leaf {leaf} sums receipts that cannot be read"
    return Finding(place=Place.STATEMENT, code="unproved", message=text, index=leaf)


def reconciled_leaf(body: bytes) -> LeafIndex:
    """Return the leaf that a reconciliation speaks of."""
    return LeafIndex(_reconciliation(body).index)


def check_reconciliation(leaf: LeafIndex, body: bytes, target: Cited) -> Finding | None:
    """Return what is wrong with a reconciliation, or None.

    Args:
        leaf: where it stands.
        body: its body.
        target: the record at `reconciled_leaf`.
    """
    claim = _reconciliation(body)
    type_, body_hash = _type_and_hash(target.record)
    if type_ != TYPE_RECEIPT or body_hash != claim.body_hash:
        text = f"the record at {target.leaf} is not the receipt that leaf {leaf} names"
        return _misfit("reference", leaf, text, target)
    receipt = None if not target.body else _receipt(target.body)
    if receipt is None:
        text = f"the receipt that the reconciliation at leaf {leaf} names cannot be read"
        return Finding(place=Place.RECONCILIATION, code="unproved", message=text, index=leaf)
    try:
        check_fit(claim, receipt)
    except (BodyError, LabelError) as error:
        return _misfit(
            error.code, leaf, f"the reconciliation at leaf {leaf}: {error.message}", target
        )
    return None


def _misfit(code: str, leaf: LeafIndex, message: str, target: Cited) -> Finding:
    return Finding(
        place=Place.RECONCILIATION,
        code=code,
        message=message,
        index=leaf,
        cites=(leaf, target.leaf),
    )


def _type_and_hash(record: bytes) -> tuple[int, bytes]:
    """Return type and body hash of 120 bytes, whatever else is wrong with them."""
    return int.from_bytes(record[1:3], "big"), record[23:SIGNED_LENGTH]


def _receipt(body: bytes) -> Receipt | None:
    """Return a receipt, or None if the body is none that breaks no rule."""
    try:
        decoded = decode_body(TYPE_RECEIPT, body)
    except LedgerError:
        return None
    return decoded if isinstance(decoded, Receipt) else None


def _statement(body: bytes) -> Statement:
    statement = decode_body(TYPE_STATEMENT, body)
    assert isinstance(statement, Statement), "its type says so"  # noqa: S101
    return statement


def _reconciliation(body: bytes) -> Reconciliation:
    reconciliation = decode_body(TYPE_RECONCILIATION, body)
    assert isinstance(reconciliation, Reconciliation), "its type says so"  # noqa: S101
    return reconciliation
