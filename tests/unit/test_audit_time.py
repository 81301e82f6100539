"""What only time shows: heads that stop, bodies that go without notice, a sentinel that slept."""

from dataclasses import replace

import pytest

from nous_ledger.protocol.bodies import Redaction
from nous_ledger.protocol.types import UnixSeconds
from sentinel.audit.findings import Finding
from sentinel.audit.rounds import check_freshness, check_notices
from tests.unit.audit_log import DELAY, HEARTBEAT, SALT, START, AuditLog
from tests.unit.audit_round import DictMemory, Watcher, watch

DAY = 86_400


def watched(log: AuditLog, *, now: int) -> Watcher:
    watcher = watch(log)
    watcher.round(log, now=now)
    return watcher


def test_bodies_that_go_without_notice_are_told_after_the_merge_delay() -> None:
    """Only heads signed later than the delay show that no notice came (SENT-16, SENT-17)."""
    log = AuditLog(receipts=8)
    log.bodies[3] = log.bodies[4] = b""
    watcher = watched(log, now=START + 9)
    missed = ("body", "withheld-unannounced", "fault")
    for later in (DELAY, DELAY + 300):
        at = START + 9 + later
        watcher.round(log, log.head(None, at), now=at)
        assert missed not in watcher.codes()
    at = START + 10 + DELAY + 300
    watcher.round(log, log.head(None, at), now=at - 301)
    assert missed not in watcher.codes()
    watcher.round(log, log.head(None, at), now=at)
    assert watcher.codes()[-1] == missed
    assert watcher.findings[-1].index == 3
    log.add(5, Redaction(salt=SALT, indices=(3, 4), reason=2), logged_at=at * 1000)
    before = len(watcher.findings)
    watcher.round(log, log.head(None, at + 1), now=at + 1)
    assert [f.code for f in watcher.findings[before:]] == ["not-witnessed", "withheld"]


def test_many_bodies_without_notice_are_counted_and_some_are_named() -> None:
    log = AuditLog(receipts=40)
    log.bodies = [b"" if index > 5 else body for index, body in enumerate(log.bodies)]
    watcher = watched(log, now=START)
    watcher.round(log, log.head(None, START + DAY), now=START + DAY)
    assert watcher.findings[-1].message.endswith(" 24, 25, …")
    log_without = watched(AuditLog(receipts=2), now=START)
    assert check_notices(log_without.state, DictMemory(), UnixSeconds(START), expected=True) == ()


def test_nothing_is_said_before_a_head() -> None:
    log = AuditLog()
    watcher = watch(log)
    state, now = watcher.state, UnixSeconds(START)
    assert check_freshness(state, now) == (state, ())
    assert check_notices(state, watcher.memory, now, expected=True) == ()


def looks(watcher: Watcher, log: AuditLog, *times: int) -> list[str]:
    """Return what rounds at some seconds after the head's say of its freshness."""
    head = log.head(None, START)
    found: list[Finding] = []
    for time in times:
        found = watcher.round(log, head, now=START + time)
    return [f.code for f in found if f.code != "not-witnessed"]


def test_a_head_that_never_changes_could_not_be_checked_before_it_is_a_fault() -> None:
    """SENT-15."""
    log = AuditLog()
    watcher = watch(log)
    assert looks(watcher, log, 0, 1_000, HEARTBEAT + 300) == []
    assert looks(watcher, log, HEARTBEAT + 301) == ["silent"]
    assert looks(watcher, log, 2 * HEARTBEAT, 2 * HEARTBEAT + 300) == ["silent"]
    assert looks(watcher, log, 2 * HEARTBEAT + 301) == ["heartbeat"]
    assert "observed" in watcher.findings[-1].message


@pytest.mark.parametrize(
    "times",
    [
        (DAY,),
        (0, DAY),
        (0, DAY, DAY + HEARTBEAT, DAY + 2 * HEARTBEAT),
        (DAY, DAY - 1_000, DAY + HEARTBEAT),
        (0, HEARTBEAT, HEARTBEAT - 1, 2 * HEARTBEAT, 3 * HEARTBEAT),
    ],
)
def test_a_sentinel_that_slept_accuses_nobody(times: tuple[int, ...]) -> None:
    """After a pause, or with a clock set back, it begins to look anew (SENT-15)."""
    log = AuditLog()
    assert looks(watch(log), log, *times) == ["silent"]


def test_two_looks_are_not_enough() -> None:
    log = AuditLog()
    watcher = watch(log)
    watcher.round(log, log.head(None, START), now=START)
    fresh = watcher.state.freshness._replace(last_look=UnixSeconds(START + 2 * HEARTBEAT))
    watcher.state = replace(watcher.state, freshness=fresh)
    assert looks(watcher, log, 3 * HEARTBEAT) == ["silent"]
    assert looks(watcher, log, 3 * HEARTBEAT + 1) == ["heartbeat"]
