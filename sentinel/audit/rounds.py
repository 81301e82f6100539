"""What only shows over time: heads that stop, and bodies that stay away without notice.

A sentinel that slept, or whose clock is wrong, must not accuse. So what is measured with
its own clock could not be checked at first, becomes a fault only after it looked without
a pause for as long, and is called observed; nothing here is ever an alarm.

Spec:
    PROTOCOL.md, section "Checks" (SENT-15 to SENT-17).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from nous_ledger.protocol.types import UnixSeconds
from sentinel.audit.codes import Place
from sentinel.audit.findings import Finding
from sentinel.audit.heads import CLOCK_TOLERANCE_S
from sentinel.audit.ports import Memory
from sentinel.audit.state import AuditState, Freshness, SeenHead

MIN_LOOKS: Final = 3
"""Rounds that must have got a head before its age is held against the log."""
MAX_NAMED: Final = 20
"""Most leaves that one finding names."""


def check_freshness(state: AuditState, now: UnixSeconds) -> tuple[AuditState, tuple[Finding, ...]]:
    """Return the state after a round that got a head, and whether a heartbeat is due.

    Args:
        state: with the newest head as trusted.
        now: second by this machine's clock.
    """
    trusted, history = state.trusted, state.ring.history
    if trusted is None or history is None:
        return state, ()
    heartbeat = history.genesis.heartbeat_s or 0
    fresh = _looked(state.freshness, trusted, heartbeat, now)
    state = replace(state, freshness=fresh)
    age = now - trusted.timestamp
    if age <= heartbeat + CLOCK_TOLERANCE_S:
        return state, ()
    text = f"the newest head is {age} s old, heartbeats are due every {heartbeat} s"
    if now - fresh.since <= 2 * heartbeat + CLOCK_TOLERANCE_S or fresh.looks < MIN_LOOKS:
        return state, (_about("silent", text, trusted),)
    text = f"observed: {text}, and none came in {fresh.looks} rounds over {now - fresh.since} s"
    return state, (_about("heartbeat", text, trusted),)


def _looked(fresh: Freshness, trusted: SeenHead, heartbeat: int, now: UnixSeconds) -> Freshness:
    """Count one more look; begin anew with another head, after a pause, or a clock set back."""
    same = fresh.timestamp == trusted.timestamp
    if same and 0 <= now - fresh.last_look <= heartbeat:
        return fresh._replace(last_look=now, looks=fresh.looks + 1)
    return Freshness(timestamp=trusted.timestamp, since=now, last_look=now, looks=1)


def check_notices(
    state: AuditState, memory: Memory, now: UnixSeconds, *, expected: bool
) -> tuple[Finding, ...]:
    """Say how many bodies were withheld, and which of them nobody announced in time.

    A redaction is logged before its bodies go, and covered within the merge delay. So a
    body that was missing at a moment, and that no redaction names in a head signed later
    than that by the merge delay, went without notice.

    Args:
        state: where the audit stands.
        memory: what was remembered.
        now: second by this machine's clock.
        expected: whether the sentinel has the right to read every body.
    """
    findings: list[Finding] = []
    unread = state.totals.unread + state.totals.withheld
    if unread:
        text = f"bodies withheld: {unread}"
        findings.append(
            Finding(place=Place.BODY, code="withheld", message=text, attrs={"bodies": unread})
        )
    before = _noticed_before(state, now) if expected else 0
    missing = memory.unannounced(before, MAX_NAMED + 1) if before > 0 else ()
    if missing:
        named = ", ".join(str(item.leaf) for item in missing[:MAX_NAMED])
        more = ", …" if len(missing) > MAX_NAMED else ""
        findings.append(
            Finding(
                place=Place.BODY,
                code="withheld-unannounced",
                message=f"bodies are withheld and no redaction names them: leaves {named}{more}",
                index=missing[0].leaf,
            )
        )
    return tuple(findings)


def _noticed_before(state: AuditState, now: UnixSeconds) -> int:
    """Return the second before which missing bodies must have been announced by now."""
    history = state.ring.history
    whole = [head for head in state.heads if head.leaf_count <= state.audited]
    if history is None or not whole or whole[-1].timestamp > now + CLOCK_TOLERANCE_S:
        return 0  # nothing was audited, or one of the two clocks is wrong
    delay = history.genesis.max_merge_delay_s or 0
    return whole[-1].timestamp - delay - CLOCK_TOLERANCE_S


def _about(code: str, message: str, head: SeenHead) -> Finding:
    return Finding(place=Place.HEAD, code=code, message=message, count=head.leaf_count)
