"""What is remembered of each record of a nous-v2 gateway: rows of 256 in the state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sentinel.audit.legacy_memory import KnownRecord
from sentinel.audit.legacy_wire import CONTENT_LENGTH
from sentinel.state import State
from sentinel.state_file import state_errors

_LEVEL: Final = 48
"""Above every level of a tile of hashes: the same table holds both."""
_ROW: Final = 256
_LEAF: Final = 32
_SIGNATURE: Final = 64
_RECORD: Final = _LEAF + _SIGNATURE + CONTENT_LENGTH


class RememberedRecords:
    """The records of one gateway, by position."""

    def __init__(self, state: State, number: int) -> None:
        """Name the gateway.

        Args:
            state: the file.
            number: of the gateway within it.
        """
        self._state = state
        self._first = number << 52 | _LEVEL << 46

    def read(self, start: int, width: int, count: int) -> tuple[KnownRecord, ...]:
        """Return what is remembered of the records from one position on.

        Args:
            start: position of the first.
            width: records wanted.
            count: records that are remembered at all.

        Raises:
            StateError: state-corrupt, state-io.
        """
        end = min(start + width, count)
        if start >= end:
            return ()
        first, last = start // _ROW, (end - 1) // _ROW
        with state_errors(self._state.path):
            rows = self._state.connection.execute(
                "SELECT hashes FROM tiles WHERE id BETWEEN ? AND ? ORDER BY id",
                (self._first + first, self._first + last),
            ).fetchall()
        data = b"".join(row[0] for row in rows)
        offset = start - first * _ROW
        return tuple(
            _decode(data[at * _RECORD : (at + 1) * _RECORD])
            for at in range(offset, min(offset + end - start, len(data) // _RECORD))
        )

    def write(self, records: bytes | bytearray, count: int) -> None:
        """Remember the first records, within the caller's transaction; none if there are none.

        Args:
            records: as `pack` makes them, from the first on.
            count: how many of them to remember.
        """
        data = memoryview(records)[: count * _RECORD]
        rows = (
            (self._first + number, bytes(data[at : at + _ROW * _RECORD]))
            for number, at in enumerate(range(0, len(data), _ROW * _RECORD))
        )
        self._state.connection.executemany(
            "INSERT INTO tiles VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET "
            "hashes = excluded.hashes WHERE hashes <> excluded.hashes",
            rows,
        )


def pack(records: Iterable[KnownRecord]) -> bytes:
    """Return records as they are remembered: 112 bytes each."""
    return b"".join(map(b"".join, records))


def _decode(data: bytes) -> KnownRecord:
    end = _LEAF + _SIGNATURE
    return KnownRecord(data[:_LEAF], data[_LEAF:end], data[end:])
