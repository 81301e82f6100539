"""Receipts, usage report and invoice of one period, held against each other.

Calls are matched by the provider's request id where both sides have one; else sums are
compared for each span and model that the report names. Money is compared for each
provider over the span of its invoice. What comes out is arithmetic: rows that are
missing on one side, and numbers that differ. Why they do is for people to find out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import LeafIndex, PicoUsd, UnixMillis
from nous_ledger.reconcile.exports.rows import Statement
from nous_ledger.reconcile.prices import Cost

MAX_LISTED: Final = 1_000
"""Differences of a kind that are listed; further ones are counted."""

_INPUT_END: Final = 10
_INPUT_MEDIA: Final = (32, 33, 34)
_OUTPUT_MEDIA: Final = (35, 36, 37)

# An empty name gives SQLite a database of its own in a file that is gone afterwards.
_TEMPORARY: Final = ""
_TABLES: Final = """
CREATE TABLE receipts (
    idx INTEGER PRIMARY KEY, time INTEGER, provider TEXT, served TEXT, requested TEXT,
    request_id TEXT, input INTEGER, output INTEGER, cost INTEGER
) STRICT;
CREATE TABLE calls (
    request_id TEXT, provider TEXT, line INTEGER, start INTEGER, input INTEGER, output INTEGER
) STRICT;
CREATE TABLE spans (
    provider TEXT, model TEXT, start INTEGER, "end" INTEGER,
    calls INTEGER, input INTEGER, output INTEGER
) STRICT;
CREATE TABLE costs (provider TEXT, start INTEGER, "end" INTEGER, cost INTEGER) STRICT;
"""
_INDEXES: Final = """
CREATE INDEX receipts_by_id ON receipts (request_id);
CREATE INDEX receipts_by_time ON receipts (provider, time);
CREATE INDEX calls_by_id ON calls (request_id);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDifference:
    """One call on which receipts and report differ.

    Attributes:
        kind: `missing` the report lacks it, `extra` there is no receipt, `differs`.
        request_id: the provider's id of the call.
        index: leaf of the receipt; None if there is none.
        line: row of the report; None if there is none.
        receipt: (input, output) tokens of the receipt; None where it has none.
        report: (input, output) tokens of the report; None where it has none.
    """

    kind: str
    request_id: str
    index: LeafIndex | None
    line: int | None
    receipt: tuple[int | None, int | None] | None
    report: tuple[int | None, int | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanDifference:
    """One span and model whose sums differ.

    Attributes:
        provider: name of the provider.
        model: name of the model in the report; empty for all of them.
        start: beginning of the span, milliseconds.
        end: end of the span, exclusive.
        receipts: (calls, input, output) of the receipts.
        report: the same of the report; None for what it does not say.
    """

    provider: str
    model: str
    start: UnixMillis
    end: UnixMillis
    receipts: tuple[int, int, int]
    report: tuple[int | None, int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyLine:
    """What a provider charged beside what the receipts come to, over one span.

    Attributes:
        provider: name of the provider.
        start: beginning of the span, milliseconds.
        end: end of the span, exclusive.
        invoiced: pico-USD that the provider charged.
        computed: pico-USD of the receipts that have a price.
        unpriced: receipts that have none.
    """

    provider: str
    start: UnixMillis
    end: UnixMillis
    invoiced: PicoUsd
    computed: PicoUsd
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodReport:
    """What the three sides say about one another.

    Attributes:
        matched_calls: calls that both sides tell alike.
        call_differences: calls on which they differ, the first MAX_LISTED of each kind.
        call_counts: how many differences of each kind there are.
        matched_spans: spans whose sums agree.
        span_differences: spans whose sums differ, the first MAX_LISTED.
        span_count: how many spans differ.
        money: invoices beside receipts.
    """

    matched_calls: int
    call_differences: tuple[CallDifference, ...]
    call_counts: dict[str, int]
    matched_spans: int
    span_differences: tuple[SpanDifference, ...]
    span_count: int
    money: tuple[MoneyLine, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs (money aside, which needs prices to compare)."""
        return not self.span_count and not any(self.call_counts.values())


class PeriodCheck:
    """Takes both sides in any order, in bounded memory, and compares them."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._db = sqlite3.connect(_TEMPORARY, isolation_level=None)
        self._db.executescript(_TABLES)
        self._db.execute("BEGIN")

    def take_receipt(self, index: LeafIndex, receipt: Receipt, cost: Cost) -> None:
        """Take a receipt of the period."""
        inputs = outputs = None
        if receipt.usage is not None:
            counts = [(b.kind, b.reported) for b in receipt.usage if b.reported is not None]
            inputs = sum(n for kind, n in counts if kind < _INPUT_END or kind in _INPUT_MEDIA)
            outputs = sum(n for kind, n in counts if 16 <= kind < 32 or kind in _OUTPUT_MEDIA)
        row = (
            *(index, receipt.time, receipt.provider),
            *(receipt.model_served or "", receipt.model_requested or ""),
            *(receipt.provider_request_id or "", inputs, outputs, cost.amount),
        )
        self._db.execute("INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def take_statement(self, item: Statement) -> None:
        """Take a row of a report or of an invoice."""
        tokens = (item.input_tokens, item.output_tokens)
        if item.request_id:
            row = (item.request_id, item.provider, item.line, item.start, *tokens)
            self._db.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)", row)
        elif item.calls is not None or tokens != (None, None):
            span = (item.provider, item.model, item.start, item.end, item.calls, *tokens)
            self._db.execute("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?)", span)
        if item.cost is not None and not item.request_id:
            money = (item.provider, item.start, item.end, item.cost)
            self._db.execute("INSERT INTO costs VALUES (?, ?, ?, ?)", money)

    def result(self) -> PeriodReport:
        """Compare the sides."""
        self._db.executescript(_INDEXES)
        spans = list(self._spans())
        differing = [span for span in spans if not _alike(span)]
        counts, listed = {}, []
        for kind, query in _CALLS.items():
            rows = self._db.execute(query).fetchall()
            counts[kind] = len(rows)
            listed += [_call(kind, row) for row in rows[:MAX_LISTED]]
        (matched,) = self._db.execute(_MATCHED).fetchone()
        return PeriodReport(
            matched_calls=matched,
            call_differences=tuple(listed),
            call_counts=counts,
            matched_spans=len(spans) - len(differing),
            span_differences=tuple(differing[:MAX_LISTED]),
            span_count=len(differing),
            money=tuple(self._money()),
        )

    def _spans(self) -> Iterator[SpanDifference]:
        query = """
            SELECT provider, model, start, "end", SUM(calls), SUM(input), SUM(output)
            FROM spans GROUP BY provider, model, start, "end" ORDER BY start, provider, model"""
        for provider, model, start, end, *report in self._db.execute(query).fetchall():
            receipts = self._db.execute(_RECEIPTS_OF_SPAN, (provider, start, end, model)).fetchone()
            yield SpanDifference(
                provider=provider,
                model=model,
                start=UnixMillis(start),
                end=UnixMillis(end),
                receipts=tuple(receipts),
                report=tuple(report),
            )

    def _money(self) -> Iterator[MoneyLine]:
        query = """
            SELECT provider, MIN(start), MAX("end"), SUM(cost)
            FROM costs GROUP BY provider ORDER BY provider"""
        for provider, start, end, invoiced in self._db.execute(query).fetchall():
            computed, unpriced = self._db.execute(_COST_OF_SPAN, (provider, start, end)).fetchone()
            yield MoneyLine(
                provider=provider,
                start=UnixMillis(start),
                end=UnixMillis(end),
                invoiced=PicoUsd(invoiced),
                computed=PicoUsd(computed),
                unpriced=unpriced,
            )


_RECEIPTS_OF_SPAN: Final = """
    SELECT COUNT(*), COALESCE(SUM(input), 0), COALESCE(SUM(output), 0) FROM receipts
    WHERE provider = ?1 AND time >= ?2 AND time < ?3
        AND (?4 = '' OR served = ?4 OR (served = '' AND requested = ?4))"""
_COST_OF_SPAN: Final = """
    SELECT COALESCE(SUM(cost), 0), COUNT(*) - COUNT(cost) FROM receipts
    WHERE provider = ? AND time >= ? AND time < ?"""
_SAME: Final = """
    (calls.input IS NULL OR receipts.input IS calls.input)
    AND (calls.output IS NULL OR receipts.output IS calls.output)"""
_MATCHED: Final = f"SELECT COUNT(*) FROM calls JOIN receipts USING (request_id) WHERE {_SAME}"  # noqa: S608
_CALLS: Final = {
    # A report of single calls speaks of the time from its first call to its last.
    "missing": """
        SELECT request_id, idx, NULL, input, output, NULL, NULL FROM receipts
        WHERE request_id <> '' AND request_id NOT IN (SELECT request_id FROM calls)
            AND EXISTS (
                SELECT 1 FROM (
                    SELECT provider, MIN(start) AS first, MAX(start) AS last
                    FROM calls GROUP BY provider) AS told
                WHERE told.provider IN (receipts.provider, '')
                    AND receipts.time BETWEEN told.first AND told.last)
        ORDER BY idx""",
    "extra": """
        SELECT request_id, NULL, line, NULL, NULL, input, output FROM calls
        WHERE request_id NOT IN (SELECT request_id FROM receipts) ORDER BY line""",
    "differs": f"""
        SELECT request_id, idx, line, receipts.input, receipts.output, calls.input, calls.output
        FROM calls JOIN receipts USING (request_id) WHERE NOT ({_SAME}) ORDER BY idx""",  # noqa: S608
}


def _alike(span: SpanDifference) -> bool:
    pairs = zip(span.receipts, span.report, strict=True)
    return all(told is None or told == counted for counted, told in pairs)


def _call(kind: str, row: tuple[Any, ...]) -> CallDifference:
    request_id, index, line, *tokens = row
    return CallDifference(
        kind=kind,
        request_id=request_id,
        index=index,
        line=line,
        receipt=None if index is None else (tokens[0], tokens[1]),
        report=None if line is None else (tokens[2], tokens[3]),
    )
