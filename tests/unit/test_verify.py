"""Verification, steps 12 to 14: inclusion and attribution."""

from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.bodies import encode_body
from nous_ledger.protocol.bundle import Bundle, format_bundle
from nous_ledger.protocol.errors import FormatError, UnavailableError
from nous_ledger.protocol.proof import prove_inclusion
from nous_ledger.protocol.signing import CURVE_ORDER, SigningKey
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex
from tests.property.sample_log import CURRENT, NEXT, receipt
from tests.refusals import code_of, refusal
from tests.unit.free_log import KEYS, FreeLog, rotated, started
from tests.unit.verifying import (
    BUNDLE,
    CLAIMED,
    ESTABLISHED,
    GOOD,
    LOG,
    POLICY,
    TEXT_KEY,
    UNDECIDED,
    answers,
    bundle,
    cosigned,
    flip,
    policy,
    verify,
)

UNPINNED = policy(TEXT_KEY)
NO_RECEIPT = "could-not-check/no-receipt"


def attribution_is(answer: str, accuracy: str = CLAIMED) -> tuple[str, ...]:
    return (answer, ESTABLISHED, ESTABLISHED, accuracy)


def inclusion_is(code: str) -> tuple[str, ...]:
    return (ESTABLISHED, f"wrong/{code}", ESTABLISHED, CLAIMED)


def inclusion_stops(code: str) -> tuple[str, ...]:
    return (UNDECIDED, f"wrong/{code}", ESTABLISHED, UNDECIDED)


def test_what_is_no_bundle_has_no_report() -> None:
    """Nor what is newer, which is not wrong (section 13.2)."""
    data = format_bundle(BUNDLE)
    error = refusal(verify, data[:-1])
    assert (error.code, type(error)) == ("not-a-bundle", FormatError)
    error = refusal(verify, data.replace(b"@v1", b"@v2", 1))
    assert (error.code, type(error)) == ("newer-version", UnavailableError)


PATH = BUNDLE.path
FORGED_PATHS: list[tuple[tuple[Hash32, ...], str]] = [
    ((), "proof-shape"),
    (PATH[:-1], "proof-shape"),
    ((*PATH, PATH[0]), "proof-shape"),
    (tuple(Hash32(flip(node)) for node in PATH), "root-mismatch"),
    ((Hash32(flip(PATH[0])), *PATH[1:]), "root-mismatch"),
    ((*PATH[:-1], Hash32(flip(PATH[-1]))), "root-mismatch"),
]


@pytest.mark.parametrize(("path", "code"), FORGED_PATHS)
def test_a_record_that_is_not_included(path: tuple[Hash32, ...], code: str) -> None:
    """It counts against inclusion alone (step 13, VER-6)."""
    given = replace(BUNDLE, path=path)
    assert answers(given) == inclusion_is(code)
    assert verify(given).exit_code() == 1


@pytest.mark.parametrize(
    ("index", "code"),
    [(6, "proof-index"), (2**53 - 1, "proof-index"), (3, "proof-shape"), (5, "root-mismatch")],
)
def test_a_record_at_another_index(index: int, code: str) -> None:
    """Step 13, VER-6."""
    assert answers(replace(BUNDLE, index=LeafIndex(index))) == inclusion_is(code)


def test_a_record_that_names_another_index_than_its_place() -> None:
    """The log signed it for 2, and put it at 6 (step 13, VER-6)."""
    log = rotated()
    at = log.put(*log.make(receipt(), type=1, index=5))
    assert answers(bundle(log, at)) == inclusion_is("record-index")
    # What else is wrong with its path comes first.
    broken = replace(bundle(log, at), path=())
    assert answers(broken) == inclusion_is("proof-shape")


def test_key_events_that_are_not_included() -> None:
    """Then nothing rests on them: attribution and accuracy stay open (step 12)."""
    genesis, rotation = BUNDLE.key_events
    for at, event in enumerate((genesis, rotation)):
        path = event.path
        forged = ((), path[:-1], (Hash32(flip(path[0])), *path[1:]))
        for other, code in zip(
            forged, ("proof-shape", "proof-shape", "root-mismatch"), strict=True
        ):
            events = list(BUNDLE.key_events)
            events[at] = replace(event, path=other)
            given = replace(BUNDLE, key_events=tuple(events))
            assert answers(given) == inclusion_stops(code)
            # The record's own path is not looked at any more.
            assert answers(replace(given, path=())) == inclusion_stops(code)


def test_a_head_that_does_not_cover_a_key_event() -> None:
    """Signed by the new key over the leaves before its own rotation (step 12)."""
    before = started()
    note = cosigned(before.note(epoch=1, key=NEXT), 1)
    shorter = [
        replace(event, path=prove_inclusion(before.read, LeafIndex(0), LeafCount(3)))
        for event in LOG.bundle(1).key_events
    ]
    path = prove_inclusion(before.read, LeafIndex(1), LeafCount(3))
    given = replace(bundle(before, 1, note=note), key_events=tuple(shorter), path=path)
    assert answers(given) == inclusion_stops("proof-index")


