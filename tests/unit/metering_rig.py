"""Feeding a meter and reading what it found."""

import json

from nous_ledger.gateway.metering import Meter, Metered
from nous_ledger.protocol.registries import KIND, METERING

NONE, FINAL, PARTIAL, MALFORMED = (
    METERING[name] for name in ("none", "final", "partial", "malformed")
)
DONE = b"data: [DONE]\n\n"


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def meter(
    api: int,
    *pieces: bytes,
    streamed: bool = True,
    ruled_out: bool = False,
    reached: bool = True,
    cut: bool = False,
) -> Metered:
    meter = Meter(api, streamed=streamed)
    for piece in pieces:
        assert meter.feed(piece) == piece
    assert meter.close() == b""
    return meter.result(hidden_ruled_out=ruled_out, all_shown=True, reached=reached, cut=cut)


def counts(metered: Metered) -> dict[str, int | None]:
    return {KIND.name_of(bucket.kind): bucket.reported for bucket in metered.usage}


def labels(metered: Metered) -> dict[str, int]:
    return {KIND.name_of(bucket.kind): bucket.label for bucket in metered.usage}
