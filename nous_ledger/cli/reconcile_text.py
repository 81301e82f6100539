"""The report of a period as text, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from nous_ledger.cli.render import format_table, format_time
from nous_ledger.cli.terminal import printable
from nous_ledger.protocol.jsonform import format_uuid
from nous_ledger.protocol.label import BOUNDED, EXACT, UNVERIFIABLE
from nous_ledger.protocol.registries import KIND, LABEL, SOURCE

if TYPE_CHECKING:
    from nous_ledger.protocol.audit_streams import Service
    from nous_ledger.reconcile.period import PeriodReport
    from nous_ledger.reconcile.report import ReconcileReport
    from nous_ledger.reconcile.summary import ServiceSum

LABELS: Final = (EXACT, BOUNDED, UNVERIFIABLE)
SHOWN: Final = 20
"""Differences of a kind that text shows; JSON has them all."""

_SERVICES: Final = (
    *("provider", "model", "source", "calls", "tokens", "exact", "bounded", "unverifiable"),
    *("cost USD", "unpriced", "outside", "receipts"),
)
_CALLS: Final = ("what", "request id", "receipt", "row", "receipt in/out", "report in/out")
_SPANS: Final = ("provider", "model", "from", "to", "receipts calls/in/out", "report calls/in/out")
_MONEY: Final = ("provider", "from", "to", "invoiced USD", "receipts USD", "unpriced calls")
_FLAGS: Final = ("receipt", "bucket", "verdict", "reported", "allowed", "request id to ask for")
_STREAMS: Final = ("model", "method", "receipts", "reported", "counted", "state")


def dollars(pico: int) -> str:
    """Return pico-USD as dollars with six places, rounded half to even.

    >>> dollars(1_234_567_500_000)
    '1.234568'
    """
    sign, pico = ("-", -pico) if pico < 0 else ("", pico)
    micro, rest = divmod(pico, 10**6)
    micro += rest > 500_000 or (rest == 500_000 and micro % 2 == 1)
    return f"{sign}{micro // 10**6}.{micro % 10**6:06d}"


def share(part: int, whole: int) -> str:
    """Return a share in percent, or a dash of nothing."""
    return f"{part / whole:.1%}" if whole else "-"


def headline(report: ReconcileReport) -> str:
    """Return the one sentence that matters."""
    part, whole = report.summary.unverifiable_share()
    if not whole:
        return "no tokens were reported in this period"
    return (
        f"{share(part, whole)} of the reported tokens cannot be checked by anyone but the provider"
    )


def services(report: ReconcileReport) -> list[tuple[str, ...]]:
    """Return one row for each model at each upstream."""
    return [_service(service, found) for service, found in report.summary.services.items()]


def _service(service: Service, found: ServiceSum) -> tuple[str, ...]:
    labels = found.by_label()
    total = sum(labels.values())
    outside = sum(found.verdicts[word] for word in ("above", "below", "outside"))
    return (
        service.provider,
        service.model,
        SOURCE.name_of(service.source),
        str(found.calls),
        str(total),
        *(share(labels[label], total) for label in LABELS),
        dollars(found.cost) if found.unpriced < found.calls else "-",
        str(found.unpriced),
        str(outside),
        f"{found.first} to {found.last}",
    )


def calls(period: PeriodReport) -> list[tuple[str, ...]]:
    """Return one row for each call on which both sides differ."""
    return [
        (
            item.kind,
            item.request_id,
            _or_dash(item.index),
            _or_dash(item.line),
            _tokens(item.receipt),
            _tokens(item.report),
        )
        for item in period.call_differences
    ]


def spans(period: PeriodReport) -> list[tuple[str, ...]]:
    """Return one row for each span whose sums differ."""
    return [
        (
            item.provider,
            item.model or "all",
            format_time(item.start / 1000),
            format_time(item.end / 1000),
            _tokens(item.receipts),
            _tokens(item.report),
        )
        for item in period.span_differences
    ]


def money(period: PeriodReport) -> list[tuple[str, ...]]:
    """Return one row for each provider's invoice."""
    return [
        (
            line.provider,
            format_time(line.start / 1000),
            format_time(line.end / 1000),
            dollars(line.invoiced),
            dollars(line.computed),
            str(line.unpriced),
        )
        for line in period.money
    ]


