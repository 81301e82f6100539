"""A receipt that is encoded before its place in its subject's chain is known.

A log learns `subject_seq` (key 6) and `subject_prev` (key 7) of a receipt last, and
of one receipt after the other. All else can be encoded before, by many callers at
once; the place is then put between the bytes. Bodies are canonical, so the result
is what `encode_body` makes of the whole receipt.

Spec:
    PROTOCOL.md ENC-1, SUBJ-3.
"""

from __future__ import annotations

from typing import Final

from nous_ledger.protocol.bodies import encode_body
from nous_ledger.protocol.encoding import MAX_BODY_BYTES, encode_uint, uint_length
from nous_ledger.protocol.errors import BodyError, EncodingError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.values import value

_FIXMAP_ITEMS: Final = 15
_NO_PLACE: Final = b"\x06\x00"


@value
class UnplacedReceipt:
    """The canonical bytes of a receipt around the fields of its place.

    Attributes:
        fields: how many fields it has without them.
        before: what follows the header of the map, up to key 5.
        after: what stands after key 7.
    """

    fields: int
    before: bytes
    after: bytes


def encode_unplaced(receipt: Receipt) -> UnplacedReceipt:
    """Return the bytes of a receipt but for its place.

    Args:
        receipt: the receipt; what it says of its place is left out.

    Raises:
        EncodingError: limit, as `encode_body`.
    """
    data = encode_body(receipt)
    start, fields = (1, data[0] & _FIXMAP_ITEMS) if data[0] >> 4 == 8 else (3, data[2])
    end = start + _length_before(receipt)
    has_prev = receipt.subject_prev is not None
    after = end + 1 + uint_length(receipt.subject_seq) + (3 + 32) * has_prev
    return UnplacedReceipt(fields=fields - 1 - has_prev, before=data[start:end], after=data[after:])


def place_receipt(unplaced: UnplacedReceipt, subject_seq: int, subject_prev: bytes | None) -> bytes:
    """Return the canonical bytes of a receipt at its place.

    Args:
        unplaced: all else of it.
        subject_seq: receipts of the subject before it.
        subject_prev: body hash of the last of them, 32 bytes; None exactly if there is none.

    Raises:
        BodyError: field-conflict, if the two contradict each other; bad-value.
        EncodingError: int-range; limit, as `encode_body`.
    """
    if (subject_prev is None) != (subject_seq == 0):
        raise BodyError("field-conflict", "subject_prev is absent iff subject_seq is 0")
    if subject_prev is None:
        place, fields = _NO_PLACE, unplaced.fields + 1
    elif len(subject_prev) != 32:
        raise BodyError("bad-value", f"subject_prev has 32 bytes, not {len(subject_prev)}")
    else:
        place = b"\x06%b\x07\xc4\x20%b" % (encode_uint(subject_seq), subject_prev)
        fields = unplaced.fields + 2
    header = bytes((0x80 | fields,)) if fields <= _FIXMAP_ITEMS else bytes((0xDE, 0, fields))
    data = header + unplaced.before + place + unplaced.after
    if len(data) > MAX_BODY_BYTES:
        raise EncodingError("limit", f"a body of {len(data)} bytes is too long")
    return data


def _length_before(receipt: Receipt) -> int:
    """Return the length of the fields 0 to 5: three byte strings and up to three numbers."""
    fixed = (3 + 16) + (3 + 16) + (3 + 32) + 2
    length = fixed + uint_length(receipt.time) + uint_length(receipt.source)
    duration = receipt.duration
    return length if duration is None else length + 1 + uint_length(duration)
