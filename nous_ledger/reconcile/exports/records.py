"""The records of a CSV file: a damaged one costs itself, not those that follow it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import IO, Final

from nous_ledger.reconcile.exports.lines import read_lines
from nous_ledger.reconcile.exports.rows import MAX_LINE, RowFault

MAX_RECORD_LINES: Final = 64
"""Most lines that one record spans; a quote that is not closed by then is damage."""

Line = tuple[int, bytes | RowFault]


def read_records(stream: IO[bytes]) -> Iterator[tuple[int, list[str] | RowFault]]:
    """Yield line and cells of each record, a fault in the place of one that is damaged.

    A quote that is opened and never closed would swallow all that follows: where a record
    does not end within MAX_RECORD_LINES, its first line alone is damaged.

    Args:
        stream: the file, at its beginning.
    """
    csv.field_size_limit(MAX_LINE)
    lines = read_lines(stream)
    ahead: list[Line] = []
    while first := (ahead.pop(0) if ahead else next(lines, None)):
        number, data = first
        if isinstance(data, RowFault):
            yield number, data
            continue
        record = _whole(data, ahead, lines) if data.count(b'"') % 2 else data
        yield number, _cells(number, data if record is None else record)


def _whole(first: bytes, ahead: list[Line], lines: Iterator[Line]) -> bytes | None:
    """Return the lines of a record whose first line leaves a quote open; None if it stays so.

    Args:
        first: its first line.
        ahead: lines that were read before; those of the record are taken from it.
        lines: the lines that follow these.
    """
    parts = [first]
    for number in range(MAX_RECORD_LINES):
        if number == len(ahead):
            if (line := next(lines, None)) is None:
                return None
            ahead.append(line)
        data = ahead[number][1]
        if isinstance(data, RowFault):
            return None
        parts.append(data)
        if data.count(b'"') % 2:
            del ahead[: number + 1]
            return b"".join(parts)
    return None


def _cells(number: int, data: bytes) -> list[str] | RowFault:
    text = data.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        return RowFault(line=number, message=f"no CSV: {error}")
    return rows[0] if rows else []
