"""nous-v2 records: parsing, numbers as JavaScript prints them, what a leaf leaves open.

Requirements: V2-1, V2-2, V2-4.
"""

import hashlib
from typing import Any

import pytest

from nous_ledger.protocol import legacy
from nous_ledger.protocol.errors import LegacyError

ROW: dict[str, Any] = {
    "id": 7,
    "timestamp": "2026-04-02T12:00:00.000Z",
    "user_hash": "178ea61e753a78d64b99c7efb4cf1929",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "input_tokens": 9,
    "output_tokens": 3,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "total_tokens": 12,
    "leaf_hash": "0" * 64,
    "receipt_sig": "",
}
COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "total_tokens",
)


def parse(**changes: Any) -> legacy.LegacyRecord:
    return legacy.parse_legacy_record({**ROW, **changes})


def refused_code(**changes: Any) -> str:
    with pytest.raises(LegacyError) as refused:
        parse(**changes)
    return refused.value.code


# Printed by a JavaScript engine: `${JSON.parse(left)}`.
@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (0, "0"),
        (-0.0, "0"),
        (7, "7"),
        (-1, "-1"),
        (5.0, "5"),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (-2.5e-7, "-2.5e-7"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.25e-9, "1.25e-9"),
        (2e15, "2000000000000000"),
        (2**53 - 1, "9007199254740991"),
        (2**53 + 1, "9007199254740992"),
        (-(2**53) - 1, "-9007199254740992"),
        (123456789012345680000, "123456789012345680000"),
        (123.456, "123.456"),
        (10**20, "100000000000000000000"),
        (10**21, "1e+21"),
        (2e21, "2e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
        (float("nan"), "NaN"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ("007", "007"),
        ("5.0", "5.0"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_numbers_are_printed_as_javascript_does(value: legacy.LegacyNumber, printed: str) -> None:
    assert legacy.format_legacy_number(value) == printed


def test_preimage_has_nine_fields_in_order() -> None:
    record = parse(input_tokens=1, output_tokens=2, cache_read_tokens=3, cache_write_tokens=4)
    expected = (
        "2026-04-02T12:00:00.000Z|178ea61e753a78d64b99c7efb4cf1929|openai|gpt-4o-mini|1|2|3|4|12"
    )
    assert legacy.legacy_preimage(record) == expected
    assert legacy.legacy_leaf(record) == hashlib.sha256(expected.encode()).hexdigest()


def test_the_leaf_does_not_cover_id_leaf_and_signature() -> None:
    other = parse(id=8, leaf_hash="1" * 64, receipt_sig="2" * 128)
    assert legacy.legacy_leaf(other) == legacy.legacy_leaf(parse())


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        ("gpt-4o", "gpt-4o"),
        ("anthropic/claude-3-5-haiku", "claude-3-5-haiku"),
        ("a/b/c", "c"),
        ("a/", ""),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_model_rule(name: str | None, covered: str) -> None:
    assert legacy.legacy_model(name) == covered
    assert parse(model=name).model == covered


def test_a_missing_model_is_unknown() -> None:
    row = {name: value for name, value in ROW.items() if name != "model"}
    assert legacy.parse_legacy_record(row).model == "unknown"


@pytest.mark.parametrize("name", [name for name in ROW if name != "model"])
def test_a_missing_member_is_a_format_error(name: str) -> None:
    row = {key: value for key, value in ROW.items() if key != name}
    with pytest.raises(LegacyError) as refused:
        legacy.parse_legacy_record(row)
    assert refused.value.code == "legacy-format"


@pytest.mark.parametrize("value", [-1, 2**53, True, 1.0, "1", None])
def test_an_id_is_a_safe_integer(value: object) -> None:
    assert refused_code(id=value) == "legacy-format"


@pytest.mark.parametrize("name", ["leaf_hash", "receipt_sig"])
@pytest.mark.parametrize("value", [None, 1, b"00", ["00"]])
def test_leaf_and_signature_are_strings(name: str, value: object) -> None:
    assert refused_code(**{name: value}) == "legacy-format"


@pytest.mark.parametrize("name", ["timestamp", "user_hash", "provider", "model", "receipt_sig"])
@pytest.mark.parametrize("value", ["x" * 4_097, "\ud800"], ids=["too-long", "surrogate"])
def test_unhashable_text_is_a_format_error(name: str, value: str) -> None:
    assert refused_code(**{name: value}) == "legacy-format"


def test_a_format_error_comes_before_a_confused_type() -> None:
    assert refused_code(timestamp=5, provider="x" * 4_097) == "legacy-format"
    assert refused_code(timestamp=5, input_tokens="\ud800") == "legacy-format"


def test_the_longest_text_is_accepted() -> None:
    assert parse(provider="x" * 4_096).provider == "x" * 4_096


@pytest.mark.parametrize("name", ["timestamp", "user_hash", "provider", "model"])
@pytest.mark.parametrize("value", [5, True, ["a"], {"a": 1}])
def test_a_text_of_another_type_is_type_confused(name: str, value: object) -> None:
    assert refused_code(**{name: value}) == "legacy-type-confused"


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [[1], {"a": 1}, b"1"])
def test_a_count_that_is_no_scalar_is_type_confused(name: str, value: object) -> None:
    assert refused_code(**{name: value}) == "legacy-type-confused"


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize(
    "value",
    ["007", "5.0", "7", "2e15", "", 1.5, 5.0, 2e15, -1, 2**53, True, False, None, float("nan")],
    ids=repr,
)
def test_a_count_that_is_no_safe_integer_is_type_confused(
    name: str, value: legacy.LegacyNumber
) -> None:
    record = parse(**{name: value})
    assert legacy.legacy_confusions(record) == (f"{name} is not an integer in 0..2^53-1",)


@pytest.mark.parametrize("value", [0, 1, 2**53 - 1])
def test_safe_integers_are_not_confused(value: int) -> None:
    assert legacy.legacy_confusions(parse(**dict.fromkeys(COUNTS, value))) == ()


@pytest.mark.parametrize(
    "text",
    [
        "2026-04-02T12:00:00Z",
        "2026-04-02T12:00:00.000",
        "2026-04-02 12:00:00.000Z",
        "2026-04-02T12:00:00.000+00:00",
        "2026-4-02T12:00:00.000Z",
        "2026-13-02T12:00:00.000Z",
        "2026-00-02T12:00:00.000Z",
        "2026-04-00T12:00:00.000Z",
        "2026-04-31T12:00:00.000Z",
        "2025-02-29T12:00:00.000Z",
        "1900-02-29T12:00:00.000Z",
        "2026-01-32T12:00:00.000Z",
        "2026-04-02T24:00:00.000Z",
        "2026-04-02T12:60:00.000Z",
        "2026-04-02T12:00:60.000Z",
        "2026-04-02T12:00:00.000Z\n",
        "\uff12026-04-02T12:00:00.000Z",
        "",
    ],
)
def test_a_time_of_another_form_is_type_confused(text: str) -> None:
    reasons = legacy.legacy_confusions(parse(timestamp=text))
    assert reasons == ("timestamp is not YYYY-MM-DDTHH:mm:ss.sssZ",)


@pytest.mark.parametrize(
    "text",
    ["2024-02-29T23:59:59.999Z", "2000-02-29T00:00:00.000Z", "0000-01-31T00:00:00.000Z"],
)
def test_times_that_exist_are_accepted(text: str) -> None:
    assert legacy.legacy_confusions(parse(timestamp=text)) == ()


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "A" * 32, "g" * 32])
def test_a_user_hash_of_another_form_is_type_confused(text: str) -> None:
    reasons = legacy.legacy_confusions(parse(user_hash=text))
    assert reasons == ("user_hash is not 32 lower-case hex digits",)


