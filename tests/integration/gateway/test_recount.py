"""What the gateway claims of output and input, a verifier finds again from the content alone."""

import json
from typing import Any

import pytest

from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.protocol.label import BOUNDED
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.verify import verify_bundle
from tests.integration.gateway.rig import CHAT, MESSAGES, RESPONSES, Rig

PROMPT = "Tell me of “réçus”, 收据 and 🧾"
ASKS: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": PROMPT}], "reasoning_effort": "none"},
    RESPONSES: {"input": PROMPT, "reasoning": {"effort": "none"}},
    MESSAGES: {
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": 500,
        "thinking": {"type": "disabled"},
    },
}


@pytest.mark.parametrize("path", ASKS)
@pytest.mark.parametrize("scenario", ["plain", "tools", "think", "long"])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_verifier_finds_the_same_bounds(
    rig: Rig, path: str, scenario: str, streamed: bool
) -> None:
    """LBL-8, BND-20, VER-19, VER-20: from request and response, for every format."""
    request = {"model": f"demo-{scenario}", "stream": streamed, **ASKS[path]}
    got = rig.call(path, request)
    receipt = rig.only_receipt()
    bounded = {bucket.kind: bucket for bucket in receipt.usage or () if bucket.label == BOUNDED}
    assert len(bounded.keys() & {16, 18}) == 1
    assert bounded.keys() & {1, 8}  # and input, which the request explains
    report = verify_bundle(
        rig.ledger.prove(1),
        parse_policy(rig.ledger.policy_text()),
        opening=got.opening,
        request=json.dumps(request).encode(),
        response=got.body,
        recount=recount_bounds,
        require_accuracy=True,
    )
    assert (report.accuracy.outcome, report.accuracy.code) == ("established", "")
    assert report.exit_code() == 0
