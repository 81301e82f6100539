"""What was imported: a small SQLite file beside the ledger, never part of the log.

A file is known by its hash, so importing it twice changes nothing; a row is known by
what it speaks of, so a longer export of the same month replaces what it says anew and
adds what is new.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Final

from nous_ledger.protocol.types import PicoUsd, UnixMillis
from nous_ledger.reconcile.errors import ExportError
from nous_ledger.reconcile.exports.rows import RowFault, Statement

SCHEMA: Final = 1
MAX_FAULTS: Final = 100
"""Rows in error that an import lists; further ones are counted."""

_CACHE_KIB: Final = 48 * 1024
"""Memory for pages: keys are hashes, so a long import touches pages all over the file."""

_TABLES: Final = """
CREATE TABLE files (
    sha256 BLOB PRIMARY KEY, name TEXT NOT NULL, format TEXT NOT NULL,
    imported_at INTEGER NOT NULL, rows INTEGER NOT NULL, faults INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE statements (
    key BLOB PRIMARY KEY, file BLOB NOT NULL, line INTEGER NOT NULL,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL,
    provider TEXT NOT NULL, model TEXT NOT NULL, request_id TEXT NOT NULL,
    calls INTEGER, input_tokens INTEGER, output_tokens INTEGER, cost INTEGER,
    detail TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX statements_by_time ON statements (start);
"""
_FIELDS: Final = (
    *("line", "start", "end", "provider", "model", "request_id", "calls"),
    *("input_tokens", "output_tokens", "cost", "detail"),
)
_values_of: Final = attrgetter(*_FIELDS)
_NAMES: Final = ", ".join(f'"{name}"' for name in _FIELDS)
_OF_A_TIME: Final = f"SELECT {_NAMES} FROM statements WHERE start >= ? AND start < ? ORDER BY start"  # noqa: S608
_FIND: Final = f"SELECT {_NAMES.partition(', ')[2]} FROM statements WHERE key = ?"  # noqa: S608
_REPLACE: Final = f"INSERT OR REPLACE INTO statements VALUES (?, ?{', ?' * len(_FIELDS)})"  # noqa: S608
_COUNT: Final = (
    "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did.

    Attributes:
        known: the very same file was imported before; nothing was changed.
        added: rows that are new.
        changed: rows that say otherwise than before.
        unchanged: rows that were there already.
        faults: rows in error, the first MAX_FAULTS of them.
        fault_count: rows in error.
    """

    known: bool = False
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    faults: tuple[RowFault, ...] = ()
    fault_count: int = 0


class StatementStore:
    """The imported statements of one ledger."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            ExportError: exports-unusable: it cannot be opened, or is no such file.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(f"BEGIN;{_TABLES}PRAGMA user_version = {SCHEMA};COMMIT;")
            elif version != SCHEMA:
                raise _unusable(path, f"its version is {version}, this release knows {SCHEMA}")
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, str(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def holds(self, digest: bytes) -> bool:
        """Return whether a file of this SHA-256 was imported."""
        query = "SELECT 1 FROM files WHERE sha256 = ?"
        return self._db.execute(query, (digest,)).fetchone() is not None

    def take(
        self,
        digest: bytes,
        name: str,
        form: str,
        now: UnixMillis,
        found: Iterable[Statement | RowFault],
    ) -> Imported:
        """Keep what a file says, all of it or nothing.

        Args:
            digest: SHA-256 of the file.
            name: its name, for reports.
            form: its format.
            now: when it is imported.
            found: its rows.

        Raises:
            ExportError: exports-unusable: it cannot be written.
        """
        if self.holds(digest):
            return Imported(known=True)
        counts = Counter[str]()
        faults: list[RowFault] = []
        fault_count = rows = 0
        with self._writing():
            self._db.execute("DROP TABLE IF EXISTS temp.seen")
            self._db.execute(
                "CREATE TEMP TABLE seen (key BLOB PRIMARY KEY, times INTEGER) WITHOUT ROWID"
            )
            for item in found:
                if isinstance(item, RowFault):
                    fault_count += 1
                    if len(faults) < MAX_FAULTS:
                        faults.append(item)
                    continue
                rows += 1
                counts[self._keep(digest, item)] += 1
            row = (digest, name, form, now, rows, fault_count)
            self._db.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)", row)
        return Imported(
            added=counts["added"],
            changed=counts["changed"],
            unchanged=counts["unchanged"],
            faults=tuple(faults),
            fault_count=fault_count,
        )

    def statements(self, since: UnixMillis, until: UnixMillis) -> Iterator[Statement]:
        """Yield the statements that begin in a span of time, the oldest first."""
        for row in self._db.execute(_OF_A_TIME, (since, until)):
            fields = dict(zip(_FIELDS, row, strict=True))
            fields["cost"] = None if fields["cost"] is None else PicoUsd(fields["cost"])
            yield Statement(**fields)

    def files(self) -> tuple[tuple[str, str, UnixMillis, int, int], ...]:
        """Return name, format, time, rows and faults of each imported file, the oldest first."""
        query = "SELECT name, format, imported_at, rows, faults FROM files ORDER BY imported_at"
        return tuple(self._db.execute(query))

    def _keep(self, digest: bytes, item: Statement) -> str:
        key, values = self._nth(_key_of(item)), _values_of(item)
        before = self._db.execute(_FIND, (key,)).fetchone()
        if before == values[1:]:
            return "unchanged"
        self._db.execute(_REPLACE, (key, digest, *values))
        return "added" if before is None else "changed"

    def _nth(self, key: bytes) -> bytes:
        """Tell the second, third and further row of a file on one matter from the first."""
        (times,) = self._db.execute(_COUNT, (key,)).fetchone()
        return key if times == 1 else hashlib.sha256(key + b"%d" % times).digest()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _unusable(self._path, str(error)) from error


def _key_of(item: Statement) -> bytes:
    """Return what a statement speaks of: one call, or a span with all that tells it apart."""
    if item.request_id:
        parts = ["call", item.provider, item.request_id]
    else:
        kind = "cost" if item.cost is not None and item.input_tokens is None else "usage"
        span = (str(item.start), str(item.end))
        parts = [kind, item.provider, *span, item.model, item.detail]
    framed = [len(data).to_bytes(4, "big") + data for data in map(str.encode, parts)]
    return hashlib.sha256(b"".join(framed)).digest()


def _unusable(path: Path, why: str) -> ExportError:
    return ExportError("exports-unusable", f"{path}: {why}")