def flags(report: ReconcileReport) -> list[tuple[str, ...]]:
    """Return one row for each count outside of its evidence."""
    return [
        (
            str(flag.index),
            KIND.name_of(flag.kind),
            flag.verdict,
            str(flag.reported),
            f"{flag.lower} to {flag.upper}",
            flag.request_id or "-",
        )
        for found in report.summary.services.values()
        for flag in found.flags
    ]


def streams(report: ReconcileReport) -> list[tuple[str, ...]]:
    """Return one row for each audited stream."""
    return [
        (
            key.service.model,
            key.method,
            str(audit.receipts),
            str(audit.reported),
            str(audit.counted),
            str(audit.state),
        )
        for key, audit in report.streams.streams.items()
    ]


def sections(
    report: ReconcileReport,
) -> list[tuple[str, Sequence[str], list[tuple[str, ...]], str]]:
    """Return title, columns, rows and alignment of every table that has rows."""
    period = report.period
    found = [
        ("By model", _SERVICES, services(report), "lllrrrrrrrrl"),
        ("Counts outside of their evidence", _FLAGS, flags(report), "rllrll"),
        ("Streams under audit", _STREAMS, streams(report), "llrrrl"),
        ("Calls on which receipts and reports differ", _CALLS, calls(period), "llrrll"),
        ("Spans whose sums differ", _SPANS, spans(period), "llllll"),
        ("Invoices beside receipts", _MONEY, money(period), "lllrrr"),
    ]
    return [section for section in found if section[2]]


def facts(report: ReconcileReport) -> list[str]:
    """Return what has to be known to read the tables."""
    summary, period = report.summary, report.period
    receipts = sum(found.calls for found in summary.services.values())
    lines = [
        f"period: {_moment(report.since, 'the beginning')} to {_moment(report.until, 'now')}",
        f"receipts: {receipts}, withheld: {summary.withheld}",
    ]
    for digest, name in summary.tables.items():
        lines.append(f"prices: {name}, SHA-256 {digest.hex()}")
    for name, form, imported_at, rows, faults in report.files:
        when = format_time(imported_at / 1000)
        lines.append(f"imported: {name} ({form}, {rows} rows, {faults} in error, {when})")
    if report.files:
        counts = ", ".join(f"{kind} {count}" for kind, count in period.call_counts.items())
        lines.append(f"calls: {period.matched_calls} agree, {counts}")
        lines.append(f"spans: {period.matched_spans} agree, {period.span_count} differ")
    lines.append("The proof of a receipt: nous-ledger prove INDEX")
    return lines


def render_text(report: ReconcileReport) -> str:
    """Return the report for a terminal."""
    parts = [headline(report), "", *facts(report)]
    for title, columns, rows, right in sections(report):
        parts += ["", title, format_table(columns, rows[:SHOWN], right)]
        if len(rows) > SHOWN:
            parts.append(f"… and {len(rows) - SHOWN} more, in --json and --html")
    return "\n".join(map(str, parts))


def render_check(report: ReconcileReport) -> str:
    """Return what a check says on a terminal."""
    if not report.files:
        return "nothing was imported: nous-ledger reconcile import FILE"
    wanted = ("Calls", "Spans", "Invoices")
    parts = facts(report)[:-1]
    for title, columns, rows, right in sections(report):
        if title.startswith(wanted):
            parts += ["", title, format_table(columns, rows[:SHOWN], right)]
            if len(rows) > SHOWN:
                parts.append(f"… and {len(rows) - SHOWN} more, in --json")
    parts.append("\nboth sides agree" if report.period.agrees else "\nthe sides differ")
    return "\n".join(parts)


