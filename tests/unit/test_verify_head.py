"""Verification, steps 1 to 11: policy, log lines, key history, head and witnesses."""

from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.cosignature import cosign
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.note import NoteSignature, parse_note
from nous_ledger.protocol.signing import CURVE_ORDER
from nous_ledger.protocol.types import LogId, UnixSeconds
from nous_ledger.protocol.vkey import VerifierKey, cosigner_vkey, ed25519_vkey, head_vkey, make_vkey
from tests.property.sample_log import CURRENT, HEAD_TIME, HEADS, NEXT, START, receipt
from tests.refusals import code_of
from tests.unit.free_log import KEYS, OTHER_HEADS, FreeLog, started
from tests.unit.verifying import (
    ESTABLISHED,
    GOOD,
    HEAD,
    LOG,
    ORIGIN,
    PIN,
    POLICY,
    TEXT_KEY,
    UNWITNESSED,
    WITNESS_KEYS,
    WITNESSED,
    add,
    answers,
    attribution_stops,
    bundle,
    cosigned,
    flip,
    log_view_is,
    log_view_stops,
    policy,
    verify,
    with_payload,
    without,
)

OTHER_TEXT_KEY = ed25519_vkey(ORIGIN, OTHER_HEADS.public_key)
TEXT = parse_note(HEAD).text


def line_of(key: VerifierKey, payload: bytes) -> NoteSignature:
    return NoteSignature(name=key.name, key_id=key.key_id, payload=payload)


def text_line(key: Ed25519Key = OTHER_HEADS, text: str = TEXT) -> NoteSignature:
    return line_of(ed25519_vkey(ORIGIN, key.public_key), key.sign(text.encode()))


def under(note: bytes, trust: Any = POLICY, **options: Any) -> tuple[str, ...]:
    """Return the answers to the receipt under a note."""
    return answers(bundle(note=note), trust, **options)


def test_a_good_bundle() -> None:
    """VER-1."""
    report = verify()
    assert answers() == GOOD
    assert report.exit_code() == 0
    assert (report.origin, report.log_id) == (ORIGIN, LOG.log_id)
    assert (report.leaf_count, report.index) == (6, 4)
    assert (report.head_time, report.witnessed_time) == (HEAD_TIME, HEAD_TIME + 2)
    assert report.record.index == 4
    assert report.body == receipt()
    assert report.notes == ("a rotation after this head is not known here",)


def test_a_log_that_the_policy_does_not_list() -> None:
    """Nothing is looked at, whatever is wrong with it (step 1, VER-2)."""
    trust = policy(ed25519_vkey("other.example", HEADS.public_key))
    for note in (HEAD, with_payload(HEAD, PIN, flip)):
        report = verify(bundle(note=note), trust)
        assert answers(bundle(note=note), trust) == ("could-not-check/unknown-log",) * 4
        assert report.exit_code() == 3
        assert (report.log_id, report.head_time, report.body) == (None, None, None)


@pytest.mark.parametrize(
    "key",
    [
        VerifierKey(name=ORIGIN, key_id=b"abcd", kind=0x02, material=b"key"),
        VerifierKey(name=ORIGIN, key_id=b"abcd", kind=0xFF, material=b"of another protocol"),
        cosigner_vkey(ORIGIN, OTHER_HEADS.public_key),
    ],
)
def test_a_log_key_of_a_kind_that_cannot_be_used(key: VerifierKey) -> None:
    """Beside keys that can, too; under another name it does not matter (step 2, VER-3)."""
    expected = log_view_stops("unsupported-key", "could-not-check")
    for trust in (policy(TEXT_KEY, PIN, key), policy(key, TEXT_KEY, PIN), policy(key)):
        assert under(WITNESSED, trust) == expected
        assert verify(trust=trust).exit_code() == 3
    elsewhere = VerifierKey(name="other.example", key_id=key.key_id, kind=0x02, material=b"key")
    assert under(WITNESSED, policy(TEXT_KEY, PIN, elsewhere)) == GOOD


def test_a_line_of_a_listed_key_that_fails() -> None:
    """Whichever of several keys, and whatever the other lines say (step 3, HEAD-6, VER-5)."""
    both = policy(TEXT_KEY, OTHER_TEXT_KEY, PIN)
    good = add(WITNESSED, text_line())
    assert under(WITNESSED, both) == GOOD  # one of them may be absent
    assert under(good, both) == GOOD
    for key in (TEXT_KEY, OTHER_TEXT_KEY):
        assert under(with_payload(good, key, flip), both) == log_view_stops("mismatch")
        short = with_payload(good, key, lambda payload: payload[:-1])
        assert under(short, both) == log_view_stops("malformed")
    twice = add(good, line_of(OTHER_TEXT_KEY, flip(text_line().payload)))
    assert under(twice, both) == log_view_stops("mismatch")
    # A key that is not listed is nobody's.
    assert under(with_payload(good, OTHER_TEXT_KEY, flip)) == GOOD


