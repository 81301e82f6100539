"""Real SDKs with the transport hook: a receipt counts what the SDK itself reports."""

import asyncio
import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from nous_ledger.cli.demo_upstream import DemoUpstream
from nous_ledger.embed.writer import ReceiptWriter
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.protocol.label import Verdict, verdict
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import KIND, METERING, SOURCE
from tests.integration.gateway.rig import KEY, counts, status

MESSAGES: Any = [{"role": "user", "content": "Is “réçu” a receipt? 收据 🧾"}]
SCENARIOS = pytest.mark.parametrize("scenario", ["", "-tools", "-think", "-long"])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with DemoUpstream() as upstream:
        yield upstream.url


@pytest.fixture
def log(folder: Any) -> Iterator[Ledger]:
    with Ledger.create(folder, next_key_out=None) as made:
        yield made


@pytest.fixture
def writer(log: Ledger, url: str) -> ReceiptWriter:
    # Formats are told apart by their paths, so both providers may be below one URL.
    return ReceiptWriter(log, upstreams={"openai": f"{url}/v1/", "anthropic": url})


@pytest.fixture
def hook() -> Any:
    """Loaded when it is used: every worker collects every file."""
    return importlib.import_module("nous_ledger.embed.on_httpx2")


def _receipts(log: Ledger) -> list[Receipt]:
    assert not log.open_intents()
    return [row.receipt for row in log.receipts() if row.receipt]


def _agrees(receipt: Receipt, usage: Any, scenario: str) -> None:
    said = usage.to_dict()
    inputs = said.get("prompt_tokens", said.get("input_tokens"))
    outputs = said.get("completion_tokens", said.get("output_tokens"))
    caches = said.get("cache_read_input_tokens", 0) + said.get("cache_creation_input_tokens", 0)
    found = {KIND[name]: count or 0 for name, count in counts(receipt).items()}
    assert sum(count for kind, count in found.items() if kind < 16) == inputs + caches
    assert sum(count for kind, count in found.items() if kind >= 16) == outputs
    assert receipt.metering == METERING["final"]
    assert receipt.source == SOURCE["embedded"]
    assert all(verdict(b, receipt.metering) != Verdict.OUTSIDE for b in receipt.usage or ())
    assert status(receipt) == ("incomplete" if scenario == "-long" else "complete")


@SCENARIOS
def test_openai(log: Ledger, writer: ReceiptWriter, hook: Any, url: str, scenario: str) -> None:
    openai, httpx2 = importlib.import_module("openai"), importlib.import_module("httpx2")
    model = f"gpt-demo{scenario}"
    http_client = httpx2.Client(transport=hook.Transport(writer))
    options: Any = {"base_url": f"{url}/v1", "api_key": KEY, "max_retries": 0}
    with openai.OpenAI(http_client=http_client, **options) as client:
        whole = client.chat.completions.create(model=model, messages=MESSAGES)
        stream = client.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        assert list(stream)[-1].usage == whole.usage
        response = client.responses.create(model=model, input="What is a receipt?")
        with client.responses.stream(model=model, input="What is a receipt?") as events:
            assert list(events)[-1].response.usage == response.usage
    usages = [whole.usage, whole.usage, response.usage, response.usage]
    for receipt, usage in zip(_receipts(log), usages, strict=True):
        _agrees(receipt, usage, scenario)


@SCENARIOS
def test_openai_on_asyncio(
    log: Ledger, writer: ReceiptWriter, hook: Any, url: str, scenario: str
) -> None:
    openai, httpx2 = importlib.import_module("openai"), importlib.import_module("httpx2")
    model = f"gpt-demo{scenario}"

    async def several() -> Any:
        http_client = httpx2.AsyncClient(transport=hook.AsyncTransport(writer))
        options: Any = {"base_url": f"{url}/v1", "api_key": KEY, "max_retries": 0}
        async with openai.AsyncOpenAI(http_client=http_client, **options) as client:
            create = client.chat.completions.create
            calls = [create(model=model, messages=MESSAGES) for _ in range(10)]
            stream = await create(
                model=model,
                messages=MESSAGES,
                stream=True,
                stream_options={"include_usage": True},
            )
            last = [chunk async for chunk in stream][-1]
            return [*(answer.usage for answer in await asyncio.gather(*calls)), last.usage]

    usages = asyncio.run(several())
    assert all(usage == usages[0] for usage in usages)
    receipts = _receipts(log)
    assert len(receipts) == len(usages) == 11
    for receipt in receipts:
        _agrees(receipt, usages[0], scenario)


@SCENARIOS
def test_anthropic(log: Ledger, writer: ReceiptWriter, hook: Any, url: str, scenario: str) -> None:
    anthropic, httpx2 = importlib.import_module("anthropic"), importlib.import_module("httpx2")
    model = f"claude-demo{scenario}"
    http_client = httpx2.Client(transport=hook.Transport(writer))
    options: Any = {"base_url": url, "api_key": KEY, "max_retries": 0}
    with anthropic.Anthropic(http_client=http_client, **options) as client:
        whole = client.messages.create(model=model, messages=MESSAGES, max_tokens=500)
        with client.messages.stream(model=model, messages=MESSAGES, max_tokens=500) as stream:
            streamed = stream.get_final_message()
    for receipt, message in zip(_receipts(log), (whole, streamed), strict=True):
        _agrees(receipt, message.usage, scenario)


def test_a_retry_is_a_call_of_its_own(
    log: Ledger, writer: ReceiptWriter, hook: Any, url: str
) -> None:
    openai, httpx2 = importlib.import_module("openai"), importlib.import_module("httpx2")
    http_client = httpx2.Client(transport=hook.Transport(writer))
    options: Any = {"base_url": f"{url}/v1", "api_key": KEY, "max_retries": 1}
    with (
        openai.OpenAI(http_client=http_client, **options) as client,
        pytest.raises(openai.RateLimitError),
    ):
        client.chat.completions.create(model="gpt-demo-busy", messages=MESSAGES)
    assert [(status(r), r.http_status) for r in _receipts(log)] == [("upstream_error", 429)] * 2


def test_the_ledgers_error_reaches_the_program(
    log: Ledger, writer: ReceiptWriter, hook: Any, url: str
) -> None:
    openai, httpx2 = importlib.import_module("openai"), importlib.import_module("httpx2")
    log.close()
    http_client = httpx2.Client(transport=hook.Transport(writer))
    options: Any = {"base_url": f"{url}/v1", "api_key": KEY}
    with (
        openai.OpenAI(http_client=http_client, **options) as client,
        pytest.raises(LedgerUseError),
    ):
        client.chat.completions.create(model="gpt-demo", messages=MESSAGES)
    assert writer.failures == 1
