"""What a witness remembers: for each log the latest checkpoint that it cosigned.

One SQLite file, written through to the disk before anything is answered, and bound to
the key that it was made with: a witness that forgets what it cosigned can be led to
cosign another history, so a missing file is never made anew by the way.

Spec:
    PROTOCOL.md WIT-10, WIT-11, WIT-13.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.types import Hash32, LeafCount, UnixSeconds
from nous_ledger.protocol.values import value
from sentinel.errors import WitnessError

APPLICATION_ID: Final = 0x4E575431
SCHEMA_VERSION: Final = 1
MAX_FORKS: Final = 64
"""Refused heads that are kept as evidence, for each log."""

_BUSY_S: Final = 5.0
_SCHEMA: Final = """
CREATE TABLE witness (id INTEGER PRIMARY KEY CHECK (id = 1), vkey TEXT NOT NULL) STRICT;
CREATE TABLE latest (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0),
    root BLOB NOT NULL CHECK (length(root) = 32),
    log_lines BLOB NOT NULL,
    cosigned_at INTEGER NOT NULL,
    cosignature BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE forks (
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note BLOB NOT NULL,
    cosigned BLOB NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (origin, size, root)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER latest_only_forward BEFORE UPDATE ON latest
WHEN NEW.size < OLD.size OR NEW.cosigned_at < OLD.cosigned_at
    OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
BEGIN SELECT RAISE(ABORT, 'a witness never goes back'); END;
CREATE TRIGGER latest_never_forgotten BEFORE DELETE ON latest
BEGIN SELECT RAISE(ABORT, 'a witness never forgets'); END;
"""


@value
class Cosigned:
    """A checkpoint that was cosigned.

    Attributes:
        checkpoint: origin, size and root.
        log_lines: signature lines of the log that were verified, with their newlines.
        cosigned_at: time of the cosignature, seconds.
        cosignature: the witness's own line, with its newline.
    """

    checkpoint: Checkpoint
    log_lines: bytes
    cosigned_at: UnixSeconds
    cosignature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Two heads that a log signed over one size: it shows two histories.

    Attributes:
        checkpoint: origin, size and root of the head that was refused.
        note: that head, as it was sent.
        cosigned: the head of the same size that was cosigned, with its lines.
        seen_at: when it was refused, seconds.
    """

    checkpoint: Checkpoint
    note: bytes
    cosigned: bytes
    seen_at: UnixSeconds


class WitnessStore:
    """The state file of a witness; used by one thread at a time, by any number of processes."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Wrap an open connection; see `create` and `open`."""
        self._path = path
        self._connection = connection

    @classmethod
    def create(cls, path: Path, vkey: str) -> None:
        """Make the state file of a new witness, readable by its owner alone.

        Raises:
            InputError: a file stands there.
            WitnessError: witness-state.
        """
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError as error:
            raise InputError(
                "input", f"{path} exists", hint="the state of a witness is never replaced"
            ) from error
        except OSError as error:
            raise _unusable(path, error.strerror or "it cannot be made") from error
        with _wrapped(path), contextlib.closing(_connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.executescript(f"BEGIN; {_SCHEMA}")
            connection.execute("INSERT INTO witness VALUES (1, ?)", (vkey,))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        _sync_folder(path)

    @classmethod
    def open(cls, path: Path, vkey: str) -> Self:
        """Open the state file of a witness.

        Args:
            path: the file.
            vkey: the witness's key; the state of another one is refused.

        Raises:
            WitnessError: witness-state-missing, witness-state (it cannot be read, is no such
                file, or of another version or key).
        """
        if not path.is_file():
            raise WitnessError("witness-state-missing", f"there is no state at {path}")
        with _wrapped(path):
            connection = _connect(path)
            try:
                _check_file(path, connection, vkey)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def __enter__(self) -> Self:
        """Use as a context that closes."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold the file for a decision and its outcome; commit at the end.

        What was written is on the disk when this returns, or nothing of it ever was.

        Raises:
            WitnessError: witness-state: locked too long, unreadable, or full.
        """
        with _wrapped(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                raise

    def latest(self, origin: str) -> Cosigned | None:
        """Return the checkpoint of a log that was cosigned last; None if none was.

        Raises:
            WitnessError: witness-state.
        """
        query = (
            "SELECT size, root, log_lines, cosigned_at, cosignature FROM latest WHERE origin = ?"
        )
        with _wrapped(self._path):
            row = self._connection.execute(query, (origin,)).fetchone()
        if row is None:
            return None
        size, root, log_lines, cosigned_at, cosignature = row
        return Cosigned(
            checkpoint=Checkpoint(origin=origin, leaf_count=LeafCount(size), root=Hash32(root)),
            log_lines=log_lines,
            cosigned_at=UnixSeconds(cosigned_at),
            cosignature=cosignature,
        )

    def all_latest(self) -> tuple[Cosigned, ...]:
        """Return the latest checkpoint of every log that was ever cosigned, by origin.

        Raises:
            WitnessError: witness-state.
        """
        with _wrapped(self._path):
            rows = self._connection.execute("SELECT origin FROM latest ORDER BY origin").fetchall()
        found = (self.latest(origin) for (origin,) in rows)
        return tuple(seen for seen in found if seen is not None)

    def replace(self, new: Cosigned) -> None:
        """Set the latest checkpoint of a log; only within `exclusively`."""
        self._connection.execute(
            "INSERT INTO latest VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET "
            "size = excluded.size, root = excluded.root, log_lines = excluded.log_lines, "
            "cosigned_at = excluded.cosigned_at, cosignature = excluded.cosignature",
            (
                new.checkpoint.origin,
                new.checkpoint.leaf_count,
                new.checkpoint.root,
                new.log_lines,
                new.cosigned_at,
                new.cosignature,
            ),
        )

    def keep_fork(self, fork: Fork) -> bool:
        """Keep a refused head as evidence; only within `exclusively`.

        Returns:
            Whether it was new; the first `MAX_FORKS` of a log are kept.
        """
        head = fork.checkpoint
        changed = self._connection.execute(
            "INSERT OR IGNORE INTO forks SELECT ?, ?, ?, ?, ?, ? "
            "WHERE (SELECT count(*) FROM forks WHERE origin = ?) < ?",
            (
                head.origin,
                head.leaf_count,
                head.root,
                fork.note,
                fork.cosigned,
                fork.seen_at,
                head.origin,
                MAX_FORKS,
            ),
        )
        return changed.rowcount == 1

    def forks(self, origin: str) -> tuple[Fork, ...]:
        """Return the heads of a log that were refused as proof of a fork, oldest first."""
        query = (
            "SELECT size, root, note, cosigned, seen_at FROM forks WHERE origin = ? "
            "ORDER BY seen_at, size, root"
        )
        with _wrapped(self._path):
            rows = self._connection.execute(query, (origin,)).fetchall()
        return tuple(
            Fork(
                checkpoint=Checkpoint(origin=origin, leaf_count=LeafCount(size), root=Hash32(root)),
                note=note,
                cosigned=cosigned,
                seen_at=UnixSeconds(seen_at),
            )
            for size, root, note, cosigned, seen_at in rows
        )


def _connect(path: Path) -> sqlite3.Connection:
    # A relative path with a colon or question mark is no URI: it is opened as it stands.
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    # One file and no other beside it, so that no copy can miss the newest part; what is
    # above FULL makes the end of each commit durable in that mode, too.
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _check_file(path: Path, connection: sqlite3.Connection, vkey: str) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise _unusable(path, "it is no state of a witness")
    if version != SCHEMA_VERSION:
        raise _unusable(path, f"it is of version {version}, this program writes {SCHEMA_VERSION}")
    row = connection.execute("SELECT vkey FROM witness").fetchone()
    if row is None or row[0] != vkey:
        raise _unusable(path, "it belongs to another witness key")


@contextlib.contextmanager
def _wrapped(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _unusable(path, str(error)) from error


def _unusable(path: Path, why: str) -> WitnessError:
    return WitnessError("witness-state", f"the state at {path} cannot be used: {why}")


def _sync_folder(path: Path) -> None:
    """Make the new name durable: a state that vanishes with the power is a witness that forgot."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
