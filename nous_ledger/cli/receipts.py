"""`nous-ledger receipts`: what the ledger on this machine holds."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click

from nous_ledger.cli.files import ledger_option, read_ledger
from nous_ledger.cli.render import format_table, format_time, render_body
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.errors import InputError, UnavailableError
from nous_ledger.protocol.jsonform import body_to_json, format_uuid, record_to_json
from nous_ledger.protocol.label import BOUNDED, EXACT, UNVERIFIABLE
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.registries import KIND, LABEL, METERING, STATUS, TOKEN_KINDS_END
from nous_ledger.protocol.report import verdicts_of

if TYPE_CHECKING:
    from nous_ledger.ledger import ReceiptRow, Totals

COLUMNS: Final = ("index", "time", "id", "provider", "model", "status", "metering", "in", "out")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LABEL_MARKS: Final = {EXACT: "E", BOUNDED: "B", UNVERIFIABLE: "U"}
_FIRST_OUTPUT_KIND: Final = 16


class Moment(click.ParamType):  # type: ignore[type-arg]
    """A time: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 30m, 12h, 7d."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return Unix milliseconds."""
        if isinstance(value, int):
            return value
        text = str(value)
        try:
            if text[-1:] in _UNITS and text[:-1].isdigit():
                age = int(text[:-1]) * _UNITS[text[-1]]
                return int((datetime.now(UTC).timestamp() - age) * 1000)
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return int(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            self.fail(
                f"{text!r} is no time: try 2026-01-31, 2026-01-31T12:00:00Z or 7d", param, ctx
            )


@click.group(
    "receipts",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger receipts list --since 7d\n"
        "  nous-ledger receipts list --model gpt-4o --csv > calls.csv\n"
        "  nous-ledger receipts show 17 --json\n"
    ),
)
def command() -> None:
    """List and show receipts."""


@command.command("list")
@ledger_option
@click.option("--since", type=Moment(), help="Calls from this time on (a date, or an age like 7d).")
@click.option("--until", type=Moment(), help="Calls before this time.")
@click.option("--model", help="Calls that asked for or got this model.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, one line per bucket.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_command(  # noqa: PLR0913 - one parameter per option
    *,
    folder: Path,
    since: int | None,
    until: int | None,
    model: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List receipts, oldest first, with totals per label and the count withheld.

    in and out are the reported tokens with their labels: E exact, B bounded,
    U unverifiable.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    from nous_ledger.ledger import sum_receipts  # noqa: PLC0415 - not every command

    with read_ledger(folder) as ledger:
        found = ledger.receipts(since=since, until=until, model=model)
        if as_csv:  # any number of receipts passes through in bounded memory
            _write_csv(found)
            return
        rows = tuple(found)
    if as_json:
        shown = {
            "receipts": [_row_to_json(row) for row in rows],
            "totals": _totals(sum_receipts(rows)),
        }
        click.echo(json.dumps(shown, indent=2))
    else:
        click.echo(_render_rows(rows))
        click.echo(_render_totals(sum_receipts(rows)))


@command.command("show")
@click.argument("receipt", metavar="ID|INDEX")
@ledger_option
@click.option("--json", "as_json", is_flag=True, help="Print record and body as one JSON object.")
def show(*, receipt: str, folder: Path, as_json: bool) -> None:
    """Show one receipt, named by its id or index."""
    with read_ledger(folder) as ledger:
        if receipt.isascii() and receipt.isdigit():
            entry = ledger.entry(int(receipt))
        else:
            found = ledger.find_receipt(_receipt_id(receipt))
            if found is None:
                raise InputError("input", f"no receipt {receipt} in {folder}")
            entry = found
    record = decode_record(entry.record)
    body = decode_body(record.type, entry.body) if entry.body else None
    if as_json:
        shown = {"record": record_to_json(record), "body": body_to_json(body) if body else None}
        click.echo(json.dumps(shown, indent=2))
    elif body is None:
        raise UnavailableError("withheld", f"the body at index {entry.index} was erased")
    else:
        verdicts = verdicts_of(body) if isinstance(body, Receipt) else ()
        click.echo(render_body(body, verdicts))


def _receipt_id(text: str) -> bytes:
    try:
        return UUID(text).bytes
    except ValueError as error:
        raise InputError("input", f"{text[:80]} is neither a receipt id nor an index") from error


def _render_rows(rows: Iterable[ReceiptRow]) -> str:
    cells = [_cells(row) for row in rows]
    return format_table(COLUMNS, cells, right="rllllllrr") if cells else "no receipts"


def _cells(row: ReceiptRow) -> tuple[str, ...]:
    receipt = row.receipt
    if receipt is None:
        return (str(row.index), format_time(row.logged_at / 1000), "withheld", *["-"] * 6)
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
    by_label: dict[int, int] = {}
    for bucket in receipt.usage or ():
        is_output = _FIRST_OUTPUT_KIND <= bucket.kind < 32 or 35 <= bucket.kind < TOKEN_KINDS_END  # noqa: PLR2004
        if bucket.kind < TOKEN_KINDS_END and is_output == output and bucket.reported is not None:
            by_label[bucket.label] = by_label.get(bucket.label, 0) + bucket.reported
    counted = {label: count for label, count in by_label.items() if count} or by_label
    parts = [f"{count} {_LABEL_MARKS.get(label, '?')}" for label, count in sorted(counted.items())]
    return " + ".join(parts) or "-"


def _render_totals(totals: Totals) -> str:
    rows = [
        (KIND.name_of(t.kind), LABEL.name_of(t.label), str(t.reported), str(t.buckets))
        for t in totals.kinds
    ]
    summary = f"{totals.calls} calls, {totals.unmetered} unmetered, {totals.withheld} withheld"
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


def _row_to_json(row: ReceiptRow) -> dict[str, Any]:
    body = body_to_json(row.receipt) if row.receipt else None
    return {"index": row.index, "logged_at": row.logged_at, "body": body}


def _write_csv(rows: Iterable[ReceiptRow]) -> None:
    out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(
            ("index", "time", "id", "provider", "model_requested", "model_served", "status",
             "metering", "kind", "reported", "label", "lower", "upper")
        )  # fmt: skip
        for row in rows:
            writer.writerows(_csv_lines(row))
    finally:
        out.detach()


def _csv_lines(row: ReceiptRow) -> Iterator[tuple[object, ...]]:
    receipt = row.receipt
    if receipt is None:
        yield (row.index, format_time(row.logged_at / 1000), "withheld", *[""] * 10)
        return
    call = (
        row.index,
        format_time(receipt.time / 1000),
        format_uuid(receipt.id),
        receipt.provider,
        _inert(receipt.model_requested),
        _inert(receipt.model_served),
        STATUS.name_of(receipt.status),
        METERING.name_of(receipt.metering),
    )
    if not receipt.usage:
        yield (*call, *[""] * 5)
    for bucket in receipt.usage or ():
        yield (
            *call,
            KIND.name_of(bucket.kind),
            bucket.reported,
            LABEL.name_of(bucket.label),
            bucket.lower,
            bucket.upper,
        )


def _inert(text: str | None) -> str | None:
    """Return text that no spreadsheet takes for a formula: it came from outside."""
    return f"'{text}" if text and text[0] in "=+-@\t" else text
