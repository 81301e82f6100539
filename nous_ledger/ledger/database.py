"""The SQLite file of a ledger: its schema, how it is opened, what its errors mean.

    records     leaf index -> the 120 bytes that are hashed into the tree
    bodies      leaf index -> the body; empty once it was erased
    raw_usage   leaf index -> the provider's usage values as they came; erasable too
    nodes       position   -> a node of the tree; a node never changes
    key_events  which leaves are key events
    receipts    receipt id -> leaf index, and the hash of the call's opening
    subjects    pseudonym  -> the end of its chain of receipts
    heads       leaf count -> the newest signed head over that many leaves
    intents     receipt id -> a call that was admitted and has no receipt yet

The write-ahead log is synced at every commit (`synchronous=FULL`), and other
connections see a commit only after that: what can be read is durable.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from nous_ledger.ledger.errors import LedgerUseError, StoreContentError, StoreError
from nous_ledger.ledger.files import PRIVATE_FILE, os_errors
from nous_ledger.ledger.migrations import APPLICATION_ID, bring_up_to_date, schema_version
from nous_ledger.protocol.errors import LedgerError

BUSY_TIMEOUT_S: Final = 20.0

_SCHEMA: Final = """
CREATE TABLE log (
    id INTEGER PRIMARY KEY CHECK (id = 1), log_id BLOB NOT NULL, origin TEXT NOT NULL
) STRICT;
CREATE TABLE records (leaf INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT;
CREATE TABLE bodies (leaf INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE raw_usage (leaf INTEGER PRIMARY KEY, usage BLOB NOT NULL) STRICT;
CREATE TABLE nodes (position INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
CREATE TABLE key_events (leaf INTEGER PRIMARY KEY) STRICT;
CREATE TABLE receipts (
    id BLOB PRIMARY KEY, leaf INTEGER NOT NULL, opening_hash BLOB
) STRICT, WITHOUT ROWID;
CREATE TABLE subjects (
    subject BLOB PRIMARY KEY, next_seq INTEGER NOT NULL, last_body_hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE heads (
    leaf_count INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, note BLOB NOT NULL
) STRICT;
CREATE TABLE intents (
    id BLOB PRIMARY KEY, draft BLOB NOT NULL, opening_hash BLOB
) STRICT, WITHOUT ROWID;
"""

_LITTLE_ROOM: Final = 65_536
"""Bytes below which a disk counts as full."""
_CODES: Final = {
    sqlite3.SQLITE_BUSY: "store-locked",
    sqlite3.SQLITE_LOCKED: "store-locked",
    sqlite3.SQLITE_FULL: "store-full",
    sqlite3.SQLITE_READONLY: "store-unwritable",
    sqlite3.SQLITE_PERM: "store-unwritable",
    sqlite3.SQLITE_CANTOPEN: "store-unwritable",
    sqlite3.SQLITE_IOERR: "store-io",
}
_CORRUPT: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT}
)


def create_database(path: Path, log_id: bytes, origin: str) -> None:
    """Make an empty database where no file stands.

    Raises:
        LedgerUseError: already-exists.
        StoreError: store-unwritable, store-full, store-io.
    """
    try:
        with os_errors(path, FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
    except FileExistsError as error:
        raise LedgerUseError("already-exists", f"{path} exists already") from error
    with sqlite_errors(path), contextlib.closing(_connect(path, read_only=False)) as connection:
        _configure(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}")
        connection.execute("INSERT INTO log VALUES (1, ?, ?)", (log_id, origin))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {schema_version()}")
        connection.execute("COMMIT")


def open_connection(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Return a connection to a database, which any thread may use in turn.

    A database of an earlier version is brought up to date first.

    Raises:
        LedgerUseError: not-a-ledger, if there is no such file.
        StoreContentError: store-foreign, store-corrupt.
        StoreError: store-newer, store-older, store-locked, store-unwritable, store-io.
    """
    check_database_file(path)
    with sqlite_errors(path), contextlib.ExitStack() as on_failure:
        connection = _connect(path, read_only=read_only)
        on_failure.callback(connection.close)
        _configure(connection)
        bring_up_to_date(path, connection, read_only=read_only)
        on_failure.pop_all()
    return connection


def check_database_file(path: Path) -> None:
    """Refuse a place where no file stands.

    Raises:
        LedgerUseError: not-a-ledger.
        StoreError: store-unwritable, if the folder may not be looked into.
    """
    with os_errors(path):
        if not path.is_file():
            raise LedgerUseError("not-a-ledger", f"there is no ledger in {path.parent}")


@contextlib.contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into errors of ours.

    Raises:
        StoreError: store-locked, store-full, store-unwritable, store-io.
        StoreContentError: store-corrupt.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise translated_error(path, error) from error
    except UnicodeDecodeError as error:  # a message that repeats what is damaged
        raise StoreContentError("store-corrupt", f"{path}: text in it is no UTF-8") from error


def translated_error(path: Path, error: sqlite3.Error) -> LedgerError:
    """Return the error of ours that an error of SQLite is, as `sqlite_errors` raises it."""
    # An extended code has its primary code in the low byte.
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if primary == sqlite3.SQLITE_NOTADB:
        return StoreContentError("store-foreign", f"{path} is not a database: {error}")
    if primary in _CORRUPT:
        return StoreContentError("store-corrupt", f"{path}: {error}")
    code = _CODES.get(primary, "store-io")
    if code == "store-io" and _is_full(path):
        code = "store-full"  # as SQLite calls it where it maps memory, or where a sync has no room
    return StoreError(code, f"{path}: {error}")


def _is_full(path: Path) -> bool:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _LITTLE_ROOM


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rw"
    return sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions begin and end where the code says so
        check_same_thread=False,
    )


def _configure(connection: sqlite3.Connection) -> None:
    for pragma in (
        "synchronous = FULL",
        "fullfsync = ON",  # macOS: a plain fsync does not reach the disk there
        "checkpoint_fullfsync = ON",
        "secure_delete = ON",  # an erased body is overwritten
        "trusted_schema = OFF",
        "cache_size = -6144",  # KiB; of each connection
        "wal_autocheckpoint = 4000",
        "journal_size_limit = 67108864",
    ):
        connection.execute(f"PRAGMA {pragma}")
