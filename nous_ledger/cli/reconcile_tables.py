"""The report of a period as tables: what stands in them, not how they look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nous_ledger.cli.render import format_time
from nous_ledger.protocol.audit_report import ASSUMPTIONS
from nous_ledger.protocol.jsonform import format_uuid
from nous_ledger.protocol.label import BOUNDED, EXACT, UNVERIFIABLE
from nous_ledger.protocol.registries import KIND, LABEL, SOURCE
from nous_ledger.protocol.types import LeafIndex

if TYPE_CHECKING:
    from nous_ledger.reconcile.period import MoneyLine, PeriodReport
    from nous_ledger.reconcile.report import ReconcileReport

LABELS: Final = (EXACT, BOUNDED, UNVERIFIABLE)

_MODELS: Final = (
    *("provider", "model", "source", "calls", "tokens", "exact", "bounded", "unverifiable"),
    *("cost USD", "unpriced", "outside"),
)
_BUCKETS: Final = ("provider", "model", "bucket", "label", "method", "tokens", "cost USD")
_EVIDENCE: Final = ("label", "tokens at the call", "share", "tokens after evidence", "share")
_FLAGS: Final = (
    *("bucket", "verdict", "reported", "allowed", "method", "said by"),
    "request id to ask for",
)
_STREAMS: Final = (
    *("stream", "provider", "model", "method", "samples", "reported", "counted", "coverage"),
    *("evidence", "needs", "excess", "state"),
)
_CALLS: Final = ("what", "request id", "row", "receipt in / out", "report in / out")
_SPANS: Final = (
    *("provider", "model", "from", "to"),
    *("receipts calls / in / out", "report calls / in / out"),
)
_MONEY: Final = (
    *("provider", "from", "to", "receipts", "reported calls", "receipts USD", "unpriced"),
    *("reported USD", "invoiced USD", "difference"),
)
_ASKS: Final = ("provider", "model", "calls", "why", "request ids")
_RECEIPTS: Final = ("index", "receipt id", "request id")


@dataclass(frozen=True, slots=True)
class Row:
    """Cells, and the leaves of receipts that they are about.

    Attributes:
        cells: texts, one for each column.
        receipts: leaves of the first of the receipts, or of the first and the last.
        is_range: they are the first and the last of a range.
    """

    cells: tuple[str, ...]
    receipts: tuple[LeafIndex, ...] = ()
    is_range: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table.

    Attributes:
        title: its title.
        note: what has to be known to read it.
        columns: titles of the columns.
        right: for each column `r` if it is aligned to the right, else `l`.
        rows: its rows.
    """

    title: str
    note: str = ""
    columns: Sequence[str]
    right: str
    rows: list[Row]


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


def sections(report: ReconcileReport) -> list[Section]:
    """Return every table that has rows, the most telling first."""
    period = report.period
    found = [
        _section("By model", _MODELS, "lllrrrrrrrr", _models(report)),
        _section(
            *("By bucket, label and method", _BUCKETS, "lllllrr", _buckets(report)),
            note="EXACT was counted again, BOUNDED lies within a range, of UNVERIFIABLE there is "
            "nothing but the provider's word.",
        ),
        _section(
            *("Before and after evidence", _EVIDENCE, "lrrrr", _evidence(report)),
            note="What was attached later never changes a receipt: the left half is what was "
            "fixed when the calls were made.",
        ),
        _section(
            *("Counts outside of their evidence", _FLAGS, "llrllll", _flags(report)),
            note="Arithmetic on single receipts, of which honest providers show some. Only a "
            "stream of receipts says more.",
        ),
        _section(
            *("Streams under audit", _STREAMS, "rlllrrrrrrrl", _streams(report)),
            note="Over the whole log, whatever the period: bets that begin at a chosen day "
            "prove nothing. Evidence that reaches what it needs speaks of tokens beyond a "
            "re-count, not of why. Excess is a lower bound. Later evidence is never a sample. "
            f"Alpha {report.streams.alpha:g} over all streams. Assumed: {'; '.join(ASSUMPTIONS)}.",
        ),
        _section("What to ask the providers for", _ASKS, "llrll", _asks(report)),
        _section(
            *("Receipts, usage reports and invoices", _MONEY, "lllrrrrrrr", _money(period.money)),
            note="One line for all that a provider's reports and invoices tell of; the difference "
            "is what was invoiced less what the priced receipts come to.",
        ),
        _section("By span of the invoice", _MONEY, "lllrrrrrrr", _money(period.days)),
        _section("Calls on which receipts and reports differ", _CALLS, "llrll", _calls(period)),
        _section("Spans whose sums differ", _SPANS, "llllll", _spans(period)),
    ]
    return [section for section in found if section.rows]


def receipts_section(report: ReconcileReport) -> Section:
    """Return the receipts that stand beside numbers."""
    rows = [
        Row((str(index), format_uuid(link.receipt_id), link.request_id or "-"), (index,))
        for index, link in report.links().items()
    ]
    note = "The first receipts behind each number. The proof of one: nous-ledger prove INDEX"
    return _section("Receipts behind the numbers", _RECEIPTS, "rll", iter(rows), note=note)


