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

HOUR_MS: Final = 3_600_000
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
    request_id TEXT, provider TEXT, model TEXT, line INTEGER, start INTEGER,
    input INTEGER, output INTEGER, cost INTEGER
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
CREATE INDEX calls_by_time ON calls (provider, start);
CREATE INDEX spans_by_time ON spans (provider, start);
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
        indices: leaves of the first and last of the receipts; None if there is none.
    """

    provider: str
    model: str
    start: UnixMillis
    end: UnixMillis
    receipts: tuple[int, int, int]
    report: tuple[int | None, int | None, int | None]
    indices: tuple[LeafIndex, LeafIndex] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyLine:
    """The three sides beside each other, over the span of an invoice or of a usage report.

    Attributes:
        provider: name of the provider.
        start: beginning of the span, milliseconds.
        end: end of the span, exclusive.
        calls: receipts of the span.
        computed: pico-USD of the receipts that have a price.
        unpriced: receipts that have none.
        told_calls: calls that usage reports tell of; None if none does.
        told: pico-USD that usage reports put on single calls; None if none does.
        invoiced: pico-USD that the provider charged; None if no invoice tells of the span.
        indices: leaves of the first and last of the receipts; None if there is none.
    """

    provider: str
    start: UnixMillis
    end: UnixMillis
    calls: int
    computed: PicoUsd
    unpriced: int
    told_calls: int | None
    told: PicoUsd | None
    invoiced: PicoUsd | None
    indices: tuple[LeafIndex, LeafIndex] | None = None


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
        money: receipts, usage reports and invoices, over all that a provider's tell of.
        days: the same for each span that an invoice tells apart, the first MAX_LISTED.
        statements: rows of reports and invoices that speak of the period.
        by_hour: calls that were summed by hour, because no receipt has any of their ids.
    """

    matched_calls: int
    call_differences: tuple[CallDifference, ...]
    call_counts: dict[str, int]
    matched_spans: int
    span_differences: tuple[SpanDifference, ...]
    span_count: int
    money: tuple[MoneyLine, ...]
    days: tuple[MoneyLine, ...]
    statements: int
    by_hour: int = 0

    @property
    def agrees(self) -> bool:
        """Whether nothing differs (money aside, which needs prices to compare)."""
        return not self.span_count and not any(self.call_counts.values())


class _ExactSum:
    """Adds up any number of integers; SQLite's own SUM fails beyond 2^63."""

    def __init__(self) -> None:
        self._sum: int | None = None

    def step(self, value: int | None) -> None:
        if value is not None:
            self._sum = (self._sum or 0) + value

    def finalize(self) -> str | None:
        return None if self._sum is None else str(self._sum)