def test_a_listed_line_is_checked_before_the_key_history() -> None:
    """Step 3 before step 4; then step 4 before step 5."""
    other = policy(TEXT_KEY, head_vkey(ORIGIN, LogId(bytes(32))))
    assert under(with_payload(WITNESSED, TEXT_KEY, flip), other) == log_view_stops("mismatch")
    assert under(without(WITNESSED, PIN), other) == attribution_stops("log-id")


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ((), "key-event-order"),
        ((1, 0), "key-event-order"),
        ((0, 0), "key-event-order"),
        ((1,), "key-event-order"),
    ],
)
def test_a_key_history_that_fails(events: tuple[int, ...], code: str) -> None:
    """It counts against attribution, and leaves the rest open (step 4, VER-4, VER-8)."""
    whole = bundle()
    given = replace(whole, key_events=tuple(whole.key_events[at] for at in events))
    report = verify(given)
    assert answers(given) == attribution_stops(code)
    assert report.exit_code() == 1
    assert (report.log_id, report.head_time, report.body) == (None, None, None)


def test_another_log_than_the_pinned_one() -> None:
    """Step 4, KEY-18; one of several pinned ones suffices."""
    other = head_vkey(ORIGIN, LogId(bytes(32)))
    assert under(WITNESSED, policy(TEXT_KEY, other)) == attribution_stops("log-id")
    assert under(WITNESSED, policy(TEXT_KEY, other, PIN)) == GOOD
    # A line under the pin that is not the genesis's has no key to be checked with.
    stray = add(WITNESSED, line_of(other, bytes(77)))
    assert under(stray, policy(TEXT_KEY, other, PIN)) == GOOD


def test_a_key_history_that_cannot_be_read() -> None:
    """Step 4, KEY-27: could not check."""
    log = FreeLog()
    log.start()
    log.append(1, receipt())
    unknown = log.event(3, NEXT, rotation_sig=None, reason=None)
    log.put(*log.make(unknown))
    expected = attribution_stops("unknown-kind", "could-not-check")
    assert answers(bundle(log, 1)) == expected
    assert verify(bundle(log, 1)).exit_code() == 3


def test_the_head_line_stands_there_once() -> None:
    """Step 5, HEAD-4; also where the policy does not list it."""
    for trust in (POLICY, policy(TEXT_KEY)):
        assert under(without(WITNESSED, PIN), trust) == log_view_stops("missing-kind")
        line = next(s for s in parse_note(HEAD).signatures if s.key_id == PIN.key_id)
        assert under(add(WITNESSED, line), trust) == log_view_stops("duplicate-line")
        again = line_of(PIN, flip(line.payload))
        assert under(add(WITNESSED, again), trust) == log_view_stops("duplicate-line")


def high_s(payload: bytes) -> bytes:
    s = CURVE_ORDER - int.from_bytes(payload[44:76], "big")
    return payload[:44] + s.to_bytes(32, "big") + bytes([1 - payload[76]])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda payload: payload[:-1], "malformed"),
        (lambda payload: payload + b"\x00", "malformed"),
        (lambda payload: b"\x00\x20" + payload[2:], "malformed"),  # a time of 2^53
        (lambda payload: payload[:12] + bytes(65), "malformed"),
        (high_s, "high-s"),
        (lambda payload: payload[:76] + b"\x1b", "bad-recovery-id"),
        (lambda payload: payload[:76] + bytes([1 - payload[76]]), "mismatch"),
        (lambda payload: payload[:7] + bytes([payload[7] ^ 1]) + payload[8:], "mismatch"),
        (lambda payload: payload[:11] + b"\x00" + payload[12:], "head-epoch"),
        (lambda payload: payload[:8] + b"\xff" + payload[9:], "head-epoch"),
    ],
)
def test_the_head_line_is_signed_by_the_key_of_its_epoch(change: Any, code: str) -> None:
    """Step 5: HEAD-2, HEAD-3, HEAD-7."""
    assert under(with_payload(WITNESSED, PIN, change)) == log_view_stops(code)


def test_a_head_of_a_replaced_key() -> None:
    """The thief of an old key cannot sign for the leaves after the rotation (HEAD-3, HEAD-7)."""
    assert under(cosigned(LOG.note(epoch=0, key=CURRENT), 1)) == log_view_stops("head-epoch")
    assert under(cosigned(LOG.note(key=CURRENT), 1)) == log_view_stops("mismatch")
    assert under(cosigned(LOG.note(log_id=bytes(32)), 1)) == log_view_stops("missing-kind")


