"""Gives records their index, time and place in a subject's chain, and signs them.

One call of `run` serves many callers in one transaction; `staging` puts their
receipts in order, `signing_pool` signs them on two cores.

Spec:
    PROTOCOL.md REC-10, REC-11, REC-12, SUBJ-3.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from nous_ledger.ledger.errors import KeyFileError, LedgerUseError
from nous_ledger.ledger.heads import earliest_time, renew_head
from nous_ledger.ledger.identity import Identity, Signer
from nous_ledger.ledger.model import Appended, Clock, Draft, Intent, Tip
from nous_ledger.ledger.signing_pool import ReceiptSigning, SigningPool
from nous_ledger.ledger.staging import Batch
from nous_ledger.ledger.store import WriteTransaction
from nous_ledger.protocol.errors import InputError, LedgerError
from nous_ledger.protocol.hashing import raw_usage_hash
from nous_ledger.protocol.mmr import hash_children, node_count
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, UnixMillis
from nous_ledger.protocol.values import value


@value
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


_WORTH_OVERLAP: Final = 512
"""Receipts from which on the helper signs while the store works.

With few, the store would wait longer for its turns beside the helper than it works.
"""


class Sequencer:
    """Turns work into records, inside a transaction that someone else commits.

    Attributes:
        tip: where the log stands after the last run, if that was committed.
    """

    def __init__(
        self, identity: Identity, signer: Signer, clock: Clock, pool: SigningPool | None = None
    ) -> None:
        """Serve one log.

        Args:
            identity: the log.
            signer: its keys.
            clock: the time in milliseconds.
            pool: helps to sign; None for no help.
        """
        self._identity = identity
        self._signer = signer
        self._clock = clock
        self._pool = pool
        self.tip = Tip(leaf_count=LeafCount(0), logged_at=UnixMillis(0), peaks=())

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
        drafts = [draft for work in works for draft in _drafts_of(work)]
        batch = Batch(transaction, drafts, now=now, tip=tip, earliest=earliest)
        closed = self._identity.closed
        outcomes: list[Outcome] = [_take(batch, work, closed=closed) for work in works]
        appended, tip = self._write(batch)
        self.tip = tip
        for number, work in enumerate(works):
            if isinstance(work, HeadWork):
                head = renew_head(transaction, tip, self._identity, self._signer, now)
                outcomes[number] = head.note
            elif isinstance(outcomes[number], range):
                logged = tuple([appended[at] for at in outcomes[number]])
                outcomes[number] = logged[0] if isinstance(work, ReceiptWork) else logged
        return outcomes

    def _check_keys_in_force(self, transaction: WriteTransaction) -> None:
        if transaction.key_events()[-1] != self._identity.key_event:
            raise KeyFileError(
                "key-mismatch",
                "the keys of the log were changed by another process",
                hint="open the ledger again",
            )

    def _write(self, batch: Batch) -> tuple[list[Appended], Tip]:
        if not batch.receipts:
            return [], batch.tip
        transaction, first = batch.transaction, LeafIndex(batch.tip.leaf_count)
        with self._signing(batch) as signing:
            if len(batch.receipts) >= _WORTH_OVERLAP:
                self._start_helper(signing)
            transaction.put_subjects(batch.subjects)
            transaction.add_receipts(first, batch.receipts)
            self._start_helper(signing)
            records, leaves = signing.finish()
        nodes, tip = grow(batch.tip, batch.logged_at, leaves)
        transaction.add_records(first, records)
        transaction.add_nodes(node_count(batch.tip.leaf_count), nodes)
        pairs = zip(records, batch.receipts, strict=True)
        appended = [
            Appended(index=LeafIndex(index), record=record, body=receipt.body)
            for index, (record, receipt) in enumerate(pairs, first)
        ]
        return appended, tip

    @contextlib.contextmanager
    def _signing(self, batch: Batch) -> Iterator[ReceiptSigning]:
        first = LeafIndex(batch.tip.leaf_count)
        signing = ReceiptSigning(self._identity, self._signer, first, batch.logged_at, batch.hashes)
        try:
            yield signing
        finally:
            signing.stop()

    def _start_helper(self, signing: ReceiptSigning) -> None:
        if self._pool is not None and signing.helper is None:
            self._pool.start(signing)


def grow(tip: Tip, logged_at: UnixMillis, leaves: Sequence[Hash32]) -> tuple[list[Hash32], Tip]:
    """Return the nodes that new leaves add to a tree, and where it stands then.

    Spec:
        PROTOCOL.md MMR-5.

    Args:
        tip: the tree before.
        logged_at: time of the records, milliseconds.
        leaves: leaf hashes of the records, in the order of the log.
    """
    count, peaks = tip.leaf_count, list(tip.peaks)
    added: list[Hash32] = []
    for before, leaf in enumerate(leaves, count):
        number, node = before, leaf
        added.append(node)
        while number & 1:  # each trailing one bit of the count is a peak as tall as the node
            node = hash_children(peaks.pop(), node)
            added.append(node)
            number >>= 1
        peaks.append(node)
    last = logged_at if added else tip.logged_at
    return added, Tip(leaf_count=LeafCount(count + len(leaves)), logged_at=last, peaks=tuple(peaks))


def check_draft(draft: Draft) -> Draft:
    """Return the draft if what is stored beside its receipt belongs to it.

    Raises:
        InputError: the usage values do not hash to the receipt's raw_usage_hash.
    """
    if draft.raw_usage and raw_usage_hash(draft.raw_usage) != draft.receipt.raw_usage_hash:
        raise InputError("input", "the usage values are not those that the receipt names")
    return draft


def _drafts_of(work: Work) -> tuple[Draft, ...]:
    if isinstance(work, ReceiptWork):
        return (work.draft,)
    return work.drafts if isinstance(work, AppendWork) else ()


def _take(batch: Batch, work: Work, *, closed: bool) -> range | LedgerError | None:
    """Put work into a batch; what cannot be logged is returned as its error."""
    if closed and not isinstance(work, HeadWork):
        return LedgerUseError("log-closed", "the log was closed: nothing can be appended to it")
    try:
        if isinstance(work, IntentWork):
            batch.begin(work.intent)
        elif not isinstance(work, HeadWork):
            return batch.add(_drafts_of(work))
    except LedgerError as error:
        return error
    return None
