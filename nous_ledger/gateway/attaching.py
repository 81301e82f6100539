"""Making evidence of kept texts and logging it, many at a time.

Texts are matched to receipts by the receipt's id, else by the provider's id of the call.
Nothing of a text itself is logged.

Spec:
    PROTOCOL.md RCON-1 to RCON-5, LBL-6.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from nous_ledger.gateway.call_texts import CallText, Kept
from nous_ledger.gateway.evidence import TextEvidence, make_evidence
from nous_ledger.ledger import Entry, Ledger
from nous_ledger.ledger.reconciling import MAX_RECONCILED
from nous_ledger.protocol.bodies import Reconciliation, decode_body
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.reconciled import UNCHECKED
from nous_ledger.protocol.record import TYPE_RECEIPT, decode_record
from nous_ledger.protocol.types import LeafIndex
from nous_ledger.protocol.values import value
from nous_ledger.reconcile.exports.rows import RowFault
from nous_ledger.reconcile.tokenizers import TokenizerTable, builtin_table

MAX_FAULTS: Final = 100
"""Rows in error that are listed; further ones are counted."""

_TEMPORARY: Final = ""  # SQLite keeps such a database in a file that is gone afterwards


@value
class AttachFault:
    """A row that became no evidence because something is wrong.

    Attributes:
        line: line of the file, or number of the call in a folder, from 1.
        code: `row` for one that cannot be read, else the code of the error.
        message: what is wrong.
    """

    line: int
    code: str
    message: str


@dataclass(slots=True, kw_only=True)
class Attached:
    """What became of the rows of a source.

    Attributes:
        rows: rows, those in error included.
        receipts: receipts that got evidence.
        known: rows that say nothing that is not logged already.
        silent: rows from which nothing can be said, by reason.
        unmatched: rows of calls without a receipt, or with several.
        unchecked: receipts whose evidence could not be compared with a commitment.
        uncounted: rows that could be EXACT, had a tokenizer been at hand.
        buckets: what was attached, by kind, label and method.
        indices: leaves of the reconciliations, the first and the last; None for none.
        faults: rows in error, the first MAX_FAULTS of them.
        fault_count: rows in error.
    """

    rows: int = 0
    receipts: int = 0
    known: int = 0
    silent: Counter[str] = field(default_factory=Counter)
    unmatched: Counter[str] = field(default_factory=Counter)
    unchecked: int = 0
    uncounted: int = 0
    buckets: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    indices: tuple[LeafIndex, LeafIndex] | None = None
    faults: list[AttachFault] = field(default_factory=list)
    fault_count: int = 0


class Attacher:
    """Takes texts in any order; `finish` after the last one.

    Attributes:
        done: what became of the rows so far.
    """

    def __init__(
        self, ledger: Ledger, *, dry_run: bool = False, table: TokenizerTable | None = None
    ) -> None:
        """Attach to a ledger.

        Args:
            ledger: open for writing, or for reading where nothing is to be logged.
            dry_run: find out what would be logged, and log nothing.
            table: which models' tokens can be counted; None for the built-in table.
        """
        self.done = Attached()
        self._ledger = ledger
        self._dry_run = dry_run
        self._table = table or builtin_table()
        self._waiting: list[tuple[CallText, TextEvidence, Reconciliation]] = []
        self._ids: _RequestIds | None = None
        self._seen: set[tuple[int, Bucket]] = set()  # in a dry run, what would be logged

    def take(self, kept: Kept) -> None:
        """Take the next row of a source.

        Raises:
            LedgerError: the ledger could not be used.
        """
        self.done.rows += 1
        if isinstance(kept, RowFault):
            self._fault(kept.line, "row", kept.message)
            return
        entry = self._find(kept)
        if entry is None:
            return
        receipt = decode_body(TYPE_RECEIPT, entry.body) if entry.body else None
        if not isinstance(receipt, Receipt):
            self.done.silent["the body of its receipt was erased"] += 1
            return
        try:
            found = make_evidence(receipt, kept, self._table)
        except LedgerError as error:
            self._fault(kept.line, error.code, error.message)
            return
        self.done.uncounted += found.uncounted
        if not found.usage:
            self.done.silent[found.reason] += 1
            return
        claim = Reconciliation(
            salt=secrets.token_bytes(16),
            index=entry.index,
            body_hash=decode_record(entry.record).body_hash,
            usage=found.usage,
            source=found.source,
        )
        self._waiting.append((kept, found, claim))
        if len(self._waiting) >= MAX_RECONCILED:
            self._log()

    def finish(self) -> Attached:
        """Log what waits, and return what became of all rows."""
        self._log()
        return self.done

    def _find(self, kept: CallText) -> Entry | None:
        """Return the entry of a row's receipt; None, and counted, if there is not just one."""
        if kept.receipt_id is not None:
            entry = self._ledger.find_receipt(kept.receipt_id)
            if entry is None:
                self.done.unmatched["no receipt has this id"] += 1
            return entry
        if not kept.request_ids:
            self._fault(kept.line, "row", "names neither a receipt nor a request")
            return None
        if self._ids is None:
            self._ids = _RequestIds(self._ledger)
        leaves = self._ids.leaves(kept.request_ids)
        if len(leaves) != 1:
            why = "several receipts have" if leaves else "no receipt has"
            self.done.unmatched[f"{why} this request id"] += 1
            return None
        return self._ledger.entry(leaves[0])

    def _log(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            logged = self._append([claim for _, _, claim in waiting])
        except LedgerError:
            # One that may not be logged holds up all of its group: see which it is.
            for row in waiting:
                self._log_one(row)
            return
        for row, new in zip(waiting, logged, strict=True):
            self._note(row[1], new)

    def _log_one(self, row: tuple[CallText, TextEvidence, Reconciliation]) -> None:
        kept, found, claim = row
        try:
            (new,) = self._append([claim])
        except LedgerError as error:
            if error.code not in _OF_ONE_ROW:
                raise
            self._fault(kept.line, error.code, error.message)
        else:
            self._note(found, new)

    def _append(self, claims: list[Reconciliation]) -> tuple[Reconciliation | None, ...]:
        """Return what was logged, or would be, of each claim."""
        if self._dry_run:
            return tuple(map(self._unseen, self._ledger.new_reconciliations(claims)))
        entries = self._ledger.append_reconciliations(claims)
        leaves = [entry.index for entry in entries if entry is not None]
        if leaves:
            first = leaves[0] if self.done.indices is None else self.done.indices[0]
            self.done.indices = (first, leaves[-1])
        return tuple(None if entry is None else _body(entry) for entry in entries)

    def _unseen(self, claim: Reconciliation | None) -> Reconciliation | None:
        keys = set() if claim is None else {(claim.index, bucket) for bucket in claim.usage}
        fresh = bool(keys - self._seen)
        self._seen |= keys
        return claim if fresh else None

    def _note(self, found: TextEvidence, new: Reconciliation | None) -> None:
        if new is None:
            self.done.known += 1
            return
        self.done.receipts += 1
        self.done.unchecked += found.source.endswith(UNCHECKED)
        for bucket in new.usage:
            self.done.buckets[bucket.kind, bucket.label, bucket.method or ""] += 1

    def _fault(self, line: int, code: str, message: str) -> None:
        self.done.fault_count += 1
        if len(self.done.faults) < MAX_FAULTS:
            self.done.faults.append(AttachFault(line=line, code=code, message=message))


_OF_ONE_ROW: Final = frozenset(
    {"already-reconciled", "field-conflict", "exact-not-allowed", "limit", "withheld", "input"}
)


class _RequestIds:
    """The provider's ids of all calls of a ledger, in bounded memory."""

    def __init__(self, ledger: Ledger) -> None:
        self._db = sqlite3.connect(_TEMPORARY, isolation_level=None)
        self._db.execute("CREATE TABLE calls (id TEXT, leaf INTEGER) STRICT")
        rows = (
            (row.receipt.provider_request_id, row.index)
            for row in ledger.receipts()
            if row.receipt is not None and row.receipt.provider_request_id is not None
        )
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO calls VALUES (?, ?)", rows)
        self._db.execute("CREATE INDEX by_id ON calls (id)")
        self._db.execute("COMMIT")

    def leaves(self, names: tuple[str, ...]) -> tuple[LeafIndex, ...]:
        """Return the receipts of the first of some ids that any receipt has."""
        for name in names:
            query = "SELECT leaf FROM calls WHERE id = ? ORDER BY leaf LIMIT 2"
            if rows := self._db.execute(query, (name,)).fetchall():
                return tuple(LeafIndex(leaf) for (leaf,) in rows)
        return ()


def _body(entry: Entry) -> Reconciliation:
    body = decode_body(decode_record(entry.record).type, entry.body)
    assert isinstance(body, Reconciliation)  # noqa: S101 - by what was logged
    return body