def test_a_forged_head_does_not_include_the_record() -> None:
    """The root comes from the head alone (PROOF-6)."""
    note = LOG.note(root=Hash32(bytes(32)))
    assert answers(bundle(note=cosigned(note, 1))) == inclusion_stops("root-mismatch")


@pytest.mark.parametrize("at", [1, 2, 4, 5])
def test_records_of_each_epoch(at: int) -> None:
    """KEY-28."""
    assert answers(bundle(at=at)) == GOOD


@pytest.mark.parametrize("at", [0, 3])
def test_key_events_as_records(at: int) -> None:
    """They are no receipts, and nothing else is wrong with them (VER-16)."""
    assert answers(bundle(at=at)) == attribution_is(ESTABLISHED, NO_RECEIPT)
    assert verify(bundle(at=at)).exit_code() == 0


def with_record(**changes: Any) -> Bundle:
    """Return the bundle of a receipt that is logged behind the rotation in another way."""
    log = rotated()
    return bundle(log, log.put(*log.make(receipt(), type=1, **changes)))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"epoch": 0, "key": CURRENT}, "epoch"),
        ({"epoch": 0}, "epoch"),
        ({"epoch": 2}, "epoch"),
        ({"epoch": 2**32 - 1}, "epoch"),
        ({"key": CURRENT}, "mismatch"),
        ({"key": KEYS[2]}, "mismatch"),
        ({"log_id": bytes(32)}, "mismatch"),
    ],
)
def test_a_record_of_another_epoch_or_key(changes: dict[str, Any], code: str) -> None:
    """The log took it in, and its body may be in order (13.3 steps 1 and 2, KEY-28, VER-4)."""
    assert answers(with_record(**changes)) == attribution_is(f"wrong/{code}")


def test_a_new_key_does_not_sign_for_an_old_epoch() -> None:
    """A record before the rotation, signed by the key that came with it (KEY-28)."""
    log = started()
    log.put(*log.make(receipt(), type=1, epoch=1, key=NEXT))
    log.put(*log.make(receipt(), type=1, key=NEXT))
    log.take_over(NEXT, KEYS[2])
    assert answers(bundle(log, 3)) == attribution_is("wrong/epoch")
    assert answers(bundle(log, 4)) == attribution_is("wrong/mismatch")


def high_s(signature: bytes) -> bytes:
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([1 - signature[64]])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda _: bytes(65), "malformed"),
        (high_s, "high-s"),
        (lambda signature: signature[:64] + b"\x1b", "bad-recovery-id"),
        (lambda signature: signature[:64] + bytes([1 - signature[64]]), "mismatch"),
    ],
)
def test_a_record_whose_signature_fails(change: Any, code: str) -> None:
    """13.3 step 2, REC-7."""
    log = rotated()
    record, body = log.make(receipt(), type=1)
    at = log.put(record[:55] + change(record[55:]), body)
    assert answers(bundle(log, at)) == attribution_is(f"wrong/{code}")


def test_a_body_that_is_not_the_one_that_was_signed() -> None:
    """Attribution is wrong, and the body says nothing (13.3 step 4, REC-8, VER-13)."""
    for body in (encode_body(receipt(1, bytes(32))), BUNDLE.body + b"\x00", b"\xc1"):
        given = replace(BUNDLE, body=body)
        assert answers(given) == attribution_is("wrong/body-hash", UNDECIDED)
        assert verify(given).body is None
        assert verify(given).exit_code() == 1


def test_a_body_that_is_withheld() -> None:
    """The record is the log's all the same (VER-15)."""
    given = replace(BUNDLE, body=b"")
    assert answers(given) == attribution_is(ESTABLISHED, "could-not-check/withheld")
    assert verify(given).exit_code() == 0
    assert verify(given, require_accuracy=True).exit_code() == 3


def hidden_event() -> tuple[FreeLog, int]:
    """Return a log with a type-0 record that its list of key events leaves out."""
    log = rotated()
    at = log.put(*log.make(log.event(1, KEYS[2], next_hash=b"\x01" * 32), epoch=1))
    log.key_events.remove(at)
    return log, at


def test_a_key_event_that_is_not_in_the_history() -> None:
    """13.3 step 3, VER-13."""
    log, at = hidden_event()
    assert answers(bundle(log, at)) == attribution_is("wrong/key-event-order", NO_RECEIPT)
    # Nor is one with another body its entry.
    rotation = bundle(at=3)
    other = replace(rotation, body=bundle(at=0).body)
    assert answers(other) == attribution_is("wrong/key-event-order", UNDECIDED)


