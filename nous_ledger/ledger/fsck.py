"""Check a whole ledger: everything that can be computed again is, and compared.

One pass over the leaves, in bounded memory and in one snapshot of the database, so
that a gateway may go on writing meanwhile. The signatures and bodies are checked by
other threads or processes; tree, heads and chains follow the leaves in their order.

Spec:
    PROTOCOL.md KEY-17 to KEY-28, REC-1 to REC-12, BODY-1 to BODY-10, MMR-1 to MMR-7,
    HEAD-1 to HEAD-15, SUBJ-3.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from nous_ledger.ledger.creation import DATABASE_NAME
from nous_ledger.ledger.database import open_connection, sqlite_errors
from nous_ledger.ledger.errors import (
    LEDGER_ERROR_CODES,
    KeyFileError,
    StoreContentError,
    StoreError,
)
from nous_ledger.ledger.fsck_chains import ChainEnds, ReceiptChecks
from nous_ledger.ledger.fsck_erasures import check_erasures
from nous_ledger.ledger.fsck_leaves import (
    Fault,
    LeafFacts,
    LeafFindings,
    LeafJob,
    PlainFacts,
    PlainRow,
)
from nous_ledger.ledger.fsck_mark import check_high_water
from nous_ledger.ledger.fsck_tree import HeadChecks, Keys, TreeChecks, read_keys
from nous_ledger.ledger.fsck_workers import Workers, sharing
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.errors import ERROR_CODES, LedgerError, UnavailableError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_RECEIPT
from nous_ledger.protocol.types import Hash32, LeafCount

MAX_LISTED: Final = 1_000
"""Faults that a report lists; more are only counted."""
WORTH_PROCESSES: Final = 20_000
"""Leaves from which on starting further processes costs less than it saves."""

_COULD_NOT_CHECK: Final = frozenset(
    [code for code, info in ERROR_CODES.items() if info.family == UnavailableError.__name__]
    + [
        code
        for code, info in LEDGER_ERROR_CODES.items()
        if info.family in (StoreError.__name__, KeyFileError.__name__)
    ]
)
_LEAF: Final = 0  # where these fields of `LeafFacts` stand
_LOGGED_AT: Final = 2
_LEAF_HASH: Final = 3
_ERASED: Final = 6
_AT_A_TIME: Final = 2_048
"""Leaves of a job: their signatures are checked together, the more the quicker each."""
_AT_LEAST: Final = 256
_JOB_BYTES: Final = 4 << 20
_CACHE_KIB: Final = 32 * 1024
_WAITING: Final = 4
"""Jobs per worker that may be read ahead."""

Progress = Callable[[int, int], None]
"""Is told how many leaves of how many were checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FsckReport:
    """What a check found.

    Attributes:
        origin: name of the log; empty if the database names none.
        log_id: its identity, 32 bytes; empty likewise.
        leaf_count: leaves that were looked at.
        heads: stored heads that were looked at.
        erased: leaves whose body was erased.
        fault_count: how many faults there are.
        unchecked_count: how many of them only say that something could not be
            checked, such as a record of a newer version.
        faults: the first of them, at most `MAX_LISTED`.
    """

    origin: str
    log_id: bytes
    leaf_count: int
    heads: int
    erased: int
    fault_count: int
    unchecked_count: int
    faults: tuple[Fault, ...]


def fsck(folder: Path | str, *, processes: int = 0, progress: Progress | None = None) -> FsckReport:
    """Return what is wrong with a ledger; nothing is changed.

    Args:
        folder: the ledger's.
        processes: how many to share the work of a long log with; 0 for threads of
            this process.
        progress: called now and then.

    Raises:
        LedgerUseError: not-a-ledger.
        StoreContentError: store-foreign.
        StoreError: store-newer, store-locked, store-unwritable, store-io, store-full;
            check-cut-short.
    """
    path = Path(folder) / DATABASE_NAME
    check = _Check(processes, progress or (lambda _done, _total: None))
    try:
        with contextlib.closing(open_connection(path, read_only=True)) as connection:
            _run(check, path, connection)
    except StoreContentError as error:
        if error.code != "store-corrupt":
            raise
        # What is so damaged that it cannot be read is a fault, and hides what lies behind.
        message = f"{error.message}; the rest could not be read"
        check.report(Fault(code=error.code, table="database", index=None, message=message))
    return check.result()


def _run(check: _Check, path: Path, connection: sqlite3.Connection) -> None:
    with sqlite_errors(path):
        try:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("BEGIN")
            check.run(connection)
            # Others may have logged more meanwhile, so the mark may be beyond the snapshot.
            connection.execute("COMMIT")
            connection.execute("BEGIN")
            check.compare_with_mark(path.parent, connection)
        except sqlite3.OperationalError as error:
            # No such table or column; or, without a code, a text that is no UTF-8.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            if code & 0xFF == sqlite3.SQLITE_ERROR:
                raise StoreContentError("store-corrupt", f"{path}: {error}") from error
            raise
        except (AttributeError, TypeError, ValueError) as error:
            if not check.damaged:
                raise
            text = f"{path}: a value is of another type than its column"
            raise StoreContentError("store-corrupt", text) from error


