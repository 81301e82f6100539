"""What records say of each other, what was withheld, and what only time shows."""

from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.bodies import Redaction
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.types import LeafIndex
from sentinel.audit.claims import Cited, check_statement
from sentinel.audit.keys import broken_finding, settle, start_ring
from sentinel.audit.prove import prove
from sentinel.audit.state_json import state_from_json, state_to_json
from tests.unit.audit_crimes import CRIMES, EXACT, reconciliation, statement
from tests.unit.audit_log import BOB, KEYS, SALT, AuditLog
from tests.unit.audit_round import Watcher, resume, watch


def watched(log: AuditLog, *, bodies: bool = True, now: int | None = None) -> Watcher:
    watcher = watch(log, bodies=bodies)
    watcher.round(log, now=now)
    return watcher


def test_an_honest_log_of_every_type_raises_nothing() -> None:
    log = AuditLog(receipts=9)
    log.add(4, statement(log))
    log.add(2, reconciliation(log, 2))
    log.add(2, reconciliation(log, log.receipt(), usage=(EXACT,)))
    log.receipt(anomalies=(4,))
    log.binding(1)
    log.binding(2, wallet=1, signer=1)
    log.binding(3, wallet=None, signer=1)
    log.rotate()
    log.add(9, b"opaque")
    log.add(256, b"opaque")
    log.bodies[5] = b""
    log.add(5, Redaction(salt=SALT, indices=(5,), reason=1))
    log.receipt()
    log.close()
    watcher = watched(log)
    assert watcher.codes() == [("body", "withheld", "unchecked")]
    assert watcher.memory.claims == []
    assert watcher.state.totals._asdict() == {
        "receipts": 12,
        "unread": 0,
        "withheld": 1,
        "garbled": 0,
        "lost_receipts": 1,
        "skipped": 1,
        "suspect": 0,
        "unknown": 2,
    }


@pytest.mark.parametrize("gone", [(2,), (2, 3), (1, 2, 3), (4,), (1, 4)])
def test_chains_pass_over_withheld_receipts(gone: tuple[int, ...]) -> None:
    """A gap that names a withheld receipt between is none (SENT-9)."""
    log = AuditLog()
    for _ in range(6):
        log.receipt()
    for index in gone:
        log.bodies[index] = b""
    assert watched(log).codes() == [("body", "withheld", "unchecked")]


@pytest.mark.parametrize(
    ("gone", "seq", "prev"),
    [((), 9, b"\x01" * 32), ((2,), 9, "last"), ((2, 3), 7, b"\x01" * 32), ((4,), 9, "withheld")],
)
def test_chains_pass_over_nothing_else(gone: tuple[int, ...], seq: int, prev: Any) -> None:
    """More places than lost receipts, or a hash that no lost receipt has (SENT-9)."""
    log = AuditLog()
    for _ in range(4):
        log.receipt()
    log.bodies = [b"" if index in gone else body for index, body in enumerate(log.bodies)]
    hashes = {"last": log.records[4][23:55], "withheld": log.records[4][23:55]}
    previous = hashes.get(prev, prev)
    log.add(1, log.make_receipt(subject_seq=seq, subject_prev=previous))
    assert ("subject", "subject-gap", "fault") in watched(log).codes()


def test_a_first_receipt_that_is_not_the_first_is_a_gap() -> None:
    log = AuditLog()
    log.add(1, log.make_receipt(BOB, subject_seq=4, subject_prev=bytes(32)))
    assert watched(log).codes() == [("subject", "subject-gap", "fault")]


def test_without_bodies_nothing_is_said_of_chains() -> None:
    log = AuditLog(receipts=5)
    watcher = watched(log, bodies=False)
    assert watcher.codes() == [("body", "withheld", "unchecked")]
    assert watcher.findings[-1].attrs == {"bodies": 5}
    watcher.bodies = True
    log.receipt()
    log.binding(1, wallet=None)
    watcher.round(log)
    assert watcher.codes()[1:] == [("body", "withheld", "unchecked")]


def test_a_body_that_is_not_the_signed_one_is_a_fault() -> None:
    log = AuditLog(receipts=5)
    log.bodies[2] = log.bodies[1]
    log.receipt()
    watcher = watched(log)
    assert watcher.codes() == [("body", "body-hash", "fault")]
    assert watcher.state.totals.garbled == 1


