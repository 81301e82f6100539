"""A ledger in one SQLite file: one transaction that decides, many that read.

Everything that decides an index, a time, the peaks or a place in a subject's
chain is read through the same transaction that writes what follows from it. It
holds the write lock of the file from its first read on, so two processes on one
file continue one log and never fork it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from nous_ledger.ledger.database import open_connection, sqlite_errors, translated_error
from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.ledger.migrations import read_version
from nous_ledger.ledger.sqlite_view import SqliteTransaction, SqliteView
from nous_ledger.ledger.store import Store

_IDLE_READERS: Final = 8


class SqliteStore(Store):
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
        self._written = 0  # transactions that were begun
        self._version: int | None = None  # of the data, when its schema was last looked at
        with self.read() as view:  # the file must be usable now, not at the first call
            view.leaf_count()

    def read(self) -> _Reading:
        """Give a view of what is durable, as it stands at the first read.

        Raises:
            LedgerUseError: closed, other-process.
            StoreError, StoreContentError: the database could not be read.
        """
        return _Reading(self)

    @contextlib.contextmanager
    def write(self) -> Iterator[SqliteTransaction]:
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
                yield self._transaction(self._writer)
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
        if self._process != os.getpid():
            self._closed = True
            return  # a fork must not touch its parent's connections, nor wait for its locks
        with self._write_lock, self._lock:
            self._closed = True
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

    def take_reader(self) -> sqlite3.Connection:
        """Return a connection that nobody else uses meanwhile."""
        self._check_usable()
        with self._lock:
            if self._readers:
                return self._readers.pop()
        return open_connection(self.path, read_only=self.read_only)

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Keep a connection for the next reader, or close it."""
        with self._lock:
            if not self._closed and len(self._readers) < _IDLE_READERS:
                self._readers.append(connection)
                return
        connection.close()

    def _transaction(self, writer: sqlite3.Connection) -> SqliteTransaction:
        """Return the transaction that has begun; named by what was written before it.

        A connection's data version changes with every commit of another connection.
        """
        (version,) = writer.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            read_version(self.path, writer)  # a newer program may have migrated it
            self._version = version
        before, self._written = self._written, self._written + 1
        return SqliteTransaction(
            writer, follows=(version, before), leads_to=(version, self._written)
        )

    def _drop_writer(self) -> None:
        connection, self._writer = self._writer, None
        self._version = None
        self._written += 1  # what the transaction led to is not what the next one follows
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            connection.close()


class _Reading:
    """The block in which a view is read; a class, for proofs read often and little."""

    __slots__ = ("_connection", "_store")

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def __enter__(self) -> SqliteView:
        self._connection = self._store.take_reader()
        self._run("BEGIN")  # one snapshot for all that the block reads
        return SqliteView(self._connection)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._run("COMMIT")
            self._store.give_back(self._connection)
            return
        self._connection.close()
        if isinstance(error, sqlite3.Error):
            raise translated_error(self._store.path, error) from error

    def _run(self, statement: str) -> None:
        try:
            self._connection.execute(statement)
        except sqlite3.Error as error:
            self._connection.close()
            raise translated_error(self._store.path, error) from error
