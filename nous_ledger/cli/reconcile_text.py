"""The report of a period as text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from nous_ledger.cli.reconcile_tables import (
    Row,
    Section,
    receipts_section,
    sections,
    share,
    shown_receipts,
)
from nous_ledger.cli.render import format_table, format_time
from nous_ledger.cli.terminal import printable
from nous_ledger.protocol.audit_report import remarks

if TYPE_CHECKING:
    from nous_ledger.reconcile.report import ReconcileReport

SHOWN: Final = 20
"""Rows of a table that text shows; JSON and the page have them all."""
_LINKED: Final = 6  # receipts of a row
_WIDEST: Final = 72  # of a cell on a terminal
_CHECKED: Final = ("Receipts, usage", "By span", "Calls", "Spans")


def headline(report: ReconcileReport) -> str:
    """Return the one sentence that matters."""
    part, whole = report.summary.unverifiable_share()
    if not whole:
        return "no tokens were reported in this period"
    text = (
        f"{share(part, whole)} of the reported tokens cannot be checked by anyone but the provider"
    )
    cost, all_cost = report.summary.unverifiable_cost()
    return f"{text}, and {share(cost, all_cost)} of the money" if all_cost else text


def facts(report: ReconcileReport) -> list[str]:
    """Return what has to be known to read the tables."""
    return [*_of_receipts(report), *_of_imports(report)]


def _of_receipts(report: ReconcileReport) -> Iterator[str]:
    summary = report.summary
    receipts = sum(found.calls for found in summary.services.values())
    yield f"period: {_moment(report.since, 'the beginning')} to {_moment(report.until, 'now')}"
    yield f"receipts: {receipts}, withheld: {summary.withheld}"
    if summary.evidence.receipts:
        part, whole = summary.unverifiable_at_call()
        by = ", ".join(
            f"{source} {count}" for source, count in sorted(summary.evidence.by_source.items())
        )
        yield f"later evidence: for {summary.evidence.receipts} receipts, by source: {by}"
        yield f"unverifiable when the calls were made: {share(part, whole)}"
    if summary.evidence.denied.buckets:
        leaves = ", ".join(map(str, summary.evidence.denied.receipts))
        yield f"evidence says otherwise than the EXACT count of receipts: {leaves}"
    for number, audit in enumerate(report.streams.streams.values(), start=1):
        yield from (f"stream {number}: {remark}" for remark in remarks(audit))
    for digest, name in summary.tables.items():
        yield f"prices: {name}, SHA-256 {digest.hex()}"


def _of_imports(report: ReconcileReport) -> Iterator[str]:
    period = report.period
    for name, form, imported_at, rows, faults in report.files:
        when = format_time(imported_at / 1000)
        yield f"imported: {name} ({form}, {rows} rows, {faults} in error, {when})"
    if report.files:
        counts = ", ".join(f"{kind} {count}" for kind, count in period.call_counts.items())
        yield f"calls: {period.matched_calls} agree, {counts}"
        if period.by_hour:
            yield f"compared by hour and model, no receipt has their ids: {period.by_hour} calls"
        yield f"spans: {period.matched_spans} agree, {period.span_count} differ"


def render_text(report: ReconcileReport) -> str:
    """Return the report for a terminal."""
    parts = [
        headline(report),
        "",
        *facts(report),
        "the proof of a receipt: nous-ledger prove INDEX",
    ]
    for section in sections(report):
        parts += _table(section, "--json, --md and --html")
    return "\n".join(parts)


def render_check(report: ReconcileReport) -> str:
    """Return what a check says on a terminal."""
    if not report.files:
        return "nothing was imported: nous-ledger reconcile import FILE"
    parts = facts(report)
    if not report.period.statements:
        return "\n".join([*parts, "", "nothing that was imported speaks of this time"])
    for section in sections(report):
        if section.title.startswith(_CHECKED):
            parts += _table(section, "--json")
    parts.append("\nboth sides agree" if report.period.agrees else "\nthe sides differ")
    return "\n".join(parts)


def render_markdown(report: ReconcileReport, base_url: str | None = None) -> str:
    """Return the report as Markdown.

    Args:
        report: the report.
        base_url: where the log is read over HTTP; receipts link to their proofs there.
    """
    parts = ["# Reconciliation", "", f"**{headline(report)}.**", ""]
    parts += [f"- {_escaped(line)}" for line in facts(report)]
    behind = receipts_section(report)
    for section in (*sections(report), *([behind] if behind.rows else [])):
        titled = (*section.columns, "receipts")
        parts += ["", f"## {section.title}", ""]
        parts += [_escaped(section.note), ""] if section.note else []
        parts += [_line(titled), _line(["---"] * len(titled))]
        parts += [_line(row.cells, _links(row, base_url)) for row in section.rows]
    return "\n".join(parts)


def _table(section: Section, elsewhere: str) -> list[str]:
    rows = [(*map(_short, row.cells), shown_receipts(row)) for row in section.rows[:SHOWN]]
    table = format_table((*section.columns, "receipts"), rows, section.right)
    parts = ["", section.title, *([section.note] if section.note else []), table]
    if len(section.rows) > SHOWN:
        parts.append(f"… and {len(section.rows) - SHOWN} more, in {elsewhere}")
    return parts


def _short(cell: str) -> str:
    return cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 1]}…"


def _links(row: Row, base_url: str | None) -> str:
    if base_url is None:
        return _escaped(shown_receipts(row))
    leaves = row.receipts[:_LINKED]
    links = [f"[{leaf}]({base_url}/v1/records/{leaf}/proof)" for leaf in leaves]
    more = ", …" if len(row.receipts) > _LINKED else ""
    return (" to " if row.is_range else ", ").join(links) + more


def _moment(millis: int | None, absent: str) -> str:
    return absent if millis is None else datetime.fromtimestamp(millis / 1000, UTC).isoformat()


def _line(cells: Sequence[str], *written: str) -> str:
    return f"| {' | '.join((*map(_escaped, cells), *written))} |"


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is, whatever a model or a report is called."""
    shown = printable(text)
    for mark in "\\|<>[]`*_":
        shown = shown.replace(mark, f"\\{mark}")
    return shown
