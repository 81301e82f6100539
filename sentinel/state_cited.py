"""Records that findings cite, kept as they were served: a log may not serve them again.

Evidence is made at the end of a round. A log that shows a bad record once, and not any
more when it is read for the evidence, must not get away with that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from nous_ledger.protocol.tiles import ENTRY_BYTES, decode_bodies
from sentinel.audit.findings import Finding
from sentinel.audit.span import SpanJob
from sentinel.state_tables import LogTables

MAX_CITED: Final = 256
"""Records of one log that are kept until there is evidence; further ones are read again."""


class CitedRecords:
    """What is kept of one log."""

    def __init__(self, tables: LogTables) -> None:
        """Name the log."""
        self._tables = tables
        self._new: dict[int, tuple[bytes, bytes | None]] = {}

    def keep(self, findings: Iterable[Finding], job: SpanJob) -> None:
        """Keep those records of a span that findings cite; durable with the next commit.

        Args:
            findings: what was found in it.
            job: the span, whose records were compared with the signed tree.
        """
        leaves = {leaf for finding in findings for leaf in finding.cites}
        width = len(job.entries) // ENTRY_BYTES
        here = sorted(leaf - job.first for leaf in leaves if 0 <= leaf - job.first < width)
        bodies = decode_bodies(job.bodies, width) if here and job.bodies is not None else ()
        for at in here:
            record = job.entries[at * ENTRY_BYTES + 2 : (at + 1) * ENTRY_BYTES]
            self._new[job.first + at] = record, bodies[at] if bodies else None

    def write(self) -> None:
        """Write what was kept, within the caller's transaction."""
        log = self._tables.row.number
        self._tables.write_rows(
            "INSERT OR IGNORE INTO cited SELECT ?, ?, ?, ?"
            " WHERE (SELECT count(*) FROM cited WHERE log = ?) < ?",
            [
                (log, leaf, record, body, log, MAX_CITED)
                for leaf, (record, body) in sorted(self._new.items())
            ],
        )
        self._new.clear()

    def find(self, leaf: int) -> tuple[bytes, bytes | None] | None:
        """Return the record and, if it was read, the body that were served at a leaf."""
        row = self._tables.execute(
            "SELECT record, body FROM cited WHERE log = ? AND leaf = ?",
            (self._tables.row.number, leaf),
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def has_all(self, leaves: Iterable[int]) -> bool:
        """Return whether the records of all leaves are kept."""
        return all(self.find(leaf) is not None for leaf in leaves)

    def keep_only(self, leaves: Collection[int]) -> None:
        """Let go of all records but those of some leaves, within the caller's transaction."""
        log = self._tables.row.number
        kept = self._tables.execute("SELECT leaf FROM cited WHERE log = ?", (log,)).fetchall()
        self._tables.write_rows(
            "DELETE FROM cited WHERE log = ? AND leaf = ?",
            [(log, leaf) for (leaf,) in kept if leaf not in leaves],
        )
