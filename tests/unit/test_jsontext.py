"""Values with their exact place in the text they were read from."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.protocol.errors import FormatError
from nous_ledger.reconcile.jsontext import Located, parse_json

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
_LAYOUTS: tuple[dict[str, Any], ...] = (
    {"separators": (",", ":")},
    {"indent": 2},
    {"ensure_ascii": False, "separators": (" , ", "\t:\r\n")},
)


@given(_JSON, st.sampled_from(_LAYOUTS), st.sampled_from(["", " ", "\r\n\t"]))
def test_every_value_is_found_where_it_stands(
    value: object, layout: dict[str, Any], space: str
) -> None:
    text = space + json.dumps(value, **layout) + space
    _check(parse_json(text.encode()), value)


def _check(found: Located, value: object) -> None:
    assert found.value == value
    assert json.loads(found.wire) == value
    assert found.wire == found.wire.strip()
    if isinstance(value, dict):
        for key, inner in value.items():
            member = found.member(key)
            assert member is not None
            _check(member, inner)
    if isinstance(value, list):
        items = found.items()
        assert len(items) == len(value)
        for item, inner in zip(items, value, strict=True):
            _check(item, inner)


def test_the_wire_bytes_are_not_written_anew() -> None:
    data = b'{ "usage" : {"a":1.0e2 , "b":"\\u00e9\xc3\xa9" } ,"z":0}'
    usage = parse_json(data).member("usage")
    assert usage is not None
    assert usage.wire == b'{"a":1.0e2 , "b":"\\u00e9\xc3\xa9" }'


def test_of_a_repeated_key_the_last_value_counts() -> None:
    root = parse_json(b'{"u": 1, "v": [], "u": {"x": 2}}')
    found = root.at("u", "x")
    assert found is not None
    assert found.wire == b"2"


@pytest.mark.parametrize("path", [("x",), ("a", "b"), ("a", "b", "c"), ("l", "0")])
def test_a_path_that_breaks_off_leads_to_nothing(path: tuple[str, ...]) -> None:
    assert parse_json(b'{"a": 1, "l": [1]}').at(*path) is None


def test_what_is_no_array_has_no_items() -> None:
    assert parse_json(b'{"a": 1}').items() == ()
    assert parse_json(b"[]").items() == ()
    assert parse_json(b"[]").member("a") is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1',
        b'{"a":1}}',
        b'{"a":1} x',
        b"{'a':1}",
        b'{"a":NaN}',
        b"Infinity",
        b"-Infinity",
        b'{"a":01}',
        b'"\xff"',
        b'"a\nb"',
        b"\xef\xbb\xbf{}",
        b"[1,]",
        b"9" * 5000,
        b"[" * 100_000,
    ],
)
def test_what_is_not_one_json_value_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        parse_json(data)
    assert caught.value.code == "json-format"


def test_a_text_of_too_many_parts_is_refused_before_it_is_parsed() -> None:
    data = b"[" + b"[]," * 10 + b"0]"
    assert parse_json(data, max_separators=21).value == [[]] * 10 + [0]
    with pytest.raises(FormatError) as caught:
        parse_json(data, max_separators=20)
    assert caught.value.code == "json-format"
    assert parse_json(b'"' + b"x" * 100 + b'"', max_separators=20).value == "x" * 100
