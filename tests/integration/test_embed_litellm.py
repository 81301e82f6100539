"""LiteLLM's events as receipts, and the logger in the real package where that is installed."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.embed.litellm_events import read_event
from nous_ledger.embed.litellm_writer import EventWriter
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import API, METERING, SOURCE, SUBJECT_KIND
from nous_ledger.protocol.types import SubjectId
from tests.architecture.repository import ROOT
from tests.integration.gateway.rig import counts, status

USAGE: dict[str, Any] = {
    "prompt_tokens": 20,
    "completion_tokens": 5,
    "total_tokens": 25,
    "prompt_tokens_details": {
        "cached_tokens": 8,
        "cache_creation_tokens": 2,
        "audio_tokens": None,
    },
    "completion_tokens_details": None,
}
EVENT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "call_type": "acompletion",
    "stream": True,
    "status": "success",
    "custom_llm_provider": "openai",
    "startTime": 1_795_000_000.25,
    "endTime": 1_795_000_001.5,
    "model": "gpt-demo",
    "api_base": "https://api.openai.com/v1/",
    "cache_hit": None,
    "metadata": {"user_api_key_hash": None},
    "response": {"choices": [{"finish_reason": "stop"}]},
    "error_information": None,
}


@pytest.fixture
def log(folder: Path) -> Iterator[Ledger]:
    with Ledger.create(folder, next_key_out=None) as made:
        yield made


def _logged(log: Ledger, usage: dict[str, Any] | None = USAGE, **changes: Any) -> Receipt:
    """Return what the log holds of an event: only receipts that keep its rules get in."""
    receipt = read_event({**EVENT, **changes}, usage, SubjectId(bytes(32)))
    assert receipt is not None
    return log.append(receipt).receipt


def test_an_answer(log: Ledger) -> None:
    receipt = _logged(log)
    assert (receipt.source, receipt.api) == (SOURCE["embedded"], API["other"])
    assert (receipt.provider, receipt.upstream) == ("openai", "api.openai.com")
    assert (status(receipt), receipt.http_status, receipt.streamed) == ("complete", 200, 1)
    assert (receipt.operation, receipt.model_requested) == ("chat", "gpt-demo")
    assert (receipt.time, receipt.duration) == (1_795_000_000_250, 1_250)
    assert receipt.metering == METERING["final"]
    assert sorted(counts(receipt).values(), key=str) == [10, 2, 5, 8]
    assert receipt.provider_total == 25
    assert (receipt.request_commitment, receipt.response_commitment) == (None, None)
    assert receipt.raw_usage_hash is None


@pytest.mark.parametrize(
    ("api_base", "expected"),
    [
        ("https://api.anthropic.com/v1/messages", ("anthropic", "api.anthropic.com")),
        ("http://127.0.0.1:8000/v1", ("custom", "127.0.0.1:8000")),
        ("https://name:secret@example.com", ("custom", "example.com")),
        ("", ("custom", None)),
        (None, ("custom", None)),
        ("https://[", ("custom", None)),
    ],
)
def test_the_host_says_whose_call_it_was(
    log: Ledger, api_base: str | None, expected: tuple[str, str | None]
) -> None:
    receipt = _logged(log, api_base=api_base)
    assert (receipt.provider, receipt.upstream) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"error_code": "429", "error_class": "RateLimitError"}, ("upstream_error", 429)),
        ({"error_code": "408", "error_class": "Timeout"}, ("timeout", None)),
        (
            {"error_code": "500", "error_class": "APIConnectionError"},
            ("upstream_unreachable", None),
        ),
        ({"error_code": "", "error_class": "ValueError"}, ("upstream_error", None)),
        (None, ("upstream_error", None)),
    ],
)
def test_failures(log: Ledger, error: Any, expected: tuple[str, int | None]) -> None:
    receipt = _logged(log, status="failure", error_information=error)
    assert (status(receipt), receipt.http_status) == expected
    assert receipt.metering == METERING["none"]


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": object()}])
def test_no_usage_is_none_and_not_zero(log: Ledger, usage: dict[str, Any] | None) -> None:
    receipt = _logged(log, usage)
    assert (receipt.metering, receipt.usage) == (METERING["none"], None)


def test_an_answer_cut_short(log: Ledger) -> None:
    receipt = _logged(log, response={"choices": [{"finish_reason": "length"}]})
    assert status(receipt) == "incomplete"


def test_an_answer_from_the_cache_is_no_call() -> None:
    assert read_event({**EVENT, "cache_hit": True}, USAGE, SubjectId(bytes(32))) is None


def test_an_event_of_which_nothing_is_known(log: Ledger) -> None:
    receipt = read_event({}, None, SubjectId(bytes(32)))
    assert receipt is not None
    assert log.append(receipt).receipt.operation == "other"


class Answer:
    """A response as LiteLLM's loggers get it: its usage is a model of pydantic."""

    class usage:  # noqa: N801
        @staticmethod
        def model_dump() -> dict[str, Any]:
            return USAGE


def _receipts(log: Ledger) -> list[Receipt]:
    return [row.receipt for row in log.receipts() if row.receipt]


def test_each_attempt_is_written_once(log: Ledger) -> None:
    """LiteLLM may tell one call to the hooks for threads and to those for tasks."""
    writer = EventWriter(log, b"sk-made-up")
    said = {"standard_logging_object": EVENT, "litellm_call_id": "1"}
    failed = {**EVENT, "status": "failure", "startTime": EVENT["startTime"] - 1}
    for _ in range(2):
        writer.write({**said, "standard_logging_object": failed}, None)
        writer.write(said, Answer())
    writer.write({"litellm_call_id": "2"}, Answer())  # nothing is said of it
    first, second = _receipts(log)
    assert (status(first), status(second)) == ("upstream_error", "complete")
    assert second.provider_total == 25
    assert second.subject == log.subject(2, b"sk-made-up")


def test_the_proxy_says_whose_call_it_was(log: Ledger) -> None:
    event = {**EVENT, "metadata": {"user_api_key_hash": "88dc28d0f030c55e"}}
    EventWriter(log, b"").write({"standard_logging_object": event}, Answer())
    EventWriter(log, b"").write({"standard_logging_object": EVENT}, Answer())
    keyed, anonymous = _receipts(log)
    assert keyed.subject == log.subject(SUBJECT_KIND["client_token"], b"88dc28d0f030c55e")
    assert anonymous.subject == log.subject(SUBJECT_KIND["none"], b"")


def test_a_receipt_that_cannot_be_written_is_counted(log: Ledger) -> None:
    log.close()
    writer = EventWriter(log, b"")
    writer.write({"standard_logging_object": EVENT}, Answer())
    assert writer.failures == 1


@pytest.mark.skipif(
    importlib.util.find_spec("litellm") is None, reason="litellm is not installed: 742 MB"
)
def test_the_example_counts_what_litellm_counts(tmp_path: Path) -> None:
    output = subprocess.run(
        [sys.executable, ROOT / "examples/embed_litellm.py", tmp_path / "program"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    with Ledger.open(tmp_path / "program" / "ledger", read_only=True) as ledger:
        (receipt,) = [row.receipt for row in ledger.receipts() if row.receipt]
    inputs = counts(receipt)["input_uncached"] or 0
    outputs = (receipt.provider_total or 0) - inputs
    assert f"LiteLLM: {inputs} in, {outputs} out" in output
    assert inputs * outputs > 0
