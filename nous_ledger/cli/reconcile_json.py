"""The report of a period for programs: tokens and pico-USD as integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nous_ledger.protocol.audit_report import streams_to_json
from nous_ledger.protocol.jsonform import format_uuid
from nous_ledger.protocol.registries import KIND, LABEL, SOURCE

if TYPE_CHECKING:
    from nous_ledger.protocol.audit_streams import Service
    from nous_ledger.reconcile.period import MoneyLine, PeriodReport
    from nous_ledger.reconcile.report import ReconcileReport
    from nous_ledger.reconcile.summary import ServiceSum


def to_json(report: ReconcileReport) -> dict[str, Any]:
    """Return everything that the report knows."""
    summary, period = report.summary, report.period
    return {
        "since": report.since,
        "until": report.until,
        "headline": _headline(report),
        "withheld": summary.withheld,
        "prices": {digest.hex(): name for digest, name in summary.tables.items()},
        "imports": [
            dict(zip(("name", "format", "imported_at", "rows", "faults"), row, strict=True))
            for row in report.files
        ],
        "statements": period.statements,
        "evidence": {
            "receipts": summary.evidence.receipts,
            "relabelled": summary.evidence.relabelled,
            "by_source": dict(sorted(summary.evidence.by_source.items())),
            "denied": summary.evidence.denied.buckets,
            "denied_receipts": summary.evidence.denied.receipts,
        },
        "services": [_service(service, found) for service, found in summary.services.items()],
        "audit": _audit(report),
        "asks": [
            {
                "provider": ask.provider,
                "model": ask.model,
                "reason": ask.reason,
                "calls": ask.calls,
                "request_ids": list(ask.request_ids),
                "receipts": list(ask.receipts),
            }
            for ask in report.asks()
        ],
        "calls": _calls(period),
        "spans": _spans(period),
        "money": [_money(line) for line in period.money],
        "money_by_span": [_money(line) for line in period.days],
        "receipts": [
            {"index": index, "id": format_uuid(link.receipt_id), "request_id": link.request_id}
            for index, link in report.links().items()
        ],
    }


def _headline(report: ReconcileReport) -> dict[str, int]:
    tokens, all_tokens = report.summary.unverifiable_share()
    cost, all_cost = report.summary.unverifiable_cost()
    return {
        "unverifiable_tokens": tokens,
        "tokens": all_tokens,
        "unverifiable_tokens_at_call": report.summary.unverifiable_at_call()[0],
        "unverifiable_cost_pico_usd": cost,
        "cost_pico_usd": all_cost,
    }


def _service(service: Service, found: ServiceSum) -> dict[str, Any]:
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
            {
                "kind": KIND.name_of(kind),
                "label": LABEL.name_of(label),
                "method": method,
                "reported": part.tokens,
                "buckets": part.buckets,
                "cost_pico_usd": part.cost,
                "receipts": part.receipts,
            }
            for (kind, label, method), part in sorted(found.slices.items())
        ],
        "tokens_at_call": {
            LABEL.name_of(label): tokens for label, tokens in sorted(found.at_call.items())
        },
        "cost_pico_usd": found.cost,
        "cost_by_label_pico_usd": {
            LABEL.name_of(label): cost
            for label, cost in sorted(found.cost_by_label().items())
            if cost
        },
        "unpriced_calls": found.unpriced_calls,
        "unpriced": dict(sorted(found.unpriced.items())),
        "verdicts": {str(word): count for word, count in sorted(found.verdicts.items())},
        "flags": [
            {
                "index": flag.index,
                "id": format_uuid(flag.receipt_id),
                "kind": KIND.name_of(flag.kind),
                "verdict": flag.verdict,
                "reported": flag.reported,
                "lower": flag.lower,
                "upper": flag.upper,
                "method": flag.method,
                "evidence": flag.evidence,
                "request_id": flag.request_id,
            }
            for flag in found.flags
        ],
    }


def _audit(report: ReconcileReport) -> dict[str, Any]:
    """Return the audit as `nous-ledger audit` states it, and what goes furthest beyond."""
    stated = streams_to_json(report.streams)
    for told, key in zip(stated["streams"], report.streams.streams, strict=True):
        kept = sorted(report.samples.by_stream.get(key, ()), reverse=True)
        told["furthest"] = [index for _, index, _ in kept]
    return stated


def _calls(period: PeriodReport) -> dict[str, Any]:
    return {
        "agree": period.matched_calls,
        "by_hour": period.by_hour,
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
    }


def _spans(period: PeriodReport) -> dict[str, Any]:
    return {
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
                "indices": item.indices,
            }
            for item in period.span_differences
        ],
    }


def _money(line: MoneyLine) -> dict[str, Any]:
    return {
        "provider": line.provider,
        "start": line.start,
        "end": line.end,
        "receipts": line.calls,
        "computed_pico_usd": line.computed,
        "unpriced_calls": line.unpriced,
        "reported_calls": line.told_calls,
        "reported_pico_usd": line.told,
        "invoiced_pico_usd": line.invoiced,
        "indices": line.indices,
    }
