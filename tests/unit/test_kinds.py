"""Kinds of fields: what each accepts, which code it names, and that its guard is no laxer."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nous_ledger.protocol.bodies import BODY_CLASSES
from nous_ledger.protocol.encoding import decode, encode
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.fields import Shape
from nous_ledger.protocol.kinds import Bytes, Enum, Kind, ListOf, Nested, Text, Uint
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Context, PolicyAction
from nous_ledger.protocol.registries import STATUS
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.strict import Value
from nous_ledger.protocol.types import MAX_UINT
from tests.refusals import code_of


class Int(int):
    """A number of another class."""


class Str(str):
    """A text of another class."""

    __slots__ = ()


class Blob(bytes):
    """Bytes of another class."""


class Row(tuple[Any, ...]):
    """An array of another class."""

    __slots__ = ()


POINT = SigningKey(b"\x11" * 32).public_key
UUID = bytes.fromhex("01977420dc007abc8def0123456789ab")
BUCKET = Bucket(kind=1, reported=1, label=3)

HOSTILE: list[Any] = [
    *(None, True, False, 0.0, 1.0, float("nan"), float("inf"), 1j, object(), type, len),
    *(-1, 0, 1, 2, 99, 100, 599, 600, MAX_UINT, MAX_UINT + 1, 2**64, -(2**70)),
    *(Int(1), Str("a"), Blob(32), Row((1,)), Row(()), {}, {1: 1}, [], [1], set(), frozenset({1})),
    *("", "a", "A", "a\n", "\n", "a\x00", "\x7f", "\x85", "é", "\ud800", "a\ud800", "\u202e"),
    *("\ufeff", "\u2028", "\u00a0", "\U0010ffff", "api.example.com", "api.example.com:443"),
    *("a.example\n", "x" * 64, "x" * 65, "x" * 256, "x" * 257, "x" * 1_024, "x" * 1_025),
    *(
        "é" * 32,
        "é" * 33,
        "é" * 128,
        "é" * 129,
        "é" * 512,
        "é" * 513,
        "\u0663",
        "[::1]:1",
        "[a:b]:80",
    ),
    *(b"", b"a", bytes(16), bytes(20), bytes(32), bytes(33), bytes(65), UUID, POINT, bytes(31)),
    *(bytearray(16), bytearray(32), memoryview(bytes(32)), bytearray(b"\x02" * 33)),
    *((), (1,), (1, 1), (2, 1), (1, 2), (True,), (None,), ("a",), (1.0, 2.0), tuple(range(64))),
    *(tuple(range(65)), (BUCKET,), (BUCKET, BUCKET), BUCKET, Bucket, Context(tag="a")),
]


def shapes(kind: Kind) -> Iterator[type[Shape]]:
    if isinstance(kind, ListOf):
        yield from shapes(kind.item)
    elif isinstance(kind, Nested):
        yield kind.shape
        for field in kind.shape.FIELDS:
            yield from shapes(field.kind)


SHAPES = dict.fromkeys(
    shape
    for body in BODY_CLASSES.values()
    for shape in (body, *(inner for field in body.FIELDS for inner in shapes(field.kind)))
)
FIELDS = [(f"{shape.__name__}.{f.name}", f.kind) for shape in SHAPES for f in shape.FIELDS]
each_field = pytest.mark.parametrize(("name", "kind"), FIELDS, ids=[name for name, _ in FIELDS])


def guard_of(kind: Kind) -> Callable[[Any], object]:
    """Return the guard as the function it becomes part of."""
    known = kind.known()
    source = f"lambda v, known: {kind.guard('v', 'known')}"
    compiled = eval(source)  # noqa: S307 - the source is the library's own
    return lambda value: compiled(value, known)


def passes(kind: Kind, value: Any) -> bool:
    """Return whether a kind accepts a value; any other error than ours fails the test."""
    try:
        kind.check(value)
    except LedgerError:
        return False
    return True


@each_field
def test_what_a_field_accepts(name: str, kind: Kind) -> None:
    """ENC-19, from the field's side.

    The guard may send a good value to the check, but never lets a bad one through; and what is
    accepted is a value of the protocol, which can be written and read.
    """
    guard = guard_of(kind)
    for value in HOSTILE:
        if not passes(kind, value):
            assert not guard(value), (name, value)
            continue
        exact = type(value) in (int, str, bytes, tuple) or isinstance(value, Shape)
        assert exact, (name, value)
        if kind.plain:
            assert decode(encode(value)) == value, (name, value)
            assert kind.to_wire(value) is value, (name, value)
            assert kind.from_wire(value) is value, (name, value)


def test_the_guards_pass_common_values() -> None:
    """Or every value would go to the slower check."""
    assert guard_of(Uint())(MAX_UINT)
    assert guard_of(Uint(100, 599))(200)
    assert guard_of(Bytes(32))(bytes(32))
    assert guard_of(Text(64))("gpt-4o mini")
    assert guard_of(Text(64, "[a-z]+"))("openai")
    assert guard_of(Nested(Bucket))(BUCKET)


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        (Uint(), "1", "wrong-type"),
        (Uint(), True, "wrong-type"),
        (Uint(), 1.0, "wrong-type"),
        (Uint(), Int(1), "wrong-type"),
        (Uint(), -1, "wrong-type"),
        (Uint(), MAX_UINT + 1, "int-range"),
        (Uint(100, 599), 99, "bad-value"),
        (Uint(100, 599), 600, "bad-value"),
        (Uint(100, 599), MAX_UINT + 1, "int-range"),
        (Enum(STATUS), "complete", "wrong-type"),
        (Enum(STATUS), 999, ""),
        (Bytes(16), "a" * 16, "wrong-type"),
        (Bytes(16), bytearray(16), "wrong-type"),
        (Bytes(16), b"", "empty-value"),
        (Bytes(16), bytes(15), "bad-value"),
        (Bytes(16), bytes(17), "bad-value"),
        (Bytes(1, bool), bytes(1), ""),
        (Bytes(1, lambda data: data != b"\x00"), bytes(1), "bad-value"),
        (Text(4), b"abc", "wrong-type"),
        (Text(4), Str("abc"), "wrong-type"),
        (Text(4), "", "empty-value"),
        (Text(4), "abcde", "bad-value"),
        (Text(4), "ééx", "bad-value"),
        (Text(4), "éé", ""),
        (Text(4), "a\x1f", "bad-string"),
        (Text(4), "a\ud800", "bad-string"),
        (Text(4), "abcdefgh\x00", "bad-string"),
        (Text(4), "a" * 1_025, "limit"),
        (Text(4, "[a-z]+"), "A", "bad-value"),
        (Text(4, "[a-z]+"), "abc\n", "bad-string"),
        (Text(4, "[a-z]+"), "abcde", "bad-value"),
        (Text(4, "[a-z]*"), "", "empty-value"),
        (Text(4, "[a-z]+"), "a" * 1_025, "limit"),
        (Nested(Bucket), {1: 1}, "wrong-type"),
        (Nested(Bucket), Context(tag="a"), "wrong-type"),
        (Nested(Bucket), None, "wrong-type"),
        (ListOf(Uint(), 2), [1], "wrong-type"),
        (ListOf(Uint(), 2), Row((1,)), "wrong-type"),
        (ListOf(Uint(), 2), (), "empty-value"),
        (ListOf(Uint(), 2, low=0), (), ""),
        (ListOf(Uint(), 2), (1, 2, 3), "bad-value"),
        (ListOf(Uint(), 2), (0,) * 65, "limit"),
        (ListOf(Uint(), 2), (1, "2"), "wrong-type"),
        (ListOf(Uint(), 2), (2, 2), ""),
        (ListOf(Uint(), 3, ascending=True), (1, 2, 9), ""),
        (ListOf(Uint(), 3, ascending=True), (1, 1), "bad-order"),
        (ListOf(Uint(), 3, ascending=True), (1, 3, 2), "bad-order"),
    ],
)
def test_what_each_kind_refuses(kind: Kind, value: Any, code: str) -> None:
    """BODY-4 (type), BODY-5 (empty), BODY-6 (value), BODY-9 (order); the empty code accepts."""
    if code:
        assert code_of(kind.check, value) == code
        assert not guard_of(kind)(value)
    else:
        assert passes(kind, value)


def test_nested_values_are_written_and_read_by_their_own_table() -> None:
    """BODY-4; an array is what its items are."""
    wire = {1: 1, 2: 1, 3: 3}
    assert Nested(Bucket).to_wire(BUCKET) == wire
    assert Nested(Bucket).from_wire({1: 1, 2: 1, 3: 3}) == BUCKET
    usage = ListOf(Nested(Bucket), 32)
    assert usage.to_wire((BUCKET, BUCKET)) == (wire, wire)
    assert usage.from_wire(({1: 1, 2: 1, 3: 3},)) == (BUCKET,)
    assert ListOf(Uint(), 4).from_wire((1, 2)) == (1, 2)
    action = PolicyAction(name="pii", action=3, count=1)
    assert Nested(PolicyAction).from_wire(("pii", 3, 1)) == action
    no_arrays: list[Value] = [1, "a", b"a", {}, {1: 2}]
    for other in no_arrays:
        assert code_of(usage.from_wire, other) == "wrong-type"
        assert code_of(ListOf(Uint(), 4).from_wire, other) == "wrong-type"
        assert code_of(Nested(PolicyAction).from_wire, other) == "wrong-type"
    no_maps: list[Value] = [1, "a", b"a", (), (1,)]
    for other in no_maps:
        assert code_of(Nested(Bucket).from_wire, other) == "wrong-type"
