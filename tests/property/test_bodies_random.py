"""Bodies of every type: written and read, changed in one place, and guarded."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.protocol.bodies import BODY_CLASSES, Body, decode_body, encode_body
from nous_ledger.protocol.encoding import decode, encode, pack_checked
from nous_ledger.protocol.errors import BodyError, EncodingError
from nous_ledger.protocol.fields import Field, Shape
from nous_ledger.protocol.kinds import Kind, ListOf, Nested
from tests.property.made_bodies import characters, numbered_bodies, samples, values
from tests.refusals import code_of


@given(numbered_bodies)
def test_bodies_come_back(numbered: tuple[int, Body]) -> None:
    """Equal, from their bytes, their map and their fields (BODY-1, ENC-1)."""
    number, body = numbered
    data = encode_body(body)
    assert decode_body(number, data) == body
    assert decode(data) == body.to_wire()
    assert encode(body.to_wire()) == data
    again = BODY_CLASSES[number](**{slot.name: getattr(body, slot.name) for slot in fields(body)})
    assert again == body
    assert repr(again) == repr(body)


@given(samples, st.data())
def test_one_field_changed(numbered: tuple[int, Body], data: st.DataObject) -> None:
    """A body that is written as it was read, or one of our errors (BODY-3 to BODY-9)."""
    number, body = numbered
    wire: dict[int, Any] = dict(body.to_wire())
    key = data.draw(st.sampled_from(sorted(wire)) | st.integers(0, 70))
    if data.draw(st.booleans()):
        wire[key] = data.draw(values(4))
    else:
        wire.pop(key, None)
    changed = pack_checked(dict(sorted(wire.items())))
    try:
        found = decode_body(number, changed)
    except (BodyError, EncodingError):
        return
    assert encode_body(found) == changed


@given(samples, st.integers(32, 63), values(3))
def test_unknown_fields_are_refused(numbered: tuple[int, Body], key: int, value: Any) -> None:
    """ENC-21."""
    number, body = numbered
    changed = pack_checked(dict(sorted({**body.to_wire(), key: value}.items())))
    assert code_of(decode_body, number, changed) == "unknown-field"


def table_of(shape: type[Shape]) -> list[Field]:
    """Return the fields of a shape and of all shapes in it."""
    found = list(shape.FIELDS)
    for field in shape.FIELDS:
        kind: Kind = field.kind
        while isinstance(kind, ListOf):
            kind = kind.item
        if isinstance(kind, Nested):
            found += table_of(kind.shape)
    return found


FIELDS = [field for shape in BODY_CLASSES.values() for field in table_of(shape)]
GUARDS: dict[int, Callable[[Any, Any], object]] = {
    # The source is the library's own.
    number: eval(f"lambda v, known: {field.kind.guard('v', 'known')}")  # noqa: S307
    for number, field in enumerate(FIELDS)
}
scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.integers(0, 700)
    | st.text(max_size=300)
    | st.text(characters, max_size=70)
    | st.text("abc.:-[]0159", max_size=70)
    | st.binary(max_size=66)
    | st.sampled_from([16, 20, 32, 33, 65]).flatmap(lambda n: st.binary(min_size=n, max_size=n))
    | st.binary(max_size=33).map(bytearray)
)
anything = scalars | st.lists(scalars, max_size=3) | st.lists(scalars, max_size=3).map(tuple)


@given(st.integers(0, len(FIELDS) - 1), anything)
def test_guards_are_no_laxer_than_checks(number: int, value: Any) -> None:
    """What passes a guard passes the check, and what passes that can be written and read."""
    kind = FIELDS[number].kind
    try:
        kind.check(value)
        accepted = True
    except (BodyError, EncodingError):
        accepted = False
    assert accepted or not GUARDS[number](value, kind.known())
    if accepted and kind.plain:
        assert decode(encode(value)) == value


@given(samples, st.data())
def test_a_field_of_anything(numbered: tuple[int, Body], data: st.DataObject) -> None:
    """Making a body with it gives a body that can be written and read, or one of our errors."""
    number, body = numbered
    shape = BODY_CLASSES[number]
    name = data.draw(st.sampled_from([slot.name for slot in fields(shape)]))
    given_fields = {slot.name: getattr(body, slot.name) for slot in fields(body)}
    try:
        made = shape(**(given_fields | {name: data.draw(anything)}))
        encoded = encode_body(made)
    except (BodyError, EncodingError):
        return
    assert decode_body(number, encoded) == made