@pytest.mark.parametrize(("signer", "found"), [(0, True), (1, False)])
def test_an_unbind_is_by_the_wallet_bound_last(signer: int, found: bool) -> None:
    """SENT-10, SENT-11."""
    log = AuditLog()
    log.binding(7)
    watcher = watched(log)
    log.binding(8, wallet=1, signer=1)
    watcher.round(log)
    log.binding(9, wallet=None, signer=signer)
    watcher.round(log)
    assert watcher.codes() == ([("binding", "not-bound", "fault")] if found else [])


def test_crimes_of_different_spans_are_found_too() -> None:
    """Memory and fold see what no span sees by itself (SENT-7, SENT-8, SENT-10)."""
    log = AuditLog(receipts=300)
    log.binding(5)
    watcher = watched(log)
    for name in ("duplicate-id", "wrong-prev", "backdated"):
        CRIMES[name].commit(log)
    log.binding(5, wallet=None)
    watcher.round(log)
    codes = {code for _, code, severity in watcher.codes() if severity == "alarm"}
    assert codes == {"duplicate-id", "subject-branch", "backdated", "late", "nonce-order"}
    assert all(f.evidence for f in watcher.findings if f.severity == "alarm")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"last_seq": 5, "rows": 6}, "statement-range"),
        ({"count": 1}, "statement-sums"),
        ({"rows": 3}, "total-mismatch"),
    ],
)
def test_statements_are_compared_with_receipts(changes: dict[str, Any], code: str) -> None:
    """SENT-12."""
    log = AuditLog(receipts=6)
    body = statement(log)
    if "rows" in changes:
        changes = changes | {"rows": (row_of(body, changes["rows"]),)}
    if code == "total-mismatch":
        with pytest.raises(LedgerError):
            statement(log, **changes)
        return
    log.add(4, statement(log, **changes))
    assert [found for _, found, _ in watched(log).codes()] == [code]


def row_of(body: Any, calls: int) -> Any:
    row = body.rows[0]
    return type(row)(
        provider=row.provider,
        model=row.model,
        source=row.source,
        calls=calls,
        unmetered=0,
        kinds=row.kinds,
    )


def test_what_lost_receipts_say_could_not_be_checked() -> None:
    """SENT-12, SENT-13."""
    log = AuditLog(receipts=6)
    log.add(4, statement(log))
    log.add(2, reconciliation(log, 1, usage=(EXACT,)))
    log.bodies[1] = b""
    codes = [found for found in watched(log).codes() if found[0] != "body"]
    assert codes == [
        ("statement", "unproved", "unchecked"),
        ("reconciliation", "unproved", "unchecked"),
    ]


def test_a_statement_over_a_garbled_receipt_could_not_be_checked() -> None:
    log = AuditLog(receipts=6)
    index = log.add(4, statement(log))
    cited = [Cited(LeafIndex(1), log.records[1], b"\xc0")]
    found = check_statement(LeafIndex(index), log.bodies[index], cited, complete=True)
    assert found is not None
    assert found.code == "unproved"


def test_a_redaction_of_a_key_event_is_worth_knowing() -> None:
    log = AuditLog(receipts=3)
    log.add(5, Redaction(salt=SALT, indices=(0, 2), reason=1))
    watcher = watched(log)
    assert watcher.codes() == []
    assert "redaction-target" in [f.code for f in watcher.findings]


def test_suspect_records_are_not_checked() -> None:
    log = AuditLog(receipts=4)
    log.rotate(reason=1, suspect_from=3)
    log.receipt()
    watcher = watched(log)
    assert watcher.codes() == [("record", "suspect", "unchecked")]
    found = next(f for f in watcher.findings if f.code == "suspect")
    assert (found.index, found.attrs) == (3, {"records": 2, "last": 4})


def test_a_newer_record_could_not_be_checked() -> None:
    log = AuditLog(receipts=2)
    log.append(b"\x02" + log.records[1][1:], b"")
    assert watched(log).codes() == [("record", "newer-version", "unchecked")]


UNREAD: dict[str, tuple[bytes | None, str, str]] = {
    "not served": (b"", "withheld", "fault"),
    "another body": (b"\x80", "body-hash", "fault"),
    "unknown kind": (None, "unknown-kind", "unchecked"),
}


