"""How results look on a terminal: plain tables that read well without colour."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Final

import click

from nous_ledger.cli.terminal import printable
from nous_ledger.protocol.bodies import Body
from nous_ledger.protocol.jsonform import body_to_json, format_uuid
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import Record
from nous_ledger.protocol.registries import (
    ANOMALY,
    API,
    KIND,
    LABEL,
    METERING,
    RECORD_TYPE,
    SOURCE,
    STATUS,
)
from nous_ledger.protocol.report import Anchored, Answer, BucketVerdict, Outcome, Report

_COLOURS: Final = {
    Outcome.ESTABLISHED: "green",
    Outcome.WRONG: "red",
    Outcome.COULD_NOT_CHECK: "yellow",
    Outcome.NOT_ASKED: "cyan",
}
_ESTABLISHED: Final = {
    "attribution": "this log's key, in force at that index, signed exactly this record",
    "inclusion": "the record is in the tree that the head commits to",
    "log_view": "the witnesses of the policy saw this head",
    "accuracy": "the labels were counted again here and agree",
}


def format_time(seconds: float | None) -> str:
    """Return a time as 2026-01-02T03:04:05Z, or a dash."""
    if seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s"


def plural(count: int) -> str:
    """Return the ending of a noun after a count."""
    return "" if count == 1 else "s"


def widths_of(rows: Sequence[Sequence[str]], at_least: Sequence[int] = ()) -> tuple[int, ...]:
    """Return the width of each column of some rows, or the one it has already."""
    found = (max(len(printable(cell)) for cell in column) for column in zip(*rows, strict=True))
    return tuple(max(pair) for pair in zip_longest(found, at_least, fillvalue=0))


def format_row(cells: Sequence[str], widths: Sequence[int], right: str = "") -> str:
    """Return one aligned row.

    Args:
        cells: texts from anywhere.
        widths: width of each column.
        right: for each column `r` (right-aligned) or another letter.
    """
    aligned = [
        printable(cell).rjust(width) if right[i : i + 1] == "r" else printable(cell).ljust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(aligned).rstrip()


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> str:
    """Return an aligned table.

    Args:
        head: column titles.
        rows: cells; every row as long as the head.
        right: for each column `r` (right-aligned) or another letter.
    """
    widths = widths_of([head, *rows])
    return "\n".join(format_row(row, widths, right) for row in (head, *rows))


def render_report(report: Report) -> str:
    """Return a verification report for people.

    Spec:
        PROTOCOL.md VER-1, VER-17, VER-21.
    """
    lines = [_answer_line(name, answer) for name, answer in report.answers()]
    if report.anchor is not None:  # a line of the log view: who else has seen this log, and when
        lines.insert(3, _answer_line("anchor", report.anchor, _anchored(report.anchored)))
    head_time = "at a time that is not established"
    if report.head_time is not None:
        head_time = format_time(report.head_time)
    if not _is_the_logs(report):
        lines += ["", "What follows is what the file says; the answers above do not bear it out."]
    lines += [
        "",
        f"log         {printable(report.origin)}",
        f"log id      {report.log_id.hex() if report.log_id else '-'}",
        f"head        {report.leaf_count} record{plural(report.leaf_count)}, signed {head_time}",
    ]
    if report.witnessed_time is not None:
        lines.append(f"witnessed   {format_time(report.witnessed_time)}")
    lines.append(render_record(report.record))
    if report.body is not None:
        lines += ["", render_body(report.body, report.verdicts)]
    lines += ["", *(f"note: {printable(note)}" for note in report.notes)]
    return "\n".join(lines)


def _is_the_logs(report: Report) -> bool:
    """Return whether the record was found to be in the log and signed by it."""
    answers = (report.attribution, report.inclusion)
    return all(answer.outcome is Outcome.ESTABLISHED for answer in answers)


def _anchored(anchored: Anchored | None) -> str:
    if anchored is None:
        return ""
    block = f"block {anchored.block_number} of chain {anchored.chain_id}"
    return f"anchored in {block} at {format_time(anchored.block_time)}: this receipt existed before"


def _answer_line(name: str, answer: Answer, established: str = "") -> str:
    outcome = click.style(f"{answer.outcome:<16}", fg=_COLOURS[answer.outcome], bold=True)
    detail = printable(answer.detail or established or _ESTABLISHED[name])
    code = f"{answer.code}: " if answer.code else ""
    return f"{name.replace('_', ' '):<12}{outcome}{code}{detail}"


def render_record(record: Record) -> str:
    """Return one line on a record."""
    logged = format_time(record.logged_at / 1000)
    kind = RECORD_TYPE.name_of(record.type)
    return f"record      index {record.index}, {kind}, epoch {record.epoch}, logged {logged}"


def render_body(body: Body, verdicts: Sequence[BucketVerdict] = ()) -> str:
    """Return a body for people; a receipt with its buckets as a table."""
    if not isinstance(body, Receipt):
        shown = body_to_json(body)
        width = max(map(len, shown)) + 2
        return "\n".join(f"{name:<{width}}{_inline(value)}" for name, value in shown.items())
    lines = [f"{name:<12}{printable(value)}" for name, value in _receipt_lines(body) if value]
    if verdicts:
        rows = [
            (
                KIND.name_of(v.kind),
                "-" if v.reported is None else str(v.reported),
                LABEL.name_of(v.label),
                "-" if v.lower is None or v.upper is None else f"{v.lower}..{v.upper}",
                str(v.verdict),
            )
            for v in verdicts
        ]
        head = ("tokens", "reported", "label", "range", "verdict")
        lines += ["", format_table(head, rows, right="lrlrl")]
    return "\n".join(lines)


def _inline(value: object) -> str:
    return printable(value) if isinstance(value, str) else json.dumps(value)


def _receipt_lines(receipt: Receipt) -> list[tuple[str, str]]:
    status = STATUS.name_of(receipt.status)
    http = f" (HTTP {receipt.http_status})" if receipt.http_status else ""
    served = receipt.model_served or "-"
    return [
        ("receipt", format_uuid(receipt.id)),
        ("time", format_time(receipt.time / 1000) + _duration(receipt)),
        ("subject", f"{receipt.subject.hex()} #{receipt.subject_seq}"),
        (
            "provider",
            f"{receipt.provider} via {receipt.upstream or '-'} ({API.name_of(receipt.api)})",
        ),
        ("model", f"{receipt.model_requested or '-'} -> {served}"),
        ("status", f"{status}{http}, metering {METERING.name_of(receipt.metering)}"),
        ("source", SOURCE.name_of(receipt.source)),
        ("total", "" if receipt.provider_total is None else f"{receipt.provider_total} tokens"),
        ("commits to", ", ".join(_commitments(receipt)) or "no content"),
        ("anomalies", ", ".join(map(ANOMALY.name_of, receipt.anomalies or ()))),
    ]


def _duration(receipt: Receipt) -> str:
    return "" if receipt.duration is None else f", took {receipt.duration / 1000:.3f} s"


def _commitments(receipt: Receipt) -> Iterator[str]:
    if receipt.request_commitment:
        yield "request"
    if receipt.forwarded_commitment:
        yield "forwarded request"
    if receipt.response_commitment:
        yield "response"
