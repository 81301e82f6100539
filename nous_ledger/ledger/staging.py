"""The receipts of one transaction, at their places, before they are signed.

Work that cannot be logged fails by itself and leaves no trace; the rest goes on.

Spec:
    PROTOCOL.md REC-10, SUBJ-3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.ledger.model import Draft, Intent, NewReceipts, SubjectHead, Tip
from nous_ledger.ledger.store import WriteTransaction
from nous_ledger.ledger.usage import join_usage
from nous_ledger.protocol.bodies import decode_body, encode_body
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.placing import encode_placed
from nous_ledger.protocol.receipt import MAX_CLOCK_SKEW_MS, Receipt
from nous_ledger.protocol.record import TYPE_RECEIPT
from nous_ledger.protocol.registries import ANOMALY
from nous_ledger.protocol.types import Hash32, UnixMillis

_CLOCK_CLAMPED: Final = ANOMALY["clock_clamped"]
_NO_CHAIN: Final = SubjectHead()


class Batch:
    """The receipts of one transaction, in the order in which they will be logged.

    What can fail is found out when a receipt is added. It is put at its place later,
    by whichever thread is about to sign it.

    Attributes:
        transaction: what they are logged with.
        tip: where the log stands before them.
        logged_at: time of all of them, milliseconds.
        drafts: all that were added.
        bodies: canonical bytes of those that are at their places.
        subjects: the new ends of their subjects' chains.
    """

    def __init__(
        self,
        transaction: WriteTransaction,
        drafts: Sequence[Draft],
        *,
        now: int,
        tip: Tip,
        earliest: UnixMillis,
        chains: Mapping[bytes, SubjectHead],
    ) -> None:
        """Start with none; what is known of all that may come is read at once.

        Args:
            transaction: what they are logged with.
            drafts: all that may be added.
            now: milliseconds.
            tip: where the log stands.
            earliest: time before which nothing may be logged, milliseconds.
            chains: ends of subjects' chains that are known already.
        """
        self.transaction = transaction
        self.tip = tip
        self.logged_at = UnixMillis(max(now, earliest))
        self.drafts: list[Draft] = []
        self.bodies: list[bytes] = []
        self.subjects: dict[bytes, SubjectHead] = {}
        self._clamped = now < earliest
        self._latest = self.logged_at + MAX_CLOCK_SKEW_MS
        self._logged = transaction.find_receipts([draft.receipt.id for draft in drafts])
        unknown = {draft.receipt.subject for draft in drafts}.difference(chains)
        self._known = chains
        self._chains = transaction.subjects(tuple(unknown)) if unknown else {}
        self._ids: set[bytes] = set()
        self._calls: set[bytes] = set()  # that may not begin again
        self._intents: list[tuple[bytes, bytes, Hash32 | None]] = []

    def add(self, drafts: Sequence[Draft]) -> range:
        """Add all receipts of one caller and return which they are; or none of them.

        Raises:
            LedgerUseError: duplicate-receipt.
        """
        ids: set[bytes] = set()
        for draft in drafts:
            receipt_id = draft.receipt.id
            if receipt_id in self._ids or receipt_id in self._logged or receipt_id in ids:
                raise self._duplicate(draft)
            ids.add(receipt_id)
        first = len(self.drafts)
        self.drafts += drafts
        self._ids |= ids
        return range(first, len(self.drafts))

    def add_one(self, draft: Draft) -> int:
        """Add one receipt and return which it is.

        Raises:
            LedgerUseError: duplicate-receipt.
        """
        receipt_id = draft.receipt.id
        if receipt_id in self._ids or receipt_id in self._logged:
            raise self._duplicate(draft)
        self._ids.add(receipt_id)
        self.drafts.append(draft)
        return len(self.drafts) - 1

    def place_next(self) -> Hash32:
        """Put the next receipt at its place in its subject's chain; return its body hash."""
        receipt = self.drafts[len(self.bodies)].receipt
        subject = receipt.subject
        chain = self.subjects.get(subject) or self._known.get(subject)
        next_seq, previous = chain or self._chains.get(subject, _NO_CHAIN)
        if self._clamped or receipt.time > self._latest:
            receipt = self._retimed(receipt)
        body = encode_placed(receipt, next_seq, previous)
        body_hash = sha256(body)
        self.subjects[subject] = SubjectHead(next_seq + 1, body_hash)
        self.bodies.append(body)
        return body_hash

    def receipts(self, start: int, end: int) -> NewReceipts:
        """Return what is to be stored of the receipts `[start, end)`, which are at their places."""
        drafts = self.drafts[start:end]
        return NewReceipts(
            ids=[draft.receipt.id for draft in drafts],
            bodies=self.bodies[start:end],
            opening_hashes=[draft.opening_hash for draft in drafts],
            raw_usage=[join_usage(draft.raw_usage) if draft.raw_usage else b"" for draft in drafts],
        )

    def expect_calls(self, intents: Sequence[Intent]) -> None:
        """Find out at once which of the calls that may begin are known already."""
        self._calls = self.transaction.find_calls([intent.draft.id for intent in intents])

    def begin(self, intent: Intent) -> None:
        """Take in the intent of one call.

        Raises:
            LedgerUseError: duplicate-receipt.
            EncodingError: limit, if the body is too long.
        """
        receipt_id = intent.draft.id
        if receipt_id in self._ids or receipt_id in self._calls:
            raise self._known_call(receipt_id)
        self._intents.append((receipt_id, encode_body(intent.draft), intent.opening_hash))
        self._calls.add(receipt_id)

    def store_calls(self) -> None:
        """Store the intents that were taken in; before the receipts, which may fulfil them."""
        if self._intents:
            self.transaction.add_intents(self._intents)

    def _known_call(self, receipt_id: bytes) -> LedgerUseError:
        name = receipt_id.hex()
        if receipt_id in self._ids or self.transaction.find_receipt(receipt_id) is not None:
            return LedgerUseError("duplicate-receipt", f"the receipt {name} is logged")
        return LedgerUseError("duplicate-receipt", f"the call {name} began before")

    def _retimed(self, receipt: Receipt) -> Receipt:
        changes: dict[str, Any] = {
            "anomalies": tuple(sorted({*(receipt.anomalies or ()), _CLOCK_CLAMPED}))
        }
        if receipt.time > self._latest:
            # The clock was set back during the call, which must not cost its receipt.
            changes["time"] = self.logged_at
        return replace(receipt, **changes)

    def _duplicate(self, draft: Draft) -> LedgerUseError:
        """Return the error of a receipt whose id is taken; it says if this very one is logged.

        So whoever tries again after a commit whose end was never heard of learns that
        it took place after all.
        """
        receipt_id = draft.receipt.id
        text = f"the receipt {receipt_id.hex()} is logged"
        index = self._logged.get(receipt_id)
        if index is None or not _is_logged_as(draft, self.transaction.body(index)):
            return LedgerUseError("duplicate-receipt", text)
        return LedgerUseError("duplicate-receipt", f"{text}, as record {index}", index=index)


def _is_logged_as(draft: Draft, body: bytes) -> bool:
    """Return whether a stored body is that of a draft, whatever its place and corrected time."""
    try:
        stored = decode_body(TYPE_RECEIPT, body)
    except LedgerError:
        return False  # erased or damaged: nobody can tell
    if not isinstance(stored, Receipt):
        return False
    receipt, anomalies = draft.receipt, stored.anomalies or ()
    if _CLOCK_CLAMPED in anomalies and _CLOCK_CLAMPED not in (receipt.anomalies or ()):
        others = tuple([number for number in anomalies if number != _CLOCK_CLAMPED])
        stored = replace(stored, time=receipt.time, anomalies=others or None)
    return encode_placed(stored, 0, None) == encode_placed(receipt, 0, None)
