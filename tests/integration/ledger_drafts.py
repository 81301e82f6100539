"""Drafts of receipts, and a clock that moves when it is told to."""

import random
from typing import Any

from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt

START_MS = 1_790_000_000_000
ORIGIN = "ledger.example.com/main"


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def uuid7(milliseconds: int, seed: random.Random) -> bytes:
    value = bytearray(milliseconds.to_bytes(6, "big") + seed.randbytes(10))
    value[6] = 0x70 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    return bytes(value)


def make_draft(seed: random.Random, *, time_ms: int = START_MS, **changes: Any) -> Receipt:
    """Return a draft of a metered call with random identifiers."""
    values: dict[str, Any] = {
        "salt": seed.randbytes(16),
        "id": uuid7(time_ms, seed),
        "time": time_ms,
        "duration": 850,
        "source": 1,
        "subject": bytes([seed.randrange(5)]) * 32,
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
        "request_commitment": seed.randbytes(32),
        "response_commitment": seed.randbytes(32),
    }
    return Receipt(**(values | changes))


def make_intent(seed: random.Random, *, time_ms: int = START_MS) -> Receipt:
    """Return the draft of a call of which nothing more was heard."""
    nothing = {"usage": None, "provider_total": None, "response_commitment": None}
    return make_draft(seed, time_ms=time_ms, status=7, http_status=None, metering=0, **nothing)
