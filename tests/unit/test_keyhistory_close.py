"""Key histories that end in a close, and suspicion."""

from collections.abc import Sequence
from typing import Any

import pytest

from nous_ledger.protocol.eip712 import rotation_digest
from nous_ledger.protocol.hashing import ZERO_HASH, next_key_hash
from nous_ledger.protocol.keyhistory import KeyEpoch, KeyHistory, verify_key_history
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import Epoch, LeafCount, LeafIndex
from tests.property.sample_log import CURRENT, NEXT, ORIGIN, receipt
from tests.refusals import code_of
from tests.unit.free_log import KEYS, OTHER_HEADS, Entry, FreeLog, rotated, started

THIRD, FOURTH = KEYS[2], KEYS[3]
LOG_ID = started().log_id


def verify(entries: Sequence[Entry], *, count: int = 100) -> KeyHistory:
    return verify_key_history(entries, leaf_count=LeafCount(count), origin=ORIGIN)


def code(entries: Sequence[Entry], count: int = 100) -> str:
    return code_of(verify, entries, count=count)


def signed_rotation(signer: SigningKey, next_hash: bytes) -> bytes:
    return signer.sign(rotation_digest(LOG_ID, Epoch(1), next_hash))


def test_a_close() -> None:
    """It reveals the next key, commits to none, and is the last record (KEY-21, KEY-24)."""
    log = started()
    at = log.close(NEXT)
    history = verify(log.entries(), count=at + 1)
    assert (history.closed_at, history.epoch) == (at, 1)
    assert history.next_hash == ZERO_HASH
    assert history.epochs[1].secp256k1 == NEXT.public_key
    for count in (at, at + 2, 2**53 - 1):
        assert code(log.entries(), count) == "after-close"


def test_nothing_follows_a_close() -> None:
    """Neither a rotation nor another close nor a genesis (KEY-24)."""
    for kind, key in ((1, THIRD), (2, THIRD), (2, NEXT)):
        log = started()
        log.close(NEXT)
        count = int(log.count)
        fields = {"next_hash": next_key_hash(FOURTH.public_key)} if kind == 1 else {}
        entry = log.make(log.event(kind, key, **fields), epoch=2, key=key)
        assert code([*log.entries(), entry], count) == "after-close"
        genesis = log.make(verify(log.entries(), count=count).genesis)
        assert code([*log.entries(), genesis], count) == "after-close"


def test_a_close_must_be_signed_by_the_revealed_key() -> None:
    """Over a next hash of zeros (KEY-14, KEY-21)."""
    log = started()
    for signature in (
        None,
        signed_rotation(CURRENT, ZERO_HASH),
        signed_rotation(NEXT, next_key_hash(THIRD.public_key)),
    ):
        event = log.event(2, NEXT, rotation_sig=signature)
        entry = log.make(event, epoch=1, key=NEXT)
        assert code([*log.entries(), entry], count=4) == "rotation-signature"
    entry = log.make(log.event(2, CURRENT), epoch=1, key=CURRENT)
    assert code([*log.entries(), entry], count=4) == "reveal"


def closing(log: FreeLog, *, key: SigningKey = CURRENT, epoch: int = 0, **fields: Any) -> Entry:
    """Return the close of a log without a next key."""
    event = log.event(2, key, **({"rotation_sig": None} | fields))
    return log.make(event, epoch=epoch, key=key)


def test_the_close_of_a_log_that_cannot_rotate() -> None:
    """By its current key, in its current epoch; it may change the Ed25519 key (KEY-23)."""
    log = started(None)
    entry = closing(log, ed25519=OTHER_HEADS.public_key)
    history = verify([*log.entries(), entry], count=4)
    assert (history.epoch, history.closed_at) == (0, 3)
    keys = KeyEpoch(
        first_index=LeafIndex(0), secp256k1=CURRENT.public_key, ed25519=OTHER_HEADS.public_key
    )
    assert history.epochs == (keys,)
    assert code([*log.entries(), entry], count=5) == "after-close"
    assert code([*log.entries(), entry, closing(log)], count=4) == "after-close"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"epoch": 1}, "epoch"),
        ({"key": NEXT}, "reveal"),
        ({"rotation_sig": bytes(65)}, "rotation-signature"),
        # Where several rules are broken their order decides.
        ({"epoch": 1, "key": NEXT, "rotation_sig": bytes(65)}, "epoch"),
        ({"key": NEXT, "rotation_sig": bytes(65)}, "reveal"),
    ],
)
def test_other_closes_of_a_log_that_cannot_rotate(fields: dict[str, Any], expected: str) -> None:
    """KEY-23."""
    log = started(None)
    assert code([*log.entries(), closing(log, **fields)], count=4) == expected


def test_a_log_that_cannot_rotate_does_not() -> None:
    """No key hashes to zeros (KEY-20, KEY-23)."""
    for key in (CURRENT, NEXT):
        log = started(None)
        log.take_over(key, THIRD)
        assert code(log.entries()) == "reveal"
    log = started(None)
    event = log.event(1, NEXT, next_hash=next_key_hash(THIRD.public_key))
    assert code([*log.entries(), log.make(event, epoch=0, key=NEXT)]) == "epoch"


def test_suspicion() -> None:
    """From where it begins up to the event that reports it, whatever the epoch (KEY-29)."""
    log = rotated()  # the rotation stands at 3, receipts at 4 and 5
    log.take_over(THIRD, FOURTH, reason=2, suspect_from=2)  # at 6
    log.append(1, receipt())
    log.close(FOURTH, reason=1, suspect_from=7)  # at 8
    history = verify(log.entries(), count=9)
    assert history.suspect == ((2, 6), (7, 8))
    suspects = [index for index in range(12) if history.is_suspect(LeafIndex(index))]
    assert suspects == [2, 3, 4, 5, 7]
