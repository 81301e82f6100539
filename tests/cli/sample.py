"""A ledger with calls of every ending, and the content of one of them."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from nous_ledger.cli.demo_wire import Task, chat_body
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.hashing import commit_request, commit_response, opening_hash
from nous_ledger.protocol.label import Bucket, bytes_bound
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import STATUS

ORIGIN: Final = "ledger.example.com/main"
START_MS: Final = 1_790_000_000_000
OPENING: Final = bytes(range(100, 132))
REQUEST: Final = json.dumps(
    {"model": "gpt-demo", "messages": [{"role": "user", "content": "What is a log?"}]}
).encode()
RESPONSE: Final = json.dumps(chat_body(Task.of(json.loads(REQUEST)))).encode()
STEP_MS: Final = 60_000
HOSTILE_MODEL: Final = "=cmd|'/C calc'!A0"


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


def make_draft(seed: random.Random, time_ms: int, **changes: Any) -> Receipt:
    """Return the draft of a metered call with random identifiers."""
    receipt_id = bytearray(time_ms.to_bytes(6, "big") + seed.randbytes(10))
    receipt_id[6] = 0x70 | receipt_id[6] & 0x0F
    receipt_id[8] = 0x80 | receipt_id[8] & 0x3F
    values: dict[str, Any] = {
        "salt": seed.randbytes(16),
        "id": bytes(receipt_id),
        "time": time_ms,
        "duration": 850,
        "source": 1,
        "subject": bytes([seed.randrange(3)]) * 32,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the tests know of the ledger.

    Attributes:
        folder: where it lies.
        receipt_id: the call whose content is known; its record has index 1.
        proof: its bundle.
        policy: the log's own trust policy.
        by_status: index of a receipt of each status.
        outside: index of a receipt whose reported count is outside its range.
        plain: index of a receipt without commitments.
        count: receipts in all.
    """

    folder: Path
    receipt_id: UUID
    proof: bytes
    policy: bytes
    by_status: dict[int, int]
    outside: int
    plain: int
    count: int


def known_call(seed: random.Random) -> Receipt:
    """Return the draft of the call with REQUEST and RESPONSE, with labels by bytes/1."""
    answer = json.loads(RESPONSE)
    text: str = answer["choices"][0]["message"]["content"]
    usage = answer["usage"]
    lower, upper = bytes_bound(len(text.encode()), 1)
    visible = usage["completion_tokens"]
    return make_draft(
        seed,
        START_MS,
        model_requested="gpt-demo",
        model_served=answer["model"],
        usage=(
            Bucket(kind=1, reported=usage["prompt_tokens"], label=3),
            Bucket(kind=16, reported=visible, label=2, lower=lower, upper=upper, method="bytes/1"),
            Bucket(kind=17, reported=0, label=3),
        ),
        provider_total=usage["total_tokens"],
        request_commitment=commit_request(OPENING, REQUEST),
        response_commitment=commit_response(OPENING, RESPONSE),
    )


def make_sample(folder: Path, next_key: Path) -> Sample:
    """Make the ledger; calls are a minute apart."""
    seed, clock = random.Random(7), Clock()
    with Ledger.create(folder, next_key_out=next_key, origin=ORIGIN, clock=clock) as ledger:
        known = known_call(seed)
        ledger.append_receipt(known, opening_hash=opening_hash(OPENING))
        by_status: dict[int, int] = {}
        nothing = {
            "metering": 0,
            "usage": None,
            "provider_total": None,
            "response_commitment": None,
        }
        for status in sorted(dict(STATUS.items()).values()):
            clock.now_ms += STEP_MS
            changes = {"http_status": None, **nothing} if 4 <= status <= 7 else {}
            draft = make_draft(seed, clock.now_ms, status=status, **changes)
            by_status[status] = ledger.append_receipt(draft).index
        clock.now_ms += STEP_MS
        usage = (Bucket(kind=16, reported=301, label=2, lower=1, upper=300, method="bytes/1"),)
        outside = make_draft(seed, clock.now_ms, usage=usage, provider_total=301)
        clock.now_ms += STEP_MS
        plain = make_draft(
            seed,
            clock.now_ms,
            model_requested=HOSTILE_MODEL,
            request_commitment=None,
            response_commitment=None,
        )
        sample = Sample(
            folder=folder,
            receipt_id=UUID(bytes=known.id),
            by_status=by_status,
            outside=ledger.append_receipt(outside).index,
            plain=ledger.append_receipt(plain).index,
            proof=ledger.prove(1),
            policy=ledger.policy_text(),
            count=ledger.leaf_count() - 1,
        )
        ledger.head()
    return sample
