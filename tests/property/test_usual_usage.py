"""What is read of a usual usage value at once is what a reading in full gives."""

from random import Random
from typing import Any

from nous_ledger.gateway.usage import _CHAT, _RESPONSES, _read_openai, _read_usual

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 7, 2**53 - 1, 2**53, 10**40, 0.0, 1.0, 1.5, "1", ""),
    *([], [1], {}, {"cached_tokens": 1}, {"reasoning_tokens": 1}),
)
MEMBERS = (
    *("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens"),
    *("prompt_tokens_details", "completion_tokens_details", "prompt_token_details"),
    *("input_tokens_details", "output_tokens_details", "input_token_details"),
    *("prompt_cache_hit_tokens", "num_cached_tokens", "num_search_queries", "seconds"),
    *("prompt_audio_seconds", "queue_time", "cached_tokens", "reasoning_tokens"),
)
DETAILS = (
    *("cached_tokens", "audio_tokens", "image_tokens", "cache_write_tokens", "text_tokens"),
    *("cache_write_tokens_details", "reasoning_tokens", "rejected_prediction_tokens"),
    "accepted_prediction_tokens",
)


def _usage(random: Random, names: tuple[str, str]) -> dict[str, Any]:
    """Return a usual value, with none to some of its members changed."""
    given, made = random.choice((0, 9, 2_006)), random.choice((0, 200))
    inner = {"cached_tokens": random.choice((0, 8, 10)), "audio_tokens": 0}
    outer = {
        "reasoning_tokens": random.choice((0, 8, 300)),
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": random.choice((0, 0, 3)),
    }
    for details in (inner, outer):
        for _ in range(random.choice((0, 0, 0, 1, 2))):
            _change(random, details, DETAILS)
    usage: dict[str, Any] = {names[0]: given, names[1]: made, "total_tokens": given + made}
    if random.random() < 0.7:
        usage |= {f"{names[0]}_details": inner}
    if random.random() < 0.7:
        usage |= {f"{names[1]}_details": outer}
    for _ in range(random.choice((0, 0, 1, 2))):
        _change(random, usage, MEMBERS)
    return usage


def _change(random: Random, fields: dict[str, Any], names: tuple[str, ...]) -> None:
    name = random.choice((*fields, *names))
    if random.random() < 0.3:
        fields.pop(name, None)
    else:
        fields[name] = random.choice(HOSTILE)


def test_a_usual_value_is_read_as_every_other() -> None:
    usual = rare = 0
    for seed in range(6_000):
        random = Random(seed)
        names = random.choice((_CHAT, _RESPONSES))
        values: list[object] = [_usage(random, names)]
        if random.random() < 0.1:
            values = random.choice(([], [*values, *values], [random.choice(HOSTILE)]))
        found = _read_usual(values, names)
        if found is None:
            rare += 1
        else:
            usual += 1
            assert found == _read_openai(values, names), values
    assert usual > 1_000
    assert rare > 1_000
