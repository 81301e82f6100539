"""Key histories: rotation, close, suspicion, and every way in which one is refused."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.bodies import encode_body
from nous_ledger.protocol.eip712 import rotation_digest
from nous_ledger.protocol.errors import KeyHistoryError, UnavailableError
from nous_ledger.protocol.hashing import next_key_hash
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.keyhistory import KeyEpoch, KeyHistory, verify_key_history
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.signing import CURVE_ORDER, SigningKey
from nous_ledger.protocol.types import Epoch, LeafCount, LeafIndex, LogId
from tests.property.sample_log import CURRENT, HEADS, NEXT, ORIGIN, receipt
from tests.refusals import code_of, refusal
from tests.unit.free_log import KEYS, OTHER_HEADS, Entry, FreeLog, rotated, started

THIRD, FOURTH = KEYS[2], KEYS[3]


def verify(
    entries: Sequence[Entry],
    *,
    count: int = 100,
    origin: str = ORIGIN,
    pinned: frozenset[LogId] = frozenset(),
) -> KeyHistory:
    return verify_key_history(entries, leaf_count=LeafCount(count), origin=origin, pinned=pinned)


def code(entries: Sequence[Entry], count: int = 100) -> str:
    return code_of(verify, entries, count=count)


LOG = started()
LOG_ID = LOG.log_id


def test_a_genesis_alone() -> None:
    """KEY-17, KEY-18."""
    history = verify(LOG.entries(), pinned=frozenset({LOG_ID}))
    keys = KeyEpoch(
        first_index=LeafIndex(0), secp256k1=CURRENT.public_key, ed25519=HEADS.public_key
    )
    assert history.log_id == LOG_ID
    assert history.epochs == (keys,)
    assert history.epoch == 0
    assert history.next_hash == next_key_hash(NEXT.public_key)
    assert (history.suspect, history.closed_at) == ((), None)
    assert history.genesis.origin == ORIGIN
    assert history.records == (decode_record(LOG.records[0]),)


def test_a_genesis_belongs_to_a_pinned_log() -> None:
    """To one of several, or to any if none is pinned (KEY-18)."""
    other = LogId(bytes(32))
    entries = LOG.entries()
    assert verify(entries, pinned=frozenset({other, LOG_ID})).log_id == LOG_ID
    assert verify(entries).log_id == LOG_ID
    error = refusal(verify, entries, pinned=frozenset({other}))
    assert (error.code, error.attrs["computed"]) == ("log-id", LOG_ID)
    assert code_of(verify, entries, origin="other.example") == "log-id"


def test_another_genesis_is_another_log() -> None:
    """Whichever part of it differs (ID-3, KEY-18)."""
    genesis = verify(LOG.entries()).genesis
    changes: list[dict[str, Any]] = [
        {"secp256k1": THIRD.public_key},
        {"ed25519": OTHER_HEADS.public_key},
        {"next_hash": bytes(32)},
    ]
    for change in changes:
        event = replace(genesis, **change)
        signer = THIRD if "secp256k1" in change else CURRENT
        entry = FreeLog(log_id=LOG_ID).make(event, key=signer)
        assert code_of(verify, [entry], pinned=frozenset({LOG_ID})) == "log-id"


def test_no_key_events() -> None:
    """KEY-17."""
    error = refusal(verify, [])
    assert (error.code, type(error)) == ("key-event-order", KeyHistoryError)


ROTATED = rotated()


def test_a_rotation() -> None:
    """The next epoch begins with its event (KEY-19, KEY-20, KEY-21, KEY-28)."""
    history = verify(ROTATED.entries(), count=6, pinned=frozenset({LOG_ID}))
    assert history.epoch == 1
    assert history.epochs[1].first_index == 3
    assert history.epochs[1].secp256k1 == NEXT.public_key
    assert history.next_hash == next_key_hash(THIRD.public_key)
    assert [history.epoch_at(LeafIndex(index)) for index in range(6)] == [0, 0, 0, 1, 1, 1]
    assert history.closed_at is None


def test_a_rotation_may_change_the_ed25519_key() -> None:
    log = started()
    log.take_over(NEXT, THIRD, ed25519=OTHER_HEADS.public_key)
    log.take_over(THIRD, FOURTH)
    history = verify(log.entries())
    expected = [HEADS.public_key, OTHER_HEADS.public_key, HEADS.public_key]
    assert [keys.ed25519 for keys in history.epochs] == expected


def changed_rotation(**changes: Any) -> list[Entry]:
    """Return the genesis and a rotation with other fields, recorded as it should be."""
    log = started()
    event = log.event(1, NEXT, next_hash=next_key_hash(THIRD.public_key))
    entry = log.make(replace(event, **changes), epoch=1, key=NEXT)
    return [*log.entries(), entry]


def signed_rotation(
    signer: SigningKey = NEXT,
    *,
    log_id: LogId = LOG_ID,
    epoch: int = 1,
    next_hash: bytes | None = None,
) -> bytes:
    committed = next_key_hash(THIRD.public_key) if next_hash is None else next_hash
    return signer.sign(rotation_digest(log_id, Epoch(epoch), committed))


GOOD = signed_rotation()
HIGH_S = (CURVE_ORDER - int.from_bytes(GOOD[32:64], "big")).to_bytes(32, "big")


def test_the_rotation_that_is_changed_below_is_good() -> None:
    assert verify(changed_rotation()).epoch == 1
    assert verify(changed_rotation(rotation_sig=GOOD)).epoch == 1


@pytest.mark.parametrize(
    "signature",
    [
        bytes(65),
        GOOD[:32] + HIGH_S + bytes([1 - GOOD[64]]),
        GOOD[:64] + b"\x1b",
        GOOD[:64] + bytes([1 - GOOD[64]]),
        signed_rotation(CURRENT),
        signed_rotation(THIRD),
        signed_rotation(log_id=LogId(bytes(32))),
        signed_rotation(epoch=0),
        signed_rotation(epoch=2),
        signed_rotation(next_hash=bytes(32)),
        signed_rotation(next_hash=next_key_hash(FOURTH.public_key)),
    ],
)
def test_rotation_signatures_that_fail(signature: bytes) -> None:
    """Whatever is wrong with one, the code is one (KEY-21)."""
    error = refusal(verify, changed_rotation(rotation_sig=signature))
    assert (error.code, type(error)) == ("rotation-signature", KeyHistoryError)


def test_a_rotation_to_another_next_key_needs_its_signature() -> None:
    """The thief of the next key's hash cannot choose what comes after (KEY-21)."""
    other = changed_rotation(next_hash=next_key_hash(FOURTH.public_key))
    assert code(other) == "rotation-signature"


