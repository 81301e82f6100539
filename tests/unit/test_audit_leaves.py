"""Receipts without counts, of the usual form and of another."""

from tests.unit.audit_log import AuditLog
from tests.unit.audit_round import watch


def test_receipts_that_count_nothing_raise_no_alarm() -> None:
    """AUD-1: they add nothing to any stream."""
    log = AuditLog()
    log.receipt(usage=None, provider_total=None)
    log.receipt(usage=None, provider_total=None, extensions=((64, 1),))
    watcher = watch(log)
    watcher.round(log)
    assert watcher.codes() == []
    assert watcher.state.audited == log.count