@pytest.mark.parametrize(("body", "code", "severity"), UNREAD.values(), ids=UNREAD)
@pytest.mark.parametrize("first_look", [False, True])
def test_behind_a_key_event_that_cannot_be_read_nobody_is_accused(
    body: bytes | None, code: str, severity: str, first_look: bool
) -> None:
    """Anyone on the way can keep a body back; the audit waits before it (SENT-2)."""
    log = AuditLog(receipts=2)
    watcher = watch(log)
    if not first_look:
        watcher.round(log)
    good = b""
    if body is None:
        log.add(0, log.genesis(bytes(32), kind=7))
    else:
        log.rotate()
        good, log.bodies[-1] = log.bodies[-1], body
    log.receipt()
    for _ in range(2):
        watcher.round(log)
        assert {*watcher.codes()} == {("key", code, severity)}
        assert watcher.state.audited == (0 if first_look else 3)
    if good:
        log.bodies[3] = good
        watcher.round(log)
        if watcher.state.audited < 5:
            resume(watcher, log)
        assert {*watcher.codes()} == {("key", code, severity)}
        assert (watcher.state.audited, watcher.state.ring.epoch) == (5, 1)


def test_old_heads_over_a_key_event_of_an_unknown_kind_wait_too() -> None:
    """A head that a replaced key might have signed is not believed beyond what was read."""
    log = AuditLog(receipts=2)
    log.add(0, log.genesis(bytes(32), kind=7))
    log.receipt()
    watcher = watched(log)
    assert watcher.codes() == [("key", "unknown-kind", "unchecked")]
    assert watcher.state.audited == 0


def test_what_cannot_be_proved_yet_comes_back_without_evidence() -> None:
    log = AuditLog(receipts=9)
    watcher = watched(log)
    CRIMES["wrong-epoch"].commit(log)
    watcher.round(log)
    finding = replace(watcher.findings[-1], evidence=None)
    case = watcher.case(watcher.state.heads)
    assert prove(finding, case).evidence
    for poorer in (
        replace(case, leaves={}),
        replace(case, heads=()),
        replace(case, nodes=watch(log).nodes),
    ):
        assert prove(finding, poorer) == finding
    plain = replace(finding, cites=())
    assert prove(plain, case) == plain


def test_evidence_that_is_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(receipts=2)
    watcher = watched(log)
    CRIMES["duplicate-id"].commit(log)
    watcher.round(log)
    finding = next(f for f in watcher.findings if f.code == "duplicate-id")
    case, unproved = watcher.case(watcher.state.heads), replace(finding, evidence=None)
    assert finding.evidence is not None
    monkeypatch.setattr("sentinel.audit.prove.MAX_EVIDENCE_BYTES", len(finding.evidence))
    assert prove(unproved, case) == finding
    monkeypatch.setattr("sentinel.audit.prove.MAX_EVIDENCE_BYTES", len(finding.evidence) - 1)
    assert prove(unproved, case) == unproved


def test_a_state_comes_back_from_its_text() -> None:
    log = AuditLog(receipts=4)
    log.rotate()
    watcher = watched(log)
    for _ in range(2):
        ring = start_ring(log.origin, log.policy())
        assert state_from_json(state_to_json(watcher.state), ring) == watcher.state
        log.add(0, log.genesis(bytes(32)))
        watcher.round(log)
    empty = watch(log).state
    assert state_from_json(state_to_json(empty), empty.ring) == empty


def test_a_key_event_elsewhere_is_left_to_the_checks_of_records() -> None:
    log = AuditLog(receipts=2)
    log.add(0, log.rotation(), index=7, epoch=1, key=KEYS[1])
    watcher = watched(log)
    assert watcher.codes() == [("record", "record-index", "alarm")]
    assert (watcher.state.ring.epoch, watcher.state.ring.broken) == (0, None)
    assert broken_finding(watcher.state.ring) is None


def test_a_ring_keeps_what_was_proved() -> None:
    log = AuditLog(receipts=2)
    log.add(0, log.genesis(bytes(32)))
    watcher = watched(log)
    ring = watcher.state.ring
    assert ring.broken is not None
    assert settle(ring, watcher.state.audited).broken == ring.broken
    assert settle(ring, LeafIndex(2)).broken is None  # type: ignore[arg-type]
