"""Counting answers again as calls end: which calls, by which rule, and what is said otherwise."""

import json
import logging
import re
from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.gateway.exact import Recounter
from nous_ledger.gateway.metering import Meter, Metered
from nous_ledger.gateway.metrics import Metrics
from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.protocol.label import BOUNDED, EXACT, Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import API
from nous_ledger.reconcile.tokenizers import TokenizerTable, builtin_table
from tests.property.sample_log import receipt

BUILTIN = builtin_table()
CHAT = API["openai.chat"]
TEXT = "The Loire flows to the west."


def chat_answer(model: str, usage: dict[str, Any], text: str = TEXT, **message: Any) -> bytes:
    message = {"role": "assistant", "content": text, **message}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps({"model": model, "choices": choices, "usage": usage}).encode()


def metered(api: int, body: bytes) -> Metered:
    meter = Meter(api, streamed=False, keep_text=True)
    meter.feed(body)
    meter.close()
    return meter.result(hidden_ruled_out=False, all_shown=True, reached=True, cut=False)


def draft(provider: str, upstream: str, api: int = CHAT) -> Receipt:
    return replace(receipt(), provider=provider, upstream=upstream, api=api, anomalies=None)


async def labelled(
    recounter: Recounter, found: Metered, provider: str, upstream: str, api: int = CHAT
) -> Bucket:
    result = await recounter.label(found, draft(provider, upstream, api), 0)
    (bucket,) = (b for b in result.usage if b.kind in (16, 18))
    return bucket


UNSPLIT = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}


async def test_a_provider_without_a_split() -> None:
    """TOK-7: of a model that never thinks all output is visible."""
    found = metered(CHAT, chat_answer("deepseek-chat", UNSPLIT))
    assert [bucket.kind for bucket in found.usage] == [8, 18]
    bucket = await labelled(Recounter(), found, "deepseek", "api.deepseek.com")
    assert (bucket.kind, bucket.label, bucket.method) == (16, EXACT, "deepseek-v3/1")
    assert (bucket.reported, bucket.count, bucket.lower, bucket.upper) == (8, 8, 8, 9)
    assert bucket.vocab == BUILTIN.encodings["deepseek-v3"].vocabulary


@pytest.mark.parametrize(
    ("provider", "model", "message"),
    [
        ("deepseek", "deepseek-reasoner", {}),
        ("deepseek", "deepseek-chat", {"reasoning_content": "hm"}),
        ("deepseek", "deepseek-chat", {"content": "a </think> shown name"}),
        ("custom", "deepseek-chat", {}),
        ("openrouter", "deepseek/deepseek-chat", {}),
    ],
)
async def test_models_and_answers_that_are_not_exact(
    provider: str, model: str, message: dict[str, Any]
) -> None:
    """TOK-4, TOK-9."""
    found = metered(CHAT, chat_answer(model, UNSPLIT, **message))
    bucket = await labelled(Recounter(), found, provider, "api.deepseek.com")
    assert (bucket.kind, bucket.label != EXACT) == (18, True)


@pytest.mark.parametrize(
    ("api", "body"),
    [
        ("mistral.chat", chat_answer("m", UNSPLIT)),
        (
            "openai.completions",
            json.dumps(
                {
                    "model": "m",
                    "choices": [{"index": 0, "text": TEXT, "finish_reason": "stop"}],
                    "usage": UNSPLIT,
                }
            ).encode(),
        ),
        (
            "ollama.chat",
            json.dumps(
                {
                    "model": "m",
                    "message": {"role": "assistant", "content": TEXT},
                    "done": True,
                    "done_reason": "stop",
                    "prompt_eval_count": 9,
                    "eval_count": 8,
                }
            ).encode(),
        ),
    ],
)
async def test_other_wire_formats(api: str, body: bytes) -> None:
    found = metered(API[api], body)
    recounter = Recounter(own())
    assert recounter.wants(API[api], "custom", plain_request=True)
    bucket = await labelled(recounter, found, "custom", "models.internal", API[api])
    assert (bucket.kind, bucket.label, bucket.method) == (16, EXACT, "qwen2/1")


def own(**changes: Any) -> TokenizerTable:
    values: dict[str, Any] = {
        "providers": frozenset({"custom"}),
        "upstreams": frozenset({"models.internal"}),
        "names": re.compile("m"),
        "encoding": BUILTIN.encodings["qwen2"],
    }
    return replace(BUILTIN, rules=(replace(BUILTIN.rules[0], **(values | changes)),))


async def test_only_upstreams_that_an_operator_named() -> None:
    found = metered(CHAT, chat_answer("m", UNSPLIT))
    assert (await labelled(Recounter(own()), found, "custom", "models.internal")).label == EXACT
    for upstream in ("models.internal:8000", "other.internal"):
        assert (await labelled(Recounter(own()), found, "custom", upstream)).label != EXACT


async def test_a_verifier_counts_again_with_the_same_table() -> None:
    """TOK-6: without it, it could not check."""
    mine = replace(BUILTIN.encodings["qwen2"], name="mine")
    table = replace(own(encoding=mine), encodings={**BUILTIN.encodings, "mine": mine})
    body = chat_answer("m", UNSPLIT)
    found = await Recounter(table).label(metered(CHAT, body), draft("custom", "models.internal"), 0)
    made = replace(
        draft("custom", "models.internal"),
        usage=found.usage,
        provider_total=None,
        streamed=None,
        status=0,
    )
    (bucket,) = (b for b in found.usage if b.label == EXACT)
    assert bucket.method == "mine/1"
    counted = recount_bounds(made, b"{}", body, table=table)[16]
    assert (counted.count, counted.lower, counted.upper) == (8, 8, 9)
    assert 16 not in recount_bounds(made, b"{}", body)


async def test_a_vocabulary_of_another_hash_is_said_once_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """TOK-3: nothing is EXACT, and that is said."""
    wrong = replace(BUILTIN.encodings["qwen2"], vocabulary=bytes(32))
    missing = replace(BUILTIN.encodings["qwen2"], name="none", package="no_such_package")
    metrics = Metrics()
    found = metered(CHAT, chat_answer("m", UNSPLIT))
    with caplog.at_level(logging.WARNING, "nous_ledger.gateway"):
        for encoding in (wrong, missing):
            recounter = Recounter(own(encoding=encoding), metrics)
            for _ in range(2):
                bucket = await labelled(recounter, found, "custom", "models.internal")
                assert bucket.label in (BOUNDED, 3)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "has the hash" in lines[0]
    assert "no-such-package is not installed" in lines[1]
    name = "nous_ledger_uncounted_answers_total"
    text = metrics.render({})
    assert f'{name}{{encoding="qwen2",reason="wrong-vocabulary"}} 2' in text
    assert f'{name}{{encoding="none",reason="no-tokenizer"}} 2' in text


def test_what_is_worth_keeping() -> None:
    recounter = Recounter()
    assert recounter.wants(CHAT, "groq", plain_request=True)
    assert not recounter.wants(CHAT, "groq", plain_request=False)
    assert not recounter.wants(API["openai.images"], "openai", plain_request=True)
    assert not recounter.wants(CHAT, "custom", plain_request=True)
