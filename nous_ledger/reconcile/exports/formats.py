"""The format of an export, and its rows in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any, Final

from nous_ledger.protocol.errors import InputError
from nous_ledger.reconcile.exports.json_reports import REPORTS, read_report
from nous_ledger.reconcile.exports.lines import read_lines
from nous_ledger.reconcile.exports.logs import read_bedrock, read_litellm
from nous_ledger.reconcile.exports.records import read_records
from nous_ledger.reconcile.exports.rows import (
    RowError,
    RowFault,
    Statement,
)
from nous_ledger.reconcile.exports.tables import RowReader, read_azure, read_google

Found = Statement | RowFault
FORMATS: Final = ("openai", "anthropic", "google", "azure", "litellm", "bedrock", "csv", "jsonl")
"""Names of the formats; `csv` and `jsonl` need a mapping."""

_LINES: Final[dict[str, RowReader]] = {"litellm": read_litellm, "bedrock": read_bedrock}
_TABLES: Final[dict[str, tuple[RowReader, *tuple[str, ...]]]] = {
    "google": (read_google, "SKU description", "sku.description"),
    "azure": (read_azure,),
}
_PREAMBLE: Final = 40
"""Lines within which the head of a table stands."""
_SIGNS: Final = (
    ("google", (b"SKU description",)),
    ("azure", (b"meterName",)),
    ("azure", (b"MeterName",)),
    ("bedrock", (b'"modelId"', b'"requestId"')),
    ("litellm", (b'"spend"', b'"request_id"')),
    ("anthropic", (b'"starting_at"',)),
    ("openai", (b'"start_time"', b'"results"')),
)


def guess_format(start: bytes) -> str | None:
    """Return the format that the first bytes of a file show; None if none is certain."""
    for name, signs in _SIGNS:
        if all(sign in start for sign in signs):
            return name
    return None


def read_export(stream: IO[bytes], name: str, mapped: RowReader | None = None) -> Iterator[Found]:
    """Yield what an export says, row by row.

    Args:
        stream: the file, at its beginning.
        name: its format, one of FORMATS.
        mapped: reads the rows of a format that needs a mapping.

    Raises:
        InputError: there is no such format, or it needs a mapping.
    """
    if name in REPORTS:
        return read_report(stream, name)
    if name in _LINES:
        return _objects(stream, _LINES[name])
    if name in _TABLES:
        return _table(stream, *_TABLES[name])
    if name not in FORMATS or mapped is None:
        raise InputError("input", f"{name}: no such format, or it needs a mapping")
    return _table(stream, mapped) if name == "csv" else _objects(stream, mapped)


def _objects(stream: IO[bytes], read: RowReader) -> Iterator[Found]:
    for line, data in read_lines(stream):
        if isinstance(data, RowFault):
            yield data
        elif data.strip():
            try:
                yield read(line, _object(data))
            except RowError as error:
                yield RowFault(line=line, message=str(error))
            except (ValueError, RecursionError) as error:
                yield RowFault(line=line, message=f"no JSON: {error}"[:200])


def _table(stream: IO[bytes], read: RowReader, *marks: str) -> Iterator[Found]:
    """Yield the rows of a table.

    Args:
        stream: the table, at its beginning.
        read: reads a row.
        marks: titles of which the head holds one; what comes before such a head is passed over.
    """
    head: list[str] = []
    for line, cells in read_records(stream):
        if isinstance(cells, RowFault):
            yield cells
        elif not head:
            titles = [cell.strip() for cell in cells]
            head = titles if not marks or {*marks} & {*titles} or line > _PREAMBLE else []
        elif any(cells):
            yield _row(read, head, cells, line)


def _row(read: RowReader, head: list[str], cells: list[str], line: int) -> Found:
    if len(cells) != len(head):
        return RowFault(line=line, message=f"{len(cells)} cells under {len(head)} titles")
    if any("\udc80" <= character <= "\udcff" for cell in cells for character in cell):
        return RowFault(line=line, message="no UTF-8")
    try:
        return read(line, dict(zip(head, cells, strict=True)))
    except RowError as error:
        return RowFault(line=line, message=str(error))


def _object(data: bytes) -> dict[str, Any]:
    row = json.loads(data, parse_float=str)
    if not isinstance(row, dict):
        raise RowError("no JSON object")
    return row