def render_markdown(report: ReconcileReport) -> str:
    """Return the report as Markdown."""
    parts = ["# Reconciliation", "", f"**{headline(report)}.**", ""]
    parts += [f"- {_escaped(line)}" for line in facts(report)]
    for title, columns, rows, _ in sections(report):
        parts += ["", f"## {title}", "", _line(columns), _line(["---"] * len(columns))]
        parts += [_line(row) for row in rows]
    return "\n".join(parts)


def to_json(report: ReconcileReport) -> dict[str, Any]:
    """Return everything, tokens and pico-USD as integers."""
    part, whole = report.summary.unverifiable_share()
    period = report.period
    return {
        "since": report.since,
        "until": report.until,
        "headline": {"unverifiable_tokens": part, "tokens": whole},
        "withheld": report.summary.withheld,
        "prices": {d.hex(): name for d, name in report.summary.tables.items()},
        "imports": [
            dict(zip(("name", "format", "imported_at", "rows", "faults"), row, strict=True))
            for row in report.files
        ],
        "services": [
            _service_json(service, found) for service, found in report.summary.services.items()
        ],
        "streams": [dict(zip(_STREAMS, row, strict=True)) for row in streams(report)],
        "calls": {
            "agree": period.matched_calls,
            "counts": period.call_counts,
            "differences": [
                {
                    "kind": item.kind,
                    "request_id": item.request_id,
                    "index": item.index,
                    "row": item.line,
                    "receipt": item.receipt,
                    "report": item.report,
                }
                for item in period.call_differences
            ],
        },
        "spans": {
            "agree": period.matched_spans,
            "differ": period.span_count,
            "differences": [
                {
                    "provider": item.provider,
                    "model": item.model,
                    "start": item.start,
                    "end": item.end,
                    "receipts": item.receipts,
                    "report": item.report,
                }
                for item in period.span_differences
            ],
        },
        "money": [
            {
                "provider": line.provider,
                "start": line.start,
                "end": line.end,
                "invoiced_pico_usd": line.invoiced,
                "computed_pico_usd": line.computed,
                "unpriced_calls": line.unpriced,
            }
            for line in period.money
        ],
    }


def _service_json(service: Service, found: ServiceSum) -> dict[str, Any]:
    return {
        "source": SOURCE.name_of(service.source),
        "provider": service.provider,
        "upstream": service.upstream,
        "operation": service.operation,
        "model": service.model,
        "calls": found.calls,
        "unmetered": found.unmetered,
        "first_index": found.first,
        "last_index": found.last,
        "tokens": [
            {"kind": KIND.name_of(kind), "label": LABEL.name_of(label), "reported": tokens}
            for (kind, label), tokens in sorted(found.tokens.items())
        ],
        "cost_pico_usd": found.cost,
        "cost_by_label_pico_usd": {
            LABEL.name_of(label): cost for label, cost in sorted(found.cost_by_label.items())
        },
        "unpriced_calls": found.unpriced,
        "verdicts": dict(sorted(found.verdicts.items())),
        "flags": [
            {
                "index": flag.index,
                "id": format_uuid(flag.receipt_id),
                "kind": KIND.name_of(flag.kind),
                "verdict": flag.verdict,
                "reported": flag.reported,
                "lower": flag.lower,
                "upper": flag.upper,
                "request_id": flag.request_id,
            }
            for flag in found.flags
        ],
    }


def _moment(millis: int | None, absent: str) -> str:
    return absent if millis is None else datetime.fromtimestamp(millis / 1000, UTC).isoformat()


def _tokens(counts: Sequence[int | None] | None) -> str:
    return "-" if counts is None else " / ".join(map(_or_dash, counts))


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is, whatever a model or a report is called."""
    shown = printable(text)
    for mark in "\\|<>[]`*_":
        shown = shown.replace(mark, f"\\{mark}")
    return shown
