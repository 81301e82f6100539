"""Heads beside the trusted one: only forward, and nothing said that is not certain."""

from collections.abc import Callable
from typing import Any

import pytest

from nous_ledger.protocol.cosignature import cosign
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.note import (
    Note,
    NoteSignature,
    add_signatures,
    format_note,
    parse_note,
)
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.types import Hash32, UnixSeconds
from nous_ledger.protocol.vkey import cosigner_vkey, ed25519_vkey, format_vkey, head_vkey
from sentinel.audit.compare import HeadChange
from sentinel.audit.confirm import verify_evidence
from sentinel.audit.heads import read_head
from sentinel.audit.keys import start_ring
from tests.unit.audit_log import ED25519, KEYS, OTHER_ED25519, START, AuditLog
from tests.unit.audit_round import Watcher, watch

OTHER_ROOT = Hash32(b"\x01" * 32)


def seen(log: AuditLog) -> Watcher:
    """Return a watcher that trusts the log as it is."""
    watcher = watch(log)
    watcher.round(log)
    assert watcher.codes() == []
    return watcher


@pytest.mark.parametrize(
    ("count", "later", "change"),
    [
        (10, 0, HeadChange.UNCHANGED),
        (10, -5, HeadChange.UNCHANGED),
        (10, 5, HeadChange.HEARTBEAT),
        (4, -6, HeadChange.STALE),
        (4, 0, HeadChange.STALE),
    ],
)
def test_honest_heads_raise_no_alarm(count: int, later: int, change: HeadChange) -> None:
    log = AuditLog(receipts=9)
    watcher = seen(log)
    watcher.round(log, log.head(count, START + 10 + later))
    assert watcher.change is change
    stale = [("head", "stale", "unchecked")] if change is HeadChange.STALE else []
    assert watcher.codes() == stale
    trusted = watcher.state.trusted
    assert trusted is not None
    assert (trusted.leaf_count, trusted.timestamp) == (10, START + 10 + max(later, 0))


@pytest.mark.parametrize(
    ("told", "change", "code"),
    [
        ({"count": 4, "timestamp": START + 11}, HeadChange.ROLLED_BACK, "rollback"),
        ({"count": 0, "timestamp": START + 11}, HeadChange.ROLLED_BACK, "rollback"),
        ({"count": 12, "timestamp": START + 9}, HeadChange.BACKDATED, "head-time"),
        ({"count": 10, "root": OTHER_ROOT}, HeadChange.FORKED, "fork"),
        ({"count": 10, "root": OTHER_ROOT, "timestamp": START}, HeadChange.FORKED, "fork"),
        ({"count": 9, "root": OTHER_ROOT}, HeadChange.FORKED, "fork"),
        ({"count": 8, "root": OTHER_ROOT}, HeadChange.FORKED, "fork"),
        ({"count": 1, "root": OTHER_ROOT}, HeadChange.FORKED, "fork"),
    ],
)
def test_a_head_that_goes_back_or_forks_is_an_alarm(
    told: dict[str, Any], change: HeadChange, code: str
) -> None:
    log = AuditLog(receipts=9)
    watcher = seen(log)
    log.receipt()
    log.receipt()
    watcher.round(log, log.head(**told))
    assert watcher.change is change
    alarms = [f for f in watcher.findings if f.severity == "alarm"]
    assert [(f.place, f.code) for f in alarms] == [("head", code)]
    assert alarms[0].evidence is not None
    confirmed = verify_evidence(alarms[0].evidence, log.policy())
    assert set(confirmed.counts) == {10, told["count"]}
    trusted = watcher.state.trusted
    assert trusted is not None
    assert trusted.leaf_count == 10


def test_a_fork_over_no_leaves_has_no_evidence() -> None:
    """No proof starts from a tree without leaves; the finding stays."""
    log = AuditLog(receipts=3)
    watcher = seen(log)
    watcher.round(log, log.head(0, START, root=OTHER_ROOT))
    assert watcher.codes() == [("head", "empty-tree", "fault"), ("head", "fork", "alarm")]


def test_a_first_head_over_no_leaves_is_not_taken() -> None:
    log = AuditLog(receipts=3)
    watcher = watch(log)
    watcher.round(log, log.head(0))
    assert watcher.state.heads == ()
    watcher.round(log)
    watcher.round(log, log.head(0, START))
    assert watcher.change is HeadChange.STALE
    assert watcher.codes() == [
        ("head", "empty-tree", "fault"),
        ("head", "empty-tree", "fault"),
    ]


