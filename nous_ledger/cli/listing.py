"""A list of receipts as text, CSV or JSON, written row by row in bounded memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from nous_ledger.cli.render import format_row, format_table, format_time, widths_of
from nous_ledger.cli.terminal import say
from nous_ledger.protocol.jsonform import body_to_json, format_uuid
from nous_ledger.protocol.label import BOUNDED, EXACT, UNVERIFIABLE
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import KIND, LABEL, METERING, STATUS, TOKEN_KINDS_END

if TYPE_CHECKING:
    from nous_ledger.ledger import ReceiptRow, Totals

COLUMNS: Final = ("index", "time", "id", "provider", "model", "status", "metering", "in", "out")
CSV_COLUMNS: Final = (
    *("index", "time", "id", "provider", "model_requested", "model_served", "status", "metering"),
    *("kind", "reported", "label", "lower", "upper"),
)
WITHHELD: Final = "withheld"
AT_A_TIME: Final = 500
"""Rows that are printed together, as text aligned with each other."""

_RIGHT: Final = "rllllllrr"
_LABEL_MARKS: Final = {EXACT: "E", BOUNDED: "B", UNVERIFIABLE: "U"}
_OUTPUT_KINDS: Final = frozenset((*range(16, 32), 35, 36, 37))


class Listing(Protocol):
    """A form that a list can take."""

    def row(self, row: ReceiptRow) -> None:
        """Take the next receipt."""

    def end(self, totals: Totals) -> None:
        """Take what they add up to; the list is complete."""


class TextListing:
    """A table for people, with a table of totals after it."""

    def __init__(self) -> None:
        """Start with the titles."""
        self._waiting: list[tuple[str, ...]] = [COLUMNS]
        self._widths: tuple[int, ...] = ()

    def row(self, row: ReceiptRow) -> None:
        """Keep a row until enough are there to be aligned."""
        self._waiting.append(_cells(row))
        if len(self._waiting) >= AT_A_TIME:
            self._print()

    def end(self, totals: Totals) -> None:
        """Print the rest and the totals."""
        if totals.calls:
            self._print()
        else:
            say("no receipts")
        say(_render_totals(totals))

    def _print(self) -> None:
        if self._waiting:
            self._widths = widths_of(self._waiting, self._widths)
            say("\n".join(format_row(cells, self._widths, _RIGHT) for cells in self._waiting))
        self._waiting = []


class CsvListing:
    """One line per bucket, for spreadsheets and scripts; no totals."""

    def __init__(self) -> None:
        """Start with the titles."""
        self._buffer = io.StringIO(newline="")
        self._writer = csv.writer(self._buffer, lineterminator="\n")
        self._writer.writerow(CSV_COLUMNS)
        self._waiting = 0

    def row(self, row: ReceiptRow) -> None:
        """Keep the lines of a receipt until enough are there to be printed."""
        self._writer.writerows(_csv_lines(row))
        self._waiting += 1
        if self._waiting >= AT_A_TIME:
            self._print()

    def end(self, totals: Totals) -> None:  # noqa: ARG002 - every line stands for itself
        """Print the rest."""
        self._print()

    def _print(self) -> None:
        click.echo(self._buffer.getvalue().encode("utf-8"), nl=False)
        self._buffer.seek(0)
        self._buffer.truncate()
        self._waiting = 0


class JsonListing:
    """One JSON object: {"receipts": [...], "totals": {...}}."""

    def __init__(self) -> None:
        """Start the object."""
        self._waiting = ['{"receipts": [']
        self._rows = 0

    def row(self, row: ReceiptRow) -> None:
        """Keep a receipt until enough are there to be printed."""
        body = body_to_json(row.receipt) if row.receipt else None
        shown = {"index": row.index, "logged_at": row.logged_at, "body": body}
        self._waiting.append(f"{',' if self._rows else ''}{json.dumps(shown)}")
        self._rows += 1
        if len(self._waiting) >= AT_A_TIME:
            self._print()

    def end(self, totals: Totals) -> None:
        """Print the rest and the totals, and end the object."""
        self._waiting += ["],", f'"totals": {json.dumps(_totals(totals))}', "}"]
        self._print()

    def _print(self) -> None:
        say("\n".join(self._waiting))
        self._waiting = []


def _cells(row: ReceiptRow) -> tuple[str, ...]:
    receipt = row.receipt
    if receipt is None:
        logged = format_time(row.logged_at / 1000)
        return (str(row.index), logged, "-", "-", "-", WITHHELD, "-", "-", "-")
    return (
        str(row.index),
        format_time(receipt.time / 1000),
        format_uuid(receipt.id),
        receipt.provider,
        receipt.model_served or receipt.model_requested or "-",
        STATUS.name_of(receipt.status),
        METERING.name_of(receipt.metering),
        _tokens(receipt, output=False),
        _tokens(receipt, output=True),
    )


def _tokens(receipt: Receipt, *, output: bool) -> str:
    """Return the tokens of one direction, added up per label."""
    by_label: dict[int, int] = {}
    for bucket in receipt.usage or ():
        counts = bucket.kind < TOKEN_KINDS_END and (bucket.kind in _OUTPUT_KINDS) == output
        if counts and bucket.reported is not None:
            by_label[bucket.label] = by_label.get(bucket.label, 0) + bucket.reported
    counted = {label: count for label, count in by_label.items() if count} or by_label
    parts = [f"{count} {_LABEL_MARKS.get(label, '?')}" for label, count in sorted(counted.items())]
    return " + ".join(parts) or "-"


def _render_totals(totals: Totals) -> str:
    rows = [
        (KIND.name_of(t.kind), LABEL.name_of(t.label), str(t.reported), str(t.buckets))
        for t in totals.kinds
    ]
    calls = f"{totals.calls} call{'' if totals.calls == 1 else 's'}"
    summary = f"{calls}, {totals.unmetered} unmetered, {totals.withheld} withheld"
    if not rows:
        return f"\n{summary}"
    table = format_table(("tokens", "label", "reported", "calls"), rows, right="llrr")
    return f"\n{table}\n\n{summary}"


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "calls": totals.calls,
        "unmetered": totals.unmetered,
        "withheld": totals.withheld,
        "kinds": [
            {
                "kind": KIND.name_of(t.kind),
                "label": LABEL.name_of(t.label),
                "reported": str(t.reported),
                "calls": t.buckets,
            }
            for t in totals.kinds
        ],
    }


def _csv_lines(row: ReceiptRow) -> Iterator[tuple[object, ...]]:
    receipt = row.receipt
    if receipt is None:
        logged = format_time(row.logged_at / 1000)
        yield (row.index, logged, "", "", "", "", WITHHELD, *[""] * 6)
        return
    call = (
        row.index,
        format_time(receipt.time / 1000),
        format_uuid(receipt.id),
        _inert(receipt.provider),
        _inert(receipt.model_requested),
        _inert(receipt.model_served),
        STATUS.name_of(receipt.status),
        METERING.name_of(receipt.metering),
    )
    if not receipt.usage:
        yield (*call, *[""] * 5)
    for bucket in receipt.usage or ():
        kind, label = KIND.name_of(bucket.kind), LABEL.name_of(bucket.label)
        yield (*call, kind, bucket.reported, label, bucket.lower, bucket.upper)


def _inert(text: str | None) -> str | None:
    """Return text that no spreadsheet takes for a formula: it came from outside."""
    return f"'{text}" if text and text[0] in "=+-@" else text