def test_a_key_that_was_not_committed_to() -> None:
    """The current key cannot rotate, nor a new one (KEY-20)."""
    for key in (CURRENT, THIRD):
        log = started()
        log.take_over(key, FOURTH)
        assert code(log.entries()) == "reveal"


@pytest.mark.parametrize("epoch", [0, 2, 3, 2**32 - 1])
@pytest.mark.parametrize("kind", [1, 2])
def test_an_event_begins_the_next_epoch(kind: int, epoch: int) -> None:
    """KEY-19; before the key is looked at."""
    log = started()
    fields = {"next_hash": next_key_hash(THIRD.public_key)} if kind == 1 else {}
    for revealed in (NEXT, FOURTH):
        entry = log.make(log.event(kind, revealed, **fields), epoch=epoch, key=revealed)
        assert code([*log.entries(), entry], count=4) == "epoch"


def test_there_are_64_epochs() -> None:
    """KEY-19."""
    keys = [CURRENT, NEXT, *(SigningKey(bytes([1, n]) * 16) for n in range(1, 65))]
    log = FreeLog()
    log.start()
    for number in range(1, 64):
        log.take_over(keys[number], keys[number + 1])
    history = verify(log.entries())
    assert (history.epoch, len(history.epochs)) == (63, 64)
    assert history.epoch_at(LeafIndex(63)) == 63
    log.take_over(keys[64], keys[65])
    assert code(log.entries()) == "epoch"


def test_key_events_begin_with_one_genesis() -> None:
    """KEY-17."""
    genesis, rotation = ROTATED.entries()
    body = verify([genesis]).genesis
    assert code([rotation]) == "key-event-order"
    assert code([rotation, genesis]) == "key-event-order"
    assert code([genesis, genesis]) == "key-event-order"
    free = FreeLog(log_id=LOG_ID)
    assert code([free.make(body, index=1)]) == "key-event-order"
    assert code([free.make(body, epoch=1)]) == "key-event-order"
    assert code([genesis, free.make(body, index=5)]) == "key-event-order"
    assert code([genesis, free.make(body, index=5, epoch=1)]) == "key-event-order"


@pytest.mark.parametrize(("index", "good"), [(0, False), (2, False), (3, False), (4, True)])
def test_indices_ascend(index: int, good: bool) -> None:
    """KEY-17."""
    log = rotated()
    event = log.event(1, THIRD, next_hash=next_key_hash(FOURTH.public_key))
    entry = log.make(event, index=index, epoch=2, key=THIRD)
    if good:
        assert verify([*log.entries(), entry]).epochs[2].first_index == index
    else:
        assert code([*log.entries(), entry]) == "key-event-order"


