"""Usage values of providers as disjoint buckets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.gateway.usage import (
    read_chat_usage,
    read_messages_usage,
    read_responses_usage,
)
from nous_ledger.gateway.usage_sheet import UsageReading
from nous_ledger.protocol.label import UNVERIFIABLE, Bucket, check_usage
from nous_ledger.protocol.registries import ANOMALY, KIND

MALFORMED = ANOMALY["usage_malformed"]
EXCEEDS = ANOMALY["details_exceed_total"]
DECREASED = ANOMALY["usage_decreased"]
MISMATCH = ANOMALY["total_mismatch"]


def _named(reading: UsageReading) -> dict[str, int]:
    return {KIND.name_of(kind): count for kind, count in reading.counts}


def _chat(prompt: object, completion: object, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


CHAT_CASES: list[tuple[str, dict[str, Any], dict[str, int], set[int]]] = [
    (
        "no details: nothing is split",
        _chat(19, 10, total_tokens=29),
        {"input_unsplit": 19, "output_unsplit": 10},
        set(),
    ),
    (
        "cached and reasoning are inside",
        _chat(
            2006,
            300,
            total_tokens=2306,
            prompt_tokens_details={"cached_tokens": 1920, "audio_tokens": 0},
            completion_tokens_details={
                "reasoning_tokens": 192,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 8,
            },
        ),
        {
            "input_uncached": 86,
            "cache_read": 1920,
            "output_visible": 100,
            "reasoning": 192,
            "rejected_prediction": 8,
        },
        set(),
    ),
    (
        "accepted predictions are visible output",
        _chat(
            5,
            20,
            completion_tokens_details={"reasoning_tokens": 0, "accepted_prediction_tokens": 15},
        ),
        {"input_unsplit": 5, "output_visible": 20, "reasoning": 0},
        set(),
    ),
    (
        "media and cache writes are taken out of the prompt",
        _chat(
            100,
            50,
            total_tokens=150,
            prompt_tokens_details={
                "cached_tokens": 10,
                "cache_write_tokens": 20,
                "audio_tokens": 30,
                "image_tokens": 5,
            },
            completion_tokens_details={"reasoning_tokens": 0, "audio_tokens": 40},
        ),
        {
            "input_uncached": 35,
            "cache_read": 10,
            "cache_write": 20,
            "output_visible": 10,
            "reasoning": 0,
            "input_audio": 30,
            "input_image": 5,
            "output_audio": 40,
        },
        set(),
    ),
    (
        "details without a cache count do not split the prompt",
        _chat(50, 5, prompt_tokens_details={"audio_tokens": 20}),
        {"input_unsplit": 30, "output_unsplit": 5, "input_audio": 20},
        set(),
    ),
    (
        "details above their total are dropped",
        _chat(
            10,
            10,
            total_tokens=20,
            prompt_tokens_details={"cached_tokens": 11},
            completion_tokens_details={"reasoning_tokens": 6, "rejected_prediction_tokens": 5},
        ),
        {"input_unsplit": 10, "output_unsplit": 10},
        {EXCEEDS},
    ),
    (
        "zero is a count",
        _chat(0, 0, total_tokens=0),
        {"input_unsplit": 0, "output_unsplit": 0},
        set(),
    ),
    ("absent is not zero", {"total_tokens": 7}, {}, {MISMATCH}),
    ("null is absent", _chat(7, None, prompt_tokens_details=None), {"input_unsplit": 7}, set()),
    (
        "a total that does not add up is kept and marked",
        _chat(7, 8, total_tokens=16),
        {"input_unsplit": 7, "output_unsplit": 8},
        {MISMATCH},
    ),
    (
        "a malformed detail leaves its side unsplit",
        _chat(
            100,
            50,
            prompt_tokens_details={"cached_tokens": "10", "audio_tokens": 30},
            completion_tokens_details={"reasoning_tokens": 5, "audio_tokens": -1},
        ),
        {"input_unsplit": 70, "output_unsplit": 50, "input_audio": 30},
        {MALFORMED},
    ),
    (
        "details that are no object are malformed",
        _chat(9, 1, prompt_tokens_details=[4]),
        {"input_unsplit": 9, "output_unsplit": 1},
        {MALFORMED},
    ),
]


@pytest.mark.parametrize(
    ("usage", "expected", "anomalies"),
    [case[1:] for case in CHAT_CASES],
    ids=[c[0] for c in CHAT_CASES],
)
def test_openai_chat(usage: dict[str, Any], expected: dict[str, int], anomalies: set[int]) -> None:
    reading = read_chat_usage([usage])
    assert _named(reading) == expected
    assert reading.anomalies == anomalies
    assert reading.provider_total == usage.get("total_tokens")


@pytest.mark.parametrize("bad", ["5", 5.0, 1e3, -1, True, False, 2**53, [], {}])
def test_a_number_that_is_none_has_no_bucket(bad: object) -> None:
    """BKT-5: and the receipt says so."""
    reading = read_chat_usage([_chat(bad, 3, total_tokens=3)])
    assert _named(reading) == {"output_unsplit": 3}
    assert reading.anomalies == {MALFORMED}
    assert reading.malformed
    assert read_chat_usage([_chat(1, 2, total_tokens=bad)]).provider_total is None


def test_the_largest_count_is_a_count() -> None:
    assert _named(read_chat_usage([_chat(2**53 - 1, 0)]))["input_unsplit"] == 2**53 - 1


@pytest.mark.parametrize("value", [5, "x", [1], True])
def test_a_usage_that_is_no_object_is_malformed(value: object) -> None:
    for read in (read_chat_usage, read_responses_usage):
        assert read([value]) == UsageReading(
            counts=(), provider_total=None, anomalies=frozenset({MALFORMED})
        )
    assert read_messages_usage([value], started=False).malformed


def test_repeated_cumulative_usage_counts_once() -> None:
    values = [_chat(10, 1, total_tokens=11), _chat(10, 7, total_tokens=17)]
    reading = read_chat_usage(values)
    assert _named(reading) == {"input_unsplit": 10, "output_unsplit": 7}
    assert reading.anomalies == frozenset()
    assert DECREASED in read_chat_usage(values[::-1]).anomalies


def test_openai_responses() -> None:
    usage = {
        "input_tokens": 1000,
        "input_tokens_details": {
            "cached_tokens": 600,
            "cache_write_tokens": 100,
            "cache_write_tokens_details": {"ttl_30m_tokens": 60, "ttl_12h_tokens": 40},
        },
        "output_tokens": 500,
        "output_tokens_details": {"reasoning_tokens": 384},
        "total_tokens": 1500,
    }
    reading = read_responses_usage([usage])
    assert _named(reading) == {
        "input_uncached": 300,
        "cache_read": 600,
        "cache_write_30m": 60,
        "cache_write_12h": 40,
        "output_visible": 116,
        "reasoning": 384,
    }
    assert (reading.provider_total, reading.anomalies) == (1500, frozenset())


START = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 188,
    "cache_read_input_tokens": 4000,
    "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 88},
    "output_tokens": 3,
    "service_tier": "standard",
}
START_COUNTS = {
    "input_uncached": 21,
    "cache_read": 4000,
    "cache_write_5m": 100,
    "cache_write_1h": 88,
}


def test_anthropic_caches_stand_beside_the_input() -> None:
    reading = read_messages_usage([START], started=False)
    assert _named(reading) == {**START_COUNTS, "output_unsplit": 3}
    assert reading.provider_total is None


def test_anthropic_delta_lies_over_the_start_and_is_not_summed() -> None:
    delta = {
        "input_tokens": 21,
        "cache_creation_input_tokens": 188,
        "cache_read_input_tokens": 4000,
        "output_tokens": 503,
        "output_tokens_details": {"thinking_tokens": 200},
    }
    reading = read_messages_usage([START, delta], started=True)
    assert _named(reading) == {**START_COUNTS, "output_visible": 303, "reasoning": 200}
    assert reading.anomalies == frozenset()


def test_anthropic_start_alone_says_nothing_of_the_output() -> None:
    assert _named(read_messages_usage([START], started=True)) == START_COUNTS


def test_anthropic_null_in_a_delta_leaves_the_start() -> None:
    delta = {"input_tokens": None, "cache_read_input_tokens": None, "output_tokens": 2}
    reading = read_messages_usage([START, delta], started=True)
    assert _named(reading) == {**START_COUNTS, "output_unsplit": 2}
    assert reading.anomalies == frozenset()  # the placeholder 3 was no count


def test_anthropic_cache_writes_that_grew_have_a_part_of_unknown_lifetime() -> None:
    grown = read_messages_usage([START, {"cache_creation_input_tokens": 200}], started=True)
    assert _named(grown) == {**START_COUNTS, "cache_write": 12}
    shrunk = read_messages_usage([START, {"cache_creation_input_tokens": 8}], started=True)
    assert shrunk.anomalies == {EXCEEDS, DECREASED}
    assert _named(shrunk) == {"input_uncached": 21, "cache_read": 4000, "cache_write": 8}


def test_anthropic_without_lifetimes_and_with_server_tools() -> None:
    usage = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 0,
        "output_tokens": 9,
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
    }
    assert _named(read_messages_usage([usage], started=False)) == {
        "input_uncached": 5,
        "cache_write": 0,
        "output_unsplit": 9,
        "web_searches": 2,
        "web_fetches": 0,
    }


_COUNTS = st.integers(0, 2**53 - 1) | st.integers(0, 30)
_ODD = st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.integers()
_ODD_OBJECTS = st.dictionaries(st.text(max_size=3), _ODD, max_size=2)


def _objects(names: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, values))


def _openai(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    inside = ["cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"]
    outside = ["reasoning_tokens", "audio_tokens", "rejected_prediction_tokens"]
    return st.fixed_dictionaries(
        {"prompt_tokens": values, "completion_tokens": values},
        optional={
            "total_tokens": values,
            "prompt_tokens_details": _objects(inside, values),
            "completion_tokens_details": _objects(outside, values),
        },
    )


@given(_openai(_COUNTS))
def test_buckets_add_up_to_what_the_provider_said(usage: dict[str, Any]) -> None:
    """Disjoint: nothing counted twice, nothing lost, whatever the details say (RCPT-11)."""
    reading = read_chat_usage([usage])
    both = usage["prompt_tokens"] + usage["completion_tokens"]
    assert sum(count for _, count in reading.counts) == both
    mismatch = usage.get("total_tokens", both) != both
    assert (MISMATCH in reading.anomalies) == mismatch


_ANTHROPIC_NAMES = [
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
    "output_tokens_details",
    "server_tool_use",
]


@given(
    st.lists(
        _openai(_COUNTS | _ODD | _ODD_OBJECTS)
        | _objects(
            _ANTHROPIC_NAMES, _COUNTS | _ODD | _ODD_OBJECTS | _objects(["thinking_tokens"], _ODD)
        )
        | _ODD,
        max_size=3,
    )
)
def test_anything_is_read_without_an_error_and_makes_valid_buckets(values: list[object]) -> None:
    readings = [
        read_chat_usage(values),
        read_responses_usage(values),
        read_messages_usage(values, started=True),
        read_messages_usage(values, started=False),
    ]
    for reading in readings:
        check_usage(
            [
                Bucket(kind=kind, reported=count, label=UNVERIFIABLE)
                for kind, count in reading.counts
            ]
        )
        assert all(0 <= count < 2**53 for _, count in reading.counts)
