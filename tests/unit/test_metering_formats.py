"""Anthropic's messages and OpenAI's responses: where their usage is and how they end."""

import json
from typing import Any

import pytest

from nous_ledger.gateway.providers import API_MESSAGES, API_RESPONSES
from nous_ledger.protocol.registries import ANOMALY
from tests.unit.metering_rig import (
    FINAL,
    NONE,
    PARTIAL,
    counts,
    event,
    meter,
)

# --- Anthropic messages


def _message(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\n".encode() + event({"type": kind, **fields})


START_USAGE = {"input_tokens": 25, "cache_read_input_tokens": 3, "output_tokens": 1}
MESSAGE = [
    _message("message_start", message={"model": "c-1", "content": [], "usage": START_USAGE}),
    _message("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    _message("ping"),
    _message("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"}),
    _message("content_block_stop", index=0),
    _message("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 15}),
    _message("message_stop"),
]


def test_messages_stream() -> None:
    metered = meter(API_MESSAGES, *MESSAGE, ruled_out=True)
    assert metered.metering == FINAL
    assert counts(metered) == {"input_uncached": 25, "cache_read": 3, "output_unsplit": 15}
    assert metered.usage[-1].upper == 5 + 16
    assert metered.provider_total is None
    assert metered.raw_usage == (json.dumps(START_USAGE).encode(), b'{"output_tokens": 15}')
    assert (metered.model, metered.ended) == ("c-1", True)


@pytest.mark.parametrize("length", range(8))
def test_messages_streams_that_break_off(length: int) -> None:
    metered = meter(API_MESSAGES, *MESSAGE[:length], cut=True)
    expected = NONE if length == 0 else PARTIAL if length < 6 else FINAL
    assert metered.metering == expected
    # The placeholder of the start is never taken for an output count.
    assert ("output_unsplit" in counts(metered)) == (expected == FINAL)
    assert metered.ended == (length == 7)


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded", "refusal"])
def test_messages_cut_short(reason: str) -> None:
    delta = _message("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 15})
    assert meter(API_MESSAGES, *MESSAGE[:5], delta, MESSAGE[6]).incomplete
    body = json.dumps({"type": "message", "content": [], "stop_reason": reason}).encode()
    assert meter(API_MESSAGES, body, streamed=False).incomplete


def test_messages_usage_that_grows_is_overlaid() -> None:
    more = _message("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 9})
    metered = meter(API_MESSAGES, *MESSAGE[:5], more, *MESSAGE[5:])
    assert counts(metered)["output_unsplit"] == 15
    assert metered.anomalies == frozenset()
    shrunk = _message("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 16})
    assert meter(API_MESSAGES, *MESSAGE[:5], shrunk, *MESSAGE[5:]).anomalies == {
        ANOMALY["usage_decreased"]
    }


def test_more_usage_values_than_a_receipt_commits_to_leave_an_anomaly() -> None:
    """USAGE-3."""
    deltas = [
        _message("message_delta", delta={"stop_reason": None}, usage={"output_tokens": n})
        for n in range(30)
    ]
    metered = meter(API_MESSAGES, MESSAGE[0], *deltas, *MESSAGE[5:], cut=True)
    assert metered.raw_usage == ()
    assert ANOMALY["usage_too_long"] in metered.anomalies
    assert metered.metering == FINAL
    assert counts(metered)["output_unsplit"] == 15
    long = b'{"output_tokens":15,"x":"' + b"x" * 65_536 + b'"}'
    body = b'{"type":"message","content":[],"usage":' + long + b"}"
    assert meter(API_MESSAGES, body, streamed=False).anomalies == {ANOMALY["usage_too_long"]}


def test_messages_body() -> None:
    usage = {**START_USAGE, "output_tokens": 15, "service_tier": "standard"}
    body = {"model": "c-1", "content": [{"type": "text", "text": "Hello"}], "usage": usage}
    metered = meter(API_MESSAGES, json.dumps(body).encode(), streamed=False)
    assert counts(metered)["output_unsplit"] == 15
    assert (metered.metering, metered.service_tier) == (FINAL, "standard")


# --- OpenAI responses

RESPONSE: dict[str, Any] = {
    "model": "r-1",
    "status": "completed",
    "service_tier": "default",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}],
    "usage": {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 12,
    },
}
CREATED = event({"type": "response.created", "response": {**RESPONSE, "usage": None, "output": []}})
RESPONSE_COUNTS = {"input_uncached": 5, "cache_read": 2, "output_visible": 2, "reasoning": 3}


@pytest.mark.parametrize(
    ("kind", "failed", "incomplete"),
    [("completed", False, False), ("incomplete", False, True), ("failed", True, False)],
)
def test_responses(kind: str, failed: bool, incomplete: bool) -> None:
    """Every terminal event bills, and a body says by its status which it was."""
    response = {**RESPONSE, "status": kind}
    terminal = event({"type": f"response.{kind}", "response": response})
    streamed = meter(API_RESPONSES, CREATED, terminal)
    whole = meter(API_RESPONSES, json.dumps(response).encode(), streamed=False)
    for metered in (streamed, whole):
        assert (metered.failed, metered.incomplete) == (failed, incomplete)
        assert counts(metered) == RESPONSE_COUNTS
        assert metered.metering == FINAL
        assert (metered.model, metered.service_tier) == ("r-1", "default")
    assert streamed.raw_usage == whole.raw_usage == (json.dumps(RESPONSE["usage"]).encode(),)


def test_a_response_stream_without_its_terminal_event_has_no_usage() -> None:
    metered = meter(API_RESPONSES, CREATED, event({"type": "response.output_text.delta"}))
    assert (metered.metering, metered.ended, metered.model) == (NONE, False, "r-1")


def test_a_final_event_of_five_megabytes_is_read() -> None:
    response = {**RESPONSE, "instructions": "x" * 5_000_000}
    terminal = event({"type": "response.completed", "response": response})
    pieces = [terminal[i : i + 65_536] for i in range(0, len(terminal), 65_536)]
    assert counts(meter(API_RESPONSES, CREATED, *pieces)) == RESPONSE_COUNTS