@pytest.mark.parametrize("type_", [1, 5, 6, 65_535])
def test_an_entry_is_a_record_of_type_0(type_: int) -> None:
    """KEY-25."""
    event = verify(LOG.entries()).genesis
    assert code([FreeLog(log_id=LOG_ID).make(event, type=type_)]) == "key-event-order"


def test_the_body_of_a_key_event_is_there_and_its_own() -> None:
    """KEY-26."""
    (record, body), *_ = LOG.entries()
    for other in (b"", body + b"\x00", body[:-1], encode_body(receipt())):
        assert code([(record, other)]) == "body-hash"
    # Also where the record is that of an empty body.
    assert code([FreeLog(log_id=LOG_ID).make(b"")]) == "body-hash"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\xc1", "forbidden-type"),
        (b"\x80", "missing-field"),
        (b"\x90", "wrong-type"),
        (encode_body(receipt()), "unknown-field"),
    ],
)
def test_the_body_of_a_key_event_is_a_key_event(body: bytes, expected: str) -> None:
    """With the codes of bodies (section 6.5, step 1)."""
    assert code([FreeLog(log_id=LOG_ID).make(body)]) == expected
    assert code([*LOG.entries(), LOG.make(body)]) == expected


def test_a_key_event_fits_its_record() -> None:
    """BODY-13 in a history."""
    for suspect_from, expected in ((3, ""), (4, "index-order")):
        entries = changed_rotation(reason=1, suspect_from=suspect_from)
        assert (code(entries) if expected else "") == expected
        assert expected or verify(entries).suspect == ((3, 3),)


@pytest.mark.parametrize("kind", [3, 99])
def test_a_key_event_of_an_unknown_kind_ends_the_reading(kind: int) -> None:
    """It could do anything to the keys: not checkable, which is not wrong (KEY-27)."""
    event = KeyEvent(kind=kind, secp256k1=NEXT.public_key, ed25519=HEADS.public_key)
    suspicious = replace(event, reason=1, suspect_from=2**53 - 1)
    for entries in (
        [LOG.make(event, index=0)],
        [*LOG.entries(), LOG.make(event)],
        [*LOG.entries(), LOG.make(suspicious)],
    ):
        error = refusal(verify, entries)
        assert (error.code, type(error)) == ("unknown-kind", UnavailableError)


def resigned(entry: Entry, change: Callable[[bytes], bytes]) -> Entry:
    record, body = entry
    return record[:55] + change(record[55:]), body


@pytest.mark.parametrize("at", [0, 1])
def test_a_key_event_is_signed_by_its_own_key(at: int) -> None:
    """Genesis and rotation alike, with every fault of a signature (KEY-22)."""

    def high_s(signature: bytes) -> bytes:
        s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
        return signature[:32] + s.to_bytes(32, "big") + bytes([1 - signature[64]])

    faults: list[tuple[str, Callable[[bytes], bytes]]] = [
        ("malformed", lambda _: bytes(65)),
        ("high-s", high_s),
        ("bad-recovery-id", lambda signature: signature[:64] + b"\x1b"),
        ("mismatch", lambda signature: signature[:64] + bytes([1 - signature[64]])),
    ]
    for expected, change in faults:
        entries = ROTATED.entries()
        entries[at] = resigned(entries[at], change)
        assert code(entries) == expected


def test_the_replaced_key_cannot_sign_a_rotation() -> None:
    """KEY-22."""
    log = started()
    event = log.event(1, NEXT, next_hash=next_key_hash(THIRD.public_key))
    for signer in (CURRENT, THIRD):
        assert code([*log.entries(), log.make(event, epoch=1, key=signer)]) == "mismatch"
    other_log = log.make(event, epoch=1, key=NEXT, log_id=bytes(32))
    assert code([*log.entries(), other_log]) == "mismatch"
    (genesis, body), *_ = log.entries()
    assert code([resigned((genesis, body), lambda _: other_log[0][55:])]) == "mismatch"


@pytest.mark.parametrize("reason", [0, 3, 99])
def test_other_reasons_raise_no_suspicion(reason: int) -> None:
    """KEY-29."""
    assert verify(changed_rotation(reason=reason)).suspect == ()


def test_events_are_judged_in_their_order() -> None:
    """The first failing step of the first failing entry decides (section 6.5)."""
    genesis, rotation = ROTATED.entries()
    broken = resigned(rotation, lambda _: bytes(65))
    assert code([resigned(genesis, lambda _: bytes(65)), (rotation[0], b"")]) == "malformed"
    assert code([genesis, (broken[0], b"")]) == "body-hash"
    assert code([genesis, broken, (rotation[0], b"")]) == "malformed"
