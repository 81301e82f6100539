"""What ties receipts to each other: the chain of each subject, and the list of ids.

An erased body cannot be asked for its place in a chain, but its hash still stands
in its record. So a chain may skip receipts if the one after the gap names the hash
of an erased one; how many were skipped in all is compared at the end.
"""

# ruff: noqa: S608 - statements are put together from constants of this file.

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Self, cast

from nous_ledger.ledger.fsck_leaves import Fault, LeafFacts, PlainFacts
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_RECEIPT, decode_record

MAX_IN_MEMORY: Final = 100_000
"""Subjects whose chains are kept in memory; more go to a temporary file."""

_ID: Final = LeafFacts._fields.index("id")

Report = Callable[[Fault], None]


class ChainEnds:
    """The end of every chain so far: next sequence number and last body hash."""

    def __init__(self, max_in_memory: int = MAX_IN_MEMORY) -> None:
        """Start without chains."""
        self._recent: dict[bytes, tuple[int, bytes]] = {}
        self._max_in_memory = max_in_memory
        # A database without a name is a temporary file that SQLite keeps to itself.
        self._others = sqlite3.connect("", isolation_level=None)
        self._others.execute(
            "CREATE TABLE ends (subject BLOB PRIMARY KEY, seq INTEGER, hash BLOB) WITHOUT ROWID"
        )
        self._spilled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._others.close()

    def get(self, subject: bytes) -> tuple[int, bytes] | None:
        """Return the end of a chain."""
        found = self._recent.get(subject)
        if found is None and self._spilled:
            sql = "SELECT seq, hash FROM ends WHERE subject = ?"
            found = self._others.execute(sql, (subject,)).fetchone()
        return found

    def put(self, subject: bytes, end: tuple[int, bytes]) -> None:
        """Set the end of a chain."""
        self._recent[subject] = end
        if len(self._recent) >= self._max_in_memory:
            self._spill()

    def all(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Yield every chain in ascending order of subjects."""
        self._spill()
        yield from self._others.execute("SELECT subject, seq, hash FROM ends ORDER BY subject")

    def _spill(self) -> None:
        rows = [(subject, *end) for subject, end in self._recent.items()]
        self._others.execute("BEGIN")
        self._others.executemany("INSERT OR REPLACE INTO ends VALUES (?, ?, ?)", rows)
        self._others.execute("COMMIT")
        self._recent.clear()
        self._spilled = True


class ReceiptChecks:
    """Follows the receipts of a log in order, then compares what is stored about them."""

    def __init__(self, connection: sqlite3.Connection, ends: ChainEnds, report: Report) -> None:
        """Read the tables through a connection and report faults as they show."""
        self._connection = connection
        self._ends = ends
        self._report = report
        self._rows: dict[bytes, tuple[bytes, int, bytes | None]] = {}
        self._receipts = 0
        self._erased = 0
        self._listed = 0
        self._skipped: dict[bytes, int | str] = {}
        self._unreadable: set[bytes] = set()

    def expect(self, leaves: Sequence[PlainFacts]) -> None:
        """Read at once what the list of ids says about the next leaves."""
        ids = cast("list[bytes]", [leaf[_ID] for leaf in leaves if leaf[_ID] is not None])
        if not ids:
            return
        # Ids ascend with time, so those of leaves in a row stand close together, as a rule.
        sql = "SELECT id, leaf, opening_hash FROM receipts WHERE id"
        most = 2 * len(ids)
        between = (min(ids), max(ids), most)
        rows = self._connection.execute(f"{sql} BETWEEN ? AND ? LIMIT ?", between).fetchall()
        if len(rows) == most:
            marks = ",".join("?" * len(ids))
            rows = self._connection.execute(f"{sql} IN ({marks})", ids).fetchall()
        self._rows = {row[0]: row for row in rows}

    def take(self, leaves: Sequence[PlainFacts]) -> None:
        """Check the next leaves, all of them expected."""
        end_of, set_end, row_of = self._ends.get, self._ends.put, self._rows.get
        for index, type_, _, _, body_hash, stored, erased, id_, subject, number, before in leaves:
            if type_ != TYPE_RECEIPT:
                continue
            self._receipts += 1
            if id_ is None or body_hash is None:
                self._erased += erased
                if stored is not None:  # damaged: one of the two hashes is the right one
                    self._unreadable.update({stored, body_hash or stored})
                continue
            end = end_of(subject) or (0, None)
            set_end(subject, (number + 1, body_hash))
            if end != (number, before):
                self._check_gap(index, number, before, end)
            if row_of(id_) == (id_, index, None):
                self._listed += 1
            else:
                self._look_up(index, id_)

    def finish(self) -> None:
        """Compare the tables `subjects` and `receipts` with what was seen."""
        self._check_subjects()
        self._check_skipped()
        self._check_leftover_ids()
        self._check_ids_of_erased()

    def _check_gap(
        self, index: int, number: int, before: bytes | None, end: tuple[int, bytes | None]
    ) -> None:
        """Remember what a chain skips; report what is no place in it."""
        sequence, previous = end
        if number > sequence and before is not None:
            self._skipped[before] = index
            return
        text = (
            f"the receipt is number {number} of its subject"
            f" and follows {_hex(before)}; number {sequence}"
            f" after {_hex(previous)} was expected"
        )
        self._fault("subject-chain", "bodies", index, text)

    def _look_up(self, index: int, receipt_id: bytes) -> None:
        row = self._rows.get(receipt_id)
        if row is None:
            self._fault("row-missing", "receipts", receipt_id.hex(), f"the id of leaf {index}")
            return
        _, leaf, opening_hash = row
        self._listed += leaf == index
        if leaf != index:
            text = f"the id is that of leaf {index}, not {leaf}"
            self._fault("row-mismatch", "receipts", receipt_id.hex(), text)
        elif opening_hash is not None and len(opening_hash) != 32:
            text = f"the opening hash has {len(opening_hash)} bytes, not 32"
            self._fault("row-mismatch", "receipts", receipt_id.hex(), text)

    def _check_subjects(self) -> None:
        stored = self._connection.execute("SELECT subject, next_seq, last_body_hash FROM subjects")
        total = 0
        for subject, sequence, last in stored:
            total += sequence
            end = self._ends.get(subject)
            if end == (sequence, last):
                continue
            if sequence > (end or (0, b""))[0]:
                self._skipped[last] = subject.hex()  # the last receipts may have been erased
                continue
            text = f"the chain ends with number {sequence - 1} and the receipt {last.hex()} here"
            self._fault("row-mismatch", "subjects", subject.hex(), text)
        if self._none_missing() and total != self._receipts:
            text = f"the chains have {total} receipts, the log has {self._receipts}"
            self._fault("row-mismatch", "subjects", None, text)

    def _none_missing(self) -> bool:
        """Report every chain that the table does not have."""
        complete = True
        sql = "SELECT 1 FROM subjects WHERE subject = ?"
        for subject, sequence, _ in self._ends.all():
            if self._connection.execute(sql, (subject,)).fetchone() is None:
                complete = False
                text = f"a chain of {sequence} receipts has no row"
                self._fault("row-missing", "subjects", subject.hex(), text)
        return complete

    def _check_skipped(self) -> None:
        """Let a chain skip what was erased or is reported already, and nothing else."""
        for body_hash in self._unreadable:
            self._skipped.pop(body_hash, None)
        if not self._skipped:
            return
        erased = self._connection.execute(
            "SELECT record FROM records"
            " WHERE leaf NOT IN (SELECT leaf FROM bodies WHERE body != x'')"
        )
        for (record,) in erased:
            self._skipped.pop(record[23:55], None)
        for index in self._skipped.values():
            table = "bodies" if isinstance(index, int) else "subjects"
            text = "a receipt of the chain is missing, and was not erased"
            self._fault("subject-chain", table, index, text)

    def _check_leftover_ids(self) -> None:
        """Report ids that no receipt of the log has."""
        total = self._count("SELECT count(*) FROM receipts")
        of_erased = "SELECT count(*) FROM receipts JOIN bodies USING (leaf) WHERE body = x''"
        if total == self._listed + (self._count(of_erased) if self._erased else 0):
            return
        rows = self._connection.execute(
            "SELECT id, leaf, record, nullif(body, x'') FROM receipts"
            " LEFT JOIN records USING (leaf) LEFT JOIN bodies USING (leaf)"
        )
        for receipt_id, leaf, record, body in rows:
            if not _may_be_of(receipt_id, record, body):
                text = f"leaf {leaf} is no receipt of this id"
                self._fault("row-leftover", "receipts", receipt_id.hex(), text)

    def _check_ids_of_erased(self) -> None:
        """Let each erased receipt have one id, so that it cannot be logged again, and no more."""
        if not self._erased:
            return
        erased = (
            "SELECT leaf FROM bodies JOIN records USING (leaf)"
            " WHERE body = x'' AND substr(record, 2, 2) = x'0001'"
        )
        listed = (
            "SELECT leaf, count(*) AS ids, sum(length(id) != 16) AS odd,"
            f" count(opening_hash) AS kept FROM receipts JOIN ({erased}) USING (leaf) GROUP BY leaf"
        )
        total = self._count(f"SELECT count(*) FROM ({erased})")
        if missing := total - self._count(f"SELECT count(*) FROM ({listed})"):
            text = f"{missing} erased receipts have no id"
            self._fault("row-missing", "receipts", None, text)
        for leaf, ids, _, kept in self._connection.execute(
            f"SELECT * FROM ({listed}) WHERE ids != 1 OR odd OR kept"
        ):
            what = "an opening hash" if kept else f"{ids} ids, or one that is none"
            text = f"leaf {leaf}, which was erased, has {what}"
            self._fault("row-leftover" if kept else "row-mismatch", "receipts", leaf, text)

    def _count(self, sql: str) -> int:
        count: int = self._connection.execute(sql).fetchone()[0]
        return count

    def _fault(self, code: str, table: str, index: int | str | None, message: str) -> None:
        self._report(Fault(code=code, table=table, index=index, message=message))


def _may_be_of(receipt_id: bytes, record: bytes | None, body: bytes | None) -> bool:
    """Return whether a leaf is the receipt of an id, or is too damaged to tell."""
    if record is None:
        return False
    try:
        decoded = decode_record(record)
        if decoded.type != TYPE_RECEIPT:
            return False
        if body is None or sha256(body) != decoded.body_hash:
            return True
        receipt = decode_body(TYPE_RECEIPT, body)
    except LedgerError:
        return True
    return isinstance(receipt, Receipt) and receipt.id == receipt_id


def _hex(value: bytes | None) -> str:
    return "none" if value is None else value.hex()
