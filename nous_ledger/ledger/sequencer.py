"""Gives records their index, time and place in a subject's chain, and signs them.

One call of `run` serves many callers in one transaction; `staging` puts their
receipts in order, `signing_pool` signs them on two cores.

Spec:
    PROTOCOL.md REC-10, REC-11, REC-12, SUBJ-3.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import nullcontext
from typing import Final

from nous_ledger.ledger.errors import (
    KeyFileError,
    LedgerUseError,
    SignerError,
    StoreContentError,
    StoreError,
)
from nous_ledger.ledger.growing import grow
from nous_ledger.ledger.heads import earliest_time, renew_head
from nous_ledger.ledger.identity import Identity, Signer
from nous_ledger.ledger.model import (
    Appended,
    Clock,
    Draft,
    Entry,
    SubjectHead,
    Tip,
    new_appended,
)
from nous_ledger.ledger.signing_pool import ReceiptSigning, SigningPool
from nous_ledger.ledger.single import Unplaced, append_entry
from nous_ledger.ledger.staging import Batch
from nous_ledger.ledger.store import WriteTransaction
from nous_ledger.ledger.work import (
    AppendWork,
    HeadWork,
    IntentWork,
    Outcome,
    RecordsWork,
    RecordWork,
    Work,
)
from nous_ledger.protocol.bodies import encode_body
from nous_ledger.protocol.errors import InputError, LedgerError
from nous_ledger.protocol.hashing import raw_usage_hash
from nous_ledger.protocol.mmr import node_count
from nous_ledger.protocol.types import LeafCount, LeafIndex, UnixMillis

_MAX_CHAINS: Final = 8_192
"""Ends of subjects' chains that are remembered from run to run, but for those of one run."""
_OTHER_RECORDS: Final = frozenset({RecordWork, RecordsWork})
_STEP: Final = 1_024
"""Receipts that are stored at once, while the last of them are being signed."""


