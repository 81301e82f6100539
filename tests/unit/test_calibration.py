"""Offsets found from answers whose tokens are known: pinned only where the answers support it."""

import json
import random
import tomllib
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import pytest

from nous_ledger.protocol.errors import InputError
from nous_ledger.reconcile.calibration import (
    ENOUGH,
    MAX_FAULTS,
    Calibration,
    read_samples,
    suggested_row,
)
from nous_ledger.reconcile.exports.rows import RowFault
from nous_ledger.reconcile.tokenizers import builtin_table, read_table

ENCODING = builtin_table().encodings["o200k_base"]
WORDS = [
    "the",
    "log",
    "is",
    "a",
    "list",
    "that",
    "only",
    "grows",
    "and",
    "what",
    "stands",
    "in",
    "it",
    "stays",
    "there",
]
TOKENS = 7  # of TEXT
TEXT = "The Loire flows to the west."


def calibrated(differences: Iterable[int], **more: Any) -> Calibration:
    """Return what answers with these differences of generated and counted say."""
    found = Calibration(encoding=ENCODING)
    for difference in differences:
        line = {"text": TEXT, "token_ids": [1] * (TOKENS + difference), **more}
        found.take([(1, json.dumps(line).encode())])
    return found


@pytest.mark.parametrize(
    ("differences", "offsets", "pinned"),
    [
        ([0] * ENOUGH, (0, 0), True),
        ([1] * ENOUGH, (1, 1), True),
        ([0] * (ENOUGH - 1), (0, 0), False),
        # Noise as it was measured: a token more or less now and then.
        ([1] * 297 + [2, 2, 0], (1, 1), True),
        ([0] * 150 + [1] * 150, (0, 1), False),
        ([0] * 290 + [1] * 10, (0, 1), False),
        ([-2] * 100 + [2] * 100, (-2, 2), False),
        ([8] * ENOUGH, (8, 8), True),
        ([9] * ENOUGH, None, False),
        ([0] * 190 + [20] * 10, None, False),
        ([], None, False),
    ],
)
def test_which_offsets_are_supported(
    differences: list[int], offsets: tuple[int, int] | None, *, pinned: bool
) -> None:
    found = calibrated(differences)
    assert (found.offsets(), found.pinned) == (offsets, pinned)


def test_reports_count_where_there_are_any() -> None:
    found = calibrated([0] * ENOUGH, reported=TOKENS + 1)
    assert found.differences == {0: ENOUGH}
    assert found.reports == {1: ENOUGH}
    assert (found.offsets(), found.pinned) == ((1, 1), True)


def test_drift_is_per_token() -> None:
    over, under = calibrated([1] * 98 + [3, 0]).drift()
    assert (over, under) == (Fraction(2, TOKENS * 100), Fraction(1, TOKENS * 100))
    assert calibrated([]).drift() == (Fraction(0), Fraction(0))


def test_what_is_far_off_is_counted_together() -> None:
    assert calibrated([500, 21, -TOKENS]).differences == {20: 2, -TOKENS: 1}


@pytest.mark.parametrize(
    ("line", "generated", "reported"),
    [
        ({"text": TEXT, "token_ids": [5, 6]}, 2, None),
        ({"text": TEXT, "token_ids": [], "reported": 3}, 0, 3),
        ({"choices": [{"message": {"content": TEXT}, "token_ids": [5]}]}, 1, None),
        (
            {
                "choices": [{"text": TEXT, "token_ids": [5, 6]}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2},
            },
            2,
            2,
        ),
        ({"content": TEXT, "tokens": [1, 2, 3], "tokens_predicted": 4}, 3, 4),
        (
            {"response": TEXT, "context": [9] * 12, "prompt_eval_count": 5, "eval_count": 8},
            8,
            8,
        ),
    ],
)
def test_answers_as_servers_write_them(
    line: dict[str, Any], generated: int, reported: int | None
) -> None:
    (sample,) = read_samples(json.dumps({"model": "m", **line}).encode())
    assert (sample.text, sample.generated, sample.reported) == (TEXT, generated, reported)
    assert sample.model == "m"


def test_several_choices_are_several_answers() -> None:
    choice = {"message": {"content": TEXT}, "token_ids": [5, 6]}
    line = {"choices": [choice, choice], "usage": {"completion_tokens": 4}}
    samples = read_samples(json.dumps(line).encode())
    assert [(sample.generated, sample.reported) for sample in samples] == [(2, None), (2, None)]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b"{}",
        b'{"text": "a"}',
        b'{"text": "a", "token_ids": [1, "2"]}',
        b'{"text": "a", "token_ids": [true]}',
        b'{"text": 7, "token_ids": [1]}',
        b'{"choices": [{"message": {"content": "a"}}]}',
        b'{"choices": [7]}',
        b'{"choices": [{"message": {"content": null}, "token_ids": [1]}]}',
        b'{"response": "a", "context": [1, 2]}',
        b'{"response": "a", "context": [1, 2], "prompt_eval_count": 2, "eval_count": 9}',
    ],
)
def test_lines_that_say_nothing_are_named(line: bytes) -> None:
    found = Calibration(encoding=ENCODING)
    found.take([(7, line), (8, b"  \n"), (9, b'{"text": "a", "token_ids": [1]}')])
    assert (found.answers, found.fault_count) == (1, 1)
    assert found.faults[0].line == 7


def test_faults_are_bounded() -> None:
    found = Calibration(encoding=ENCODING)
    found.take((number, b"x") for number in range(500))
    found.take([(501, RowFault(line=501, message="longer than 5 bytes"))])
    assert (found.fault_count, len(found.faults)) == (501, MAX_FAULTS)


def test_texts_of_which_no_count_can_be_stated_are_left_out() -> None:
    found = Calibration(encoding=ENCODING)
    found.take([(1, b'{"text": "\\ud800", "token_ids": [1]}')])
    assert (found.answers, found.uncounted) == (0, 1)


@pytest.mark.parametrize("model", ["acme-7b", "Qwen/Qwen2.5-7B (it's)", "模型.v1", "a'b\\c\n"])
def test_the_row_is_one_that_a_table_takes(model: str) -> None:
    found = calibrated([1] * ENOUGH, model=model)
    document = tomllib.loads(suggested_row(found))
    (rule,) = read_table(document, base=builtin_table().encodings).rules
    assert rule.names.fullmatch(model)
    assert not rule.names.fullmatch(model + "x")
    assert (rule.lowest, rule.highest, rule.pinned) == (1, 1, True)
    assert suggested_row(calibrated([9] * 5)) == ""
    unnamed = tomllib.loads(suggested_row(calibrated([0])))
    assert unnamed["models"][0]["names"] == "MODEL"
    with pytest.raises(InputError):
        read_table(document)  # no row of our own names custom


def test_honest_answers_of_another_cut_are_within_the_allowances() -> None:
    """Drift of 4 in 10,000 tokens, as it was measured of open weights, pins an offset."""
    draw = random.Random(4)
    found = Calibration(encoding=ENCODING)
    engine_tokens = 0
    for _ in range(400):
        text = " ".join(draw.choices(WORDS, k=draw.randint(5, 60)))
        probe = Calibration(encoding=ENCODING)
        probe.take([(1, json.dumps({"text": text, "token_ids": []}).encode())])
        extra = sum(draw.random() < 0.0004 for _ in range(probe.counted))
        engine_tokens += probe.counted
        line = {"text": text, "token_ids": [1] * (probe.counted + extra + 1)}
        found.take([(1, json.dumps(line).encode())])
    assert found.counted == engine_tokens
    assert (found.offsets(), found.pinned) == ((1, 1), True)
