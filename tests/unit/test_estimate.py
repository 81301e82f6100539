"""The range of claude-range/1: when it stands in the place of bounds by bytes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.gateway import recount as recounting
from nous_ledger.gateway.exact import Recounter
from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE, Bucket, Verdict, verdict
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import API
from nous_ledger.reconcile.estimate import claude_range, has_range
from nous_ledger.reconcile.tokenizers import TokenizerTable, builtin_table
from tests.property.sample_log import receipt

MESSAGES = API["anthropic.messages"]
MODEL = "claude-sonnet-4-5-20250929"
TEXT = "The Loire is the longest river of France. It rises in the south. " * 4
TOKENS = 61  # of TEXT, under o200k_base
HUSH = b'{"thinking": {"type": "disabled"}}'


def answer(*blocks: dict[str, Any], model: str = MODEL) -> bytes:
    usage = {"input_tokens": 9, "output_tokens": 80}
    content = list(blocks) or [{"type": "text", "text": TEXT}]
    return json.dumps(
        {"type": "message", "model": model, "content": content, "usage": usage}
    ).encode()


async def visible_bucket(
    body: bytes,
    *,
    provider: str = "anthropic",
    hush: bool = True,
    table: TokenizerTable | None = None,
    reached: bool = True,
) -> tuple[Receipt, Bucket]:
    meter = Meter(MESSAGES, streamed=False, keep_text=True)
    meter.feed(body)
    meter.close()
    metered = meter.result(hidden_ruled_out=hush, all_shown=True, reached=reached, cut=False)
    draft = replace(receipt(), provider=provider, upstream="api.anthropic.com", api=MESSAGES)
    found = await Recounter(table).label(metered, draft, 0)
    (bucket,) = (b for b in found.usage if b.kind in (16, 18))
    made = replace(draft, streamed=None, usage=found.usage, provider_total=None, status=0)
    return made, bucket


async def test_a_known_model_gets_the_range() -> None:
    """EST-2; and the range is found again (LBL-8 to LBL-10)."""
    made, bucket = await visible_bucket(answer())
    assert (bucket.kind, bucket.label, bucket.method) == (18, BOUNDED, "claude-range/1")
    assert (bucket.lower, bucket.upper) == claude_range(TEXT, TOKENS)
    assert (bucket.vocab, bucket.count) == (None, None)
    assert bucket.upper is not None
    assert bucket.upper < len(TEXT)
    found = recount_bounds(made, HUSH, answer())[18]
    assert (found.lower, found.upper, found.count) == (bucket.lower, bucket.upper, None)
    assert 18 not in recount_bounds(made, b"{}", answer())
    tools = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    assert 18 not in recount_bounds(made, HUSH, answer({"type": "text", "text": TEXT}, tools))


async def test_a_count_beyond_the_range_is_outside_and_no_more() -> None:
    """EST-3."""
    usage = json.loads(answer())
    for reported, expected in ((80, Verdict.OK), (9_000, Verdict.OUTSIDE), (0, Verdict.OUTSIDE)):
        usage["usage"]["output_tokens"] = reported
        _, bucket = await visible_bucket(json.dumps(usage).encode())
        assert bucket.method == "claude-range/1"
        assert verdict(bucket, 1) == expected


@pytest.mark.parametrize(
    ("changes", "label", "method"),
    [
        ({"provider": "bedrock"}, BOUNDED, "bytes/1"),
        ({"provider": "custom"}, BOUNDED, "bytes/1"),
        ({"hush": False}, UNVERIFIABLE, None),
        ({"reached": False}, UNVERIFIABLE, None),
        ({"body": answer(model="claude-9")}, BOUNDED, "bytes/1"),
        ({"body": answer({"type": "thinking", "thinking": "hm"})}, UNVERIFIABLE, None),
        ({"body": answer({"type": "text", "text": "a\ud800"})}, BOUNDED, "bytes/1"),
        (
            {
                "body": answer(
                    {"type": "text", "text": TEXT},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {}},
                )
            },
            BOUNDED,
            "bytes/1",
        ),
    ],
)
async def test_other_calls_keep_their_labels(
    changes: dict[str, Any], label: int, method: str | None
) -> None:
    _, bucket = await visible_bucket(**{"body": answer(), **changes})
    assert (bucket.label, bucket.method) == (label, method)


async def test_without_the_engine_bytes_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a verifier without it says nothing (VER-20)."""
    table = builtin_table()
    wrong = replace(table.encodings["o200k_base"], vocabulary=bytes(32))
    broken = replace(table, encodings={**table.encodings, "o200k_base": wrong})
    _, bucket = await visible_bucket(answer(), table=broken)
    assert (bucket.label, bucket.method) == (BOUNDED, "bytes/1")
    made, _ = await visible_bucket(answer())
    assert 18 in recount_bounds(made, HUSH, answer())
    monkeypatch.setattr(recounting, "builtin_table", lambda: broken)
    assert 18 not in recount_bounds(made, HUSH, answer())


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("claude-3-haiku-20240307", True),
        ("claude-3-5-sonnet-20241022", True),
        ("claude-3-7-sonnet-20250219", True),
        ("claude-opus-4-1-20250805", True),
        ("claude-opus-4-8", True),
        ("claude-sonnet-5", True),
        ("claude-2.1", False),
        ("claude-instant-1.2", False),
        ("claude-opus-6", False),
        ("claude-sonnet-4-5-20250929-v2", False),
        (None, False),
    ],
)
def test_models_that_were_measured(model: str | None, *, known: bool) -> None:
    assert has_range("anthropic", model) == known
    assert not has_range("openrouter", model)


def test_a_long_text_is_bounded_in_time() -> None:
    """Of a long text each character is looked at a fixed number of times."""
    for text in ("a" * 200_000, " -" * 100_000, "A1" * 100_000, "\u56fd\u0300" * 100_000):
        lower, upper = claude_range(text, 1)
        assert 0 <= lower < upper