class Sequencer:
    """Turns work into records, inside a transaction that someone else commits.

    Attributes:
        tip: where the log stands after the last run, if that was committed.
    """

    def __init__(
        self,
        identity: Identity,
        signer: Signer,
        clock: Clock,
        pool: SigningPool | None = None,
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
        self._led_to: Hashable = None  # what the tip and these ends of chains belong to
        self._chains: dict[bytes, SubjectHead] = {}

    def run(self, transaction: WriteTransaction, works: Sequence[Work]) -> list[Outcome]:
        """Return what became of each work once the transaction is durable.

        Raises:
            KeyFileError: key-mismatch, if another process changed the keys.
            StoreContentError: store-corrupt.
        """
        self._check_keys_in_force(transaction)
        tip = self._find_tip(transaction)
        now = self._clock()  # after the lock was taken: nobody logs in between
        earliest = earliest_time(tip, transaction.last_head())
        kinds = {*map(type, works)}
        drafts = _drafts_among(works, kinds)
        batch = Batch(transaction, drafts, now=now, tip=tip, earliest=earliest, chains=self._chains)
        outcomes = self._take_all(batch, works)
        appended, tip = self._write(batch)
        if not kinds.isdisjoint(_OTHER_RECORDS):
            for number, work in enumerate(works):
                if isinstance(work, RecordWork | RecordsWork) and outcomes[number] is None:
                    outcomes[number], tip = self._log(transaction, work, tip, now)
        self.tip, self._led_to = tip, transaction.leads_to
        self._chains |= batch.subjects
        if HeadWork in kinds:
            note = self._head(transaction, tip, now)  # all of one group share it
            outcomes = [
                note if isinstance(work, HeadWork) else outcome
                for work, outcome in zip(works, outcomes, strict=True)
            ]
        return [
            outcome if outcome is None else _of_receipts(outcome, appended) for outcome in outcomes
        ]

    def _take_all(self, batch: Batch, works: Sequence[Work]) -> list[Outcome]:
        """Put all work into a batch; what cannot be logged is returned as its error."""
        if intents := [work.intent for work in works if type(work) is IntentWork]:
            batch.expect_calls(intents)
        closed = self._identity.closed
        outcomes = [_take(batch, work, closed=closed) for work in works]
        batch.store_calls()
        return outcomes

    def _find_tip(self, transaction: WriteTransaction) -> Tip:
        """Return where the log stands: read anew unless nobody wrote since the last run."""
        if self.follows_on(transaction) and len(self._chains) <= _MAX_CHAINS:
            return self.tip
        self._chains.clear()
        return transaction.tip()

    def _head(self, transaction: WriteTransaction, tip: Tip, now: int) -> bytes | SignerError:
        """Return a head; what was appended beside it is logged though none can be signed."""
        try:
            return renew_head(transaction, tip, self._identity, self._signer, now).note
        except SignerError as error:
            return error

    def follows_on(self, transaction: WriteTransaction) -> bool:
        """Return whether nobody has written since the last run, so that its keys are in force."""
        return transaction.follows == self._led_to

    def _check_keys_in_force(self, transaction: WriteTransaction) -> None:
        if not self.follows_on(transaction) and (
            transaction.key_events()[-1] != self._identity.key_event
        ):
            raise KeyFileError(
                "key-mismatch",
                "the keys of the log were changed by another process",
                hint="open the ledger again",
            )

    def _write(self, batch: Batch) -> tuple[list[Appended], Tip]:
        """Sign and store all receipts; what can be is stored while others sign."""
        signing = ReceiptSigning(self._identity, self._signer, batch)
        tip, before = batch.tip, _Step(batch, 0, 0)
        for start in range(0, len(batch.drafts), _STEP):
            step = _Step(batch, start, min(start + _STEP, len(batch.drafts)))
            lending = None if self._pool is None else self._pool.begin(signing, step.end)
            if lending is None:
                self._sign(signing, step.end)
            with lending or nullcontext():
                tip = before.store_records(signing, tip)
                step.store_receipts()
            before = step
        tip = before.store_records(signing, tip)
        pairs = zip(signing.records, batch.bodies, strict=True)
        appended = [
            new_appended(index=LeafIndex(index), record=record, body=body)
            for index, (record, body) in enumerate(pairs, batch.tip.leaf_count)
        ]
        return appended, tip

    def _log(
        self, transaction: WriteTransaction, work: RecordWork | RecordsWork, tip: Tip, now: int
    ) -> tuple[Outcome, Tip]:
        """Log what is no receipt; what may not be logged is returned as its error."""
        try:
            if isinstance(work, RecordWork):
                work.check(transaction)
                return self._log_one(transaction, work.body, now)
            bodies = work.choose(transaction)
            for body in bodies:
                if body is not None:
                    encode_body(body)  # what cannot be is found before anything is written
        except (StoreError, StoreContentError, SignerError):
            raise  # the transaction as a whole cannot be relied on
        except LedgerError as error:
            return error, tip
        entries: list[Entry | None] = [None] * len(bodies)
        for number, body in enumerate(bodies):
            if body is not None:
                entries[number], tip = self._log_one(transaction, body, now)
        return tuple(entries), tip

    def _log_one(
        self, transaction: WriteTransaction, body: Unplaced, now: int
    ) -> tuple[Entry, Tip]:
        return append_entry(
            transaction,
            body,
            key=self._signer.secp256k1,
            log_id=self._identity.log_id,
            epoch=self._identity.epoch,
            now=now,
        )

    def _sign(self, signing: ReceiptSigning, end: int) -> None:
        if self._pool is None:
            signing.sign_until(end)
        else:
            self._pool.sign(signing, end)


class _Step:
    """Some receipts of a batch that follow each other, to be signed and stored."""

    def __init__(self, batch: Batch, start: int, end: int) -> None:
        """Take the receipts `[start, end)`."""
        self.end = end
        self._batch = batch
        self._start = start
        self._first = LeafIndex(batch.tip.leaf_count + start)

    def store_receipts(self) -> None:
        """Store what does not depend on their signatures."""
        receipts = self._batch.receipts(self._start, self.end)
        self._batch.transaction.add_receipts(self._first, receipts)
        if self.end == len(self._batch.drafts):
            self._batch.transaction.put_subjects(self._batch.subjects)

    def store_records(self, signing: ReceiptSigning, before: Tip) -> Tip:
        """Store what depends on them; return where the log stands after them."""
        if self.end == self._start:
            return before
        leaves = signing.leaves[self._start : self.end]
        records = signing.records[self._start : self.end]
        assert b"" not in records, "every receipt is signed"  # noqa: S101
        nodes, tip = grow(before, self._batch.logged_at, leaves)
        transaction = self._batch.transaction
        transaction.add_records(self._first, records)
        transaction.add_nodes(node_count(before.leaf_count), nodes)
        return tip


def check_draft(draft: Draft) -> Draft:
    """Return the draft if what is stored beside its receipt belongs to it.

    Raises:
        InputError: the usage values do not hash to the receipt's raw_usage_hash.
    """
    # Of more than the limits allow there is no hash, which no receipt can name.
    named = draft.receipt.raw_usage_hash
    if draft.raw_usage and (named is None or raw_usage_hash(draft.raw_usage) != named):
        raise InputError("input", "the usage values are not those that the receipt names")
    return draft


def _drafts_among(works: Sequence[Work], kinds: set[type[Work]]) -> list[Draft]:
    """Return all drafts of some work; most come one by one."""
    if AppendWork not in kinds:
        return [work for work in works if type(work) is Draft]
    drafts: list[Draft] = []
    for work in works:
        if isinstance(work, Draft):
            drafts.append(work)
        elif isinstance(work, AppendWork):
            drafts += work.drafts
    return drafts


def _of_receipts(outcome: Outcome, appended: Sequence[Appended]) -> Outcome:
    """Return an outcome with receipts in place of their numbers."""
    if type(outcome) is int:
        return appended[outcome]
    return tuple(appended[outcome.start : outcome.stop]) if type(outcome) is range else outcome


def _take(batch: Batch, work: Work, *, closed: bool) -> Outcome:
    """Put work into a batch; what cannot be logged is returned as its error."""
    if closed and not isinstance(work, HeadWork):
        return LedgerUseError("log-closed", "the log was closed: nothing can be appended to it")
    try:
        if isinstance(work, Draft):
            return batch.add_one(work)
        if isinstance(work, AppendWork):
            return batch.add(work.drafts)
        if isinstance(work, IntentWork):
            batch.begin(work.intent)
    except LedgerError as error:
        return error
    return None
