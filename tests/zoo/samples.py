"""Bodies as an honest gateway would write them, every field open to change."""

import hashlib
import random
from typing import Any, Final

from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.statement import KindSums, Statement, StatementRow

ORIGIN: Final = "zoo.example/log"


def seeded(*parts: object) -> bytes:
    """Return 32 bytes that depend on nothing but the parts."""
    return hashlib.sha256(repr(parts).encode()).digest()


def subject_of(number: int) -> bytes:
    """Return the pseudonym of a caller."""
    return seeded("subject", number)


def uuid7(time_ms: int, seed: random.Random) -> bytes:
    """Return a receipt id of a moment."""
    value = bytearray(time_ms.to_bytes(6, "big") + seed.randbytes(10))
    value[6] = 0x70 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    return bytes(value)


def receipt(seed: random.Random, time_ms: int, **changes: Any) -> Receipt:
    """Return the receipt of a metered call; the changes are its fields."""
    values: dict[str, Any] = {
        "salt": seed.randbytes(16),
        "id": uuid7(time_ms, seed),
        "time": time_ms,
        "duration": 640,
        "source": 1,
        "provider": "openai",
        "upstream": "api.openai.com",
        "operation": "chat",
        "api": 1,
        "model_requested": "gpt-5",
        "model_served": "gpt-5-2026-08-07",
        "status": 0,
        "http_status": 200,
        "metering": 1,
        "usage": (
            Bucket(kind=1, reported=120, label=3),
            Bucket(kind=16, reported=45, label=2, lower=1, upper=300, method="bytes/1"),
        ),
        "provider_total": 165,
    }
    return Receipt(**(values | changes))


def exact_bucket(**changes: Any) -> Bucket:
    """Return a bucket that claims to have been counted again."""
    values: dict[str, Any] = {
        "kind": 16,
        "reported": 45,
        "label": 1,
        "lower": 44,
        "upper": 46,
        "method": "o200k_base/1",
        "vocab": seeded("vocabulary"),
        "count": 45,
    }
    return Bucket(**(values | changes))


def statement(receipts: list[Receipt], last_body_hash: bytes, count: int, salt: bytes) -> Statement:
    """Return the statement over receipts of one subject that are alike but for their numbers."""
    sums: dict[int, list[int]] = {}
    for bucket in (bucket for found in receipts for bucket in found.usage or ()):
        row = sums.setdefault(bucket.kind, [0, 0, 0, 0])
        row[0] += bucket.reported or 0
        row[bucket.label] += bucket.reported or 0
    kinds = tuple(
        KindSums(kind=kind, reported=row[0], exact=row[1], bounded=row[2], unverifiable=row[3])
        for kind, row in sorted(sums.items())
    )
    first = receipts[0]
    return Statement(
        salt=salt,
        subject=first.subject,
        first_seq=first.subject_seq,
        last_seq=receipts[-1].subject_seq,
        last_body_hash=last_body_hash,
        count=count,
        rows=(
            StatementRow(
                provider=first.provider,
                model=first.model_served or first.model_requested or "unknown",
                source=first.source,
                calls=len(receipts),
                unmetered=sum(found.metering == 0 for found in receipts),
                kinds=kinds,
            ),
        ),
    )
