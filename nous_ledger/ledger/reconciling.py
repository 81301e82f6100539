"""Later evidence for receipts: found by receipt, and never logged twice.

Nothing is stored beside the log: a book in memory follows its records of type 2, about
a hundred bytes for each. Inside a write transaction what it does not know yet is read
once more, so that of two processes that attach the same evidence one logs it.

Spec:
    PROTOCOL.md, section "Reconciliation" (RCON-*), LBL-6.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.ledger.store import View
from nous_ledger.protocol.bodies import Reconciliation, decode_body, encode_body
from nous_ledger.protocol.errors import InputError, LedgerError, UnavailableError
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.reconciled import (
    CHECKED,
    Evidence,
    check_reconciliation,
    counting_evidence,
    usage_after,
)
from nous_ledger.protocol.record import TYPE_RECEIPT, TYPE_RECONCILIATION, decode_record
from nous_ledger.protocol.types import LeafIndex
from nous_ledger.protocol.values import value

MAX_RECONCILED: Final = 256
"""Most reconciliations of one transaction, so that others who write need not wait long."""
_AT_A_TIME: Final = 512


@value
class Reconciled:
    """A receipt beside what was logged of it later.

    Attributes:
        claims: leaf and body of each reconciliation that names it, in the order of the log.
        evidence: what counts of them.
    """

    claims: tuple[tuple[LeafIndex, Reconciliation], ...]
    evidence: tuple[Evidence, ...]

    def relabelled(self, receipt: Receipt) -> Receipt:
        """Return the receipt with the buckets that count now; it was never logged so."""
        usage = tuple(bucket for bucket, _ in usage_after(receipt, self.evidence))
        return replace(receipt, usage=usage or None)


class EvidenceBook:
    """Follows the reconciliations of one log, for any thread."""

    def __init__(self) -> None:
        """Know of none yet."""
        self._upto = 0
        self._last: dict[int, int] = {}  # receipt to its latest reconciliation
        self._before: dict[int, int] = {}  # reconciliation to the one before it
        self._lock = threading.Lock()

    def follow(self, view: View) -> None:
        """Take in what was committed since.

        Args:
            view: a snapshot of what is durable.
        """
        with self._lock:
            end = view.leaf_count()
            for leaf, named in _named(view, self._upto, end):
                if named in self._last:
                    self._before[leaf] = self._last[named]
                self._last[named] = leaf
            self._upto = max(end, self._upto)  # another thread may have had a newer view

    def named(self) -> tuple[LeafIndex, ...]:
        """Return the receipts that have reconciliations, as far as the log was followed."""
        with self._lock:
            return tuple(map(LeafIndex, sorted(self._last)))

    def leaves_of(self, index: int) -> tuple[LeafIndex, ...]:
        """Return the reconciliations of a receipt, as far as the log was followed."""
        found = []
        with self._lock:
            at = self._last.get(index)
            while at is not None:
                found.append(LeafIndex(at))
                at = self._before.get(at)
        return tuple(reversed(found))

    def new_ones(
        self, claims: Sequence[Reconciliation], view: View
    ) -> tuple[Reconciliation | None, ...]:
        """Return those claims that say something new, None in the place of each other.

        Args:
            claims: what is to be logged.
            view: the transaction that would log it.

        Raises:
            LedgerError: as `Ledger.append_reconciliations`.
        """
        later: dict[int, list[LeafIndex]] = {}
        for leaf, named in _named(view, self._upto, view.leaf_count()):
            later.setdefault(named, []).append(leaf)
        kept: list[Reconciliation | None] = []
        for claim in claims:
            leaves = (*self.leaves_of(claim.index), *later.get(claim.index, ()))
            own = [one for one in kept if one is not None and one.index == claim.index]
            kept.append(_if_new(claim, view, leaves, own))
        return tuple(kept)


def read_reconciled(
    view: View, receipt: Receipt, body_hash: bytes, leaves: Iterable[LeafIndex]
) -> Reconciled:
    """Return what some reconciliations say of a receipt.

    Args:
        view: what is read from.
        receipt: the receipt.
        body_hash: of its body, 32 bytes.
        leaves: reconciliations that name its leaf.
    """
    claims = tuple((leaf, body) for leaf in leaves if (body := _read(view, leaf)) is not None)
    evidence = counting_evidence(receipt, body_hash, claims)
    return Reconciled(claims=claims, evidence=evidence)


def _named(view: View, lo: int, hi: int) -> Iterator[tuple[LeafIndex, int]]:
    """Yield the reconciliations among some leaves, and the leaf that each names."""
    while leaves := view.leaves_of_type(TYPE_RECONCILIATION, lo, hi, _AT_A_TIME):
        for leaf in leaves:
            body = _read(view, leaf)
            if body is not None:
                yield leaf, body.index
        lo = leaves[-1] + 1


def _read(view: View, leaf: LeafIndex) -> Reconciliation | None:
    """Return a body; None if it was erased or is damaged."""
    data = view.body(leaf)
    try:
        body = decode_body(TYPE_RECONCILIATION, data) if data else None
    except LedgerError:
        return None
    return body if isinstance(body, Reconciliation) else None


def _if_new(
    claim: Reconciliation, view: View, leaves: Iterable[LeafIndex], own: Sequence[Reconciliation]
) -> Reconciliation | None:
    encode_body(claim)  # too long a one is found before anything is written
    receipt = _receipt_of(claim, view)
    check_reconciliation(claim, receipt)
    known = read_reconciled(view, receipt, claim.body_hash, leaves).claims
    end = LeafIndex(view.leaf_count())
    evidence = counting_evidence(receipt, claim.body_hash, (*known, *((end, one) for one in own)))
    new = [b for b in claim.usage if not _is_known(b, claim.source or "", receipt, evidence)]
    return replace(claim, usage=tuple(new)) if new else None


def _receipt_of(claim: Reconciliation, view: View) -> Receipt:
    """Return the receipt that a claim names."""
    if claim.index >= view.leaf_count():
        raise InputError("input", f"the log has no record {claim.index}")
    data, body = view.record_and_body(LeafIndex(claim.index))
    record = decode_record(data)
    if record.type != TYPE_RECEIPT or record.body_hash != claim.body_hash:
        raise InputError("input", f"record {claim.index} is not the receipt that is named")
    if not body:
        raise UnavailableError("withheld", f"the body of receipt {claim.index} was erased")
    receipt = decode_body(TYPE_RECEIPT, body)
    assert isinstance(receipt, Receipt)  # noqa: S101 - by the type asked for
    return receipt


def _is_known(bucket: Bucket, source: str, receipt: Receipt, evidence: Sequence[Evidence]) -> bool:
    """Return whether a bucket says nothing new; refuse one that is weaker than what it denies."""
    if bucket in (receipt.usage or ()):
        return True
    of_method = ((e.bucket.kind, e.bucket.method) == (bucket.kind, bucket.method) for e in evidence)
    before = next((e for e, same in zip(evidence, of_method, strict=True) if same), None)
    checked = source.endswith(CHECKED)
    if before is None:
        return False
    if before.bucket == bucket:
        return before.is_checked or not checked
    if before.is_checked and not checked:
        raise LedgerUseError(
            "already-reconciled",
            f"the evidence at leaf {before.index}, whose text was checked, says otherwise",
        )
    return False
