"""The lines of a file, each bounded, whatever the file is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from nous_ledger.reconcile.exports.rows import MAX_LINE, RowFault


def read_lines(stream: IO[bytes], most: int = MAX_LINE) -> Iterator[tuple[int, bytes | RowFault]]:
    """Yield number and bytes of each line; a fault in the place of one that is too long.

    Args:
        stream: the file, at its beginning.
        most: longest line, in bytes; not more than one line of it is held.
    """
    number = 0
    while data := stream.readline(most + 1):
        number += 1
        if len(data) <= most:
            yield number, data
            continue
        while data and not data.endswith(b"\n"):
            data = stream.readline(most)
        yield number, RowFault(line=number, message=f"longer than {most} bytes")