def test_the_head_is_not_older_than_its_records() -> None:
    """Step 5, HEAD-8: to the second, of every record carried."""
    second = START // 1_000
    for timestamp, expected in (
        (second - 1, log_view_stops("head-time")),
        (second, GOOD),
    ):
        assert under(cosigned(LOG.note(timestamp=timestamp), timestamp)) == expected
    log = started()
    log.put(*log.make(receipt(), type=1, logged_at=START + 1_000))
    note = cosigned(log.note(timestamp=second), second)
    assert answers(bundle(log, 3, note=note)) == log_view_stops("head-time")
    assert answers(bundle(log, 2, note=note)) == GOOD  # it does not carry the late record


@pytest.mark.parametrize(("logged_at", "good"), [(START - 1, False), (START, True)])
def test_times_do_not_decrease_by_index(logged_at: int, good: bool) -> None:
    """Step 5, HEAD-8; among the key events and the record."""
    log = FreeLog()
    log.start()
    log.put(*log.make(receipt(), type=1, logged_at=logged_at))
    expected = GOOD if good else log_view_stops("head-time")
    assert answers(bundle(log, 1)) == expected


def outdated() -> FreeLog:
    """Return a log that changed its Ed25519 key with a rotation."""
    log = started()
    log.take_over(NEXT, KEYS[2], ed25519=OTHER_HEADS.public_key)
    return log


def test_an_outdated_policy() -> None:
    """Only the log view is not checkable; the pinned head stands (step 6, HEAD-17)."""
    log = outdated()
    note = cosigned(log.note(ed25519=OTHER_HEADS), HEAD_TIME)
    expected = log_view_is("could-not-check/policy-outdated")
    for trust in (POLICY, UNWITNESSED, policy(TEXT_KEY, PIN, quorum="all")):
        assert answers(bundle(log, 1, note=note), trust) == expected
        assert verify(bundle(log, 1, note=note), trust).exit_code() == 3
    # Before a missing Ed25519 line is considered.
    for key in (OTHER_TEXT_KEY, TEXT_KEY):
        assert answers(bundle(log, 1, note=without(note, key))) == expected
    # Neither a quorum nor an age changes the answer any more.
    now = UnixSeconds(HEAD_TIME + 100)
    assert answers(bundle(log, 1, note=note), now=now, max_age=1) == expected


def test_a_policy_with_the_new_key_is_not_outdated() -> None:
    """Also beside the old one, or without any (HEAD-5, HEAD-17)."""
    log = outdated()
    note = cosigned(log.note(ed25519=OTHER_HEADS), HEAD_TIME)
    for keys in ((OTHER_TEXT_KEY, PIN), (TEXT_KEY, OTHER_TEXT_KEY, PIN), (PIN,)):
        assert answers(bundle(log, 1, note=note), policy(*keys)) == GOOD


def test_a_listed_line_that_fails_comes_before_an_outdated_policy() -> None:
    """HEAD-17."""
    log = outdated()
    note = log.note(ed25519=OTHER_HEADS)
    good = add(note, text_line(HEADS, parse_note(note).text))
    assert answers(bundle(log, 1, note=cosigned(good, 1))) == log_view_is(
        "could-not-check/policy-outdated"
    )
    bad = cosigned(add(note, text_line(HEADS)), 1)
    assert answers(bundle(log, 1, note=bad)) == log_view_stops("mismatch")


@pytest.mark.parametrize("trust", [POLICY, policy(PIN)], ids=["listed", "not listed"])
def test_the_text_line_stands_there_once_and_verifies(trust: Any) -> None:
    """Step 7, HEAD-5; whether or not the policy lists the key."""
    assert under(WITNESSED, trust) == GOOD
    assert under(without(WITNESSED, TEXT_KEY), trust) == log_view_stops("missing-kind")
    line = text_line(HEADS)
    assert under(add(WITNESSED, line), trust) == log_view_stops("duplicate-line")
    assert under(with_payload(WITNESSED, TEXT_KEY, flip), trust) == log_view_stops("mismatch")
    short = with_payload(WITNESSED, TEXT_KEY, lambda payload: payload + b"\x00")
    assert under(short, trust) == log_view_stops("malformed")


