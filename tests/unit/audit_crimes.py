"""What a log can do wrong, by name: how it is done, and what the sentinel makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple

from nous_ledger.protocol.bodies import Reconciliation, Redaction, decode_body
from nous_ledger.protocol.eip712 import rotation_digest
from nous_ledger.protocol.encoding import encode
from nous_ledger.protocol.hashing import next_key_hash, sha256
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.signing import CURVE_ORDER
from nous_ledger.protocol.statement import KindSums, Statement, StatementRow
from nous_ledger.protocol.types import Epoch
from tests.unit.audit_log import ALICE, BOB, KEYS, SALT, START, AuditLog

EXACT: Final = Bucket(
    kind=16,
    reported=40,
    label=1,
    lower=39,
    upper=41,
    method="o200k_base/1",
    vocab=SALT * 2,
    count=40,
)


class Crime(NamedTuple):
    """Something that a log does between two rounds, and its (place, code)."""

    commit: Callable[[AuditLog], object]
    place: str
    code: str


def statement(log: AuditLog, **changes: Any) -> Statement:
    """Return a true statement over Alice's first two receipts, but for the changes."""
    mine = [at for at, body in enumerate(log.bodies) if at and bytes(ALICE) in body][:2]
    sums = (
        KindSums(kind=1, reported=240, exact=0, bounded=0, unverifiable=240),
        KindSums(kind=16, reported=80, exact=0, bounded=80, unverifiable=0),
    )
    row = StatementRow(
        provider="anthropic", model="claude-3-5-haiku", source=1, calls=2, unmetered=0, kinds=sums
    )
    fields: dict[str, Any] = {
        "salt": SALT,
        "subject": ALICE,
        "first_seq": 0,
        "last_seq": 1,
        "last_body_hash": sha256(log.bodies[mine[1]]),
        "count": log.count,
        "rows": (row,),
    }
    return Statement(**(fields | changes))


def reconciliation(log: AuditLog, index: int, **changes: Any) -> Reconciliation:
    fields: dict[str, Any] = {
        "salt": SALT,
        "index": index,
        "body_hash": sha256(log.bodies[index]),
        "usage": (Bucket(kind=16, reported=40, label=2, lower=1, upper=99, method="bytes/1"),),
    }
    return Reconciliation(**(fields | changes))


def resign(change: Callable[[bytes], bytes]) -> Callable[[AuditLog], object]:
    """Append a receipt whose signature is changed."""

    def commit(log: AuditLog) -> None:
        other = AuditLog(receipts=len(log.records) - 1)
        other.receipt()
        record = other.records[-1]
        log.append(record[:55] + change(record[55:]), other.bodies[-1])

    return commit


def high_s(signature: bytes) -> bytes:
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([1 - signature[64]])


def raw_body(data: bytes) -> Callable[[AuditLog], object]:
    return lambda log: log.add(1, data)


def lying_rotation(log: AuditLog) -> None:
    """Rotate to a key that was not committed to, and go on with the old one."""
    epoch, next_hash = Epoch(1), next_key_hash(KEYS[4].public_key)
    signature = KEYS[3].sign(rotation_digest(log.log_id, epoch, next_hash))
    event = log.rotation(secp256k1=KEYS[3].public_key, rotation_sig=signature, next_hash=next_hash)
    log.add(0, event, epoch=1, key=KEYS[3])


def rotation_by_the_old_key(log: AuditLog) -> None:
    next_hash = next_key_hash(KEYS[2].public_key)
    signature = KEYS[0].sign(rotation_digest(log.log_id, Epoch(1), next_hash))
    log.add(0, log.rotation(rotation_sig=signature), epoch=1, key=KEYS[1])


def receipt_of(log: AuditLog, index: int) -> Receipt:
    body = decode_body(1, log.bodies[index])
    assert isinstance(body, Receipt)
    return body


def duplicate(log: AuditLog) -> None:
    first = log.receipt()
    log.receipt(BOB, id=receipt_of(log, first).id)


def branch(log: AuditLog) -> None:
    body = log.make_receipt()
    log.receipt()
    log.add(1, body)


def wrong_prev(log: AuditLog) -> None:
    log.add(1, log.make_receipt(subject_prev=bytes(32)))


def after_close(log: AuditLog) -> None:
    log.close()
    log.receipt()


def backdated(log: AuditLog) -> None:
    log.receipt(told={"logged_at": START * 1000 + 3_000})


