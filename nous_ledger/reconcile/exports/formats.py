"""The format of an export, and its rows in bounded memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from typing import IO, Any, Final

from nous_ledger.protocol.errors import InputError
from nous_ledger.reconcile.exports.json_reports import read_anthropic, read_openai
from nous_ledger.reconcile.exports.logs import read_bedrock, read_litellm
from nous_ledger.reconcile.exports.rows import (
    MAX_DOCUMENT,
    MAX_LINE,
    RowError,
    RowFault,
    Statement,
)
from nous_ledger.reconcile.exports.tables import RowReader, read_azure, read_google

Found = Statement | RowFault
FORMATS: Final = ("openai", "anthropic", "google", "azure", "litellm", "bedrock", "csv", "jsonl")
"""Names of the formats; `csv` and `jsonl` need a mapping."""

_REPORTS: Final[dict[str, Callable[[Any, int], Iterator[Found]]]] = {
    "openai": read_openai,
    "anthropic": read_anthropic,
}
_LINES: Final[dict[str, RowReader]] = {"litellm": read_litellm, "bedrock": read_bedrock}
_TABLES: Final[dict[str, RowReader]] = {"google": read_google, "azure": read_azure}
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
        InputError: there is no such format, or it needs a mapping; a report that is one
            JSON value is too long or no JSON.
    """
    if name in _REPORTS:
        return _report(stream, _REPORTS[name])
    if name in _LINES:
        return _objects(stream, _LINES[name])
    if name in _TABLES:
        return _table(stream, _TABLES[name])
    if name not in FORMATS or mapped is None:
        raise InputError("input", f"{name}: no such format, or it needs a mapping")
    return _table(stream, mapped) if name == "csv" else _objects(stream, mapped)


def _report(stream: IO[bytes], read: Callable[[Any, int], Iterator[Found]]) -> Iterator[Found]:
    data = stream.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise InputError(
            "input",
            f"a report has at most {MAX_DOCUMENT} bytes",
            hint="ask the provider for shorter spans, or write its pages into several files",
        )
    try:
        documents: Any = [json.loads(data, parse_float=str)]
    except (ValueError, RecursionError):
        documents = None
    if documents is not None:
        yield from read(documents[0], 1)
        return
    number = 1
    for line, text in enumerate(data.split(b"\n"), start=1):  # a page on every line
        if text.strip():
            try:
                page = json.loads(text, parse_float=str)
            except (ValueError, RecursionError) as error:
                yield RowFault(line=line, message=f"no JSON: {error}"[:200])
                continue
            for found in read(page, number):
                yield found
                number += 1


def _objects(stream: IO[bytes], read: RowReader) -> Iterator[Found]:
    for line, data in _lines(stream):
        if isinstance(data, RowFault):
            yield data
        elif data.strip():
            try:
                yield read(line, _object(data))
            except RowError as error:
                yield RowFault(line=line, message=str(error))
            except (ValueError, RecursionError) as error:
                yield RowFault(line=line, message=f"no JSON: {error}"[:200])


def _table(stream: IO[bytes], read: RowReader) -> Iterator[Found]:
    too_long: list[RowFault] = []

    def texts() -> Iterator[str]:
        for _, data in _lines(stream):
            if isinstance(data, RowFault):
                too_long.append(data)
            else:
                yield data.decode("utf-8-sig", "surrogateescape")

    csv.field_size_limit(MAX_LINE)
    rows = csv.reader(texts(), strict=True)
    head: list[str] = []
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            yield RowFault(line=rows.line_num, message=f"no CSV: {error}")
            continue
        yield from too_long
        too_long.clear()
        if not head:
            head = [cell.strip() for cell in cells]
        elif any(cells):
            yield _row(read, head, cells, rows.line_num)
    yield from too_long


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


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes | RowFault]]:
    number = 0
    while data := stream.readline(MAX_LINE + 1):
        number += 1
        if len(data) <= MAX_LINE:
            yield number, data
            continue
        while data and not data.endswith(b"\n"):
            data = stream.readline(MAX_LINE)
        yield number, RowFault(line=number, message=f"longer than {MAX_LINE} bytes")