def test_a_cosignature_of_a_listed_witness_that_fails() -> None:
    """Step 8, COSIG-1 to COSIG-3; though the quorum would be met without it."""
    witness = WITNESS_KEYS[1]
    for change, code in (
        (lambda payload: payload[:8] + flip(payload[8:]), "mismatch"),
        (lambda payload: payload[:7] + bytes([payload[7] ^ 1]) + payload[8:], "mismatch"),
        (lambda payload: payload[:-1], "malformed"),
        (lambda payload: b"\x00\x20" + payload[2:], "malformed"),
    ):
        note = with_payload(WITNESSED, witness, change)
        for trust in (POLICY, UNWITNESSED):
            assert under(note, trust) == log_view_stops(code)
    one = policy(witnesses=WITNESS_KEYS[:1])
    assert under(with_payload(WITNESSED, witness, flip), one) == GOOD  # not listed: nobody's


def test_several_lines_of_one_witness() -> None:
    """All verify, and the latest time counts (COSIG-3)."""
    note = cosigned(HEAD, HEAD_TIME + 5, HEAD_TIME + 9, HEAD_TIME + 7)
    report = verify(bundle(note=note))
    assert report.witnessed_time == HEAD_TIME + 9
    again = cosign(WITNESS_KEYS[0].name, OTHER_HEADS, TEXT, UnixSeconds(1))
    bad = NoteSignature(
        name=WITNESS_KEYS[0].name, key_id=WITNESS_KEYS[0].key_id, payload=again.payload
    )
    assert under(add(note, bad)) == log_view_stops("mismatch")


def test_post_quantum_witnesses_do_not_count() -> None:
    """Their lines are not verified either (COSIG-4)."""
    key = make_vkey("witness.example/pq", 0x06, bytes(1_312))
    trust = policy(witnesses=(WITNESS_KEYS[0], key), quorum="all")
    assert under(add(WITNESSED, line_of(key, bytes(80))), trust) == log_view_is("wrong/quorum")
    trust = policy(witnesses=(WITNESS_KEYS[0], key))
    assert under(add(WITNESSED, line_of(key, b"x")), trust) == GOOD


def test_a_quorum_that_is_not_met() -> None:
    """The log view is wrong; the log's own signatures still stand (step 9, POL-15, VER-9)."""
    for note, quorum in ((HEAD, "any"), (HEAD, "2"), (cosigned(HEAD, 1), "all")):
        report = verify(bundle(note=note), policy(quorum=quorum))
        assert under(note, policy(quorum=quorum)) == log_view_is("wrong/quorum")
        assert (report.exit_code(), report.witnessed_time) == (1, None)
    # An age that would be too old besides does not change the code.
    assert under(HEAD, now=UnixSeconds(HEAD_TIME + 9), max_age=1) == log_view_is("wrong/quorum")


@pytest.mark.parametrize(
    ("trust", "seen"),
    [
        (POLICY, HEAD_TIME + 2),  # any: the later of the two witnesses
        (policy(quorum="all"), HEAD_TIME + 1),
        (UNWITNESSED, HEAD_TIME),
    ],
)
def test_the_age_of_a_head(trust: Any, seen: int) -> None:
    """From its witnessed time, else from its own; only if asked for (step 10, VER-11)."""
    fresh = under(WITNESSED, trust)
    for now in (seen, seen + 60, seen - 1_000, 0):
        assert under(WITNESSED, trust, now=now, max_age=60) == fresh
    for now, age in ((seen + 61, 60), (seen + 1, 0), (2**53 - 1, 60)):
        report = verify(bundle(note=WITNESSED), trust, now=now, max_age=age)
        assert under(WITNESSED, trust, now=now, max_age=age) == log_view_is(
            "could-not-check/too-old"
        )
        assert report.exit_code() == 3
    assert under(WITNESSED, trust, now=2**53 - 1) == fresh


def test_an_age_needs_the_time() -> None:
    assert code_of(verify, max_age=60) == "input"


def test_no_quorum() -> None:
    """Nobody but the log vouches for its view, and nobody was asked to (step 11, VER-10)."""
    for note in (HEAD, WITNESSED):
        report = verify(bundle(note=note), UNWITNESSED)
        assert under(note, UNWITNESSED) == log_view_is("not-asked/not-witnessed")
        assert (report.exit_code(), report.witnessed_time) == (0, None)


@pytest.mark.parametrize("note", [WITNESSED, HEAD])
def test_a_log_that_is_not_pinned(note: bytes) -> None:
    """Everything is checked, but attribution is not established (VER-12)."""
    trust = policy(TEXT_KEY, quorum="none")
    report = verify(bundle(note=note), trust)
    assert under(note, trust) == (
        *("could-not-check/unpinned", ESTABLISHED, "not-asked/not-witnessed"),
        "could-not-check/not-recounted",
    )
    assert (report.exit_code(), report.log_id) == (3, LOG.log_id)
