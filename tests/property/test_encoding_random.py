"""Any value comes back from its bytes; any bytes are one value or one of our errors."""

from typing import Any

import msgpack
from hypothesis import example, given
from hypothesis import strategies as st

from nous_ledger.protocol.encoding import MAX_DEPTH, MAX_ITEMS, MAX_STR_BYTES, decode, encode
from nous_ledger.protocol.errors import EncodingError
from nous_ledger.protocol.strict import Value, decode_strictly
from tests.property.made_bodies import uints, values
from tests.refusals import code_of

LIMITS = (MAX_DEPTH, MAX_ITEMS, MAX_STR_BYTES)
encodable = values(5)


def outcome(read: Any, data: bytes, *limits: Any) -> tuple[str, Any]:
    """Return what a reader returns, or the code of its error."""
    try:
        return "value", read(data, *limits)
    except EncodingError as error:
        return "error", error.code


def same(left: Value, right: Value) -> bool:
    """Return whether values are equal, types and the order of map keys included."""
    if type(left) is not type(right) or left != right:
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        in_order = list(left) == list(right)
        return in_order and all(same(left[key], right[key]) for key in left)
    if isinstance(left, tuple) and isinstance(right, tuple):
        return all(map(same, left, right))
    return True


@given(encodable)
def test_values_come_back(value: Value) -> None:
    """From both readers, with their maps in order (ENC-1)."""
    data = encode(value)
    assert same(decode(data), value)
    assert same(decode_strictly(data, LIMITS), value)
    assert encode(decode(data)) == data


def shuffled(value: Value, turn: bool = True) -> Value:
    """Return the value with its maps in descending order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in sorted(value, reverse=turn)}
    return tuple(map(shuffled, value)) if isinstance(value, tuple) else value


@given(encodable)
def test_the_order_of_a_dict_does_not_matter(value: Value) -> None:
    """One value has one encoding (ENC-1)."""
    assert encode(shuffled(value)) == encode(value)


@given(st.binary(max_size=60))
@example(b"\xcc\x7f")
@example(b"\x82\x01\x00\x01\x00")
@example(b"\xc7\x01\x00a")
@example(b"\xd6\xff\x00\x00\x00\x00")  # a timestamp of the common library
def test_any_bytes(data: bytes) -> None:
    """A value whose encoding they are, or an error; both readers agree (ENC-2 to ENC-17)."""
    kind, found = outcome(decode, data)
    assert outcome(decode_strictly, data, LIMITS) == (kind, found)
    if kind == "value":
        assert encode(found) == data


@given(encodable, st.data())
def test_changed_encodings(value: Value, data: st.DataObject) -> None:
    """No other bytes are this value (ENC-1, ENC-17)."""
    good = encode(value)
    at = data.draw(st.integers(0, len(good) - 1))
    end = data.draw(st.integers(at, min(len(good), at + 2)))
    changed = good[:at] + data.draw(st.binary(max_size=3)) + good[end:]
    kind, found = outcome(decode, changed)
    assert outcome(decode_strictly, changed, LIMITS) == (kind, found)
    assert (kind == "value" and same(found, value)) == (changed == good)


def longer_headers(number: int) -> list[bytes]:
    """Return every header of an integer but the shortest."""
    forms = ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8))
    fitting = [
        bytes([head]) + number.to_bytes(size, "big")
        for head, size in forms
        if number < 1 << 8 * size
    ]
    return [form for form in fitting if form != encode(number)]


@given(uints)
def test_longer_integers(number: int) -> None:
    """ENC-2, as items and as keys."""
    for form in longer_headers(number):
        for data in (form, b"\x91" + form, b"\x81" + form + b"\x00"):
            assert code_of(decode, data) == "non-minimal"


HOSTILE: list[Any] = [None, True, False, 0.5, -1, -(2**40), 2**53, 2**64 - 1]
hostile = st.sampled_from([*HOSTILE, "\x00", "a\u202e", "\x9f", "x" * 1_025, (0,) * 65])


@given(st.lists(values(1), max_size=3), hostile, st.lists(values(1), max_size=3))
def test_one_bad_value_among_good_ones(before: list[Value], bad: Any, after: list[Value]) -> None:
    """An encoder names it as the decoder would (ENC-19)."""
    for whole in ((*before, bad, *after), {1: tuple(before), 2: bad, 3: tuple(after)}):
        code = code_of(decode, msgpack.packb(whole))
        assert code_of(encode, whole) == code


@given(st.integers(1, 8), st.booleans())
def test_depth(depth: int, maps: bool) -> None:
    """ENC-13, on both sides."""
    value: Value = {} if maps else ()
    for _ in range(depth - 1):
        value = {0: value} if maps else (value,)
    packed = msgpack.packb(value)
    if depth <= MAX_DEPTH:
        assert encode(value) == packed
        assert decode(packed) == value
    else:
        assert code_of(encode, value) == code_of(decode, packed) == "limit"
