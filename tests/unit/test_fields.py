"""Field tables: values that check themselves, cannot change, and keep what they do not know."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from nous_ledger.protocol.bodies import Redaction, decode_body, encode_body
from nous_ledger.protocol.encoding import decode, pack_checked
from nous_ledger.protocol.extensions import extension_bytes
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Context, ImportInfo, PolicyAction, Receipt
from nous_ledger.protocol.statement import KindSums
from nous_ledger.protocol.strict import Value
from tests.property.sample_log import SALT, full_receipt, receipt
from tests.refusals import code_of, refusal

BUCKET = Bucket(kind=1, reported=12, label=3)
REDACTION = Redaction(salt=SALT, indices=(1, 2), reason=1)
Extensions = tuple[tuple[int, Value], ...]


def test_values_cannot_be_changed() -> None:
    values: list[Any] = [REDACTION, BUCKET, receipt(), PolicyAction(name="a", action=1, count=1)]
    for value in values:
        with pytest.raises(FrozenInstanceError):
            value.salt = b""
        with pytest.raises(FrozenInstanceError):
            value.reason = 2
        with pytest.raises(FrozenInstanceError):
            del value.extensions
        with pytest.raises(FrozenInstanceError):
            value.other = 1


def test_values_are_equal_by_their_fields() -> None:
    assert replace(BUCKET) == BUCKET
    assert hash(replace(BUCKET)) == hash(BUCKET)
    assert replace(BUCKET, reported=13) != BUCKET
    assert replace(BUCKET, extensions=((64, 1),)) != BUCKET
    assert len({BUCKET, replace(BUCKET), replace(BUCKET, kind=2)}) == 2
    assert (BUCKET == (1, 12, 3)) is False
    # Of another class, though all fields are equal.
    twin = KindSums(kind=1, reported=0, exact=0, bounded=0, unverifiable=0)
    assert twin != Bucket(kind=1, reported=0, label=0)


def test_values_show_the_fields_that_are_present() -> None:
    assert repr(BUCKET) == "Bucket(kind=1, reported=12, label=3)"
    shown = repr(replace(BUCKET, reported=0, extensions=((64, "x"),)))
    assert shown == "Bucket(kind=1, reported=0, label=3, extensions=((64, 'x'),))"


def test_values_are_made_by_name_only() -> None:
    with pytest.raises(TypeError):
        Bucket(1, 12, 3)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Bucket(kind=1, label=3, number=12)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Bucket(kind=1)  # type: ignore[call-arg]


def test_errors_name_the_field() -> None:
    """From the outermost map on, and keep code and class of the fault."""
    error = refusal(replace, receipt(), subject=bytes(31))
    assert error.message == "subject: expected 32 bytes, not 31"
    assert error.attrs == {"field": "subject"}
    wire: Any = decode(encode_body(receipt()))
    wire[18] = ({1: 1, 2: "12", 3: 3},)
    error = refusal(decode_body, 1, pack_checked(wire))
    assert error.message == "usage: reported: expected an unsigned integer"
    assert (error.code, type(error).__name__) == ("wrong-type", "BodyError")
    wire[18] = ({1: 16, 3: 1},)
    error = refusal(decode_body, 1, pack_checked(wire))
    assert (error.code, type(error).__name__) == ("label-shape", "LabelError")


def test_a_required_field_cannot_be_none() -> None:
    """BODY-3."""
    for name in ("salt", "id", "time", "subject", "subject_seq", "provider", "metering"):
        error = refusal(replace, receipt(), **{name: None})
        assert (error.code, error.message) == ("missing-field", f"{name} is required")


def test_a_map_is_read_by_its_keys() -> None:
    """BODY-3, BODY-4, BODY-5, ENC-21."""
    assert Bucket.from_wire({1: 1, 2: 12, 3: 3}) == BUCKET
    assert code_of(Bucket.from_wire, {1: 1, 2: 12}) == "missing-field"
    assert code_of(Bucket.from_wire, {}) == "empty-value"
    assert code_of(Context.from_wire, {}) == "empty-value"
    assert code_of(Bucket.from_wire, (1, 12, 3)) == "wrong-type"
    assert code_of(Bucket.from_wire, {1: "1", 2: 12, 3: 3}) == "wrong-type"
    for key in (0, 9, 63):
        fields = sorted({1: 1, 2: 12, 3: 3, key: 0}.items())
        assert code_of(Bucket.from_wire, dict(fields)) == "unknown-field"
        # A field that is not known comes before one that is missing.
        assert code_of(Bucket.from_wire, dict(sorted({1: 1, key: 0}.items()))) == "unknown-field"


@pytest.mark.parametrize("keys", [(2, 1, 3), (True, 2, 3), (1, 2.0, 3), (1, 2, "3")])
def test_a_map_that_was_read_leniently_keeps_its_order(keys: tuple[Any, ...]) -> None:
    """The bytes of a map would not show that its keys are no ascending numbers (ENC-1).

    Nor does it pass for a map of the numbers that True and 2.0 are equal to, read before.
    """
    values = {1: 1, 2: 12, 3: 3, "3": 3}
    assert Bucket.from_wire({1: 1, 2: 12, 3: 3}) == Bucket(kind=1, reported=12, label=3)
    assert code_of(Bucket.from_wire, {key: values[key] for key in keys}) == "unsorted"


@pytest.mark.parametrize("fields", [{1: 1, 2: None, 3: 3}, {1: 1, 2: 12, 3: 3, 64: None}])
def test_nil_is_no_absent_field(fields: dict[int, Any]) -> None:
    """ENC-1."""
    assert code_of(Bucket.from_wire, fields) == "forbidden-type"


def test_a_body_that_is_an_empty_map_lacks_its_fields() -> None:
    """It stands in no field that it could leave empty (BODY-3, BODY-5)."""
    for number in range(6):
        assert code_of(decode_body, number, b"\x80") == "missing-field"


def test_a_context_says_something() -> None:
    """BODY-5; what is made can be read again."""
    assert code_of(Context) == "empty-value"
    assert Context(extensions=((64, 1),)).to_wire() == {64: 1}
    for name in ("session", "project", "branch", "commit", "agent", "tag"):
        given: dict[str, Any] = {name: "x"}
        whole = replace(receipt(), context=Context(**given))
        assert decode_body(1, encode_body(whole)) == whole


def test_a_row_is_read_by_its_order() -> None:
    """BODY-4, BODY-6."""
    action = PolicyAction(name="pii", action=3, count=2)
    assert action.to_wire() == ("pii", 3, 2)
    assert PolicyAction.from_wire(("pii", 3, 2)) == action
    assert code_of(PolicyAction.from_wire, {0: "pii", 1: 3, 2: 2}) == "wrong-type"
    assert code_of(PolicyAction.from_wire, ("pii", 3)) == "bad-value"
    assert code_of(PolicyAction.from_wire, ("pii", 3, 2, 1)) == "bad-value"
    assert code_of(PolicyAction.from_wire, ()) == "empty-value"
    assert code_of(PolicyAction.from_wire, (3, "pii", 2)) == "wrong-type"
    # Five numbers, but no array of them.
    others: list[Value] = [b"\x01\x02\x03\x04\x05", {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}]
    for other in others:
        assert code_of(KindSums.from_wire, other) == "wrong-type"


def test_maps_are_written_with_ascending_keys_and_nothing_for_what_is_absent() -> None:
    for body in (receipt(), full_receipt(), REDACTION):
        wire = body.to_wire()
        assert list(wire) == sorted(wire)
        assert None not in wire.values()
        assert type(body).from_wire(wire) == body


EVERYTHING: Extensions = (
    (64, 0),
    (65, ""),
    (66, b""),
    (67, ()),
    (68, {}),
    (127, "x" * 1_024),
    (128, ((((),),),)),
    (2**53 - 1, {0: {63: 2}}),
)


def with_extensions(extensions: Any) -> Receipt:
    return replace(receipt(), extensions=extensions)


def test_extensions_are_kept() -> None:
    """In every map, of any value, empty ones included (ENC-22)."""
    whole = replace(
        full_receipt(),
        extensions=EVERYTHING[:-2],
        usage=(replace(BUCKET, extensions=((64, ()), (65, "b"))),),
        provider_total=12,
        context=Context(tag="t", extensions=((64, {1: 2}),)),
        import_=ImportInfo(
            importer="a", version="1", line_hash=bytes(32), extensions=((200, b"\x00"),)
        ),
    )
    assert decode_body(1, encode_body(whole)) == whole
    alone = with_extensions(EVERYTHING)
    assert decode_body(1, encode_body(alone)) == alone


@pytest.mark.parametrize(
    ("extensions", "code"),
    [
        (((63, 1),), "unknown-field"),
        (((0, 1), (64, 1)), "unknown-field"),
        (((64, 1), (64, 1)), "duplicate-key"),
        (((65, 1), (64, 1)), "unsorted"),
        (((64, {2: 0, 1: 0}),), "unsorted"),
        (((64, ({2: 0, 1: 0},)),), "unsorted"),
        (((2**53, 1),), "int-range"),
        (((64, 2**53),), "int-range"),
        (((64, None),), "forbidden-type"),
        (((64, True),), "forbidden-type"),
        (((64, [1]),), "forbidden-type"),
        (((64, -1),), "forbidden-type"),
        (((-64, 1),), "forbidden-type"),
        (((64, {"a": 1}),), "forbidden-type"),
        (((64, "a\n"),), "bad-string"),
        (((64, "\ud800"),), "bad-string"),
        (((64, "x" * 1_025),), "limit"),
        (((64, (0,) * 65),), "limit"),
        (((64, (((((),),),),)),), "limit"),
        (((64, bytes(40_000)),), "limit"),
        (((64.5, 1),), "wrong-type"),
        ((("64", 1),), "wrong-type"),
        (((True, 1),), "wrong-type"),
        (((64, 1, 2),), "wrong-type"),
        ((64, 1), "wrong-type"),
        (([64, 1],), "wrong-type"),
        ([(64, 1)], "wrong-type"),
        ([], "wrong-type"),
        ({64: 1}, "wrong-type"),
        ("ab", "wrong-type"),
        (None, "wrong-type"),
    ],
)
def test_extensions_that_no_decoder_takes_are_not_made(extensions: Any, code: str) -> None:
    """ENC-19, ENC-21, ENC-22."""
    assert code_of(with_extensions, extensions) == code


def test_extensions_are_as_deep_as_their_map() -> None:
    """A bucket stands at depth 3 of its body: two levels are left in it (ENC-13)."""
    deepest: Value = ((),)
    inner = replace(BUCKET, extensions=((64, deepest),))
    whole = replace(receipt(), usage=(inner,), provider_total=12)
    assert decode_body(1, encode_body(whole)) == whole
    assert code_of(replace, BUCKET, extensions=((64, (deepest,)),)) == "limit"
    assert code_of(Context, extensions=((64, ((deepest,),)),)) == "limit"
    whole = replace(receipt(), context=Context(extensions=((64, (deepest,)),)))
    assert decode_body(1, encode_body(whole)) == whole


def test_a_map_has_at_most_64_fields() -> None:
    """Extensions count (ENC-12)."""
    # Salt, indices and reason stand beside 61 extensions.
    most = replace(REDACTION, extensions=tuple((64 + n, 0) for n in range(61)))
    assert decode_body(5, encode_body(most)) == most
    extensions = tuple((64 + n, 0) for n in range(62))
    assert code_of(replace, REDACTION, extensions=extensions) == "limit"


def test_extensions_have_4096_bytes_together() -> None:
    """Keys and values as they are encoded, of all maps of a body (ENC-23)."""
    blob = bytes(4_096 - 1 - 3)  # a key of one byte, a header of three
    most = with_extensions(((64, blob),))
    assert extension_bytes(most) == 4_096
    assert decode_body(1, encode_body(most)) == most
    over = with_extensions(((64, blob + b"\x00"),))
    assert extension_bytes(over) == 4_097
    assert code_of(encode_body, over) == "limit"
    assert code_of(decode_body, 1, pack_checked(over.to_wire())) == "limit"
    # Spread over the maps of the body the sum is the same.
    spread = replace(
        receipt(),
        extensions=((128, blob[:1_000]),),  # 2 + 3 + 1,000
        usage=(replace(BUCKET, extensions=((64, blob[:1_500]),)),),  # 1 + 3 + 1,500
        provider_total=12,
        context=Context(extensions=((64, blob[:1_583]),)),  # 1 + 3 + 1,583
    )
    assert extension_bytes(spread) == 4_096
    assert decode_body(1, encode_body(spread)) == spread
    spread = replace(spread, context=Context(extensions=((64, blob[:1_584]),)))
    assert code_of(encode_body, spread) == "limit"


def test_an_extension_changes_nothing_else() -> None:
    """Every known field stays what it is (ENC-24)."""
    plain, extended = receipt(), with_extensions(EVERYTHING)
    for field in Receipt.FIELDS:
        assert getattr(plain, field.name) == getattr(extended, field.name)
    wire = {key: item for key, item in extended.to_wire().items() if key < 64}
    assert wire == plain.to_wire()


def test_a_key_event_has_no_key_0() -> None:
    """The salt belongs to bodies of the other types (BODY-8)."""
    assert code_of(KeyEvent.from_wire, {0: SALT}) == "unknown-field"
    for number in (1, 2, 3, 4, 5):
        assert code_of(decode_body, number, pack_checked({1: 1})) == "missing-field"
