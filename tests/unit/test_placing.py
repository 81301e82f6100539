"""A receipt that is put at its place has the bytes of one that was made there."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given

from nous_ledger.protocol.bodies import decode_body, encode_body
from nous_ledger.protocol.encoding import encode, encode_uint
from nous_ledger.protocol.errors import BodyError, EncodingError
from nous_ledger.protocol.placing import encode_placed
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import MAX_UINT
from tests.property.made_bodies import receipts, uints

PREV = b"\x07" * 32
EDGES = [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 1 << 16, (1 << 32) - 1, 1 << 32, MAX_UINT]


def _receipt(**changes: object) -> Receipt:
    values: dict[str, object] = {
        "salt": b"s" * 16,
        "id": bytes.fromhex("0190163d8694739b9d5c8a7e3f1c2b4a"),
        "time": 1_790_000_000_000,
        "source": 1,
        "subject": b"u" * 32,
        "provider": "openai",
        "upstream": "api.openai.com",
        "operation": "chat",
        "api": 1,
        "status": 7,
        "metering": 0,
    }
    return Receipt(**(values | changes))  # type: ignore[arg-type]


@given(receipts(), uints)
def test_a_placed_receipt_is_the_encoding_of_the_whole_one(receipt: Receipt, seq: int) -> None:
    """ENC-1: one body has one encoding, whichever way it was made."""
    prev = None if seq == 0 else PREV
    whole = replace(receipt, subject_seq=seq, subject_prev=prev)
    placed = encode_placed(receipt, seq, prev)
    assert placed == encode_body(whole)
    assert decode_body(1, placed) == whole


@pytest.mark.parametrize("seq", EDGES)
def test_numbers_of_every_width(seq: int) -> None:
    prev = None if seq == 0 else PREV
    for time, timed in itertools.product(EDGES, (False, True)):
        draft = _receipt(time=time, duration=time if timed else None, source=time)
        whole = replace(draft, subject_seq=seq, subject_prev=prev)
        assert encode_placed(draft, seq, prev) == encode_body(whole)
        assert encode_placed(whole, 0, None) == encode_body(draft)


@pytest.mark.parametrize("extensions", range(8))
def test_the_header_of_the_map_grows_past_fifteen_fields(extensions: int) -> None:
    draft = _receipt(extensions=tuple((64 + n, n) for n in range(extensions)))
    whole = replace(draft, subject_seq=3, subject_prev=PREV)
    assert encode_placed(draft, 3, PREV) == encode_body(whole)
    assert encode_placed(draft, 0, None) == encode_body(draft)


@pytest.mark.parametrize("number", EDGES)
def test_a_number_alone_is_encoded_as_within_a_value(number: int) -> None:
    """ENC-1, ENC-2."""
    assert encode_uint(number) == encode(number)


def test_what_is_no_number_of_the_protocol_is_refused() -> None:
    for number, code in (
        (-1, "forbidden-type"),
        (MAX_UINT + 1, "int-range"),
        (True, "forbidden-type"),
    ):
        with pytest.raises(EncodingError) as caught:
            encode_uint(number)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("seq", "prev", "code"),
    [
        (0, PREV, "field-conflict"),
        (1, None, "field-conflict"),
        (1, b"short", "bad-value"),
        (-1, PREV, "int-range"),
        (MAX_UINT + 1, PREV, "int-range"),
    ],
)
def test_a_place_that_cannot_be(seq: int, prev: bytes | None, code: str) -> None:
    with pytest.raises((BodyError, EncodingError)) as caught:
        encode_placed(_receipt(), seq, prev)
    assert caught.value.code == code


def test_extensions_beyond_their_limit() -> None:
    draft = _receipt(extensions=((64, b"x" * 4_096),))
    with pytest.raises(EncodingError) as caught:
        encode_placed(draft, 1, PREV)
    assert caught.value.code == "limit"


def test_no_map_grows_past_what_is_read() -> None:
    """ENC-1, SUBJ-3: a place may be one field more than the receipt had."""
    full = _receipt(extensions=tuple((64 + n, n) for n in range(64 - len(_receipt().to_wire()))))
    assert decode_body(1, encode_placed(full, 0, None)) == full
    with pytest.raises(EncodingError) as caught:
        encode_placed(full, 1, PREV)
    assert caught.value.code == "limit"
