"""What a ledger offers to those who append to it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Final

from nous_ledger.ledger.bindings import BindingBook, Bound
from nous_ledger.ledger.committer import GroupCommitter
from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.ledger.guard import Guard
from nous_ledger.ledger.heads import is_due
from nous_ledger.ledger.identity import Identity, Signer
from nous_ledger.ledger.lifecycle import LedgerLife
from nous_ledger.ledger.model import Appended, Clock, Draft, Entry, Intent, check_fits
from nous_ledger.ledger.reconciling import MAX_RECONCILED
from nous_ledger.ledger.replies import Reply
from nous_ledger.ledger.sequencer import check_draft
from nous_ledger.ledger.statements import draft_statement
from nous_ledger.ledger.store import Store, View
from nous_ledger.ledger.work import (
    AppendWork,
    HeadWork,
    IntentWork,
    RecordsWork,
    RecordWork,
    Work,
)
from nous_ledger.protocol.accuracy import verify_binding
from nous_ledger.protocol.bodies import Binding, Reconciliation
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import Hash32, LeafIndex, SubjectId

MAX_TOGETHER: Final = 4_096
"""Most receipts of one `append_many`."""


class LedgerAppender(LedgerLife):
    """A ledger that takes in receipts, intents and wishes for a head, from any thread."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        identity: Identity,
        signer: Signer | None,
        clock: Clock,
        *,
        guard: Guard | None = None,
    ) -> None:
        """Take over an open store; without a signer it is only read."""
        super().__init__(folder, store, identity, signer, clock, guard=guard)
        self._committer = None if signer is None else GroupCommitter(self._run)
        self._bindings = BindingBook(self.log_id)

    def append(
        self,
        draft: Receipt,
        *,
        opening_hash: bytes | None = None,
        raw_usage: Sequence[bytes] = (),
    ) -> Appended:
        """Log one receipt and return it once it is durable.

        The intent of the same id, if there is one, is fulfilled by the same
        transaction. Index, time, subject_seq and subject_prev are assigned here.

        Args:
            draft: the receipt; what it says of its place in the chain is replaced.
            opening_hash: what is kept of the call's opening, 32 bytes.
            raw_usage: the values that raw_usage_hash is over.

        Raises:
            InputError: opening_hash or raw_usage do not fit the receipt.
            EncodingError: limit, if the body is too long.
            LedgerUseError: duplicate-receipt, with the attribute `index` if this very
                receipt is logged there; read-only, log-closed, closed, other-process.
            StoreError: overloaded; or the database could not be written. Of store-io
                nobody knows whether the receipt was logged: try again, and see
                duplicate-receipt.
        """
        work = self.append_work(draft, opening_hash=opening_hash, raw_usage=raw_usage)
        appended: Appended = self._committing().do(work)
        return appended

    def append_receipt(
        self,
        draft: Receipt,
        *,
        opening_hash: bytes | None = None,
        raw_usage: Sequence[bytes] = (),
    ) -> Appended:
        """Do as `append`, its other name."""
        return self.append(draft, opening_hash=opening_hash, raw_usage=raw_usage)

    def submit_receipt(
        self,
        draft: Receipt,
        *,
        opening_hash: bytes | None = None,
        raw_usage: Sequence[bytes] = (),
    ) -> Future[Appended]:
        """Return at once what `append` will return, for `asyncio.wrap_future`.

        Raises:
            InputError: opening_hash or raw_usage do not fit the receipt.
            EncodingError: limit.
            LedgerUseError: read-only, closed, other-process.
            StoreError: overloaded.
        """
        work = self.append_work(draft, opening_hash=opening_hash, raw_usage=raw_usage)
        return self._committing().submit(work)

    def append_many(self, drafts: Sequence[Receipt]) -> tuple[Appended, ...]:
        """Log some receipts in one transaction, all or none of them.

        Args:
            drafts: at most 4,096, in the order in which they are to stand.

        Raises:
            InputError: too many.
            EncodingError, LedgerUseError, StoreError: as `append`.
        """
        if len(drafts) > MAX_TOGETHER:
            raise InputError("input", f"{len(drafts)} receipts are more than {MAX_TOGETHER}")
        work = AppendWork(drafts=tuple([Draft.of(draft) for draft in drafts]))
        appended: tuple[Appended, ...] = self._committing().do(work)
        return appended

    def begin_call(self, draft: Receipt, *, opening_hash: bytes | None = None) -> None:
        """Note durably that a call was admitted, before it is made.

        Args:
            draft: the receipt that the call gets if nothing more is heard of it.
            opening_hash: as in `append`.

        Raises:
            InputError, LedgerUseError, StoreError: as `append`.
        """
        self._committing().do(self.call_work(draft, opening_hash=opening_hash))

    def submit_call(self, draft: Receipt, *, opening_hash: bytes | None = None) -> Future[None]:
        """Return at once what `begin_call` will return, for `asyncio.wrap_future`.

        Raises:
            InputError, LedgerUseError, StoreError: as `submit_receipt`.
        """
        return self._committing().submit(self.call_work(draft, opening_hash=opening_hash))

    def bind(self, binding: Binding) -> Entry:
        """Log a binding, or an unbind, and return it once it is durable.

        That whoever asks for it holds the subject's credential is for the caller to see to.

        Spec:
            PROTOCOL.md BIND-1 to BIND-3.

        Raises:
            SignatureError: malformed, high-s, bad-recovery-id, mismatch.
            BodyError: time-order, if its deadline has passed.
            LedgerUseError: nonce-used; not-bound, of an unbind; read-only, log-closed,
                closed, other-process.
            StoreError: as `append`.
        """
        signer = verify_binding(binding, self.log_id)
        self.bound_wallets()  # so that little is left to read in the transaction
        check = partial(self._bindings.check, binding, signer)
        entry: Entry = self._committing().do(RecordWork(body=binding, check=check))
        return entry

    def bound_wallets(self) -> Mapping[bytes, Bound]:
        """Return which wallet is bound to which subject now."""
        with self._store.read() as view:
            self._bindings.follow(view)
        return self._bindings.bound()

    def last_nonce(self, wallet: bytes) -> int | None:
        """Return the highest nonce that a wallet used in this log; None if it used none.

        Args:
            wallet: address, 20 bytes.
        """
        with self._store.read() as view:
            self._bindings.follow(view)
        return self._bindings.last_nonce(wallet)

    def make_statement(
        self, subject: SubjectId, first_seq: int, leaves: Sequence[LeafIndex]
    ) -> Entry:
        """Log a statement over some consecutive receipts of a subject, as many as fit.

        Spec:
            PROTOCOL.md STMT-1 to STMT-5.

        Args:
            subject: 32 bytes.
            first_seq: subject_seq of the first receipt.
            leaves: where the receipts stand, in their order; 1..10,000.

        Raises:
            InputError: no leaf, or too many.
            UnavailableError: withheld, if a body among them was erased.
            StoreContentError: subject-chain, if they do not form the subject's chain.
            LedgerUseError, StoreError: as `append`.
        """
        count = parse_checkpoint(parse_note(self.head()).text).leaf_count
        salt = secrets.token_bytes(16)
        draft = partial(draft_statement, self._store, subject, first_seq)
        body = draft(leaves, count=count, salt=salt)
        entry: Entry = self._committing().do(RecordWork(body=body, check=_anything_goes))
        return entry

    def append_reconciliations(self, claims: Sequence[Reconciliation]) -> tuple[Entry | None, ...]:
        """Log later evidence for receipts, and return it once it is durable.

        What is logged already, or stands in the receipt itself, is not logged again:
        None is in its place. Of a claim only those buckets are logged that are new.

        Spec:
            PROTOCOL.md RCON-1, RCON-5, LBL-6, BODY-16.

        Args:
            claims: at most 256; all of them are logged, or none if one may not be.

        Raises:
            InputError: too many; one does not name a receipt by its leaf and body hash.
            BodyError: field-conflict, if one repeats no bucket of its receipt.
            LabelError: exact-not-allowed.
            EncodingError: limit, if a body is too long.
            UnavailableError: withheld, if the body of a receipt was erased.
            LedgerUseError: already-reconciled, of evidence whose text was not checked
                against evidence whose text was; read-only, log-closed, closed,
                other-process.
            StoreError: as `append`.
        """
        if len(claims) > MAX_RECONCILED:
            raise InputError("input", f"{len(claims)} claims are more than {MAX_RECONCILED}")
        self.reconciled()  # so that little is left to read in the transaction
        work = RecordsWork(choose=partial(self._evidence.new_ones, tuple(claims)))
        entries: tuple[Entry | None, ...] = self._committing().do(work)
        return entries

    def head(self) -> bytes:
        """Return a signed head over every record that is durable now.

        It is signed anew if the log has grown or half of the heartbeat has passed,
        and stored before it is returned. Read-only, it is the newest stored head.

        Raises:
            LedgerUseError: closed, other-process.
            StoreError, StoreContentError: the database could not be used.
        """
        with self._store.read() as view:
            stored, leaf_count = view.last_head(), view.leaf_count()
        due = is_due(stored, leaf_count, self._clock(), self.heartbeat_s)
        if self.read_only or not due:
            return self.latest_head()
        note: bytes = self._committing().do(HeadWork())
        return note

    def append_work(
        self,
        draft: Receipt,
        *,
        opening_hash: bytes | None = None,
        raw_usage: Sequence[bytes] = (),
    ) -> Draft:
        """Return the work of `append`, for `send`.

        Raises:
            InputError, EncodingError: as `append`.
        """
        return check_draft(Draft.of(draft, _kept(opening_hash), tuple(raw_usage)))

    def call_work(self, draft: Receipt, *, opening_hash: bytes | None = None) -> IntentWork:
        """Return the work of `begin_call`, for `send`.

        Raises:
            InputError: opening_hash does not fit.
            EncodingError: limit, if no receipt of these fields could be logged.
        """
        check_fits(draft)
        return IntentWork(intent=Intent(draft=draft, opening_hash=_kept(opening_hash)))

    def send(self, work: Work, reply: Reply) -> None:
        """Take work in and settle its reply once it is durable, whatever comes of it.

        Raises:
            LedgerUseError: read-only, closed, other-process.
            StoreError: overloaded.
        """
        self._committing().send(work, reply)

    def send_all(self, works: Sequence[tuple[Work, Reply]]) -> None:
        """Do as `send` with work that its sender has gathered, in one transaction if it fits.

        Raises:
            LedgerUseError: read-only, closed, other-process; then nothing was taken in.
            StoreError: overloaded, as well.
        """
        self._committing().send_all(works)

    def _committing(self) -> GroupCommitter:
        if self._committer is None:
            raise LedgerUseError("read-only", "the ledger was opened for reading only")
        return self._committer


def _anything_goes(_: View) -> None:
    """Check nothing: a statement speaks of a tree that can only grow."""


def _kept(opening_hash: bytes | None) -> Hash32 | None:
    # What is none would fail in the transaction, and all that share it.
    if opening_hash is not None and (type(opening_hash) is not bytes or len(opening_hash) != 32):
        raise InputError("input", "an opening hash is a value of exactly 32 bytes")
    return opening_hash  # type: ignore[return-value]  # to name it as a hash costs a call
