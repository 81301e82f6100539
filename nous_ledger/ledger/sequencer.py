"""Gives records their index, time and place in a subject's chain, and signs them.

One call of `run` serves many callers in one transaction. Work that cannot be
logged fails by itself and leaves no trace; the rest goes on.

Spec:
    PROTOCOL.md REC-10, REC-11, REC-12, SUBJ-3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from nous_ledger.ledger.errors import KeyFileError, LedgerUseError
from nous_ledger.ledger.heads import earliest_time, renew_head
from nous_ledger.ledger.identity import Identity, Signer
from nous_ledger.ledger.model import (
    Appended,
    Clock,
    Draft,
    Intent,
    NewLeaf,
    SubjectHead,
    Tip,
)
from nous_ledger.ledger.store import WriteTransaction
from nous_ledger.protocol.bodies import encode_body
from nous_ledger.protocol.errors import InputError, LedgerError
from nous_ledger.protocol.hashing import raw_usage_hash, sha256
from nous_ledger.protocol.mmr import append_nodes, next_peaks, node_count
from nous_ledger.protocol.receipt import MAX_CLOCK_SKEW_MS, Receipt
from nous_ledger.protocol.record import TYPE_RECEIPT, leaf_hash, sign_record
from nous_ledger.protocol.registries import ANOMALY
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, UnixMillis

_CLOCK_CLAMPED: Final = ANOMALY["clock_clamped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptWork:
    """Log one receipt."""

    draft: Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendWork:
    """Log some receipts, all or none of them."""

    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentWork:
    """Note that a call was admitted."""

    intent: Intent


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadWork:
    """Give a head over all leaves."""


Work: TypeAlias = ReceiptWork | AppendWork | IntentWork | HeadWork
Outcome: TypeAlias = Any
"""In the order of the kinds of work: Appended, a tuple of Appended, None, the bytes of a head.
Or a LedgerError, for work that could not be done."""


class Sequencer:
    """Turns work into records, inside a transaction that someone else commits."""

    def __init__(self, identity: Identity, signer: Signer, clock: Clock) -> None:
        """Serve one log.

        Args:
            identity: the log.
            signer: its keys.
            clock: the time in milliseconds.
        """
        self._identity = identity
        self._signer = signer
        self._clock = clock

    def run(self, transaction: WriteTransaction, works: Sequence[Work]) -> list[Outcome]:
        """Return what became of each work once the transaction is durable.

        Raises:
            KeyFileError: key-mismatch, if another process changed the keys.
            StoreContentError: store-corrupt.
        """
        self._check_keys_in_force(transaction)
        tip = transaction.tip()
        now = self._clock()  # after the lock was taken: nobody logs in between
        earliest = earliest_time(tip, transaction.last_head())
        batch = _Batch(transaction, tip, now, earliest)
        closed = self._identity.closed
        outcomes: list[Outcome] = [_take(batch, work, closed=closed) for work in works]
        appended, tip = self._write(batch)
        for number, work in enumerate(works):
            if isinstance(work, HeadWork):
                head = renew_head(transaction, tip, self._identity, self._signer, now)
                outcomes[number] = head.note
            elif isinstance(outcomes[number], int):
                outcomes[number] = appended[outcomes[number]]
            elif isinstance(outcomes[number], range):
                outcomes[number] = tuple(appended[at] for at in outcomes[number])
        return outcomes

    def _check_keys_in_force(self, transaction: WriteTransaction) -> None:
        if transaction.key_events()[-1] != self._identity.key_event:
            raise KeyFileError(
                "key-mismatch",
                "the keys of the log were changed by another process",
                hint="open the ledger again",
            )

    def _write(self, batch: _Batch) -> tuple[list[Appended], Tip]:
        staged = batch.staged
        records = [self._sign(item, batch.logged_at) for item in staged]
        batch.transaction.put_subjects(batch.subjects)
        batch.transaction.add_leaves(
            [item.leaf(record) for item, record in zip(staged, records, strict=True)]
        )
        nodes, tip = grow(batch.tip, batch.logged_at, records)
        batch.transaction.add_nodes(node_count(batch.tip.leaf_count), nodes)
        appended = [
            Appended(index=item.index, record=record, body=item.body, receipt=item.receipt)
            for item, record in zip(staged, records, strict=True)
        ]
        return appended, tip

    def _sign(self, item: _Staged, logged_at: UnixMillis) -> bytes:
        return sign_record(
            self._signer.secp256k1,
            self._identity.log_id,
            type=TYPE_RECEIPT,
            epoch=self._identity.epoch,
            index=item.index,
            logged_at=logged_at,
            body_hash=item.body_hash,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Staged:
    """A receipt with everything but its signature."""

    index: LeafIndex
    receipt: Receipt
    body: bytes
    body_hash: Hash32
    draft: Draft

    def leaf(self, record: bytes) -> NewLeaf:
        return NewLeaf(
            index=self.index,
            type=TYPE_RECEIPT,
            record=record,
            body=self.body,
            receipt_id=self.receipt.id,
            opening_hash=self.draft.opening_hash,
            raw_usage=join_usage(self.draft.raw_usage),
        )


class _Batch:
    """The receipts of one transaction, in the order in which they will be logged."""

    def __init__(
        self, transaction: WriteTransaction, tip: Tip, now: int, earliest: UnixMillis
    ) -> None:
        self.transaction = transaction
        self.tip = tip
        self.logged_at = UnixMillis(max(now, earliest))
        self.staged: list[_Staged] = []
        self.subjects: dict[bytes, SubjectHead] = {}
        self._clamped = now < earliest
        self._ids: set[bytes] = set()

    def add(self, drafts: Iterable[Draft]) -> range:
        """Stage all receipts of one caller and return which they are; or none of them."""
        first = len(self.staged)
        staged: list[_Staged] = []
        chains: dict[bytes, SubjectHead] = {}
        ids: set[bytes] = set()
        for draft in drafts:
            receipt_id, subject = draft.receipt.id, draft.receipt.subject
            self._check_new(receipt_id, ids)
            chain = chains.get(subject) or self._chain(subject)
            index = LeafIndex(self.tip.leaf_count + first + len(staged))
            item = self._stage(draft, index, chain)
            staged.append(item)
            ids.add(receipt_id)
            chains[subject] = SubjectHead(
                next_seq=chain.next_seq + 1, last_body_hash=item.body_hash
            )
        self.staged += staged
        self.subjects |= chains
        self._ids |= ids
        return range(first, len(self.staged))

    def begin(self, intent: Intent) -> None:
        """Store the intent of one call."""
        receipt_id = intent.draft.id
        self._check_new(receipt_id, ())
        if self.transaction.has_intent(receipt_id):
            raise LedgerUseError("duplicate-receipt", f"the call {receipt_id.hex()} began before")
        draft = encode_body(intent.draft)
        self.transaction.add_intent(receipt_id, draft, intent.opening_hash)

    def _check_new(self, receipt_id: bytes, others: Iterable[bytes]) -> None:
        known = receipt_id in self._ids or receipt_id in others
        if known or self.transaction.find_receipt(receipt_id) is not None:
            raise LedgerUseError("duplicate-receipt", f"the receipt {receipt_id.hex()} is logged")

    def _chain(self, subject: bytes) -> SubjectHead:
        return self.subjects.get(subject) or self.transaction.subject(subject)

    def _stage(self, draft: Draft, index: LeafIndex, chain: SubjectHead) -> _Staged:
        receipt = self._placed(draft.receipt, chain)
        body = encode_body(receipt)
        return _Staged(index=index, receipt=receipt, body=body, body_hash=sha256(body), draft=draft)

    def _placed(self, receipt: Receipt, chain: SubjectHead) -> Receipt:
        place: dict[str, Any] = {
            "subject_seq": chain.next_seq,
            "subject_prev": chain.last_body_hash,
        }
        too_late = receipt.time > self.logged_at + MAX_CLOCK_SKEW_MS
        if too_late:  # the clock was set back during the call, which must not cost its receipt
            place["time"] = self.logged_at
        if too_late or self._clamped:
            place["anomalies"] = tuple(sorted({*(receipt.anomalies or ()), _CLOCK_CLAMPED}))
        return replace(receipt, **place)


def grow(tip: Tip, logged_at: UnixMillis, records: Iterable[bytes]) -> tuple[list[Hash32], Tip]:
    """Return the nodes that new records add to a tree, and where it stands then.

    Args:
        tip: the tree before.
        logged_at: time of the records, milliseconds.
        records: 120 bytes each, in the order of the log.
    """
    count, peaks = tip.leaf_count, tip.peaks
    added: list[Hash32] = []
    for record in records:
        nodes = append_nodes(count, leaf_hash(record), peaks)
        peaks = next_peaks(peaks, nodes)
        count = LeafCount(count + 1)
        added += nodes
    last = logged_at if added else tip.logged_at
    return added, Tip(leaf_count=count, logged_at=last, peaks=peaks)


def join_usage(values: Sequence[bytes]) -> bytes:
    """Return usage values in one piece, each after its length: what their hash is over."""
    return b"".join(len(value).to_bytes(4, "big") + value for value in values)


def split_usage(data: bytes) -> tuple[bytes, ...]:
    """Return the values that `join_usage` joined."""
    values: list[bytes] = []
    while data:
        length = int.from_bytes(data[:4], "big")
        values.append(data[4 : 4 + length])
        data = data[4 + length :]
    return tuple(values)


def check_draft(draft: Draft) -> Draft:
    """Return the draft if what is stored beside its receipt belongs to it.

    Raises:
        InputError: the usage values do not hash to the receipt's raw_usage_hash.
    """
    if draft.raw_usage and raw_usage_hash(draft.raw_usage) != draft.receipt.raw_usage_hash:
        raise InputError("input", "the usage values are not those that the receipt names")
    return draft


def _take(batch: _Batch, work: Work, *, closed: bool) -> int | range | LedgerError | None:
    """Put work into a batch; what cannot be logged is returned as its error."""
    if closed and not isinstance(work, HeadWork):
        return LedgerUseError("log-closed", "the log was closed: nothing can be appended to it")
    try:
        if isinstance(work, ReceiptWork):
            return batch.add((work.draft,)).start
        if isinstance(work, AppendWork):
            return batch.add(work.drafts)
        if isinstance(work, IntentWork):
            batch.begin(work.intent)
    except LedgerError as error:
        return error
    return None
