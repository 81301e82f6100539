"""Receipts with EXACT counts of several models, honest and not, in one log."""

import random
from collections.abc import Iterable, Iterator
from typing import Any, Final

from nous_ledger.ledger import Ledger
from nous_ledger.protocol.audit_streams import AuditedStreams
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from tests.integration.ledger_drafts import START_MS, make_draft

VOCAB: Final = bytes(range(32))
MODELS: Final = ("honest", "one-more", "greedy", "swinging", "bounded")


def exact_usage(counted: int, reported: int) -> dict[str, Any]:
    """Return the counts of a call whose answer was counted again, as fields of its receipt."""
    exact = Bucket(
        kind=16,
        reported=reported,
        label=1,
        lower=counted,
        upper=counted + 1,
        method="o200k_base/1",
        vocab=VOCAB,
        count=counted,
    )
    usage = (Bucket(kind=1, reported=7, label=3), exact)
    return {"usage": usage, "provider_total": 7 + reported}


def exact_draft(
    seed: random.Random, model: str, counted: int, reported: int, **changes: Any
) -> Receipt:
    """Return the draft of a call whose answer was counted again."""
    values = {"model_served": model, **exact_usage(counted, reported)}
    return make_draft(seed, **(values | changes))


def stream_drafts(seed: random.Random, calls: int, *, time_ms: int = START_MS) -> Iterator[Receipt]:
    """Yield calls of all models in no order: `greedy` reports 3 % too much."""
    for _ in range(calls):
        model, counted = seed.choice(MODELS), seed.randint(20, 400)
        extra = {
            "honest": seed.random() < 0.02,
            "one-more": 1,
            "greedy": round(counted * 0.03) + seed.randint(0, 1),
            "swinging": seed.choice((-1, 1)) * counted // 5,
            "bounded": 0,
        }[model]
        if model == "bounded":
            yield make_draft(seed, model_served=model, time_ms=time_ms)
        else:
            yield exact_draft(seed, model, counted, counted + int(extra), time_ms=time_ms)


def from_the_log(ledger: Ledger) -> AuditedStreams:
    """Return what one pass over a ledger comes to."""
    return taken(row.receipt for row in ledger.receipts(hi=ledger.leaf_count()))


def taken(receipts: Iterable[Receipt | None]) -> AuditedStreams:
    """Return what receipts come to, taken one by one."""
    streams = AuditedStreams()
    for receipt in receipts:
        streams.take(receipt)
    return streams


def bits(streams: AuditedStreams) -> dict[str, object]:
    """Return everything that two audits have to agree on, doubles by their bits."""
    return {
        "streams": {key: audit.encode() for key, audit in streams.streams.items()},
        "order": list(streams.streams),
        "output": streams.output,
        "services": list(streams.output),
        "sums": (streams.receipts, streams.unread, streams.beyond, streams.output_beyond),
    }