def test_two_records_that_differ_only_by_the_place_of_a_bar_share_a_leaf() -> None:
    one = parse(provider="a|b", model="c")
    two = parse(provider="a", model="b|c")
    assert one != two
    assert legacy.legacy_leaf(one) == legacy.legacy_leaf(two)
    assert legacy.legacy_ambiguity(one)
    assert legacy.legacy_ambiguity(two)


@pytest.mark.parametrize("name", ["timestamp", "user_hash", "provider", "model", *COUNTS])
def test_a_bar_in_any_field_is_ambiguous(name: str) -> None:
    assert "'|'" in legacy.legacy_ambiguity(parse(**{name: f"{ROW[name]}|"}))


def test_an_ordinary_record_is_not_ambiguous() -> None:
    assert legacy.legacy_ambiguity(parse()) == ""


def test_a_root_over_nine_peaks_parses_as_a_record() -> None:
    leaves = [hashlib.sha256(bytes([at & 255, at >> 8])).hexdigest() for at in range(511)]
    peaks = legacy.legacy_peaks(leaves)
    assert len(peaks) == 9
    texts = ("timestamp", "user_hash", "provider", "model")
    forged = parse(**dict(zip((*texts, *COUNTS), peaks, strict=True)))
    assert legacy.legacy_leaf(forged) == legacy.legacy_root(leaves)
    assert "nine peaks" in legacy.legacy_ambiguity(forged)
