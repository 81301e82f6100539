"""Usage values of Gemini, Bedrock, Cohere and Ollama as disjoint buckets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.gateway.usage import (
    read_audio_usage,
    read_chat_usage,
    read_responses_usage,
)
from nous_ledger.gateway.usage_sheet import UsageReading
from nous_ledger.gateway.usage_vendors import (
    read_cohere_usage,
    read_converse_usage,
    read_gemini_usage,
    read_ollama_usage,
)
from nous_ledger.protocol.label import UNVERIFIABLE, Bucket, check_usage
from nous_ledger.protocol.registries import ANOMALY, KIND
from tests.unit.wire_streams import COHERE_USAGE, GEMINI_COUNTS, GEMINI_USAGE

MALFORMED = ANOMALY["usage_malformed"]
EXCEEDS = ANOMALY["details_exceed_total"]
DECREASED = ANOMALY["usage_decreased"]
MISMATCH = ANOMALY["total_mismatch"]


def _named(reading: UsageReading) -> dict[str, int]:
    return {KIND.name_of(kind): count for kind, count in reading.counts}


def _modalities(**counts: object) -> list[dict[str, object]]:
    return [{"modality": name, "tokenCount": count} for name, count in counts.items()]


GEMINI_CASES: list[tuple[str, dict[str, Any], dict[str, int], set[int]]] = [
    ("all of it", GEMINI_USAGE, GEMINI_COUNTS, set()),
    (
        "no cached count: nothing is split; zeros are not sent",
        {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6},
        {"input_unsplit": 4, "output_visible": 2},
        set(),
    ),
    (
        "thoughts without visible output",
        {"promptTokenCount": 4, "thoughtsTokenCount": 9, "totalTokenCount": 13},
        {"input_unsplit": 4, "reasoning": 9},
        set(),
    ),
    (
        "media that may have come out of the cache have no bucket",
        {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 60,
            "promptTokensDetails": _modalities(VIDEO=80),
            "candidatesTokenCount": 0,
            "totalTokenCount": 100,
        },
        {"input_uncached": 40, "cache_read": 60, "output_visible": 0},
        set(),
    ),
    (
        "media out and in, several times",
        {
            "promptTokenCount": 50,
            "promptTokensDetails": [
                *_modalities(AUDIO=10, VIDEO=20),
                *_modalities(AUDIO=5, DOCUMENT=3),
            ],
            "candidatesTokenCount": 30,
            "candidatesTokensDetails": _modalities(IMAGE=25, TEXT=5),
            "totalTokenCount": 80,
        },
        {
            "input_unsplit": 15,
            "output_visible": 5,
            "input_audio": 15,
            "input_video": 20,
            "output_image": 25,
        },
        set(),
    ),
    (
        "details above their total are dropped",
        {
            "promptTokenCount": 5,
            "promptTokensDetails": _modalities(IMAGE=6),
            "candidatesTokenCount": 5,
            "candidatesTokensDetails": _modalities(IMAGE=6),
            "totalTokenCount": 10,
        },
        {"input_unsplit": 5, "output_visible": 5},
        {EXCEEDS},
    ),
    (
        "more cached than there was",
        {
            "promptTokenCount": 50,
            "cachedContentTokenCount": 30,
            "promptTokensDetails": _modalities(IMAGE=20),
            "cacheTokensDetails": _modalities(IMAGE=30),
        },
        {"input_uncached": 20, "cache_read": 30},
        {EXCEEDS},
    ),
    (
        "a total that does not add up",
        {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 7},
        {"input_unsplit": 4, "output_visible": 2},
        {MISMATCH},
    ),
    (
        "malformed details leave the side unsplit",
        {
            "promptTokenCount": 9,
            "cachedContentTokenCount": 2,
            "promptTokensDetails": _modalities(IMAGE="3"),
        },
        {"input_unsplit": 9},
        {MALFORMED},
    ),
    (
        "details that are no list",
        {"promptTokenCount": 9, "promptTokensDetails": {"modality": "IMAGE"}},
        {"input_unsplit": 9},
        {MALFORMED},
    ),
]


@pytest.mark.parametrize(
    ("usage", "expected", "anomalies"),
    [case[1:] for case in GEMINI_CASES],
    ids=[case[0] for case in GEMINI_CASES],
)
def test_gemini(usage: dict[str, Any], expected: dict[str, int], anomalies: set[int]) -> None:
    reading = read_gemini_usage([usage])
    assert _named(reading) == expected
    assert reading.anomalies == anomalies
    assert reading.provider_total == usage.get("totalTokenCount")


def test_gemini_of_repeated_usage_the_last_counts() -> None:
    first = {"promptTokenCount": 120, "totalTokenCount": 120}
    assert _named(read_gemini_usage([first, GEMINI_USAGE])) == GEMINI_COUNTS
    assert DECREASED in read_gemini_usage([GEMINI_USAGE, first]).anomalies


def _converse(
    given: object, output: object, total: object, read: object = None, write: object = None
) -> dict[str, object]:
    return {
        "inputTokens": given,
        "outputTokens": output,
        "totalTokens": total,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": write,
    }


@pytest.mark.parametrize(
    ("usage", "expected", "anomalies"),
    [
        # beside the input, as of Claude
        (_converse(10, 5, 1065, 1000, 50),
         {"input_uncached": 10, "cache_read": 1000, "cache_write": 50, "output_unsplit": 5}, set()),
        # inside the input, as of the others
        (_converse(1060, 5, 1065, 1000, 50),
         {"input_uncached": 10, "cache_read": 1000, "cache_write": 50, "output_unsplit": 5}, set()),
        (_converse(10, 5, 15, 0, 0),
         {"input_uncached": 10, "cache_read": 0, "cache_write": 0, "output_unsplit": 5}, set()),
        (_converse(10, 5, 15), {"input_unsplit": 10, "output_unsplit": 5}, set()),
        # neither: nobody can tell, so nothing is split and nothing counted twice
        (_converse(10, 5, 99, 7, 0), {"input_unsplit": 10, "output_unsplit": 5}, {MISMATCH}),
        (_converse(10, 5, None, 7), {"input_unsplit": 10, "output_unsplit": 5}, set()),
        (_converse(10, 5, 15, 20), {"input_unsplit": 10, "output_unsplit": 5}, {EXCEEDS}),
        (_converse(10, 5, 15, "2"), {"input_unsplit": 10, "output_unsplit": 5}, {MALFORMED}),
        (_converse(None, 5, 5, 2), {"cache_read": 2, "output_unsplit": 5}, {MISMATCH}),
        ({**_converse(10, 5, 165, 0, 150),
          "cacheDetails": [{"ttl": "5m", "inputTokens": 100}, {"ttl": "1h", "inputTokens": 50}]},
         {"input_uncached": 10, "cache_read": 0, "cache_write_5m": 100, "cache_write_1h": 50,
          "output_unsplit": 5}, set()),
        ({**_converse(10, 5, 165, 0, 150), "cacheDetails": [{"ttl": "1d", "inputTokens": 150}]},
         {"input_uncached": 10, "cache_read": 0, "cache_write": 150, "output_unsplit": 5}, set()),
    ],
)  # fmt: skip
def test_bedrock_caches_are_where_the_total_says(
    usage: dict[str, Any], expected: dict[str, int], anomalies: set[int]
) -> None:
    reading = read_converse_usage([usage])
    assert _named(reading) == expected
    assert reading.anomalies == anomalies


@pytest.mark.parametrize(
    ("usage", "expected", "anomalies"),
    [
        (COHERE_USAGE, {"input_uncached": 7, "cache_read": 64, "output_unsplit": 420}, set()),
        ({"billed_units": {"input_tokens": 3.0, "output_tokens": 2}},
         {"input_unsplit": 3, "output_unsplit": 2}, set()),
        ({"billed_units": {"search_units": 1.0}}, {"search_units": 1}, set()),
        ({"tokens": {"input_tokens": 3.5, "output_tokens": 2.0}}, {"output_unsplit": 2},
         {MALFORMED}),
        ({"tokens": {"input_tokens": float(2**53), "output_tokens": -1.0}}, {}, {MALFORMED}),
        ({"tokens": {"input_tokens": 5.0}, "cached_tokens": 6.0}, {"input_unsplit": 5}, {EXCEEDS}),
        ({"tokens": {"input_tokens": 5.0}, "cached_tokens": "6"}, {"input_unsplit": 5},
         {MALFORMED}),
        ({"tokens": {"input_tokens": True}}, {}, {MALFORMED}),
    ],
)  # fmt: skip
def test_cohere_counts_are_floats(
    usage: dict[str, Any], expected: dict[str, int], anomalies: set[int]
) -> None:
    reading = read_cohere_usage([usage])
    assert _named(reading) == expected
    assert reading.anomalies == anomalies


def test_floats_are_counts_of_cohere_only() -> None:
    assert read_gemini_usage([{"promptTokenCount": 3.0}]).malformed
    assert read_converse_usage([{"inputTokens": 3.0}]).malformed
    assert read_ollama_usage([{"eval_count": 3.0}]).malformed


def test_ollama_may_leave_out_the_prompt() -> None:
    assert _named(read_ollama_usage([{"eval_count": 0}])) == {"output_unsplit": 0}
    assert _named(read_ollama_usage([])) == {}


@pytest.mark.parametrize("seconds", [-1, float("inf"), 1e300, True, "9", [1]])
def test_seconds_that_are_none(seconds: object) -> None:
    assert read_audio_usage([{"seconds": seconds}]).malformed


def test_reasoning_beside_the_completion_is_told_by_the_total() -> None:
    def usage(total: object) -> dict[str, object]:
        details = {"reasoning_tokens": 5}
        return {"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": total,
                "completion_tokens_details": details}  # fmt: skip

    inside = read_chat_usage([usage(17)])
    assert _named(inside) == {"input_unsplit": 10, "output_visible": 2, "reasoning": 5}
    beside = read_chat_usage([usage(22)])
    assert _named(beside) == {"input_unsplit": 10, "output_visible": 7, "reasoning": 5}
    neither = read_chat_usage([usage(None)])
    assert _named(neither) == _named(inside)
    assert inside.anomalies == beside.anomalies == neither.anomalies == frozenset()


_ODD = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=3)
    | st.integers(-3, 2**53 + 3)
    | st.integers(0, 30)
)
_NAMES = st.sampled_from(
    [
        "promptTokenCount", "candidatesTokenCount", "totalTokenCount", "cachedContentTokenCount",
        "thoughtsTokenCount", "toolUsePromptTokenCount", "promptTokensDetails",
        "cacheTokensDetails", "candidatesTokensDetails", "inputTokens", "outputTokens",
        "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "cacheDetails",
        "tokens", "billed_units", "cached_tokens", "input_tokens", "output_tokens", "seconds",
        "prompt_eval_count", "eval_count", "prompt_tokens", "completion_tokens", "total_tokens",
        "completion_tokens_details", "reasoning_tokens", "prompt_cache_hit_tokens",
        "num_search_queries", "input_token_details", "audio_tokens", "modality", "tokenCount",
    ]
)  # fmt: skip
_VALUES = st.recursive(
    _ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=6),
    max_leaves=12,
)
_READERS = [
    read_gemini_usage,
    read_converse_usage,
    read_cohere_usage,
    read_ollama_usage,
    read_audio_usage,
    read_chat_usage,
    read_responses_usage,
]


@given(st.lists(_VALUES | st.dictionaries(_NAMES, _VALUES, max_size=8), max_size=3))
def test_whatever_a_provider_says_gives_a_receipt(values: list[Any]) -> None:
    """BKT-1 to BKT-3, RCPT-10: never an exception, never a list that a receipt cannot hold."""
    for read in _READERS:
        reading = read(values)
        check_usage(
            tuple(
                Bucket(kind=kind, reported=count, label=UNVERIFIABLE)
                for kind, count in reading.counts
            )
        )
        tokens = sum(count for kind, count in reading.counts if kind < 48)
        if reading.provider_total is not None and not reading.malformed:
            assert (reading.provider_total != tokens) == (MISMATCH in reading.anomalies)


_COUNTS = st.integers(0, 30) | st.integers(0, 2**50)


@given(_COUNTS, _COUNTS, _COUNTS, _COUNTS)
def test_nothing_is_counted_twice(given_: int, output: int, read: int, write: int) -> None:
    """Whether caches stand beside the input or inside, the buckets are what was given."""
    beside = read_converse_usage(
        [_converse(given_, output, given_ + output + read + write, read, write)]
    )
    assert sum(count for _, count in beside.counts) == given_ + output + read + write
    inside = given_ + read + write
    within = read_converse_usage([_converse(inside, output, inside + output, read, write)])
    assert sum(count for _, count in within.counts) == inside + output
    assert beside.anomalies | within.anomalies == frozenset()
