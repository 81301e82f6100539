"""The end of a round: what is compared once all records are read, and the report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.record import TYPE_STATEMENT
from nous_ledger.protocol.types import LeafIndex
from sentinel.audit.claims import (
    Cited,
    check_reconciliation,
    check_statement,
    reconciled_leaf,
    summed_range,
)
from sentinel.audit.findings import Finding
from sentinel.audit.leaf import check_leaf
from sentinel.audit.ports import Claim, Withheld
from sentinel.audit.rounds import MAX_NAMED, check_freshness, check_notices
from sentinel.audit.span import make_rules
from sentinel.audit.tally import Tally
from sentinel.log_options import Bodies
from sentinel.report import RoundReport
from sentinel.reread import Rereader

if TYPE_CHECKING:
    from sentinel.log_audit import LogAudit

CLAIMS_AT_ONCE: Final = 256
_SEQS_AT_ONCE: Final = 1_024


def compare_claims(audit: LogAudit) -> None:
    """Compare statements and reconciliations with the records that they speak of.

    Raises:
        UnavailableError: unreachable; what was not compared is left for the next round.
    """
    reader = Rereader(audit.source, audit.memory, audit.state.audited)
    totals = audit.state.totals
    complete = not totals.lost_receipts and not totals.unread
    while claims := audit.memory.claims(CLAIMS_AT_ONCE):
        compared: list[LeafIndex] = []
        try:
            for claim in claims:
                if audit.options.stopping() or not audit.in_time():
                    return
                audit.report(_compare(claim, reader, audit, complete=complete))
                compared.append(claim.leaf)
        finally:
            audit.memory.forget_claims(compared)


def _compare(
    claim: Claim, reader: Rereader, audit: LogAudit, *, complete: bool
) -> Iterable[Finding]:
    """Return what is wrong with a claim; of one that cannot be read any more, nothing."""
    body = reader.cited(claim.leaf).body
    if body is None:
        return ()
    if claim.type == TYPE_STATEMENT:
        found = check_statement(claim.leaf, body, _summed(body, reader, audit), complete=complete)
    else:
        found = check_reconciliation(claim.leaf, body, reader.cited(reconciled_leaf(body)))
    return () if found is None else (found,)


def _summed(body: bytes, reader: Rereader, audit: LogAudit) -> Iterator[Cited | None]:
    """Yield the receipts of a statement in order; None for one that is not known."""
    subject, first, last = summed_range(body)
    for lo in range(first, last + 1, _SEQS_AT_ONCE):
        hi = min(lo + _SEQS_AT_ONCE - 1, last)
        known = audit.memory.receipt_leaves(subject, lo, hi)
        for seq in range(lo, hi + 1):
            if not audit.in_time():
                text = "reading the receipts of a statement took too long"
                raise UnavailableError("unreachable", text)
            yield reader.cited(known[seq]) if seq in known else None


def look_at_the_clock(audit: LogAudit) -> None:
    """Report what only shows over time: heads that stop, bodies that stay away."""
    now = audit.now()
    if audit.change:
        audit.state, found = check_freshness(audit.state, now)
        audit.report(found)
    expected = audit.options.bodies is Bodies.EXPECTED
    if expected and audit.change:
        look_again(audit)
    audit.report(check_notices(audit.state, audit.memory, now, expected=expected))


def look_again(audit: LogAudit) -> None:
    """Read bodies once more that were not served, before anybody is accused of that.

    A cache may have left them out. What is served now is checked, and no longer missed.
    """
    reader = Rereader(audit.source, audit.memory, audit.state.audited)
    missing: tuple[Withheld, ...] = ()
    while audit.in_time() and not audit.options.stopping():
        before, missing = missing, audit.memory.unannounced(audit.now(), MAX_NAMED + 1)
        if missing == before:  # also where there are none
            return
        try:
            for item in missing:
                cited = reader.cited(item.leaf)
                if cited.body is not None:
                    tally = Tally()
                    check_leaf(make_rules(audit.state), item.leaf, cited.record, cited.body, tally)
                    audit.report(tally.findings())
                    audit.memory.no_longer_missed(item.leaf)
        except UnavailableError:
            return  # nothing can be said either way; whoever is accused had been asked before


def finish(audit: LogAudit, *, now: int, started: float, before: int) -> RoundReport:
    """Return the report of a round, which from then on is remembered.

    Args:
        audit: the log.
        now: second at which the round began.
        started: the same by the clock that never goes back.
        before: records that had been audited then.
    """
    memory, state = audit.memory, audit.state
    memory.findings.flush()
    trusted, history = state.trusted, state.ring.history
    report = RoundReport(
        origin=audit.options.origin,
        log_id=b"" if history is None else history.log_id,
        address=audit.source.name,
        at=now,
        took_s=time.monotonic() - started,
        leaf_count=0 if trusted is None else trusted.leaf_count,
        root=b"" if trusted is None else trusted.root,
        head_time=None if trusted is None else trusted.timestamp,
        change=audit.change,
        audited=state.audited,
        new=state.audited - before,
        totals=state.totals,
        findings=tuple(audit.found),
        open_findings=memory.findings.open_count(),
        waiting=0
        if audit.options.heads_only or trusted is None
        else trusted.leaf_count - state.audited,
        stopped=audit.options.stopping(),
        streams=memory.streams.view.summary(),
        require_counts=audit.options.require_counts,
    )
    memory.finish_round(json.dumps(report.to_json()))
    return report
