"""What a receipt says of a response body, for every wire format and every way to end."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.gateway.metering import Meter, Metered
from nous_ledger.gateway.providers import API_CHAT, API_MESSAGES, API_OTHER, API_RESPONSES
from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE
from nous_ledger.protocol.registries import ANOMALY, KIND, METERING

NONE, FINAL, PARTIAL, MALFORMED = (
    METERING[name] for name in ("none", "final", "partial", "malformed")
)
DONE = b"data: [DONE]\n\n"


def _event(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _meter(
    api: int,
    *pieces: bytes,
    streamed: bool = True,
    ruled_out: bool = False,
    reached: bool = True,
    cut: bool = False,
) -> Metered:
    meter = Meter(api, streamed=streamed)
    for piece in pieces:
        assert meter.feed(piece) == piece
    assert meter.close() == b""
    return meter.result(hidden_ruled_out=ruled_out, reached=reached, cut=cut)


def _counts(metered: Metered) -> dict[str, int | None]:
    return {KIND.name_of(bucket.kind): bucket.reported for bucket in metered.usage}


def _labels(metered: Metered) -> dict[str, int]:
    return {KIND.name_of(bucket.kind): bucket.label for bucket in metered.usage}


# --- OpenAI chat completions

USAGE = b'{"prompt_tokens": 9,"completion_tokens":4, "total_tokens":13}'
SPLIT: dict[str, Any] = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


def _chunk(content: str | None = None, finish: str | None = None, **more: object) -> bytes:
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event({"model": "m-1", "choices": [choice], "usage": None, **more})


def _usage_chunk(usage: bytes = USAGE) -> bytes:
    return b'data: {"model":"m-1","choices":[],"usage":' + usage + b"}\n\n"


CHAT = [_chunk("Hi"), _chunk(" you"), _chunk(finish="stop"), _usage_chunk(), DONE]


def test_chat_stream() -> None:
    metered = _meter(API_CHAT, *CHAT)
    assert metered.metering == FINAL
    assert _counts(metered) == {"input_unsplit": 9, "output_unsplit": 4}
    assert metered.provider_total == 13
    assert metered.raw_usage == (USAGE,)  # as it stood on the wire, spaces included
    assert metered.model == "m-1"
    assert (metered.ended, metered.failed, metered.incomplete) == (True, False, False)
    assert metered.anomalies == frozenset()


def test_visible_output_is_bounded_by_its_bytes_and_the_rest_is_not() -> None:
    split = _meter(API_CHAT, _chunk("Hi you"), _usage_chunk(json.dumps(SPLIT).encode()), DONE)
    assert _labels(split) == {
        "input_uncached": UNVERIFIABLE,
        "cache_read": UNVERIFIABLE,
        "output_visible": BOUNDED,
        "reasoning": UNVERIFIABLE,
    }
    (visible,) = [bucket for bucket in split.usage if bucket.label == BOUNDED]
    assert (visible.lower, visible.upper, visible.method) == (1, 6 + 16, "bytes/1")


def test_an_unsplit_output_is_bounded_only_if_nothing_hidden_can_be_in_it() -> None:
    assert _labels(_meter(API_CHAT, *CHAT))["output_unsplit"] == UNVERIFIABLE
    assert _labels(_meter(API_CHAT, *CHAT, ruled_out=True))["output_unsplit"] == BOUNDED


def test_what_was_not_shown_is_not_bounded() -> None:
    """LBL-10."""
    metered = _meter(API_CHAT, *CHAT, ruled_out=True, reached=False)
    assert set(_labels(metered).values()) == {UNVERIFIABLE}


@pytest.mark.parametrize(
    ("events", "metering", "ended"),
    [
        (CHAT[:0], NONE, False),
        (CHAT[:1], NONE, False),
        (CHAT[:2], NONE, False),
        (CHAT[:3], NONE, True),  # the answer is whole although neither usage nor end mark came
        (CHAT[:4], FINAL, True),
        ([*CHAT[:4], b"data: [DONE]"], FINAL, True),
        ([*CHAT[:3], b'data: {"choices":[],"usage":' + USAGE + b"}"], FINAL, True),
        ([*CHAT[:3], DONE], NONE, True),
    ],
)
def test_chat_streams_that_end_early(events: list[bytes], metering: int, ended: bool) -> None:
    metered = _meter(API_CHAT, *events)
    assert (metered.metering, metered.ended) == (metering, ended)
    if metering == NONE:
        assert metered.usage == ()
        assert metered.raw_usage == ()
        assert metered.provider_total is None


def test_a_transport_that_breaks_before_the_end_mark_is_no_end() -> None:
    assert not _meter(API_CHAT, *CHAT[:4], cut=True).ended
    assert _meter(API_CHAT, *CHAT, cut=True).ended


def test_an_answer_is_whole_only_when_every_choice_is() -> None:
    second = _event({"choices": [{"index": 1, "delta": {"content": "B"}, "finish_reason": None}]})
    assert not _meter(API_CHAT, _chunk("A"), second, _chunk(finish="stop")).ended


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_chat_cut_short(reason: str) -> None:
    assert _meter(API_CHAT, _chunk("a"), _chunk(finish=reason), DONE).incomplete
    body = {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": reason}]}
    assert _meter(API_CHAT, json.dumps(body).encode(), streamed=False).incomplete


def test_an_error_within_a_stream() -> None:
    for api in (API_CHAT, API_RESPONSES, API_MESSAGES):
        metered = _meter(api, _event({"type": "error", "error": {"message": "x"}}))
        assert metered.failed


def test_of_repeated_cumulative_usage_the_first_and_the_last_are_kept() -> None:
    """USAGE-1, USAGE-2."""
    usages = [b'{"prompt_tokens":9,"completion_tokens":%d}' % n for n in range(1, 40)]
    chunks = [
        b'data: {"choices":[{"index":0,"delta":{"content":"x"}}],"usage":' + usage + b"}\n\n"
        for usage in usages
    ]
    whole = _meter(API_CHAT, *chunks, _chunk(finish="stop"), DONE)
    assert whole.raw_usage == (usages[0], usages[-1])
    assert whole.metering == FINAL
    assert _counts(whole) == {"input_unsplit": 9, "output_unsplit": 39}
    assert whole.anomalies == frozenset()
    assert _meter(API_CHAT, *chunks, cut=True).metering == PARTIAL


def test_two_final_usages_are_marked() -> None:
    metered = _meter(API_CHAT, *CHAT[:4], _usage_chunk(), DONE)
    assert metered.anomalies == {ANOMALY["duplicate_usage"]}
    assert _counts(metered)["output_unsplit"] == 4


def test_a_malformed_number_costs_its_bucket_and_keeps_the_bytes() -> None:
    """BKT-5."""
    usage = b'{"prompt_tokens":"9","completion_tokens":4,"total_tokens":13}'
    metered = _meter(API_CHAT, _chunk("a"), _usage_chunk(usage), DONE)
    assert metered.metering == MALFORMED
    assert _counts(metered) == {"output_unsplit": 4}
    assert metered.raw_usage == (usage,)
    assert metered.anomalies == {ANOMALY["usage_malformed"]}


def test_chat_tools_are_counted_and_marked() -> None:
    call = {"index": 0, "function": {"name": "f", "arguments": "{}"}}
    chunk = _event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    metered = _meter(API_CHAT, chunk, _chunk(finish="tool_calls"), CHAT[3], DONE, ruled_out=True)
    assert metered.anomalies == {ANOMALY["output_not_text_only"]}
    assert metered.usage[-1].upper == 3 + 2 * 16


def test_chat_body() -> None:
    body = b'{"model":"m-1","service_tier":"flex","choices":[{"index":0,"message":{"content":"Hi"},'
    body += b'"finish_reason":"stop"}],"usage":' + USAGE + b"}"
    metered = _meter(API_CHAT, body[:50], body[50:], streamed=False)
    assert (metered.metering, metered.model, metered.service_tier) == (FINAL, "m-1", "flex")
    assert metered.raw_usage == (USAGE,)
    assert metered.ended


# --- stripping


def _strip(*pieces: bytes) -> bytes:
    meter = Meter(API_CHAT, streamed=True, strip=True)
    return b"".join(map(meter.feed, pieces)) + meter.close()


def test_only_the_usage_chunk_is_taken_out() -> None:
    assert _strip(*CHAT) == b"".join(CHAT[:3] + CHAT[4:])
    filtered = _event({"choices": [], "prompt_filter_results": [], "usage": None})
    with_usage = _chunk("a", usage=SPLIT)
    kept = [filtered, b": ping\n\n", with_usage, b"data: not json\n\n", *CHAT[:3], DONE, b"tail"]
    assert _strip(*kept) == b"".join(kept)


@given(st.lists(st.integers(0, 600), max_size=20), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_stripping_and_metering_do_not_depend_on_the_pieces(cuts: list[int], end: bytes) -> None:
    stream = b"".join(CHAT).replace(b"\n", end)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    expected = b"".join(CHAT[:3] + CHAT[4:]).replace(b"\n", end)
    assert _strip(*pieces) == expected
    assert _meter(API_CHAT, *pieces) == _meter(API_CHAT, *CHAT)


# --- Anthropic messages


def _message(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\n".encode() + _event({"type": kind, **fields})


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
    metered = _meter(API_MESSAGES, *MESSAGE, ruled_out=True)
    assert metered.metering == FINAL
    assert _counts(metered) == {"input_uncached": 25, "cache_read": 3, "output_unsplit": 15}
    assert metered.usage[-1].upper == 5 + 16
    assert metered.provider_total is None
    assert metered.raw_usage == (json.dumps(START_USAGE).encode(), b'{"output_tokens": 15}')
    assert (metered.model, metered.ended) == ("c-1", True)


@pytest.mark.parametrize("length", range(8))
def test_messages_streams_that_break_off(length: int) -> None:
    metered = _meter(API_MESSAGES, *MESSAGE[:length], cut=True)
    expected = NONE if length == 0 else PARTIAL if length < 6 else FINAL
    assert metered.metering == expected
    # The placeholder of the start is never taken for an output count.
    assert ("output_unsplit" in _counts(metered)) == (expected == FINAL)
    assert metered.ended == (length == 7)


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded", "refusal"])
def test_messages_cut_short(reason: str) -> None:
    delta = _message("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 15})
    assert _meter(API_MESSAGES, *MESSAGE[:5], delta, MESSAGE[6]).incomplete
    body = json.dumps({"type": "message", "content": [], "stop_reason": reason}).encode()
    assert _meter(API_MESSAGES, body, streamed=False).incomplete


def test_messages_usage_that_grows_is_overlaid() -> None:
    more = _message("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 9})
    metered = _meter(API_MESSAGES, *MESSAGE[:5], more, *MESSAGE[5:])
    assert _counts(metered)["output_unsplit"] == 15
    assert metered.anomalies == frozenset()
    shrunk = _message("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 16})
    assert _meter(API_MESSAGES, *MESSAGE[:5], shrunk, *MESSAGE[5:]).anomalies == {
        ANOMALY["usage_decreased"]
    }


def test_more_usage_values_than_a_receipt_commits_to_leave_an_anomaly() -> None:
    """USAGE-3."""
    deltas = [
        _message("message_delta", delta={"stop_reason": None}, usage={"output_tokens": n})
        for n in range(30)
    ]
    metered = _meter(API_MESSAGES, MESSAGE[0], *deltas, *MESSAGE[5:], cut=True)
    assert metered.raw_usage == ()
    assert ANOMALY["usage_too_long"] in metered.anomalies
    assert metered.metering == FINAL
    assert _counts(metered)["output_unsplit"] == 15
    long = b'{"output_tokens":15,"x":"' + b"x" * 65_536 + b'"}'
    body = b'{"type":"message","content":[],"usage":' + long + b"}"
    assert _meter(API_MESSAGES, body, streamed=False).anomalies == {ANOMALY["usage_too_long"]}


def test_messages_body() -> None:
    usage = {**START_USAGE, "output_tokens": 15, "service_tier": "standard"}
    body = {"model": "c-1", "content": [{"type": "text", "text": "Hello"}], "usage": usage}
    metered = _meter(API_MESSAGES, json.dumps(body).encode(), streamed=False)
    assert _counts(metered)["output_unsplit"] == 15
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
CREATED = _event(
    {"type": "response.created", "response": {**RESPONSE, "usage": None, "output": []}}
)
RESPONSE_COUNTS = {"input_uncached": 5, "cache_read": 2, "output_visible": 2, "reasoning": 3}


@pytest.mark.parametrize(
    ("kind", "failed", "incomplete"),
    [("completed", False, False), ("incomplete", False, True), ("failed", True, False)],
)
def test_responses(kind: str, failed: bool, incomplete: bool) -> None:
    """Every terminal event bills, and a body says by its status which it was."""
    response = {**RESPONSE, "status": kind}
    terminal = _event({"type": f"response.{kind}", "response": response})
    streamed = _meter(API_RESPONSES, CREATED, terminal)
    whole = _meter(API_RESPONSES, json.dumps(response).encode(), streamed=False)
    for metered in (streamed, whole):
        assert (metered.failed, metered.incomplete) == (failed, incomplete)
        assert _counts(metered) == RESPONSE_COUNTS
        assert metered.metering == FINAL
        assert (metered.model, metered.service_tier) == ("r-1", "default")
    assert streamed.raw_usage == whole.raw_usage == (json.dumps(RESPONSE["usage"]).encode(),)


def test_a_response_stream_without_its_terminal_event_has_no_usage() -> None:
    metered = _meter(API_RESPONSES, CREATED, _event({"type": "response.output_text.delta"}))
    assert (metered.metering, metered.ended, metered.model) == (NONE, False, "r-1")


def test_a_final_event_of_five_megabytes_is_read() -> None:
    response = {**RESPONSE, "instructions": "x" * 5_000_000}
    terminal = _event({"type": "response.completed", "response": response})
    pieces = [terminal[i : i + 65_536] for i in range(0, len(terminal), 65_536)]
    assert _counts(_meter(API_RESPONSES, CREATED, *pieces)) == RESPONSE_COUNTS


# --- what cannot be read


def test_an_event_beyond_the_bound_passes_unread_and_leaves_an_anomaly() -> None:
    meter = Meter(API_RESPONSES, streamed=True, max_event_bytes=1000)
    terminal = _event({"type": "response.completed", "response": RESPONSE, "x": "x" * 2000})
    assert meter.feed(terminal) == terminal
    metered = meter.result(hidden_ruled_out=False, reached=True, cut=False)
    assert metered.metering == NONE
    assert metered.anomalies == {ANOMALY["usage_too_long"]}


def test_unreadable_text_makes_the_visible_output_unknown() -> None:
    metered = _meter(API_CHAT, _chunk("a"), b"data: {not json\n\n", *CHAT, ruled_out=True)
    assert metered.metering == FINAL
    assert _labels(metered)["output_unsplit"] == UNVERIFIABLE
    unreadable = b'data: {"choices":[],"usage":{"prompt_tokens":\xff}}\n\n'
    lost = _meter(API_CHAT, _chunk(finish="stop"), unreadable, DONE)
    assert lost.metering == NONE
    assert lost.anomalies == {ANOMALY["usage_malformed"]}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"5", b"{}", b'{"usage":null}'])
def test_bodies_without_usage(body: bytes) -> None:
    for api in (API_CHAT, API_RESPONSES, API_MESSAGES):
        metered = _meter(api, body, streamed=False)
        assert (metered.metering, metered.usage, metered.raw_usage) == (NONE, (), ())


def test_an_unmetered_call_is_not_read() -> None:
    for streamed in (True, False):
        assert _meter(API_OTHER, *CHAT, streamed=streamed) == Metered()


_KEYS = st.sampled_from(
    [
        "type",
        "choices",
        "usage",
        "model",
        "delta",
        "message",
        "response",
        "error",
        "index",
        "finish_reason",
        "stop_reason",
        "status",
        "prompt_tokens",
        "completion_tokens",
        "input_tokens",
        "output_tokens",
        "output",
        "content",
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.sampled_from(["m", "stop", "end_turn"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=15,
)
_EVENTS = st.dictionaries(_KEYS, _VALUES, max_size=6) | _VALUES
_TYPES = st.sampled_from(
    [
        "message_start",
        "message_delta",
        "message_stop",
        "response.completed",
        "response.failed",
        "error",
    ]
)


@given(st.lists(_EVENTS, max_size=5), _TYPES)
def test_nothing_an_upstream_sends_raises(events: list[Any], kind: str) -> None:
    for event in events:
        if isinstance(event, dict):
            event["type"] = kind
    for api in (API_CHAT, API_RESPONSES, API_MESSAGES):
        metered = _meter(api, *map(_event, events))
        assert (metered.metering == NONE) <= (metered.usage == ())
        for event in events:
            _meter(api, json.dumps(event).encode(), streamed=False)
