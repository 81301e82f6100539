"""How the tables of one log are asked and written; what a fold adds goes into them here."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from nous_ledger.protocol.record import TYPE_RECEIPT
from nous_ledger.protocol.types import LeafIndex
from sentinel.audit.ports import ChainEnd, Changes
from sentinel.audit.state import SeenHead
from sentinel.state import LogRow, State
from sentinel.state_file import state_errors
from sentinel.state_schema import ERA_BITS

MAX_HEADS: Final = 10_000
"""Heads that are kept of one log; older ones are forgotten first."""
_AT_ONCE: Final = 500
"""Values in one question to SQLite."""


def pack(numbers: Sequence[int]) -> bytes:
    """Return numbers of up to 2^53-1 as 8 bytes each."""
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def unpack(data: bytes) -> tuple[int, ...]:
    """Return the numbers that `pack` wrote."""
    return struct.unpack(f"<{len(data) // 8}Q", data)


class LogTables:
    """The rows of one log.

    Attributes:
        row: the log.
    """

    def __init__(self, state: State, row: LogRow) -> None:
        """Name the log."""
        self.row = row
        self.state = state

    def execute(self, sql: str, values: Sequence[Any]) -> sqlite3.Cursor:
        """Run one statement."""
        with state_errors(self.state.path):
            return self.state.connection.execute(sql, values)

    def write_rows(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run one statement for each of some rows."""
        if rows:
            with state_errors(self.state.path):
                self.state.connection.executemany(sql, rows)

    def select(
        self, sql: str, values: Iterable[bytes | int], *before: int
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a question about many values, asked in parts.

        Args:
            sql: with a mark for the log, then `{}` for the marks of the values.
            values: what is asked for.
            before: values of further marks between the two.
        """
        wanted = list(values)
        found: list[tuple[Any, ...]] = []
        for at in range(0, len(wanted), _AT_ONCE):
            part = wanted[at : at + _AT_ONCE]
            marks = ",".join("?" * len(part))
            found += self.execute(sql.format(marks), (self.row.number, *before, *part))
        return found

    def eras(self, table: str) -> range:
        """Return the eras in which a table may have rows, from the first leaf on."""
        (last,) = self.execute(
            f"SELECT max(era) FROM {table} WHERE log = ?",  # noqa: S608 - a name of ours
            (self.row.number,),
        ).fetchone()
        return range(0 if last is None else last + 1)


class ChangeWriter:
    """Writes what folds add, within the transaction of its caller."""

    def __init__(self, tables: LogTables) -> None:
        """Write to the rows of one log."""
        self._tables = tables
        self._log = tables.row.number
        self.numbers: dict[bytes, int] = {}
        (self._next_number,) = tables.execute(
            "SELECT coalesce(max(id), 0) + 1 FROM subjects", ()
        ).fetchone()

    def write_head(self, head: SeenHead, now: int) -> None:
        """Write a head that was accepted."""
        log = self._log
        self._tables.execute(
            "INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?, ?)",
            (log, head.leaf_count, head.timestamp, now, head.note),
        )
        self._tables.execute(
            "DELETE FROM heads WHERE log = ? AND leaf_count <= (SELECT leaf_count FROM heads"
            " WHERE log = ? ORDER BY leaf_count DESC LIMIT 1 OFFSET ?)",
            (log, log, MAX_HEADS),
        )

    def write(self, all_changes: Sequence[Changes]) -> None:
        """Write what some folds added, in their order."""
        log, write = self._log, self._tables.write_rows
        self._write_subjects(all_changes)
        self._write_receipts(all_changes)
        for changes in all_changes:
            write(
                "INSERT OR REPLACE INTO nonces VALUES (?, ?, ?, ?)",
                [(log, signer, *used) for signer, used in changes.nonces.items()],
            )
            write(
                "INSERT OR REPLACE INTO wallets VALUES (?, ?, ?)",
                [(log, subject, wallet) for subject, wallet in changes.wallets.items()],
            )
            write(
                "INSERT OR REPLACE INTO claims VALUES (?, ?, ?)",
                [(log, *claim) for claim in changes.claims],
            )
            self._write_withheld(changes)

    def announce(self, indices: Iterable[LeafIndex]) -> None:
        """Note that the bodies of some leaves need no further notice."""
        rows = [(self._log, index) for index in indices]
        write = self._tables.write_rows
        write("INSERT OR REPLACE INTO announced VALUES (?, ?)", rows)
        write("UPDATE withheld SET announced = 1 WHERE log = ? AND leaf = ?", rows)

    def _write_subjects(self, all_changes: Sequence[Changes]) -> None:
        ends: dict[bytes, ChainEnd] = {}
        for changes in all_changes:
            ends.update(changes.subjects)
        self._number(ends)
        self._tables.write_rows(
            "INSERT INTO subjects (id, log, subject, seq, body_hash, leaf)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (log, subject) DO UPDATE SET"
            " seq = excluded.seq, body_hash = excluded.body_hash, leaf = excluded.leaf",
            [
                (self.numbers[subject], self._log, subject, *end)
                for subject, end in sorted(ends.items())
            ],
        )

    def _number(self, subjects: Collection[bytes]) -> None:
        """Give every subject its number, a new one where it has none."""
        unknown = [subject for subject in subjects if subject not in self.numbers]
        sql = "SELECT subject, id FROM subjects WHERE log = ? AND subject IN ({})"
        self.numbers.update(self._tables.select(sql, unknown))
        for subject in unknown:
            if subject not in self.numbers:
                self.numbers[subject] = self._next_number
                self._next_number += 1

    def _write_receipts(self, all_changes: Sequence[Changes]) -> None:
        log = self._log
        new = [receipt for changes in all_changes for receipt in changes.receipts]
        self._tables.write_rows(
            "INSERT INTO ids VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(log, receipt.id, receipt.leaf) for receipt in new],
        )
        chains: dict[tuple[int, bytes], list[int]] = {}
        for _, leaf, subject, seq in new:
            chains.setdefault((leaf >> ERA_BITS, subject), []).extend((seq, leaf))
        self._number({subject for _, subject in chains})
        numbers = self.numbers
        self._tables.write_rows(
            "INSERT INTO places VALUES (?, ?, ?, ?, ?, ?, ?)",
            sorted(
                (
                    log,
                    era,
                    numbers[subject],
                    pairs[1],
                    min(pairs[::2]),
                    max(pairs[::2]),
                    pack(pairs),
                )
                for (era, subject), pairs in chains.items()
            ),
        )

    def _write_withheld(self, changes: Changes) -> None:
        log, write = self._log, self._tables.write_rows
        write(
            "INSERT OR REPLACE INTO withheld VALUES (?, ?, ?, ?, ?, 0)",
            [(log, *body) for body in changes.withheld],
        )
        write(
            "INSERT OR REPLACE INTO withheld_hashes VALUES (?, ?, ?, ?)",
            [
                (log, body.leaf >> ERA_BITS, body.body_hash, body.leaf)
                for body in changes.withheld
                if body.type == TYPE_RECEIPT
            ],
        )
        self.announce(changes.announced)
