"""What may be encoded, and how what may not is refused."""

from typing import Any

import pytest

from nous_ledger.protocol.encoding import (
    MAX_BODY_BYTES,
    decode,
    encode,
    is_encodable_text,
)
from nous_ledger.protocol.strict import Value
from nous_ledger.protocol.types import MAX_UINT
from tests.refusals import code_of


def nested(depth: int, innermost: Value = 0) -> Value:
    value = innermost
    for _ in range(depth):
        value = (value,)
    return value


def test_maps_are_written_in_ascending_order() -> None:
    """Also inside other values (ENC-1)."""
    assert encode({2: {9: 0, 3: 0}, 1: 0}).hex() == "82010002820300" + "0900"
    assert encode((({1: 0, 0: 1},),)).hex() == "919182" + "0001" + "0100"


def test_strings_are_compared_as_bytes() -> None:
    """The two forms of é stay two (ENC-18)."""
    composed, decomposed = encode("é"), encode("e\u0301")
    assert composed != decomposed
    assert (decode(composed), decode(decomposed)) == ("é", "e\u0301")


class Number(int):
    """Not exactly an integer."""


UNENCODABLE: dict[str, tuple[Any, str]] = {
    "nil": (None, "forbidden-type"),
    "a bool": (True, "forbidden-type"),
    "a float": (1.0, "forbidden-type"),
    "a negative number": (-1, "forbidden-type"),
    "a number of another class": (Number(1), "forbidden-type"),
    "2^53": (MAX_UINT + 1, "int-range"),
    "2^70": (2**70, "int-range"),
    "a control character": ("\x00", "bad-string"),
    "a bidirectional control": ("a\u202eb", "bad-string"),
    "a lone surrogate": ("\ud800", "bad-string"),
    "1,025 characters": ("a" * 1_025, "limit"),
    "1,026 bytes": ("é" * 513, "limit"),
    "65 items": ((0,) * 65, "limit"),
    "65 pairs": (dict.fromkeys(range(65), 0), "limit"),
    "depth 6": (nested(6), "limit"),
    "depth 6, the innermost empty": (nested(5, {}), "limit"),
    "a negative key": ({-1: 0}, "forbidden-type"),
    "a str as key": ({"a": 0}, "forbidden-type"),
    "keys of two types": ({"a": 0, 1: 0}, "forbidden-type"),
    "a bool as key": ({True: 0}, "forbidden-type"),
    "a float as key": ({1.5: 0}, "forbidden-type"),
    "a key of 2^53": ({MAX_UINT + 1: 0}, "int-range"),
    "a list": ([1], "forbidden-type"),
    "a bytearray": (bytearray(1), "forbidden-type"),
    "a set": ({1}, "forbidden-type"),
    "anything else": (object(), "forbidden-type"),
}


@pytest.mark.parametrize("case", UNENCODABLE)
def test_what_no_decoder_takes_is_not_written(case: str) -> None:
    """With the decoder's own code, at any place (ENC-19)."""
    value, code = UNENCODABLE[case]
    assert code_of(encode, value) == code
    assert code_of(encode, (1, value)) == code
    assert code_of(encode, {1: value}) == code


def test_the_bounds_of_what_is_written() -> None:
    """ENC-19."""
    pairs: Value = dict.fromkeys(range(64), 0)
    values: tuple[Value, ...] = ("é" * 512, (0,) * 64, pairs, nested(5), nested(4, {}))
    for value in values:
        assert decode(encode(value)) == value
    largest = bytes(MAX_BODY_BYTES - 3)
    assert decode(encode(largest)) == largest
    assert code_of(encode, largest + b"\x00") == "limit"
    assert len(encode(largest + b"\x00", max_bytes=MAX_BODY_BYTES + 1)) == MAX_BODY_BYTES + 1


@pytest.mark.parametrize(
    ("text", "max_bytes", "expected"),
    [
        ("a", 1, True),
        ("", 1, False),
        ("ab", 1, False),
        ("é", 1, False),
        ("é", 2, True),
        ("a\n", 9, False),
        ("\ud800", 9, False),
    ],
)
def test_which_outside_strings_can_stand_in_a_field(
    text: str, max_bytes: int, expected: bool
) -> None:
    """ENC-25."""
    assert is_encodable_text(text, max_bytes) is expected