@pytest.mark.parametrize(
    ("shared", "grown"), [(1, 1), (1, 300), (5, 40), (255, 1), (255, 2), (256, 300), (300, 1)]
)
def test_a_rewritten_tree_is_a_fork_with_evidence(shared: int, grown: int) -> None:
    """Delete and rebuild: the larger tree begins otherwise than the trusted one."""
    log, other = AuditLog(receipts=shared - 1), AuditLog(receipts=shared - 1)
    log.receipt()
    other.receipt(status=1)
    for _ in range(grown):
        log.receipt()
        other.receipt()
    watcher = watch(log)
    watcher.round(log, log.head(shared + 1))
    watcher.round(log, other.head(), served=other)
    found = [f for f in watcher.findings if f.severity in ("alarm", "fault")]
    assert [(f.place, f.code) for f in found] == [("head", "fork")]
    assert found[0].evidence is not None
    assert verify_evidence(found[0].evidence, log.policy()).counts == (shared + 1, other.count)
    trusted = watcher.state.trusted
    assert trusted is not None
    assert trusted.leaf_count == shared + 1


def note_of(data: bytes, lines: Callable[[list[NoteSignature]], list[NoteSignature]]) -> bytes:
    note = parse_note(data)
    return format_note(Note(text=note.text, signatures=tuple(lines([*note.signatures]))))


BAD_HEADS: dict[str, tuple[Callable[[AuditLog], bytes], tuple[str, str, str]]] = {
    "garbage": (lambda _: b"<html>", ("source", "note-format", "unchecked")),
    "no checkpoint": (
        lambda log: log.head().replace(b"\n10\n", b"\nten\n"),
        ("source", "checkpoint-format", "unchecked"),
    ),
    "other origin": (
        lambda log: log.head(origin="other.example"),
        ("head", "head-origin", "fault"),
    ),
    "no 0xff line": (
        lambda log: note_of(log.head(), lambda lines: lines[:1]),
        ("head", "missing-kind", "fault"),
    ),
    "no Ed25519 line": (
        lambda log: note_of(log.head(), lambda lines: lines[1:]),
        ("head", "missing-kind", "fault"),
    ),
    "twice the same line": (
        lambda log: note_of(log.head(), lambda lines: [*lines, lines[1]]),
        ("head", "duplicate-line", "fault"),
    ),
    "line of another log": (
        lambda log: log.head(log_id=bytes(32)),
        ("head", "missing-kind", "fault"),
    ),
    "short line": (
        lambda log: note_of(
            log.head(),
            lambda lines: [
                lines[0],
                NoteSignature(name=lines[1].name, key_id=lines[1].key_id, payload=b"x"),
            ],
        ),
        ("head", "malformed", "fault"),
    ),
    "other key": (lambda log: log.head(key=KEYS[3]), ("head", "mismatch", "fault")),
    "other Ed25519 key": (
        lambda log: log.head(ed25519=OTHER_ED25519),
        ("head", "missing-kind", "fault"),
    ),
    "text altered": (
        lambda log: log.head().replace(b"\n10\n", b"\n9\n"),
        ("head", "mismatch", "fault"),
    ),
    "epoch that is not there": (
        lambda log: log.head(epoch=1),
        ("head", "head-epoch", "fault"),
    ),
    "epoch that cannot be": (
        lambda log: log.head(epoch=64, key=KEYS[0]),
        ("head", "head-epoch", "fault"),
    ),
}


@pytest.mark.parametrize(("make", "expected"), BAD_HEADS.values(), ids=BAD_HEADS)
def test_a_head_that_anybody_can_make_is_no_alarm(
    make: Callable[[AuditLog], bytes], expected: tuple[str, str, str]
) -> None:
    log = AuditLog(receipts=9)
    watcher = seen(log)
    watcher.round(log, make(log))
    assert watcher.codes() == [expected]
    first = watch(log)
    first.round(log, make(log))
    assert first.codes() == [expected]
    assert first.state.trusted is None


def test_a_head_of_a_replaced_key_is_a_fault() -> None:
    log = AuditLog(receipts=3)
    log.rotate()
    watcher = seen(log)
    log.receipt()
    watcher.round(log, log.head(epoch=0))
    assert watcher.codes() == [("head", "head-epoch", "fault")]


def test_a_rotation_of_which_the_head_knows_nothing_is_a_fault() -> None:
    """The thief of a replaced key signs on: told when the rotation is read (SENT-14)."""
    log = AuditLog(receipts=3)
    watcher = seen(log)
    log.rotate()
    watcher.round(log, log.head(epoch=0))
    assert watcher.codes() == [("head", "head-epoch", "fault")]


def test_rotations_are_followed() -> None:
    log = AuditLog(receipts=2)
    first = seen(log)
    for _ in range(3):
        log.rotate()
        log.receipt()
        first.round(log)
    second = seen(log)
    assert first.codes() == []
    assert (first.state.ring.epoch, second.state.ring.epoch) == (3, 3)
    older = log.head(2, START, epoch=0)
    first.round(log, older)
    assert first.change is HeadChange.STALE
    forged = log.head(2, START, epoch=0, root=OTHER_ROOT)
    first.round(log, forged)
    evidence = first.findings[-1].evidence
    assert evidence is not None
    assert verify_evidence(evidence, log.policy()).epochs == (0, 3)


