"""The second step: what records say of each other, folded span by span in their order.

Everything here is a question to a memory that only grows. The fold asks it once per kind
and span, decides, and returns what is to be remembered; it writes nothing itself.

Spec:
    PROTOCOL.md SUBJ-3, RED-1 to RED-3, BIND-1 to BIND-3, and SENT-7 to SENT-14.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from nous_ledger.protocol.record import TYPE_RECEIPT
from nous_ledger.protocol.types import LeafCount, LeafIndex, UnixMillis, UnixSeconds
from sentinel.audit.chains import fold_receipts
from sentinel.audit.findings import Finding, Place
from sentinel.audit.keys import broken_finding, unread_event
from sentinel.audit.learned import Learned
from sentinel.audit.ports import Changes, Memory
from sentinel.audit.span import SpanFacts
from sentinel.audit.state import AuditState, SeenHead, Totals
from sentinel.audit.wallets import fold_bindings, fold_redactions

_HASH: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What follows from a span.

    Attributes:
        state: the state after it.
        changes: what is to be remembered, together with the state.
        findings: those of the span itself and those about what it says of others.
    """

    state: AuditState
    changes: Changes
    findings: tuple[Finding, ...]


def fold(state: AuditState, facts: SpanFacts, memory: Memory, now: UnixSeconds) -> Folded:
    """Add the records of a span to what is known.

    Args:
        state: where the audit stands; the span begins at `audited`.
        facts: what `check_span` returned. If the bundle was not what was signed, or the
            body of a key event in it cannot be read, nothing is added: the state stays, and
            the bundle must be read again before any that follows it.
        memory: what was remembered of the records before.
        now: second by this machine's clock.
    """
    audited = LeafCount(facts.first + len(facts.leaves) // _HASH)
    unread = unread_event(state.ring, audited)
    if unread is not None or not facts.leaves:
        found = tuple(facts.findings) if unread is None else (unread,)
        return Folded(state=state, changes=Changes(), findings=found)
    learned = Learned(facts, memory, _add(state.totals, facts), now)
    _fold_times(state, facts, learned)
    fold_redactions(state.ring, learned)
    fold_receipts(learned)
    fold_bindings(learned)
    _report_key_events(state, audited, learned)
    after = replace(
        state,
        heads=_still_needed(state.heads, audited),
        audited=audited,
        last_logged_at=UnixMillis(max(facts.last_time, state.last_logged_at)),
        totals=learned.totals,
    )
    return Folded(state=after, changes=learned.changes(), findings=tuple(learned.findings))


def _fold_times(state: AuditState, facts: SpanFacts, learned: Learned) -> None:
    """Compare the first record of a span with the last one before it."""
    if -1 < facts.first_time < state.last_logged_at:
        leaf = facts.first
        learned.findings.append(
            Finding(
                place=Place.RECORD,
                code="backdated",
                message=f"the record at leaf {leaf} was logged"
                f" {state.last_logged_at - facts.first_time} ms before an earlier one",
                index=leaf,
                cites=(LeafIndex(leaf - 1), leaf),
            )
        )


def _report_key_events(state: AuditState, audited: LeafCount, learned: Learned) -> None:
    """Report a broken key event, and heads that a replaced key signed, once it is certain."""
    ring = state.ring
    if ring.broken is not None and state.audited <= ring.broken.leaf < audited:
        finding = broken_finding(ring)
        learned.findings.extend([] if finding is None else [finding])
    for head in state.heads:
        count, history = head.leaf_count, ring.history_at(head.leaf_count)
        passed = state.audited < count <= audited
        if passed and history is not None and history.epoch != head.epoch:
            text = f"the head over {count} leaves is of epoch {head.epoch}"
            text += f", its leaves of {history.epoch}"
            learned.findings.append(
                Finding(place=Place.HEAD, code="head-epoch", message=text, count=count)
            )


def _still_needed(heads: tuple[SeenHead, ...], audited: LeafCount) -> tuple[SeenHead, ...]:
    """Return the newest head of those that are audited whole, and all above."""
    whole = sum(head.leaf_count <= audited for head in heads)
    return heads[max(whole - 1, 0) :]


def _add(totals: Totals, facts: SpanFacts) -> Totals:
    receipts, unread, suspect, unknown = facts.counts
    garbled = sum(served for _, _, _, served in facts.withheld)
    lost_receipts = sum(type_ == TYPE_RECEIPT for _, type_, _, _ in facts.withheld)
    return Totals(
        receipts=totals.receipts + receipts,
        unread=totals.unread + unread,
        withheld=totals.withheld + len(facts.withheld) - garbled,
        garbled=totals.garbled + garbled,
        lost_receipts=totals.lost_receipts + lost_receipts,
        skipped=totals.skipped,
        suspect=totals.suspect + suspect,
        unknown=totals.unknown + unknown,
    )
