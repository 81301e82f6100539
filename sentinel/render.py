"""How rounds and findings look on a terminal, and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import click

from sentinel.audit.findings import Severity
from sentinel.render_streams import streams_line
from sentinel.report import Outcome, RoundReport, finding_to_json
from sentinel.state_findings import StoredFinding
from sentinel.terminal import format_time, plural, printable

_COLOURS: Final = {
    Severity.ALARM: "red",
    Severity.FAULT: "red",
    Severity.UNCHECKED: "yellow",
    Severity.NOTICE: "cyan",
    Severity.VERDICT: "magenta",
}
_OUTCOMES: Final = {
    Outcome.GOOD: ("good", "green"),
    Outcome.WRONG: ("wrong", "red"),
    Outcome.COULD_NOT_CHECK: ("could not check", "yellow"),
}


def round_lines(report: RoundReport) -> Iterable[str]:
    """Yield a round as JSON objects: its findings, then itself."""
    for found in report.findings:
        yield json.dumps(
            {"type": "finding", "origin": report.origin, "at": report.at, **finding_to_json(found)}
        )
    yield json.dumps({k: v for k, v in report.to_json().items() if k != "findings"})


def render_round(report: RoundReport) -> str:
    """Return a round for people."""
    totals = report.totals
    unread = totals.unread + totals.withheld
    withheld = f", bodies withheld: {unread:,}" if unread else ""
    new = f" ({report.new:,} new)" if report.new != report.audited else ""
    audited = f"{plural(report.audited, 'record')}{new}"
    head = f"{plural(report.leaf_count, 'record')}, signed {format_time(report.head_time)}"
    lines = [
        f"log         {printable(report.origin)}",
        f"log id      {report.log_id.hex() or '-'}",
        f"read from   {printable(report.address)}",
        f"head        {head if report.leaf_count else '-'}",
        f"audited     {audited}, {plural(totals.receipts, 'receipt')}{withheld}",
        *(f"counts      {line}" for line in streams_line(report.streams)),
        *(
            _finding_line(found.severity, found.place.value, found.code, found.message)
            for found in report.findings
        ),
        "",
        verdict(report),
    ]
    return "\n".join(lines)


def render_watch(report: RoundReport) -> str:
    """Return a round of a watch: one line, and one for each thing found."""
    at = format_time(report.at)
    head = f"{report.audited:,}/{report.leaf_count:,} audited, {report.new:,} new"
    lines = [f"{at}  {verdict(report)}  {head}  {report.change or 'no head'}"]
    if report.streams and report.streams["speaking"]:
        lines[0] += "".join(f"  counts: {line}" for line in streams_line(report.streams))
    lines += [
        _finding_line(found.severity, found.place.value, found.code, found.message)
        for found in report.findings
        if found.severity is not Severity.NOTICE
    ]
    return "\n".join(lines)


def verdict(report: RoundReport) -> str:
    """Return in words what a round comes to."""
    text, colour = _OUTCOMES[report.outcome]
    if report.outcome is Outcome.WRONG:
        reasons = []
        if report.open_findings:
            reasons.append(f"{plural(report.open_findings, 'finding')} not acknowledged")
        if report.miscounted():
            reasons.append(f"{plural(report.miscounted(), 'stream')} of receipts")
        text = f"{text}: {', '.join(reasons)}"
    elif report.outcome is Outcome.COULD_NOT_CHECK:
        reasons = sorted({found.code for found in report.unchecked()})
        if report.waiting:
            reasons.append(f"{plural(report.waiting, 'record')} still to be audited")
        if report.uncounted():
            reasons.append(f"{plural(report.uncounted(), 'receipt')} not read")
        text = f"{text}: {', '.join(reasons) or 'stopped early'}"
    return click.style(text, fg=colour, bold=True)


def _finding_line(severity: Severity, place: str, code: str, message: str) -> str:
    shown = click.style(f"{severity.value:<10}", fg=_COLOURS[severity], bold=True)
    return f"{shown}  {place}/{code}: {printable(message)}"


def render_stored(found: StoredFinding) -> str:
    """Return a remembered finding as two or three lines."""
    seen = f"first {format_time(found.first_at)}"
    if found.times > 1:
        seen += f", last {format_time(found.last_at)}, {found.times:,} times"
    if found.has_evidence:
        seen += ", with evidence"
    lines = [
        f"{found.id:>5}  {_finding_line(found.severity, found.place, found.code, found.message)}",
        f"       {seen}",
    ]
    if found.acknowledged_by:
        by, reason = printable(found.acknowledged_by), printable(found.reason)
        lines.append(f"       acknowledged by {by} {format_time(found.acknowledged_at)}: {reason}")
    return "\n".join(lines)


def stored_to_json(found: StoredFinding, origin: str) -> dict[str, Any]:
    """Return a remembered finding as plain values."""
    return {
        "type": "finding",
        "id": found.id,
        "origin": origin,
        "severity": found.severity.value,
        "place": found.place,
        "code": found.code,
        "message": found.message,
        "index": found.index,
        "count": found.count,
        "attrs": found.attrs,
        "evidence": found.has_evidence,
        "first_at": found.first_at,
        "last_at": found.last_at,
        "times": found.times,
        "open": found.is_open,
        "acknowledged": None
        if not found.acknowledged_by
        else {
            "by": found.acknowledged_by,
            "reason": found.reason,
            "at": found.acknowledged_at,
        },
    }