def test_a_false_rotation_cannot_be_pinned_on_the_log() -> None:
    """Whoever serves a head under a key of their own has nothing that the log signed."""
    log = AuditLog(receipts=2)
    watcher = seen(log)
    event = log.rotation(secp256k1=KEYS[3].public_key)
    log.add(0, event, epoch=1, key=KEYS[3])
    watcher.round(log, log.head(epoch=1, key=KEYS[3]))
    assert watcher.codes() == [("head", "head-epoch", "fault")]
    assert watcher.findings[-1].attrs == {"cause": "reveal", "epoch": 1, "key_event": 3}
    assert watcher.state.ring.broken is None


def test_another_genesis_is_another_log() -> None:
    log, other = AuditLog(receipts=2), AuditLog(rotates=False, receipts=2)
    head = log.head()
    watcher = Watcher(log.policy(), log.origin)
    watcher.round(log, head, served=other)
    assert watcher.codes() == [("key", "log-id", "fault")]


def test_a_new_ed25519_key_makes_the_policy_outdated() -> None:
    log = AuditLog(receipts=2)
    watcher = seen(log)
    log.ed25519 = OTHER_ED25519
    log.rotate()
    watcher.round(log)
    assert watcher.codes() == [("head", "policy-outdated", "unchecked")]
    assert watcher.state.audited == 4


@pytest.mark.parametrize(
    ("policy", "code"), [("quorum none\n", "unknown-log"), ("log {ed}\nquorum none\n", "unpinned")]
)
def test_a_log_that_is_not_pinned_is_not_checked(policy: str, code: str) -> None:
    """SENT-1."""
    log = AuditLog()
    text = policy.format(ed=format_vkey(ed25519_vkey(log.origin, ED25519.public_key)))
    with pytest.raises(Exception, match=log.origin) as caught:
        start_ring(log.origin, parse_policy(text.encode()))
    assert caught.value.code == code  # type: ignore[attr-defined]


def test_one_of_two_pinned_log_ids_is_found() -> None:
    log = AuditLog(receipts=2)
    for other in (bytes(32), b"\xff" * 32, b"\x77" * 32):
        policy = log.policy(f"log {format_vkey(head_vkey(log.origin, other))}\nquorum none")  # type: ignore[arg-type]
        watcher = Watcher(policy, log.origin)
        watcher.round(log)
        assert watcher.state.audited == 3


WITNESS = Ed25519Key(b"\x61" * 32)
WITNESSED = (
    f"witness w {format_vkey(cosigner_vkey('witness.example/w', WITNESS.public_key))}\nquorum w"
)


@pytest.mark.parametrize(
    ("cosigned", "expected"),
    [
        (None, [("head", "quorum", "unchecked")]),
        ("good", []),
        ("bad", [("witness", "mismatch", "fault")]),
    ],
)
def test_witnesses_are_checked(cosigned: str | None, expected: list[tuple[str, str, str]]) -> None:
    log = AuditLog(receipts=2)
    head = log.head()
    text = parse_note(head).text
    if cosigned is not None:
        signed = text if cosigned == "good" else text.replace("3", "4")
        line = cosign("witness.example/w", WITNESS, signed, UnixSeconds(START))
        head = format_note(add_signatures(parse_note(head), line))
    watcher = Watcher(log.policy(WITNESSED), log.origin)
    watcher.round(log, head)
    assert watcher.codes() == expected


def test_what_a_head_needs_is_vouched_for_by_a_known_key() -> None:
    log = AuditLog(receipts=2)
    only_id = parse_policy(
        f"log {format_vkey(head_vkey(log.origin, log.log_id))}\nquorum none\n".encode()
    )
    first, known = start_ring(log.origin, only_id), seen(log).state.ring
    log.rotate()
    now, stripped = UnixSeconds(START), note_of(log.head(), lambda lines: lines[1:])
    other = log.head(ed25519=OTHER_ED25519)
    for head, ring, policy, vouched in (
        (log.head(), known, log.policy(), True),
        (log.head(), known, only_id, True),
        (log.head(), first, log.policy(), True),
        (log.head(), first, only_id, False),
        (stripped, known, log.policy(), False),
        (other, known, only_id, False),
    ):
        reading = read_head(head, ring, policy, now)
        assert (reading.needs, reading.vouched) == (1, vouched)


def test_age_and_a_clock_ahead_could_not_be_checked() -> None:
    log = AuditLog(receipts=2)
    watcher = seen(log)
    ring, policy, head = watcher.state.ring, log.policy(), log.head()
    old = read_head(head, ring, policy, UnixSeconds(START + 103), max_age=99)
    fresh = read_head(head, ring, policy, UnixSeconds(START + 103), max_age=100)
    ahead = read_head(head, ring, policy, UnixSeconds(START + 3 - 301))
    assert [f.code for f in old.findings] == ["not-witnessed", "too-old"]
    assert [f.code for f in fresh.findings] == ["not-witnessed"]
    assert [f.code for f in ahead.findings] == ["not-witnessed", "clock-ahead"]
    assert ahead.head is not None
