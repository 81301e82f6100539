"""The JSON form of any body gives that body back; any other JSON gives one of our errors."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.protocol.bodies import Body, encode_body
from nous_ledger.protocol.errors import BodyError, EncodingError, FormatError
from nous_ledger.protocol.jsonform import body_from_json, body_to_json, parse_body_json
from tests.property.made_bodies import numbered_bodies, samples

scalars = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


def only_json(value: Any) -> bool:
    """Return whether a value is made of exactly str, int, list and dict."""
    if type(value) is dict:
        return all(type(key) is str and only_json(item) for key, item in value.items())
    if type(value) is list:
        return all(map(only_json, value))
    return type(value) in (str, int)


@given(numbered_bodies, st.booleans())
def test_bodies_come_back(numbered: tuple[int, Body], ascii_only: bool) -> None:
    """Through text too, with the same bytes (ENC-26)."""
    _, body = numbered
    shown = body_to_json(body)
    assert only_json(shown)
    assert body_from_json(shown) == body
    read = parse_body_json(json.dumps(shown, ensure_ascii=ascii_only))
    assert read == body
    assert encode_body(read) == encode_body(body)
    assert body_to_json(read) == shown


def is_read(data: Any) -> bool:
    """Return whether JSON is the form of a body, which then is its form."""
    try:
        body = body_from_json(data)
    except (FormatError, BodyError, EncodingError):
        return False
    assert body_to_json(body) == data
    return True


@given(json_values)
def test_any_json(data: Any) -> None:
    """ENC-27."""
    assert not is_read(data)
    assert not is_read({"type": "receipt", "salt": data})


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all members and items of a JSON value."""
    found = [path] if path else []
    if isinstance(value, dict):
        for name in value:
            found += places(value[name], (*path, name))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            found += places(item, (*path, at))
    return found


@given(samples, json_values, st.data())
def test_one_place_changed(numbered: tuple[int, Body], new: Any, data: st.DataObject) -> None:
    """The form of what it then says, or an error (ENC-26, ENC-27, ENC-28)."""
    shown = body_to_json(numbered[1])
    *way, last = data.draw(st.sampled_from(places(shown)))
    inner = shown
    for step in way:
        inner = inner[step]
    inner[last] = new
    is_read(shown)


@given(samples, st.text(max_size=12).map("~".__add__), json_values)
def test_another_member_is_refused(numbered: tuple[int, Body], name: str, new: Any) -> None:
    """In the body and in every object of it (ENC-27)."""
    shown = body_to_json(numbered[1])
    paths: list[tuple[Any, ...]] = [(), *places(shown)]
    for path in paths:
        inner = shown
        for step in path:
            inner = inner[step]
        if isinstance(inner, dict):
            inner[name] = new
            assert not is_read(shown)
            del inner[name]
    assert is_read(shown)
