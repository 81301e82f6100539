"""The providers' real SDKs through the gateway: usage equals what the SDK itself reports."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE, Verdict, verdict
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import KIND, METERING
from tests.integration.gateway.later import Later
from tests.integration.gateway.rig import KEY, Rig, counts, status

if TYPE_CHECKING:
    import anthropic
    import openai
else:
    anthropic, openai = Later("anthropic"), Later("openai")

MESSAGES: Any = [{"role": "user", "content": "Is “réçu” a receipt? 收据 🧾"}]


@pytest.fixture
def gpt(rig: Rig) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{rig.url}/openai/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def claude(rig: Rig) -> Iterator[anthropic.Anthropic]:
    url = f"{rig.url}/anthropic"
    with anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0) as client:
        yield client


def _agrees(receipt: Receipt, usage: Any) -> None:
    """Compare a receipt with the usage object of an SDK, whichever it is."""
    said = usage.to_dict()
    inputs = said.get("prompt_tokens", said.get("input_tokens"))
    outputs = said.get("completion_tokens", said.get("output_tokens"))
    caches = said.get("cache_read_input_tokens", 0) + said.get("cache_creation_input_tokens", 0)
    found = counts(receipt)
    is_input = {name: count or 0 for name, count in found.items() if KIND[name] < 16}
    assert sum(is_input.values()) == inputs + caches
    assert sum(count or 0 for count in found.values()) - sum(is_input.values()) == outputs
    assert receipt.provider_total == said.get("total_tokens")
    assert receipt.metering == METERING["final"]
    assert all(verdict(b, receipt.metering) != Verdict.OUTSIDE for b in receipt.usage or ())


def _labels(receipt: Receipt) -> dict[str, int]:
    return {KIND.name_of(bucket.kind): bucket.label for bucket in receipt.usage or ()}


SCENARIOS = pytest.mark.parametrize(
    ("scenario", "ending"), [("", "complete"), ("-tools", "complete"), ("-think", "complete"),
                             ("-long", "incomplete")]
)  # fmt: skip


@SCENARIOS
def test_chat(rig: Rig, gpt: openai.OpenAI, scenario: str, ending: str) -> None:
    model = f"gpt-demo{scenario}"
    whole = gpt.chat.completions.create(model=model, messages=MESSAGES)
    stream = gpt.chat.completions.create(
        model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    last = list(stream)[-1]
    # This client does not ask for usage, so it must not get any.
    unasked = list(gpt.chat.completions.create(model=model, messages=MESSAGES, stream=True))
    assert all(piece.choices and piece.usage is None for piece in unasked)

    rig.stop()
    receipts = rig.receipts()
    assert len(receipts) == 3
    assert whole.usage == last.usage
    for receipt in receipts:
        _agrees(receipt, whole.usage)
        assert status(receipt) == ending
        assert receipt.model_requested == model
        assert receipt.model_served == whole.model
        assert _labels(receipt)["output_visible"] == BOUNDED
        assert _labels(receipt)["reasoning"] == UNVERIFIABLE
    assert [receipt.streamed for receipt in receipts] == [None, 1, 1]
    assert [receipt.forwarded_commitment is not None for receipt in receipts] == [
        False,
        False,
        True,
    ]


@SCENARIOS
def test_responses(rig: Rig, gpt: openai.OpenAI, scenario: str, ending: str) -> None:
    model = f"gpt-demo{scenario}"
    whole = gpt.responses.create(model=model, input="What is a receipt?")
    with gpt.responses.stream(model=model, input="What is a receipt?") as stream:
        streamed = list(stream)[-1].response
    rig.stop()
    receipts = rig.receipts()
    assert len(receipts) == 2
    assert whole.usage == streamed.usage
    for receipt in receipts:
        _agrees(receipt, whole.usage)
        assert status(receipt) == ending
        assert _labels(receipt)["output_visible"] == BOUNDED


@SCENARIOS
def test_messages(rig: Rig, claude: anthropic.Anthropic, scenario: str, ending: str) -> None:
    model = f"claude-demo{scenario}"
    whole = claude.messages.create(model=model, messages=MESSAGES, max_tokens=500)
    with claude.messages.stream(model=model, messages=MESSAGES, max_tokens=500) as stream:
        streamed = stream.get_final_message()
    rig.stop()
    receipts = rig.receipts()
    assert len(receipts) == 2
    for receipt, message in zip(receipts, (whole, streamed), strict=True):
        _agrees(receipt, message.usage)
        assert status(receipt) == ending
        assert receipt.service_tier == "standard"
        hidden = scenario == "-think"
        visible = "output_visible" if hidden else "output_unsplit"
        assert _labels(receipt)[visible] == (BOUNDED if hidden else UNVERIFIABLE)


def test_an_unsplit_output_is_bounded_when_the_request_rules_out_thinking(
    rig: Rig, claude: anthropic.Anthropic
) -> None:
    claude.messages.create(
        model="claude-demo", messages=MESSAGES, max_tokens=500, thinking={"type": "disabled"}
    )
    assert _labels(rig.only_receipt())["output_unsplit"] == BOUNDED


@pytest.mark.parametrize(("scenario", "code"), [("bad", 400), ("busy", 429)])
def test_errors_reach_the_client_as_the_provider_gave_them(
    rig: Rig, gpt: openai.OpenAI, claude: anthropic.Anthropic, scenario: str, code: int
) -> None:
    with pytest.raises(openai.APIStatusError) as from_gpt:
        gpt.chat.completions.create(model=f"gpt-demo-{scenario}", messages=MESSAGES)
    with pytest.raises(anthropic.APIStatusError) as from_claude:
        claude.messages.create(model=f"x-{scenario}", messages=MESSAGES, max_tokens=5)
    assert from_gpt.value.status_code == from_claude.value.status_code == code
    rig.stop()
    for receipt in rig.receipts():
        assert (status(receipt), receipt.http_status) == ("upstream_error", code)
        assert (receipt.metering, receipt.usage) == (METERING["none"], None)
        assert receipt.provider_request_id == "req_demo"
    assert len(rig.receipts()) == 2


def test_an_error_event_within_a_stream_reaches_the_client(
    rig: Rig, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    with pytest.raises(openai.APIError):
        list(gpt.chat.completions.create(model="x-error", messages=MESSAGES, stream=True))
    with pytest.raises(anthropic.APIError):
        list(claude.messages.create(model="x-error", messages=MESSAGES, max_tokens=5, stream=True))
    rig.stop()
    assert [(status(r), r.http_status) for r in rig.receipts()] == [("upstream_error", 200)] * 2


def test_an_unmetered_call_has_a_receipt_too(rig: Rig, gpt: openai.OpenAI) -> None:
    assert [model.id for model in gpt.models.list()] == ["gpt-demo"]
    receipt = rig.only_receipt()
    assert (receipt.api, receipt.operation, status(receipt)) == (0, "other", "complete")
    assert (receipt.metering, receipt.usage, receipt.raw_usage_hash) == (0, None, None)
    assert receipt.response_commitment is not None


async def test_async_clients_at_once(rig: Rig) -> None:
    """Forty streams, none lost, none doubled, each with its own counts."""
    async with openai.AsyncOpenAI(base_url=f"{rig.url}/openai/v1", api_key=KEY) as client:

        async def one(number: int) -> tuple[str, int]:
            async with client.chat.completions.with_streaming_response.create(
                model="gpt-demo", messages=[{"role": "user", "content": "x " * number}], stream=True
            ) as raw:
                async for _ in raw.iter_bytes():
                    pass
                return raw.headers["nous-receipt-id"], number

        calls = await asyncio.gather(*(one(number) for number in range(1, 41)))
    rig.stop()
    by_id = {receipt.id.hex(): receipt for receipt in rig.receipts()}
    assert len(by_id) == len(calls) == len(rig.receipts())
    for receipt_id, number in calls:
        receipt = by_id[receipt_id.replace("-", "")]
        assert counts(receipt)["input_uncached"] == number + 8
        assert status(receipt) == "complete"
