"""Meters of the further wire formats, for tests."""

import json

from nous_ledger.gateway.formats import make_parser
from nous_ledger.gateway.metering import Meter, Metered
from nous_ledger.protocol.label import check_usage
from nous_ledger.protocol.registries import API

SSE, LINES = "text/event-stream", "application/x-ndjson"
ARRAY, MESSAGES = "application/json", "application/vnd.amazon.eventstream"


def read(
    api: str,
    data: object,
    kind: str = "",
    *,
    cut: bool = False,
    cost: tuple[str, ...] = (),
    ruled_out: bool = False,
) -> Metered:
    """Meter a body; `kind` is the content type of a stream; `ruled_out` is thinking."""
    parser = make_parser(kind, is_stream=True) if kind else None
    meter = Meter(API[api], streamed=bool(kind), parser=parser, cost=cost)
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    assert meter.feed(raw) == raw
    assert meter.close() == b""
    found = meter.result(hidden_ruled_out=ruled_out, all_shown=True, reached=True, cut=cut)
    check_usage(found.usage)
    return found
