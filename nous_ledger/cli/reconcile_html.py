"""The report of a period as one self-contained page: no script, nothing fetched."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from nous_ledger.cli.reconcile_text import (
    LABELS,
    dollars,
    facts,
    headline,
    sections,
    share,
)
from nous_ledger.cli.terminal import printable
from nous_ledger.protocol.registries import LABEL

if TYPE_CHECKING:
    from nous_ledger.reconcile.report import ReconcileReport

_COLOURS: Final = {1: "#1a7f4b", 2: "#c9971c", 3: "#9aa0a8"}
_WIDTH: Final = 640
_ROW: Final = 30
_LEFT: Final = 220
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2126; background: #fff;
       max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.2rem; font-weight: 600; color: #5a626c; margin: 0; }
p.headline { font-size: 2rem; line-height: 1.25; font-weight: 650; margin: .4rem 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e3e6ea; }
th { color: #5a626c; font-weight: 600; }
td.r, th.r { text-align: right; }
ul { padding-left: 1.1rem; color: #3d444d; font-size: .9rem; }
svg text { font: 13px system-ui, sans-serif; fill: currentColor; }
.key { display: inline-flex; align-items: center; gap: .4rem; margin-right: 1.2rem; }
.key i { width: .8rem; height: .8rem; border-radius: 2px; display: inline-block; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e8eb; background: #15181c; }
  h1, th { color: #a2aab4; } ul { color: #c4cad1; }
  th, td { border-color: #2c3238; }
}
"""


def render_html(report: ReconcileReport) -> str:
    """Return the page."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>Reconciliation</title><style>{_STYLE}</style></head><body>",
        f'<h1>Reconciliation</h1><p class="headline">{_text(headline(report))}</p>',
        _charts(report),
        f"<ul>{''.join(f'<li>{_text(line)}</li>' for line in facts(report))}</ul>",
        *(_table(title, columns, rows, right) for title, columns, rows, right in sections(report)),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _charts(report: ReconcileReport) -> str:
    tokens, money = [], []
    for service, found in report.summary.services.items():
        labels = found.by_label()
        if sum(labels.values()):
            name = f"{service.provider} {service.model}"
            tokens.append((name, [labels[label] for label in LABELS]))
        if any(found.cost_by_label.values()):
            name = f"{service.provider} {service.model}"
            money.append((name, [found.cost_by_label[label] for label in LABELS]))
    keys = "".join(
        f'<span class="key"><i style="background:{_COLOURS[label]}"></i>'
        f"{LABEL.name_of(label)}</span>"
        for label in LABELS
    )
    parts = []
    if tokens:
        parts.append(f"<h2>Tokens by label</h2><p>{keys}</p>{_bars(tokens, money=False)}")
    if money:
        parts.append(f"<h2>Money by label</h2><p>{keys}</p>{_bars(money, money=True)}")
    return "".join(parts)


def _bars(rows: list[tuple[str, list[int]]], *, money: bool) -> str:
    """Return bars whose lengths compare the rows, cut by label."""
    longest = max(sum(values) for _, values in rows)
    room = _WIDTH - _LEFT - 110
    height = _ROW * len(rows)
    shapes = []
    for number, (name, values) in enumerate(rows):
        top, left, total = number * _ROW, float(_LEFT), sum(values)
        shapes.append(f'<text x="0" y="{top + 19}">{_text(_short(name))}</text>')
        for label, value in zip(LABELS, values, strict=True):
            width = room * value / longest
            told = f"{LABEL.name_of(label)}: {_amount(value, money=money)} ({share(value, total)})"
            if value:
                shapes.append(
                    f'<rect x="{left:.1f}" y="{top + 5}" width="{max(width, 1):.1f}" height="20" '
                    f'fill="{_COLOURS[label]}"><title>{_text(told)}</title></rect>'
                )
            left += width
        shown = _amount(total, money=money)
        shapes.append(f'<text x="{left + 8:.1f}" y="{top + 19}">{_text(shown)}</text>')
    return (
        f'<div class="wide"><svg role="img" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}">{"".join(shapes)}</svg></div>'
    )


def _table(title: str, columns: object, rows: list[tuple[str, ...]], right: str) -> str:
    titles = list(columns) if isinstance(columns, tuple) else []
    marks = [' class="r"' if mark == "r" else "" for mark in right]
    head = "".join(
        f"<th{mark}>{_text(name)}</th>" for name, mark in zip(titles, marks, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{mark}>{_text(cell)}</td>" for cell, mark in zip(row, marks, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<h2>{_text(title)}</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _amount(value: int, *, money: bool) -> str:
    return f"$ {dollars(value)}" if money else f"{value:,}"


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"{name[:31]}…"


def _text(text: str) -> str:
    """Return text that a page shows as it is, whatever a model or a report is called."""
    return escape(printable(text))
