"""The report of a period as one self-contained page: no script, nothing fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from html import escape
from typing import TYPE_CHECKING, Final

from nous_ledger.cli.reconcile_tables import (
    LABELS,
    Row,
    Section,
    dollars,
    receipts_section,
    sections,
    share,
)
from nous_ledger.cli.reconcile_text import facts, headline
from nous_ledger.cli.terminal import printable
from nous_ledger.protocol.label import UNVERIFIABLE
from nous_ledger.protocol.registries import KIND, LABEL, TOKEN_KINDS_END

if TYPE_CHECKING:
    from nous_ledger.protocol.types import LeafIndex
    from nous_ledger.reconcile.report import ReconcileReport

Bar = tuple[str, list[int]]
"""What a bar is of, and its parts by label."""

MOST_BARS: Final = 24
"""Longest bars of a chart; the table has all."""
_LINKED: Final = 6
_SCALE: Final = 1000
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = """
:root { --text: #1d2126; --soft: #5a626c; --back: #fff; --line: #e3e6ea; --rest: #eef0f3;
        --l1: #1a7f4b; --l2: #c9971c; --l3: #8b929b; --link: #0b57c2; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e8eb; --soft: #a2aab4; --back: #15181c; --line: #2c3238; --rest: #22272d;
          --l1: #35a86a; --l2: #d9a93a; --l3: #7d858f; --link: #7db0ff; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
       max-width: 84rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.1rem; font-weight: 600; color: var(--soft); margin: 0; }
p.headline { font-size: clamp(1.4rem, 4.5vw, 2.1rem); line-height: 1.25; font-weight: 650;
             margin: .4rem 0 1rem; text-wrap: balance; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .3rem; }
p.note { color: var(--soft); font-size: .9rem; margin: 0 0 .6rem; max-width: 46rem; }
a { color: var(--link); }
ul { padding-left: 1.1rem; color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
         border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; }
td.r, th.r { text-align: right; }
td.w { white-space: normal; min-width: 20rem; overflow-wrap: anywhere; }
tr:target { background: var(--rest); }
.key { display: inline-flex; align-items: center; gap: .4rem; margin-right: 1.2rem; }
.key i { width: .8rem; height: .8rem; border-radius: 2px; }
.l1 { fill: var(--l1); background: var(--l1); } .l2 { fill: var(--l2); background: var(--l2); }
.l3 { fill: var(--l3); background: var(--l3); }
.bars { display: grid; grid-template-columns: minmax(7rem, 20rem) 1fr auto; font-size: .88rem;
        grid-auto-flow: dense; gap: .35rem .8rem; align-items: center; }
