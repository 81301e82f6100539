"""Requests of many values through a gateway: metered like any other."""

import json

import pytest

from nous_ledger.gateway.long_request import MAX_AT_ONCE
from nous_ledger.protocol.hashing import commit_forwarded, commit_request
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import CHAT, counts, says, status, stream
from tests.integration.gateway.wire import ALL, COUNTS, FINAL, UNASKED, USAGE_CHUNK

TALK = [{"role": "user", "content": "Well, and, so, [on], {and} on, \\ \n"}] * 9_000
NUMBERS = {"logit_bias": {str(number): 0 for number in range(2 * MAX_AT_ONCE)}}


@pytest.mark.parametrize("more", [{"messages": TALK}, NUMBERS])
def test_usage_is_asked_for_and_kept_from_the_client(
    start: StartRig, more: dict[str, object]
) -> None:
    rig, upstream = start(says(stream(*ALL)))
    sent = json.dumps({**UNASKED, **more}).encode()
    got = rig.call(CHAT, sent)
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.metering, counts(receipt)) == ("complete", FINAL, COUNTS)
    assert receipt.model_requested == "m"
    assert got.body == b"".join(event for event in ALL if event != USAGE_CHUNK)
    (seen,) = upstream.seen
    asked = {"stream_options": {"include_usage": True}}
    assert json.loads(seen.body) == {**UNASKED, **more, **asked}
    assert receipt.request_commitment == commit_request(got.opening, sent)
    assert receipt.forwarded_commitment == commit_forwarded(got.opening, seen.body)