class PeriodCheck:
    """Takes both sides in any order, in bounded memory, and compares them."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._db = sqlite3.connect(_TEMPORARY, isolation_level=None)
        # It gives text, because SQLite has no integer that is long enough.
        self._db.create_aggregate("EXACT_SUM", 1, _ExactSum)  # type: ignore[arg-type]
        self._db.executescript(_TABLES)
        self._db.execute("BEGIN")
        self._statements = 0

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
        self._statements += 1
        tokens = (item.input_tokens, item.output_tokens)
        if item.request_id:
            names = (item.request_id, item.provider, item.model)
            row = (*names, item.line, item.start, *tokens, item.cost)
            self._db.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        elif item.calls is not None or tokens != (None, None):
            start, end, calls = item.start, item.end, item.calls
            if start == end:  # a call without an id is told apart by its hour
                start = UnixMillis(start - start % HOUR_MS)
                end, calls = UnixMillis(start + HOUR_MS), calls or 1
            span = (item.provider, item.model, start, end, calls, *tokens)
            self._db.execute("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?)", span)
        if item.cost is not None and not item.request_id:
            money = (item.provider, item.start, item.end, item.cost)
            self._db.execute("INSERT INTO costs VALUES (?, ?, ?, ?)", money)

    def result(self) -> PeriodReport:
        """Compare the sides."""
        self._db.executescript(_INDEXES)
        money, days = tuple(self._money(_TOTALS)), tuple(self._money(_DAYS))
        by_hour = self._gather_foreign_ids()
        matched_spans = span_count = 0
        differing: list[SpanDifference] = []
        for span in self._spans():
            if _alike(span):
                matched_spans += 1
                continue
            span_count += 1
            if len(differing) < MAX_LISTED:
                differing.append(span)
        counts, listed = {}, []
        for kind, query in _CALLS.items():
            counts[kind] = self._db.execute(f"SELECT COUNT(*) FROM ({query})").fetchone()[0]  # noqa: S608
            rows = self._db.execute(f"{query} LIMIT {MAX_LISTED}").fetchall()
            listed += [_call(kind, row) for row in rows]
        (matched,) = self._db.execute(_MATCHED).fetchone()
        return PeriodReport(
            matched_calls=matched,
            call_differences=tuple(listed),
            call_counts=counts,
            matched_spans=matched_spans,
            span_differences=tuple(differing),
            span_count=span_count,
            money=money,
            days=days,
            statements=self._statements,
            by_hour=by_hour,
        )

    def _gather_foreign_ids(self) -> int:
        """Turn calls by ids that no receipt of their provider has into sums by hour; count them.

        Logs of other systems often have ids of their own: a log none of whose ids is known
        says nothing of single calls.
        """
        found = 0
        for (provider,) in self._db.execute(_FOREIGN).fetchall():
            found += self._db.execute(_BY_HOUR, (provider, HOUR_MS)).rowcount
            self._db.execute("DELETE FROM calls WHERE provider = ?", (provider,))
        return found

    def _spans(self) -> Iterator[SpanDifference]:
        query = """
            SELECT provider, model, start, "end",
                EXACT_SUM(calls), EXACT_SUM(input), EXACT_SUM(output)
            FROM spans GROUP BY provider, model, start, "end" ORDER BY start, provider, model"""
        for provider, model, start, end, *report in self._db.execute(query):
            count, *tokens, first, last = self._db.execute(
                _RECEIPTS_OF_SPAN, (provider, start, end, model)
            ).fetchone()
            yield SpanDifference(
                provider=provider,
                model=model,
                start=UnixMillis(start),
                end=UnixMillis(end),
                receipts=(count, int(tokens[0] or 0), int(tokens[1] or 0)),
                report=(_whole(report[0]), _whole(report[1]), _whole(report[2])),
                indices=None if first is None else (first, last),
            )

    def _money(self, query: str) -> Iterator[MoneyLine]:
        for provider, start, end, invoiced in self._db.execute(query):
            span = (provider, start, end)
            receipts = self._db.execute(_COST_OF_SPAN, span).fetchone()
            calls, computed, unpriced, first, last = receipts
            of_calls, told = self._db.execute(_TOLD_OF_CALLS, span).fetchone()
            (of_spans,) = self._db.execute(_TOLD_OF_SPANS, span).fetchone()
            told_calls = of_calls + int(of_spans or 0)
            yield MoneyLine(
                provider=provider,
                start=UnixMillis(start),
                end=UnixMillis(end),
                calls=calls,
                computed=PicoUsd(int(computed or 0)),
                unpriced=unpriced,
                told_calls=told_calls if of_calls or of_spans is not None else None,
                told=None if told is None else PicoUsd(int(told)),
                invoiced=None if invoiced is None else PicoUsd(int(invoiced)),
                indices=None if first is None else (first, last),
            )


_FOREIGN: Final = """
    SELECT provider FROM calls GROUP BY provider HAVING NOT EXISTS (
        SELECT 1 FROM calls AS own JOIN receipts USING (request_id)
        WHERE own.provider = calls.provider)"""
_BY_HOUR: Final = """
    INSERT INTO spans SELECT provider, model, start - start % ?2, start - start % ?2 + ?2,
        1, input, output FROM calls WHERE provider = ?1"""
_RECEIPTS_OF_SPAN: Final = """
    SELECT COUNT(*), EXACT_SUM(input), EXACT_SUM(output), MIN(idx), MAX(idx)
    FROM receipts
    WHERE (?1 = '' OR provider = ?1) AND time >= ?2 AND time < ?3
        AND (?4 = '' OR served = ?4 OR (requested = ?4 AND (served = '' OR NOT EXISTS (
            -- A report that knows no snapshots names what was asked for.
            SELECT 1 FROM receipts WHERE (?1 = '' OR provider = ?1) AND time >= ?2
                AND time < ?3 AND served = ?4))))"""
_COST_OF_SPAN: Final = """
    SELECT COUNT(*), EXACT_SUM(cost), COUNT(*) - COUNT(cost), MIN(idx), MAX(idx)
    FROM receipts WHERE provider = ? AND time >= ? AND time < ?"""
_TOLD_OF_CALLS: Final = """
    SELECT COUNT(*), EXACT_SUM(cost) FROM calls WHERE provider = ? AND start >= ? AND start < ?"""
_TOLD_OF_SPANS: Final = """
    SELECT EXACT_SUM(calls) FROM spans WHERE provider = ? AND start >= ? AND "end" <= ?"""
_DAYS: Final = f"""
    SELECT provider, start, "end", EXACT_SUM(cost) FROM costs GROUP BY provider, start, "end"
    ORDER BY start, provider LIMIT {MAX_LISTED}"""  # noqa: S608 - a number of ours
_TOTALS: Final = """
    SELECT provider, MIN(start), MAX("end"), EXACT_SUM(cost) FROM (
        SELECT provider, start, "end", cost FROM costs
        UNION ALL SELECT provider, start, start + 1, NULL FROM calls WHERE provider <> ''
        UNION ALL SELECT provider, start, "end", NULL FROM spans
    ) GROUP BY provider ORDER BY provider"""
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


def _whole(total: str | None) -> int | None:
    return None if total is None else int(total)


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