.bar { display: contents; }
.bars span { grid-column: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bars b { grid-column: 3; font-weight: 500; text-align: right;
          font-variant-numeric: tabular-nums; }
.bars svg { grid-column: 2; }
svg { width: 100%; height: 1.3rem; display: block; border-radius: 3px; }
@media (max-width: 44rem) {
  .bars { grid-template-columns: 1fr auto; row-gap: .1rem; }
  .bars b { grid-column: 2; } .bars svg { grid-column: 1 / -1; margin-bottom: .6rem; } }
@media print { body { margin: 0; max-width: none; } }
"""


def render_html(report: ReconcileReport, base_url: str | None = None) -> str:
    """Return the page.

    Args:
        report: the report.
        base_url: where the log is read over HTTP; receipts link to their proofs there.
    """
    known = report.links()
    tables = [_table(section, known, base_url) for section in sections(report)]
    appendix = _table(receipts_section(report), known, base_url, anchors=True)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>Reconciliation</title><style>{_STYLE}</style></head><body>",
        f'<h1>Reconciliation</h1><p class="headline">{_text(headline(report))}</p>',
        _charts(report),
        f"<ul>{''.join(f'<li>{_text(line)}</li>' for line in facts(report))}</ul>",
        *tables,
        appendix if known else "",
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _charts(report: ReconcileReport) -> str:
    services = report.summary.services.items()
    names = [f"{service.provider} {service.model}" for service, _ in services]
    by_kind: dict[int, Counter[int]] = {}
    for _, found in services:
        for (kind, label, _), part in found.slices.items():
            if kind < TOKEN_KINDS_END:
                by_kind.setdefault(kind, Counter())[label] += part.tokens
    charts = (
        ("All tokens", _whole(report)),
        ("Tokens by model", _parts(names, [found.by_label() for _, found in services])),
        ("Money by model", _parts(names, [found.cost_by_label() for _, found in services])),
        (
            "Tokens by bucket",
            _parts([KIND.name_of(kind) for kind in sorted(by_kind)], [*_ordered(by_kind)]),
        ),
    )
    keys = "".join(
        f'<span class="key"><i class="l{label}"></i>{LABEL.name_of(label)}</span>'
        for label in LABELS
    )
    drawn = [
        f"<h2>{title}</h2>{_bars(bars, money=title.startswith('Money'))}"
        for title, bars in charts
        if bars
    ]
    return f"<p>{keys}</p>{''.join(drawn)}" if drawn else ""


def _whole(report: ReconcileReport) -> list[Bar]:
    """Return all tokens by label; beside them, as it was at the call if evidence changed that."""
    labels = report.summary.tokens_by_label()
    bars = [("now", [labels[label] for label in LABELS])] if labels.total() else []
    before: Counter[int] = sum(
        (found.at_call for found in report.summary.services.values()), Counter()
    )
    if before != labels:
        bars[:] = [("after evidence", bars[0][1])] if bars else []
        bars.append(("at the call", [before[label] for label in LABELS]))
    return bars


def _ordered(by_kind: dict[int, Counter[int]]) -> list[Counter[int]]:
    return [by_kind[kind] for kind in sorted(by_kind)]


def _parts(names: list[str], labels: list[Counter[int]]) -> list[Bar]:
    bars = [
        (name, [found[label] for label in LABELS])
        for name, found in zip(names, labels, strict=True)
        if any(found.values())
    ]
    return sorted(bars, key=lambda bar: -sum(bar[1]))[:MOST_BARS]


def _bars(bars: list[Bar], *, money: bool) -> str:
    """Return bars whose lengths compare the rows, cut by label."""
    longest = max(sum(values) for _, values in bars)
    rows = []
    for name, values in bars:
        left, total, shapes = 0.0, sum(values), []
        for label, value in zip(LABELS, values, strict=True):
            width = _SCALE * value / longest
            told = f"{LABEL.name_of(label)}: {_amount(value, money=money)} ({share(value, total)})"
            if value:
                shapes.append(
                    f'<rect class="l{label}" x="{left:.1f}" y="0" width="{max(width, 2):.1f}" '
                    f'height="20"><title>{_text(told)}</title></rect>'
                )
            left += width
        shown = f"{_amount(total, money=money)}"
        unverifiable = share(values[LABELS.index(UNVERIFIABLE)], total)
        rows.append(
            f'<div class="bar"><span title="{_text(name)}">{_text(name)}</span>'
            f"<b>{_text(shown)}</b>"
            f'<svg role="img" aria-label="{_text(name)}: {unverifiable} unverifiable" '
            f'viewBox="0 0 {_SCALE} 20" preserveAspectRatio="none">{"".join(shapes)}</svg></div>'
        )
    return f'<div class="bars">{"".join(rows)}</div>'


def _table(
    section: Section,
    known: Collection[LeafIndex],
    base_url: str | None,
    *,
    anchors: bool = False,
) -> str:
    linked = any(row.receipts for row in section.rows)
    last = f"<th>{'proof' if anchors else 'receipts'}</th>" if linked else ""
    marks = [' class="r"' if mark == "r" else "" for mark in section.right]
    titles = zip(section.columns, marks, strict=True)
    head = "".join(f"<th{mark}>{_text(name)}</th>" for name, mark in titles)
    body = []
    for row in section.rows:
        cells = zip(section.columns, row.cells, marks, strict=True)
        shown = "".join(_cell(name, cell, mark) for name, cell, mark in cells)
        links = _proof(row, base_url) if anchors else _links(row, known, base_url)
        shown += f"<td>{links}</td>" if linked else ""
        start = f'<tr id="r{row.receipts[0]}">' if anchors else "<tr>"
        body.append(f"{start}{shown}</tr>")
    note = f'<p class="note">{_text(section.note)}</p>' if section.note else ""
    return (
        f'<h2>{_text(section.title)}</h2>{note}<div class="wide"><table><thead><tr>{head}'
        f"{last}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(column: str, cell: str, mark: str) -> str:
    if mark and cell.isdigit() and column != "index":
        cell = f"{int(cell):,}"
    wide = column in ("why", "request ids")
    style = ' class="w"' if wide else mark
    return f"<td{style}>{_text(cell)}</td>"


def _links(row: Row, known: Collection[LeafIndex], base_url: str | None) -> str:
    """Return the receipts of a row as links: within the page, or else to their proofs."""
    links = []
    for leaf in row.receipts[:_LINKED]:
        place = f"#r{leaf}" if leaf in known else f"{_text(base_url or '')}/v1/records/{leaf}/proof"
        linked = leaf in known or base_url
        links.append(f'<a href="{place}">{leaf}</a>' if linked else str(leaf))
    if row.is_range:
        return " to ".join(links)
    return ", ".join(links) + (", …" if len(row.receipts) > _LINKED else "")


def _proof(row: Row, base_url: str | None) -> str:
    leaf = row.receipts[0]
    if not base_url:
        return f"<code>nous-ledger prove {leaf}</code>"
    return f'<a href="{_text(base_url)}/v1/records/{leaf}/proof">proof</a>'


def _amount(value: int, *, money: bool) -> str:
    return f"$ {dollars(value)}" if money else f"{value:,}"


def _text(text: str) -> str:
    """Return text that a page shows as it is, whatever a model or a report is called."""
    return escape(printable(text))
