"""What a receipt says of a response body, for every wire format and every way to end."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.gateway.metering import Meter, Metered
from nous_ledger.gateway.providers import API_CHAT, API_MESSAGES, API_OTHER, API_RESPONSES
from nous_ledger.gateway.sse import SseParser
from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE
from nous_ledger.protocol.registries import ANOMALY
from tests.unit.metering_rig import (
    DONE,
    FINAL,
    MALFORMED,
    NONE,
    PARTIAL,
    counts,
    event,
    labels,
    meter,
)

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
    return event({"model": "m-1", "choices": [choice], "usage": None, **more})


def _usage_chunk(usage: bytes = USAGE) -> bytes:
    return b'data: {"model":"m-1","choices":[],"usage":' + usage + b"}\n\n"


CHAT = [_chunk("Hi"), _chunk(" you"), _chunk(finish="stop"), _usage_chunk(), DONE]


def test_chat_stream() -> None:
    metered = meter(API_CHAT, *CHAT)
    assert metered.metering == FINAL
    assert counts(metered) == {"input_unsplit": 9, "output_unsplit": 4}
    assert metered.provider_total == 13
    assert metered.raw_usage == (USAGE,)  # as it stood on the wire, spaces included
    assert metered.model == "m-1"
    assert (metered.ended, metered.failed, metered.incomplete) == (True, False, False)
    assert metered.anomalies == frozenset()


def test_visible_output_is_bounded_by_its_bytes_and_the_rest_is_not() -> None:
    split = meter(API_CHAT, _chunk("Hi you"), _usage_chunk(json.dumps(SPLIT).encode()), DONE)
    assert labels(split) == {
        "input_uncached": UNVERIFIABLE,
        "cache_read": UNVERIFIABLE,
        "output_visible": BOUNDED,
        "reasoning": UNVERIFIABLE,
    }
    (visible,) = [bucket for bucket in split.usage if bucket.label == BOUNDED]
    assert (visible.lower, visible.upper, visible.method) == (1, 6 + 16, "bytes/1")


def test_an_unsplit_output_is_bounded_only_if_nothing_hidden_can_be_in_it() -> None:
    assert labels(meter(API_CHAT, *CHAT))["output_unsplit"] == UNVERIFIABLE
    assert labels(meter(API_CHAT, *CHAT, ruled_out=True))["output_unsplit"] == BOUNDED


def test_what_was_not_shown_is_not_bounded() -> None:
    """LBL-10."""
    metered = meter(API_CHAT, *CHAT, ruled_out=True, reached=False)
    assert set(labels(metered).values()) == {UNVERIFIABLE}


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
    metered = meter(API_CHAT, *events)
    assert (metered.metering, metered.ended) == (metering, ended)
    if metering == NONE:
        assert metered.usage == ()
        assert metered.raw_usage == ()
        assert metered.provider_total is None


def test_a_transport_that_breaks_before_the_end_mark_is_no_end() -> None:
    assert not meter(API_CHAT, *CHAT[:4], cut=True).ended
    assert meter(API_CHAT, *CHAT, cut=True).ended


def test_an_answer_is_whole_only_when_every_choice_is() -> None:
    second = event({"choices": [{"index": 1, "delta": {"content": "B"}, "finish_reason": None}]})
    assert not meter(API_CHAT, _chunk("A"), second, _chunk(finish="stop")).ended


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_chat_cut_short(reason: str) -> None:
    assert meter(API_CHAT, _chunk("a"), _chunk(finish=reason), DONE).incomplete
    body = {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": reason}]}
    assert meter(API_CHAT, json.dumps(body).encode(), streamed=False).incomplete


def test_an_error_within_a_stream() -> None:
    for api in (API_CHAT, API_RESPONSES, API_MESSAGES):
        metered = meter(api, event({"type": "error", "error": {"message": "x"}}))
        assert metered.failed


def test_of_repeated_cumulative_usage_the_first_and_the_last_are_kept() -> None:
    """USAGE-1, USAGE-2."""
    usages = [b'{"prompt_tokens":9,"completion_tokens":%d}' % n for n in range(1, 40)]
    chunks = [
        b'data: {"choices":[{"index":0,"delta":{"content":"x"}}],"usage":' + usage + b"}\n\n"
        for usage in usages
    ]
    whole = meter(API_CHAT, *chunks, _chunk(finish="stop"), DONE)
    assert whole.raw_usage == (usages[0], usages[-1])
    assert whole.metering == FINAL
    assert counts(whole) == {"input_unsplit": 9, "output_unsplit": 39}
    assert whole.anomalies == frozenset()
    assert meter(API_CHAT, *chunks, cut=True).metering == PARTIAL


def test_two_final_usages_are_marked() -> None:
    metered = meter(API_CHAT, *CHAT[:4], _usage_chunk(), DONE)
    assert metered.anomalies == {ANOMALY["duplicate_usage"]}
    assert counts(metered)["output_unsplit"] == 4


def test_a_malformed_number_costs_its_bucket_and_keeps_the_bytes() -> None:
    """BKT-5."""
    usage = b'{"prompt_tokens":"9","completion_tokens":4,"total_tokens":13}'
    metered = meter(API_CHAT, _chunk("a"), _usage_chunk(usage), DONE)
    assert metered.metering == MALFORMED
    assert counts(metered) == {"output_unsplit": 4}
    assert metered.raw_usage == (usage,)
    assert metered.anomalies == {ANOMALY["usage_malformed"]}


def test_chat_tools_are_counted_and_marked() -> None:
    call = {"index": 0, "function": {"name": "f", "arguments": "{}"}}
    chunk = event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    metered = meter(API_CHAT, chunk, _chunk(finish="tool_calls"), CHAT[3], DONE, ruled_out=True)
    assert metered.anomalies == {ANOMALY["output_not_text_only"]}
    assert metered.usage[-1].upper == 3 + 2 * 16


def test_chat_body() -> None:
    body = b'{"model":"m-1","service_tier":"flex","choices":[{"index":0,"message":{"content":"Hi"},'
    body += b'"finish_reason":"stop"}],"usage":' + USAGE + b"}"
    metered = meter(API_CHAT, body[:50], body[50:], streamed=False)
    assert (metered.metering, metered.model, metered.service_tier) == (FINAL, "m-1", "flex")
    assert metered.raw_usage == (USAGE,)
    assert metered.ended


# --- stripping


def _strip(*pieces: bytes) -> bytes:
    meter = Meter(API_CHAT, streamed=True, strip=True)
    return b"".join(map(meter.feed, pieces)) + meter.close()


def test_only_the_usage_chunk_is_taken_out() -> None:
    assert _strip(*CHAT) == b"".join(CHAT[:3] + CHAT[4:])
    filtered = event({"choices": [], "prompt_filter_results": [], "usage": None})
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
    assert meter(API_CHAT, *pieces) == meter(API_CHAT, *CHAT)


# --- what cannot be read


def test_an_event_beyond_the_bound_passes_unread_and_leaves_an_anomaly() -> None:
    meter = Meter(API_RESPONSES, streamed=True, parser=SseParser(1000))
    response = {"usage": {"input_tokens": 1}}
    terminal = event({"type": "response.completed", "response": response, "x": "x" * 2000})
    assert meter.feed(terminal) == terminal
    metered = meter.result(hidden_ruled_out=False, all_shown=True, reached=True, cut=False)
    assert metered.metering == NONE
    assert metered.anomalies == {ANOMALY["usage_too_long"]}


def test_unreadable_text_makes_the_visible_output_unknown() -> None:
    metered = meter(API_CHAT, _chunk("a"), b"data: {not json\n\n", *CHAT, ruled_out=True)
    assert metered.metering == FINAL
    assert labels(metered)["output_unsplit"] == UNVERIFIABLE
    unreadable = b'data: {"choices":[],"usage":{"prompt_tokens":\xff}}\n\n'
    lost = meter(API_CHAT, _chunk(finish="stop"), unreadable, DONE)
    assert lost.metering == NONE
    assert lost.anomalies == {ANOMALY["usage_malformed"]}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"5", b"{}", b'{"usage":null}'])
def test_bodies_without_usage(body: bytes) -> None:
    for api in (API_CHAT, API_RESPONSES, API_MESSAGES):
        metered = meter(api, body, streamed=False)
        assert (metered.metering, metered.usage, metered.raw_usage) == (NONE, (), ())


def test_an_unmetered_call_is_not_read() -> None:
    for streamed in (True, False):
        assert meter(API_OTHER, *CHAT, streamed=streamed) == Metered()


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


def test_no_depth_of_nesting_raises() -> None:
    """A member is read from within more calls than the body that it stands in."""
    for depth in range(900, 1_000):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        chat = b'{"choices":[],"usage":%s}' % nested
        message = b'{"content":[{"type":"tool_use","input":%s}],"usage":{}}' % nested
        meter(API_CHAT, chat, streamed=False)
        meter(API_MESSAGES, message, streamed=False)


@given(st.lists(_EVENTS, max_size=5), _TYPES)
def test_nothing_an_upstream_sends_raises(sent: list[Any], kind: str) -> None:
    for value in sent:
        if isinstance(value, dict):
            value["type"] = kind
    for api in (API_CHAT, API_RESPONSES, API_MESSAGES):
        metered = meter(api, *map(event, sent))
        assert (metered.metering == NONE) <= (metered.usage == ())
        for value in sent:
            meter(api, json.dumps(value).encode(), streamed=False)
