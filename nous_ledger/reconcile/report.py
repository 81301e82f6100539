"""Everything that is known of a period, gathered for whoever renders it."""

from __future__ import annotations

from dataclasses import dataclass

from nous_ledger.protocol.audit_streams import AuditedStreams
from nous_ledger.protocol.types import UnixMillis
from nous_ledger.reconcile.period import PeriodReport
from nous_ledger.reconcile.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """What receipts, reports, invoices, prices and streams say of a period.

    Attributes:
        since: earliest time of a call, milliseconds; None for the beginning.
        until: time before which calls lie, milliseconds; None for now.
        summary: what the receipts add up to.
        streams: the audit of the streams of the period.
        period: receipts beside what was imported.
        files: name, format, time of import, rows and faults of each imported file.
    """

    since: int | None
    until: int | None
    summary: Summary
    streams: AuditedStreams
    period: PeriodReport
    files: tuple[tuple[str, str, UnixMillis, int, int], ...]