class _Check:
    """One check under way."""

    def __init__(self, processes: int, progress: Progress) -> None:
        self._processes = processes
        self._progress = progress
        self._faults: list[Fault] = []
        self._fault_count = 0
        self._unchecked_count = 0
        self._origin, self._log_id = "", b""
        self._leaf_count = 0
        self._logged_at = 0
        self._erased = 0
        self._heads = 0
        self._doubtful: set[int | str | None] = set()  # leaves of a job with a wrong record
        self.damaged = False  # whether SQLite itself found a fault, such as a value of another type

    def report(self, fault: Fault) -> None:
        self._fault_count += 1
        self._unchecked_count += fault.code in _COULD_NOT_CHECK
        if len(self._faults) < MAX_LISTED:
            self._faults.append(fault)

    def result(self) -> FsckReport:
        return FsckReport(
            origin=self._origin,
            log_id=self._log_id,
            leaf_count=self._leaf_count,
            heads=self._heads,
            erased=self._erased,
            fault_count=self._fault_count,
            unchecked_count=self._unchecked_count,
            faults=tuple(self._faults),
        )

    def run(self, connection: sqlite3.Connection) -> None:
        with sharing(self._processes if _is_long(connection) else 0) as workers:
            self._check_database(connection)
            self._check_log(connection, workers)

    def _check_database(self, connection: sqlite3.Connection) -> None:
        for (message,) in connection.execute("PRAGMA integrity_check(100)"):
            if message != "ok":
                self.damaged = True
                self._fault("store-corrupt", "database", None, message)
        for kind, name in connection.execute(
            "SELECT type, name FROM sqlite_schema WHERE type IN ('trigger', 'view')"
        ):  # it would change what is written, or hide what is there
            self._fault("row-leftover", "sqlite_schema", name, f"no {kind} belongs to a ledger")

    def _check_log(self, connection: sqlite3.Connection, workers: Workers) -> None:
        row = connection.execute("SELECT log_id, origin FROM log").fetchone()
        if row is None:
            raise StoreContentError("store-corrupt", "the database names no log")
        self._log_id, self._origin = row
        total = _plausible_leaf_count(connection)
        keys = read_keys(connection, LeafCount(total), self.report)
        with ChainEnds() as ends:
            findings = self._findings(connection, keys, total, workers)
            self._check_leaves(connection, keys, total, ends, findings)
        check_erasures(connection, self.report)
        self._check_leftovers(connection)
        self._check_intents(connection)

    def compare_with_mark(self, folder: Path, connection: sqlite3.Connection) -> None:
        whole = not self._fault_count
        check_high_water(folder, connection, self._log_id, self.report, whole=whole)

    def _check_leaves(
        self,
        connection: sqlite3.Connection,
        keys: Keys,
        total: int,
        ends: ChainEnds,
        all_findings: Iterator[LeafFindings],
    ) -> None:
        tree = TreeChecks(connection, self.report)
        heads = HeadChecks(connection, keys, self.report)
        receipts = ReceiptChecks(connection, ends, self.report)
        for findings in all_findings:
            for fault in findings.faults:
                self.report(fault)
            self._doubtful = {f.index for f in findings.faults if f.table == "records"}
            receipts.expect(findings.leaves)
            rest = findings.leaves
            while rest:
                number = self._regular(rest, total, heads)
                run, rest = rest[: number or 1], rest[number or 1 :]
                hashes = cast("list[Hash32]", [leaf[_LEAF_HASH] for leaf in run])
                if number and tree.take_run(hashes):
                    self._leaf_count += number
                    self._logged_at = run[-1][_LOGGED_AT]
                    self._erased += sum([leaf[_ERASED] for leaf in run])
                    receipts.take(run)
                    continue
                for leaf in map(LeafFacts._make, run):
                    if self._reach(leaf, total, tree):
                        tree.take(leaf.leaf_hash)
                        heads.take(self._leaf_count, leaf.logged_at, tree.root)
                        receipts.take([leaf])
            self._progress(self._leaf_count, total)
        self._heads = heads.checked
        tree.finish()
        heads.finish(self._leaf_count)
        receipts.finish()

    def _regular(self, leaves: Sequence[PlainFacts], total: int, heads: HeadChecks) -> int:
        """Return how many of the next leaves follow each other in place and time, before a head.

        Of these nothing can be wrong but nodes and chains; for the others it is found out
        leaf by leaf. 0 if already the first is one of them.
        """
        first, earliest = self._leaf_count, leaves[0][_LOGGED_AT]
        if earliest < self._logged_at:
            return 0
        most = min(total - first, heads.leaves_before_next(first, earliest))
        run = leaves[: max(0, most)]
        times = [leaf[_LOGGED_AT] for leaf in run]
        places = [leaf[_LEAF] for leaf in run]
        in_order = times == sorted(times) and places == [*range(first, first + len(run))]
        return len(run) if in_order else 0

    def _reach(self, leaf: LeafFacts, total: int, tree: TreeChecks) -> bool:
        """Count a leaf in, after those that are missing before it."""
        if not self._leaf_count <= leaf.leaf < total:
            self._fault("row-leftover", "records", leaf.leaf, "the log does not reach this leaf")
            return False
        if leaf.leaf > self._leaf_count:
            text = f"records {self._leaf_count} to {leaf.leaf - 1} are missing"
            self._fault("row-missing", "records", self._leaf_count, text)
            for _ in range(self._leaf_count, leaf.leaf):
                tree.take(None)
        self._leaf_count = leaf.leaf + 1
        self._erased += leaf.erased
        if 0 <= leaf.logged_at < self._logged_at:
            text = f"logged at {leaf.logged_at}, before the record ahead of it"
            self._fault("head-time", "records", leaf.leaf, text)
        if leaf.leaf not in self._doubtful:  # its time would put all that follow in the wrong
            self._logged_at = max(self._logged_at, leaf.logged_at)
        return True

    def _findings(
        self, connection: sqlite3.Connection, keys: Keys, total: int, workers: Workers
    ) -> Iterator[LeafFindings]:
        """Yield what was found, in the order of the leaves; a few jobs are read ahead.

        The last jobs are smaller, so that all workers end at about the same time.
        """
        rows = connection.execute(
            "SELECT records.leaf, coalesce(CAST(record AS BLOB), x''), CAST(body AS BLOB),"
            " CAST(usage AS BLOB) FROM records"
            " LEFT JOIN bodies USING (leaf) LEFT JOIN raw_usage USING (leaf)"
            " ORDER BY records.leaf"
        )
        eras = keys.eras()
        waiting: deque[Callable[[], LeafFindings]] = deque()
        left = total
        while batch := _read_job(rows, left // (2 * workers.number)):
            left -= len(batch)
            job = LeafJob(log_id=keys.log_id, eras=eras, rows=tuple(batch))
            waiting.append(workers.submit(job))
            if len(waiting) >= workers.number * _WAITING:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()

    def _check_leftovers(self, connection: sqlite3.Connection) -> None:
        for table in ("bodies", "raw_usage"):
            first, count = connection.execute(
                f"SELECT min(leaf), count(*) FROM {table}"  # noqa: S608 - our own names
                " WHERE leaf NOT IN (SELECT leaf FROM records)"
            ).fetchone()
            if count:
                text = f"{count} rows belong to no record"
                self._fault("row-leftover", table, first, text)

    def _check_intents(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute(
            "SELECT intents.id, draft, intents.opening_hash, leaf FROM intents"
            " LEFT JOIN receipts USING (id)"
        )
        for call_id, draft, opening_hash, leaf in rows:
            place = call_id.hex()
            if leaf is not None:
                text = f"the call has its receipt, leaf {leaf}"
                self._fault("row-leftover", "intents", place, text)
            try:
                receipt = decode_body(TYPE_RECEIPT, draft)
            except LedgerError as error:
                self._fault(error.code, "intents", place, error.message)
                continue
            wrong_id = not isinstance(receipt, Receipt) or receipt.id != call_id
            if wrong_id or len(opening_hash or bytes(32)) != 32:
                self._fault("row-mismatch", "intents", place, "the draft is of another call")

    def _fault(self, code: str, table: str, index: int | str | None, message: str) -> None:
        self.report(Fault(code=code, table=table, index=index, message=message))


def _read_job(rows: sqlite3.Cursor, share: int) -> list[PlainRow]:
    """Return the next leaves: a worker's share of the rest, or as many as a job may have."""
    job: list[PlainRow] = []
    most, size = min(_AT_A_TIME, max(_AT_LEAST, share)), 0
    while len(job) < most and size < _JOB_BYTES:
        piece = rows.fetchmany(min(_AT_LEAST, most - len(job)))
        if not piece:
            break
        job += piece
        size += sum([len(body or b"") + len(usage or b"") for _, _, body, usage in piece])
    return job


def _plausible_leaf_count(connection: sqlite3.Connection) -> int:
    """Return the end of the leaves, records far beyond the rest left out."""
    records, nodes = connection.execute(
        "SELECT (SELECT count(*) FROM records), (SELECT count(*) FROM nodes)"
    ).fetchone()
    last = connection.execute("SELECT max(leaf) FROM records").fetchone()[0]
    # n leaves have at least 2n - 53 nodes, so that many nodes belong to no more leaves.
    within: int = max(records, (nodes + 53) // 2)
    return 0 if last is None else min(within, last + 1)


def _is_long(connection: sqlite3.Connection) -> bool:
    """Return whether the log is worth further processes, as far as that can be read."""
    try:
        last = connection.execute("SELECT max(leaf) FROM records").fetchone()[0]
    except sqlite3.Error:
        return False  # whatever is wrong is found, and told, by those who check it
    return last is not None and last + 1 >= WORTH_PROCESSES
