"""Whatever a request and a report hold, bounds are found or not, and nothing is raised."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.gateway.bounds import bound_request, request_fields
from nous_ledger.protocol.label import BOUNDED, Bucket, Verdict, check_usage, verdict
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.reconcile.hidden import OutputEvidence, bound_output, read_allowance
from nous_ledger.reconcile.tokenizers import builtin_table

NAMES = (
    *("messages", "input", "prompt", "system", "contents", "instructions", "parts", "content"),
    *("role", "name", "type", "text", "image_url", "url", "detail", "source", "data", "output"),
    *("inlineData", "mimeType", "tools", "functions", "toolConfig", "function_call_output"),
    *("message", "tool_result", "image", "input_image", "media_type", "base64", "max_tokens"),
    *("max_completion_tokens", "n", "best_of", "generationConfig", "maxOutputTokens", "options"),
    *("num_predict", "inferenceConfig", "maxTokens", "size", "quality", "partial_images", "user"),
    *("input_text", "functionDeclarations", "response_format", "audio", "images"),
)
KINDS = (1, 2, 3, 4, 5, 6, 7, 16, 17, 19, 32, 33, 34, 36)
words = st.sampled_from(
    [
        *NAMES,
        "",
        "data:image/png;base64,iVBORw0KGgo=",
        "\ud800",
        "auto",
        "video/mp4",
        "AAAAAG1vb3Y=",
    ]
)
scalars = st.none() | st.booleans() | st.integers(-3, 2**54) | st.floats(0, 9) | words
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6),
    max_leaves=24,
)
requests = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)
counts = st.dictionaries(st.sampled_from(KINDS), st.integers(0, 2**53 - 1), max_size=6)
models = st.sampled_from([None, "gpt-4o", "gpt-image-1", "claude-x", "gemini-2.5-pro", "o3"])
providers = st.sampled_from(["openai", "anthropic", "gemini", "bedrock", "ollama", "custom"])


def receipt_of(provider: str, api: int) -> Receipt:
    return Receipt(
        salt=bytes(16),
        id=bytes(6) + b"\x70\x00\x80" + bytes(7),
        time=0,
        source=2,
        subject=bytes(32),
        subject_seq=0,
        provider=provider,
        operation="chat",
        api=api,
        status=0,
        metering=1,
    )


@given(requests, counts, providers, st.integers(0, 14), models)
def test_bounds_of_anything(
    asked: dict[str, Any], reported: dict[int, int], provider: str, api: int, model: str | None
) -> None:
    """BND-3, BND-10: and input is never `outside`."""
    body = json.dumps(asked).encode()
    fields = request_fields(body)
    assert fields is not None
    usage = tuple(Bucket(kind=k, reported=n, label=3) for k, n in sorted(reported.items()))
    evidence = OutputEvidence(
        provider=provider, api=api, model=model, status=0, allowance=read_allowance(api, fields)
    )
    found = bound_request(
        bound_output(usage, evidence), receipt_of(provider, api), model, body, builtin_table()
    )
    assert [(b.kind, b.reported) for b in found] == sorted(reported.items())
    check_usage(found)
    for bucket in found:
        bucket.check_rules()
        if bucket.label == BOUNDED and bucket.kind not in (16, 17, 18):
            assert verdict(bucket, 1) is Verdict.OK