def test_the_body_of_a_key_event_is_never_withheld() -> None:
    """Its accuracy is not withheld either: the body is just not the signed one (VER-13)."""
    given = replace(bundle(at=3), body=b"")
    assert answers(given) == attribution_is("wrong/body-hash", UNDECIDED)
    log = rotated()
    at = log.put(*log.make(b""))
    log.key_events.remove(at)
    expected = attribution_is("wrong/body-hash", "wrong/truncated")
    assert answers(bundle(log, at)) == expected


def suspected(*, unpinned: bool = False, **changes: Any) -> tuple[str, ...]:
    """Return the answers to a record in a suspect range."""
    log = started()
    log.put(*log.make(receipt(), type=1, **changes))  # at 3
    log.take_over(NEXT, KEYS[2], reason=1, suspect_from=2)  # at 4
    return answers(bundle(log, 3), UNPINNED if unpinned else POLICY)


def test_suspicion() -> None:
    """From where it begins to the event that reports it, which is not suspect (KEY-29)."""
    log = started()
    log.take_over(NEXT, KEYS[2], reason=2, suspect_from=2)
    log.append(1, receipt())
    suspect = "could-not-check/suspect"
    assert answers(bundle(log, 1)) == GOOD
    assert answers(bundle(log, 2)) == attribution_is(suspect)
    assert answers(bundle(log, 3)) == attribution_is(ESTABLISHED, NO_RECEIPT)
    assert answers(bundle(log, 4)) == GOOD
    assert verify(bundle(log, 2)).exit_code() == 3
    # An event of an older epoch in the range is suspect as well.
    log.take_over(KEYS[2], KEYS[3], reason=1, suspect_from=0)
    assert answers(bundle(log, 3)) == attribution_is(suspect, NO_RECEIPT)
    assert answers(bundle(log, 0)) == attribution_is(suspect, NO_RECEIPT)


def test_wrong_before_unpinned_before_suspect() -> None:
    """VER-14."""
    assert suspected() == attribution_is("could-not-check/suspect")
    assert suspected(unpinned=True) == attribution_is("could-not-check/unpinned")
    for unpinned in (False, True):
        for changes, code in (({"key": KEYS[2]}, "mismatch"), ({"epoch": 1}, "epoch")):
            given: dict[str, Any] = changes
            assert suspected(unpinned=unpinned, **given) == attribution_is(f"wrong/{code}")
    for body, accuracy in ((b"\x80", UNDECIDED), (BUNDLE.body, CLAIMED)):
        expected = "wrong/body-hash" if body == b"\x80" else "could-not-check/unpinned"
        assert answers(replace(BUNDLE, body=body), UNPINNED) == attribution_is(expected, accuracy)


def test_the_epoch_comes_before_the_signature_and_that_before_the_body() -> None:
    """The first failing step of 13.3 decides."""
    given = with_record(epoch=0, key=KEYS[2])
    assert answers(given) == attribution_is("wrong/epoch")
    given = replace(with_record(key=KEYS[2]), body=b"\x80")
    assert answers(given) == attribution_is("wrong/mismatch", UNDECIDED)


def test_every_answer_is_given() -> None:
    """One that is wrong hides no other (VER-1, VER-9)."""
    log = rotated()
    at = log.put(*log.make(receipt(), type=1, key=CURRENT))
    given = replace(bundle(log, at, note=log.note()), path=())
    assert answers(given) == ("wrong/mismatch", "wrong/proof-shape", "wrong/quorum", CLAIMED)
    assert verify(given).exit_code() == 1


def test_the_close_of_a_log() -> None:
    """After it only heartbeats follow, in its epoch (KEY-24, HEAD-7)."""
    log = started()
    at = log.close(NEXT)
    for index, accuracy in ((1, CLAIMED), (at, NO_RECEIPT)):
        assert answers(bundle(log, index)) == attribution_is(ESTABLISHED, accuracy)
    log.append(1, receipt())
    assert answers(bundle(log, 1))[0] == "wrong/after-close"


def test_the_close_of_a_log_that_cannot_rotate() -> None:
    """It is not counted: its head is of the same epoch (KEY-23, HEAD-7)."""
    log = started(None)
    event = log.event(2, CURRENT, rotation_sig=None)
    at = log.put(*log.make(event))
    trust = policy(TEXT_KEY, quorum="none")
    report = answers(bundle(log, at), trust)
    assert report[0] == "could-not-check/unpinned"
    assert report[1] == ESTABLISHED
    counted = bundle(log, at, note=log.note(epoch=1))
    assert answers(counted, trust)[2] == "wrong/head-epoch"


def test_another_log_of_the_same_keys_is_another_log() -> None:
    """ID-3, KEY-18: its records do not verify as those of the pinned one."""
    other = started(SigningKey(b"\x77" * 32))
    assert other.log_id != LOG.log_id
    assert answers(bundle(other, 1))[0] == "wrong/log-id"
    assert code_of(verify, b"") == "not-a-bundle"