def shown_receipts(row: Row) -> str:
    """Return the receipts of a row as text."""
    if row.is_range:
        return " to ".join(map(str, row.receipts))
    first = ", ".join(map(str, row.receipts[:3]))
    return f"{first}, …" if len(row.receipts) > 3 else first


def _section(
    title: str, columns: Sequence[str], right: str, rows: Iterator[Row], note: str = ""
) -> Section:
    return Section(title=title, note=note, columns=columns, right=right, rows=list(rows))


def _models(report: ReconcileReport) -> Iterator[Row]:
    for service, found in report.summary.services.items():
        labels = found.by_label()
        total = sum(labels.values())
        yield Row(
            (
                *(service.provider, service.model, SOURCE.name_of(service.source)),
                *(str(found.calls), str(total)),
                *(share(labels[label], total) for label in LABELS),
                dollars(found.cost) if found.unpriced_calls < found.calls else "unpriced",
                str(found.unpriced_calls),
                str(sum(found.verdicts[word] for word in ("above", "below", "outside"))),
            ),
            (LeafIndex(found.first), LeafIndex(found.last)),
            is_range=True,
        )


def _buckets(report: ReconcileReport) -> Iterator[Row]:
    for service, found in report.summary.services.items():
        for (kind, label, method), part in sorted(found.slices.items()):
            cells = (KIND.name_of(kind), LABEL.name_of(label), method or "-", str(part.tokens))
            cost = dollars(part.cost) if part.priced else "unpriced" if part.tokens else "-"
            yield Row((service.provider, service.model, *cells, cost), tuple(part.receipts))


def _evidence(report: ReconcileReport) -> Iterator[Row]:
    if not report.summary.evidence.receipts:
        return
    before = sum((found.at_call for found in report.summary.services.values()), Counter[int]())
    after = report.summary.tokens_by_label()
    for label in sorted({*before, *after}):
        yield Row(
            (
                LABEL.name_of(label),
                *(str(before[label]), share(before[label], sum(before.values()))),
                *(str(after[label]), share(after[label], sum(after.values()))),
            )
        )


def _flags(report: ReconcileReport) -> Iterator[Row]:
    for found in report.summary.services.values():
        for flag in found.flags:
            by = "the receipt" if flag.evidence is None else f"record {flag.evidence}"
            yield Row(
                (
                    *(KIND.name_of(flag.kind), flag.verdict, str(flag.reported)),
                    *(f"{flag.lower} to {flag.upper}", flag.method, by, flag.request_id or "-"),
                ),
                (flag.index,),
            )


def _streams(report: ReconcileReport) -> Iterator[Row]:
    for number, (key, audit) in enumerate(report.streams.streams.items(), start=1):
        sampled, output = report.streams.coverage(key.service)
        kept = sorted(report.samples.by_stream.get(key, ()), reverse=True)
        yield Row(
            (
                *(str(number), key.service.provider, key.service.model, key.method),
                *(str(audit.receipts), str(audit.reported), str(audit.counted)),
                share(sampled, output),
                *(f"{min(audit.evidence()):.3g}", f"{audit.level:.3g}"),
                f"{audit.excess:.2%}" if audit.excess else "-",
                str(audit.state),
            ),
            tuple(index for _, index, _ in kept),
        )


def _asks(report: ReconcileReport) -> Iterator[Row]:
    for ask in report.asks():
        ids = ", ".join(ask.request_ids) or "none is known"
        named = (ask.provider or "-", ask.model or "-")
        yield Row((*named, str(ask.calls), ask.reason, ids), ask.receipts)


def _calls(period: PeriodReport) -> Iterator[Row]:
    for item in period.call_differences:
        row = "-" if item.line is None else str(item.line)
        yield Row(
            (item.kind, item.request_id, row, _tokens(item.receipt), _tokens(item.report)),
            () if item.index is None else (item.index,),
        )


def _spans(period: PeriodReport) -> Iterator[Row]:
    for item in period.span_differences:
        yield Row(
            (
                *(item.provider, item.model or "all"),
                *(_time(item.start), _time(item.end)),
                *(_tokens(item.receipts), _tokens(item.report)),
            ),
            item.indices or (),
            is_range=True,
        )


def _money(lines: Sequence[MoneyLine]) -> Iterator[Row]:
    for line in lines:
        gap = None if line.invoiced is None else line.invoiced - line.computed
        yield Row(
            (
                line.provider,
                *(_time(line.start), _time(line.end)),
                str(line.calls),
                _or_dash(line.told_calls),
                *(dollars(line.computed), str(line.unpriced)),
                *("-" if pico is None else dollars(pico) for pico in (line.told, line.invoiced)),
                "-" if gap is None else dollars(gap),
            ),
            line.indices or (),
            is_range=True,
        )


def _time(millis: int) -> str:
    """Return a time, as short as it is round."""
    text = format_time(millis / 1000)
    return text.removesuffix("T00:00:00Z") if text.endswith("T00:00:00Z") else text


def _tokens(counts: Sequence[int | None] | None) -> str:
    return "-" if counts is None else " / ".join(map(_or_dash, counts))


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
