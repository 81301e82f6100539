"""What a sentinel remembers of the logs it follows: one SQLite file.

Killed at any moment, the file is as of the last transaction. `state_memory` has what
is remembered of one log.

Spec:
    PROTOCOL.md, section "Sentinel and witness".
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple, Self

from sentinel.state_file import held, open_database, state_errors
from sentinel.state_schema import MIGRATIONS, SCHEMA


class LogRow(NamedTuple):
    """A log that is remembered.

    Attributes:
        number: of the log within the file.
        origin: its name.
        log_id: its identity, 32 bytes.
        address: where it was read last.
        state: where its audit stands, as text; empty before the first commit.
        round: how its last round went, as JSON; empty before the first.
    """

    number: int
    origin: str
    log_id: bytes
    address: str
    state: str
    round: str


class State:
    """The file."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open a state.

        Args:
            path: the file.
            create: make it if it is missing; its folder must be there.

        Raises:
            StateError: state-foreign, state-newer, state-corrupt, state-io.
        """
        self.path = path
        self.connection = open_database(path, SCHEMA, MIGRATIONS, create=create)

    @classmethod
    @contextlib.contextmanager
    def held(cls, path: Path) -> Iterator[Self]:
        """Give a state to audit with, which no other sentinel uses meanwhile.

        Raises:
            StateError: state-busy, and those of the constructor.
        """
        with held(path), cls(path, create=True) as state:
            yield state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def logs(self) -> tuple[LogRow, ...]:
        """Return all logs that are remembered, in the order they were first seen."""
        with state_errors(self.path):
            rows = self.connection.execute(
                "SELECT id, origin, log_id, address, coalesce(state, ''), coalesce(round, '')"
                " FROM logs ORDER BY id"
            ).fetchall()
        return tuple(LogRow._make(row) for row in rows)

    def log(self, origin: str, log_id: bytes) -> LogRow:
        """Return what is known of a log, which from then on is remembered.

        Args:
            origin: its name.
            log_id: its identity; empty as long as it is not known.
        """
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO logs (origin, log_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (origin, log_id),
            )
        (found,) = [row for row in self.logs() if (row.origin, row.log_id) == (origin, log_id)]
        return found

    def pinned_log(self, origin: str, pinned: Collection[bytes]) -> LogRow:
        """Return the log of a name that has one of the pinned identities.

        Args:
            origin: its name.
            pinned: identities, at least one; of several it is known once its first record
                was read.
        """
        for row in self.logs():
            if row.origin == origin and row.log_id in pinned:
                return row
        return self.log(origin, next(iter(pinned)) if len(pinned) == 1 else b"")

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection within a transaction, which ends with the block."""
        with state_errors(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