CRIMES: Final[dict[str, Crime]] = {
    "wrong-epoch": Crime(lambda log: log.receipt(told={"epoch": 1}), "record", "epoch"),
    "other-logs-record": Crime(
        lambda log: log.receipt(told={"log_id": bytes(32)}), "record", "mismatch"
    ),
    "stranger-signs": Crime(lambda log: log.receipt(told={"key": KEYS[4]}), "record", "mismatch"),
    "high-s": Crime(resign(high_s), "record", "high-s"),
    "flipped-recovery-id": Crime(
        resign(lambda s: s[:64] + bytes([1 - s[64]])), "record", "mismatch"
    ),
    "recovery-id-27": Crime(
        resign(lambda s: s[:64] + bytes([27 + s[64]])), "record", "bad-recovery-id"
    ),
    "zero-signature": Crime(resign(lambda _: bytes(65)), "record", "malformed"),
    "same-record-again": Crime(
        lambda log: log.append(log.records[2], log.bodies[2]), "record", "record-index"
    ),
    "wrong-index": Crime(lambda log: log.receipt(told={"index": 999}), "record", "record-index"),
    "version-0": Crime(lambda log: log.append(bytes(120), b""), "record", "record-version"),
    "huge-index": Crime(
        lambda log: log.append(b"\x01" + b"\xff" * 119, b""), "record", "record-range"
    ),
    "backdated": Crime(backdated, "record", "backdated"),
    "after-close": Crime(after_close, "record", "after-close"),
    "head-before-record": Crime(
        lambda log: log.receipt(told={"logged_at": (START + 500) * 1000}), "record", "head-time"
    ),
    "not-a-body": Crime(raw_body(b"\xc0"), "body", "forbidden-type"),
    "half-a-body": Crime(raw_body(b"\x81"), "body", "truncated"),
    "two-bodies": Crime(raw_body(b"\x80\x80"), "body", "trailing"),
    "unsorted": Crime(raw_body(b"\x82\x01\x01\x00\x01"), "body", "unsorted"),
    "unknown-field": Crime(raw_body(encode({0: SALT, 32: 1})), "body", "unknown-field"),
    "missing-field": Crime(raw_body(encode({0: SALT})), "body", "missing-field"),
    "call-in-the-future": Crime(
        lambda log: log.receipt(time=START * 1000 + 9_000_000), "body", "time-order"
    ),
    "redaction-of-later": Crime(
        lambda log: log.add(5, Redaction(salt=SALT, indices=(99,), reason=1)), "body", "index-order"
    ),
    "wallet-of-another": Crime(lambda log: log.binding(1, signer=1), "binding", "mismatch"),
    "wallet-signature-zero": Crime(
        lambda log: log.binding(1, signature=bytes(65)), "binding", "malformed"
    ),
    "nonce-again": Crime(
        lambda log: (log.binding(5), log.binding(5, wallet=None)), "binding", "nonce-order"
    ),
    "duplicate-id": Crime(duplicate, "receipt", "duplicate-id"),
    "branch": Crime(branch, "subject", "subject-branch"),
    "wrong-prev": Crime(wrong_prev, "subject", "subject-branch"),
    "false-sums": Crime(
        lambda log: log.add(4, statement(log, last_body_hash=bytes(32))),
        "statement",
        "statement-sums",
    ),
    "reconciles-nothing": Crime(
        lambda log: log.add(2, reconciliation(log, 2, body_hash=bytes(32))),
        "reconciliation",
        "reference",
    ),
    "reconciles-a-genesis": Crime(
        lambda log: log.add(2, reconciliation(log, 0)), "reconciliation", "reference"
    ),
    "reconciles-a-bucket-of-its-own": Crime(
        lambda log: log.add(2, reconciliation(log, 2, usage=(replace(EXACT, reported=41),))),
        "reconciliation",
        "field-conflict",
    ),
    "exact-by-the-back-door": Crime(
        lambda log: log.add(2, reconciliation(log, log.receipt(status=8), usage=(EXACT,))),
        "reconciliation",
        "exact-not-allowed",
    ),
    "second-genesis": Crime(
        lambda log: log.add(0, log.genesis(SALT * 2)), "key", "key-event-order"
    ),
    "lying-rotation": Crime(lying_rotation, "key", "reveal"),
    "rotation-by-the-old-key": Crime(rotation_by_the_old_key, "key", "rotation-signature"),
    "rotation-without-body-rules": Crime(lambda log: log.add(0, b"\xc0"), "key", "forbidden-type"),
}
"""Each is an alarm whose evidence convinces a third party."""
