"""Storage of a ledger in SQLite: one transaction that decides, many that read.

Everything that decides an index, a time, the peaks or a place in a subject's
chain is read through the same `WriteTransaction` that writes what follows from
it. It holds the write lock of the file from its first read on, so two processes
on one file continue one log and never fork it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from nous_ledger.ledger.database import open_connection, sqlite_errors
from nous_ledger.ledger.errors import LedgerUseError, StoreContentError
from nous_ledger.ledger.model import Entry, NewLeaf, StoredHead, SubjectHead, Tip
from nous_ledger.protocol.mmr import peak_positions
from nous_ledger.protocol.record import TYPE_KEY, Record, decode_record
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, NodePos, UnixMillis

_IDLE_READERS: Final = 8


class View:
    """What can be read from the store, in one transaction or outside of any."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read through a connection."""
        self._connection = connection

    def log(self) -> tuple[bytes, str]:
        """Return log id and origin."""
        row = self._one("SELECT log_id, origin FROM log")
        if row is None:
            raise StoreContentError("store-corrupt", "the database names no log")
        return row[0], row[1]

    def leaf_count(self) -> LeafCount:
        """Return the number of leaves."""
        row = self._one("SELECT leaf FROM records ORDER BY leaf DESC LIMIT 1")
        return LeafCount(0 if row is None else row[0] + 1)

    def tip(self) -> Tip:
        """Return where the log stands.

        Raises:
            StoreContentError: store-corrupt, if the last record is not at its place
                or a peak is missing.
        """
        row = self._one("SELECT leaf, record FROM records ORDER BY leaf DESC LIMIT 1")
        if row is None:
            return Tip(leaf_count=LeafCount(0), logged_at=UnixMillis(0), peaks=())
        record = decode_record(row[1])
        if record.index != row[0]:
            raise StoreContentError("store-corrupt", f"the record at {row[0]} is not its own")
        count = LeafCount(row[0] + 1)
        peaks = self.nodes(peak_positions(count))
        return Tip(leaf_count=count, logged_at=record.logged_at, peaks=peaks)

    def node_total(self) -> int:
        """Return the number of nodes, counted up to the last one."""
        row = self._one("SELECT position FROM nodes ORDER BY position DESC LIMIT 1")
        return 0 if row is None else row[0] + 1

    def nodes(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        """Return the nodes at some positions, in the order asked for.

        Raises:
            StoreContentError: store-corrupt, if one is missing.
        """
        read = self._connection.execute
        found = []
        for position in positions:
            row = read("SELECT hash FROM nodes WHERE position = ?", (position,)).fetchone()
            if row is None:
                raise StoreContentError("store-corrupt", f"the tree has no node {position}")
            found.append(row[0])
        return tuple(found)

    def record(self, index: LeafIndex) -> bytes:
        """Return one record.

        Raises:
            StoreContentError: store-corrupt, if it is missing.
        """
        row = self._one("SELECT record FROM records WHERE leaf = ?", index)
        if row is None:
            raise StoreContentError("store-corrupt", f"the log has no record {index}")
        return bytes(row[0])

    def decoded(self, index: LeafIndex) -> Record:
        """Return one record, decoded."""
        return decode_record(self.record(index))

    def body(self, index: LeafIndex) -> bytes:
        """Return one body; empty if it was erased."""
        row = self._one("SELECT body FROM bodies WHERE leaf = ?", index)
        return b"" if row is None else row[0]

    def body_bytes(self, at_a_time: int) -> Iterator[tuple[int, int]]:
        """Yield number and length of each group of so many bodies, erased ones left out."""
        yield from self._connection.execute(
            "SELECT leaf / ?1, sum(length(body)) FROM bodies GROUP BY 1 ORDER BY 1", (at_a_time,)
        )

    def entries(self, lo: int, hi: int) -> tuple[Entry, ...]:
        """Return records and bodies of the leaves `[lo, hi)`, as far as the log goes."""
        rows = self._connection.execute(
            "SELECT leaf, record, body FROM records LEFT JOIN bodies USING (leaf)"
            " WHERE leaf >= ? AND leaf < ? ORDER BY leaf",
            (lo, hi),
        )
        return tuple(Entry(index=row[0], record=row[1], body=row[2] or b"") for row in rows)

    def raw_usage(self, index: LeafIndex) -> bytes:
        """Return the joined usage values of one leaf; empty if there are none."""
        row = self._one("SELECT usage FROM raw_usage WHERE leaf = ?", index)
        return b"" if row is None else row[0]

    def find_receipt(self, receipt_id: bytes) -> tuple[LeafIndex, Hash32 | None] | None:
        """Return leaf and opening hash of a receipt."""
        row = self._one("SELECT leaf, opening_hash FROM receipts WHERE id = ?", receipt_id)
        return None if row is None else (row[0], row[1])

    def key_events(self) -> tuple[LeafIndex, ...]:
        """Return the leaves that are key events, ascending."""
        rows = self._connection.execute("SELECT leaf FROM key_events ORDER BY leaf")
        return tuple(row[0] for row in rows)

    def last_head(self) -> StoredHead | None:
        """Return the newest signed head."""
        row = self._one(
            "SELECT leaf_count, timestamp, note FROM heads ORDER BY leaf_count DESC LIMIT 1"
        )
        return row and StoredHead(leaf_count=row[0], timestamp=row[1], note=row[2])

    def head_at(self, leaf_count: LeafCount) -> StoredHead | None:
        """Return the newest signed head over exactly so many leaves."""
        row = self._one(
            "SELECT leaf_count, timestamp, note FROM heads WHERE leaf_count = ?", leaf_count
        )
        return row and StoredHead(leaf_count=row[0], timestamp=row[1], note=row[2])

    def newest_heads(self, limit: int) -> tuple[StoredHead, ...]:
        """Return at most so many signed heads, the one over the most leaves first."""
        rows = self._connection.execute(
            "SELECT leaf_count, timestamp, note FROM heads ORDER BY leaf_count DESC LIMIT ?",
            (limit,),
        )
        return tuple(StoredHead(leaf_count=row[0], timestamp=row[1], note=row[2]) for row in rows)

    def subject(self, subject: bytes) -> SubjectHead:
        """Return the end of a subject's chain."""
        row = self._one("SELECT next_seq, last_body_hash FROM subjects WHERE subject = ?", subject)
        return SubjectHead() if row is None else SubjectHead(next_seq=row[0], last_body_hash=row[1])

    def intents(self) -> tuple[tuple[bytes, Hash32 | None], ...]:
        """Return draft and opening hash of every open intent, oldest id first."""
        rows = self._connection.execute("SELECT draft, opening_hash FROM intents ORDER BY id")
        return tuple(rows.fetchall())

    def has_intent(self, receipt_id: bytes) -> bool:
        """Return whether an intent of this id is open."""
        return self._one("SELECT 1 FROM intents WHERE id = ?", receipt_id) is not None

    def _one(self, sql: str, *parameters: object) -> Any:  # noqa: ANN401 - typed by the STRICT schema
        return self._connection.execute(sql, parameters).fetchone()


class WriteTransaction(View):
    """Reads and writes that become durable together, or not at all."""

    def add_leaves(self, leaves: Sequence[NewLeaf]) -> None:
        """Write new leaves with all that belongs to them; fulfilled intents go."""
        receipts = [leaf for leaf in leaves if leaf.receipt_id is not None]
        self._many("INSERT INTO records VALUES (?, ?)", [(n.index, n.record) for n in leaves])
        self._many("INSERT INTO bodies VALUES (?, ?)", [(n.index, n.body) for n in leaves])
        self._many(
            "INSERT INTO key_events VALUES (?)", [(n.index,) for n in leaves if n.type == TYPE_KEY]
        )
        self._many(
            "INSERT INTO receipts VALUES (?, ?, ?)",
            [(n.receipt_id, n.index, n.opening_hash) for n in receipts],
        )
        self._many("DELETE FROM intents WHERE id = ?", [(n.receipt_id,) for n in receipts])
        self._many(
            "INSERT INTO raw_usage VALUES (?, ?)",
            [(n.index, n.raw_usage) for n in receipts if n.raw_usage],
        )

    def add_nodes(self, first: int, nodes: Sequence[Hash32]) -> None:
        """Write new nodes of the tree.

        Args:
            first: position of the first of them, the end of the array so far.
            nodes: in the order of the array.
        """
        self._many("INSERT INTO nodes VALUES (?, ?)", list(enumerate(nodes, first)))

    def put_subjects(self, heads: Mapping[bytes, SubjectHead]) -> None:
        """Write the new ends of some subjects' chains."""
        self._many(
            "INSERT INTO subjects VALUES (?, ?, ?) ON CONFLICT (subject) DO UPDATE SET"
            " next_seq = excluded.next_seq, last_body_hash = excluded.last_body_hash",
            [(subject, head.next_seq, head.last_body_hash) for subject, head in heads.items()],
        )

    def add_intent(self, receipt_id: bytes, draft: bytes, opening_hash: Hash32 | None) -> None:
        """Write a call that was admitted."""
        self._many("INSERT INTO intents VALUES (?, ?, ?)", [(receipt_id, draft, opening_hash)])

    def put_head(self, head: StoredHead) -> None:
        """Write a signed head; one over the same leaves gives way to the newer."""
        self._many(
            "INSERT INTO heads VALUES (?, ?, ?) ON CONFLICT (leaf_count) DO UPDATE SET"
            " timestamp = excluded.timestamp, note = excluded.note",
            [(head.leaf_count, head.timestamp, head.note)],
        )

    def erase(self, leaves: Mapping[LeafIndex, bytes | None]) -> None:
        """Overwrite bodies, raw usage and opening hashes.

        The rows stay, emptied: taking them out would let SQLite move their neighbours to
        other pages, and leave stale copies of those where a later erasure does not reach.
        The drafts in `intents` did get moved about, so their pages are written anew.

        Args:
            leaves: with the receipt id of each, None where it cannot be read: finding
                its row then takes a look at all of them.
        """
        rows = [(leaf,) for leaf in leaves]
        self._many("UPDATE bodies SET body = x'' WHERE leaf = ?", rows)
        self._many("UPDATE raw_usage SET usage = x'' WHERE leaf = ?", rows)
        known = [(receipt_id, leaf) for leaf, receipt_id in leaves.items() if receipt_id]
        unknown = [(leaf,) for leaf, receipt_id in leaves.items() if not receipt_id]
        self._many("UPDATE receipts SET opening_hash = NULL WHERE id = ? AND leaf = ?", known)
        self._many("UPDATE receipts SET opening_hash = NULL WHERE leaf = ?", unknown)
        intents = self._connection.execute("SELECT * FROM intents").fetchall()
        self._connection.execute("DELETE FROM intents")
        self._many("INSERT INTO intents VALUES (?, ?, ?)", intents)

    def _many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            self._connection.executemany(sql, rows)


class Store:
    """One database file, open in this process."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        """Open a database.

        Raises:
            LedgerUseError: not-a-ledger.
            StoreContentError: store-foreign, store-corrupt.
            StoreError: store-newer, store-locked, store-unwritable, store-io.
        """
        self.path = path
        self.read_only = read_only
        self._process = os.getpid()
        self._closed = False
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._write_lock = threading.Lock()
        with self.read() as view:  # the file must be usable now, not at the first call
            view.leaf_count()

    @contextlib.contextmanager
    def read(self) -> Iterator[View]:
        """Give a view of what is durable, as it stands at the first read.

        Raises:
            LedgerUseError: closed, other-process.
            StoreError, StoreContentError: the database could not be read.
        """
        self._check_usable()
        with sqlite_errors(self.path):
            connection = self._take_reader()
            try:
                connection.execute("BEGIN")  # one snapshot for all that the block reads
                yield View(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[WriteTransaction]:
        """Give a transaction that is durable when the block ends without an error.

        After an error in the commit itself nobody knows what reached the disk. The
        connection is then dropped, so that the next one reads the file afresh.

        Raises:
            LedgerUseError: closed, other-process, read-only.
            StoreError, StoreContentError: the database could not be written.
        """
        self._check_usable()
        if self.read_only:
            raise LedgerUseError("read-only", "the ledger was opened for reading only")
        with self._write_lock, sqlite_errors(self.path):
            if self._writer is None:
                self._writer = open_connection(self.path, read_only=False)
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield WriteTransaction(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                self._drop_writer()
                raise

    def empty_log(self) -> bool:
        """Move the write-ahead log into the file and cut it to nothing.

        Returns:
            Whether that was possible: a reader may need the log for as long as 20 s.

        Raises:
            LedgerUseError: closed, other-process.
            StoreError, StoreContentError: the database could not be written.
        """
        self._check_usable()
        with self._write_lock, sqlite_errors(self.path):
            if self._writer is None:
                self._writer = open_connection(self.path, read_only=False)
            (busy, *_) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def close(self) -> None:
        """Close all connections; a second call does nothing."""
        with self._write_lock, self._lock:
            self._closed = True
            if self._process != os.getpid():
                return  # a fork must not touch its parent's connections
            for connection in (*self._readers, self._writer):
                if connection is not None:
                    connection.close()
            self._readers.clear()
            self._writer = None

    def _check_usable(self) -> None:
        if self._closed:
            raise LedgerUseError("closed", "the ledger was closed")
        if self._process != os.getpid():
            raise LedgerUseError("other-process", "the ledger was opened before this fork")

    def _take_reader(self) -> sqlite3.Connection:
        with self._lock:
            if self._readers:
                return self._readers.pop()
        return open_connection(self.path, read_only=self.read_only)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and len(self._readers) < _IDLE_READERS:
                self._readers.append(connection)
                return
        connection.close()

    def _drop_writer(self) -> None:
        connection, self._writer = self._writer, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            connection.close()
