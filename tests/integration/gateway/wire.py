"""One small answer as OpenAI gives it, in all its pieces, and what a receipt makes of it."""

import json

from nous_ledger.protocol.hashing import commit_request, commit_response
from nous_ledger.protocol.registries import METERING
from tests.integration.gateway.rig import Answer, Rig

USAGE = b'{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}'
HELLO = b'data: {"model":"m-1","choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE_CHUNK = b'data: {"choices":[],"usage":' + USAGE + b"}\n\n"
DONE = b"data: [DONE]\n\n"
ALL = (HELLO, STOP, USAGE_CHUNK, DONE)
BODY = (
    b'{"model":"m-1","choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}],'
    b'"usage":' + USAGE + b"}"
)
ASKING = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
UNASKED = {"model": "m", "stream": True}
FINAL, NONE, PARTIAL = METERING["final"], METERING["none"], METERING["partial"]
COUNTS = {"input_unsplit": 9, "output_unsplit": 2}


def checked(rig: Rig, got: Answer, request: object) -> None:
    """Compare the only receipt with what the client sent and received."""
    receipt = rig.only_receipt()
    assert receipt.id == got.id
    assert receipt.subject.hex() == got.headers["nous-subject"]
    assert receipt.request_commitment == commit_request(got.opening, json.dumps(request).encode())
    assert receipt.response_commitment == commit_response(got.opening, got.body)
