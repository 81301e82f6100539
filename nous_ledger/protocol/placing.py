"""A receipt that is encoded at a place in its subject's chain.

A log learns `subject_seq` and `subject_prev` of a receipt last, and of one receipt
after the other. To make every receipt anew with them would check it once more.

Spec:
    PROTOCOL.md ENC-1, SUBJ-3.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from nous_ledger.protocol.bodies import pack_body
from nous_ledger.protocol.encoding import MAX_ITEMS
from nous_ledger.protocol.errors import BodyError, EncodingError
from nous_ledger.protocol.fields import lay_out_wire
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import MAX_UINT


def encode_placed(receipt: Receipt, subject_seq: int, subject_prev: bytes | None) -> bytes:
    """Return the canonical bytes of a receipt at its place.

    Args:
        receipt: the receipt; what it says of its place is left out.
        subject_seq: receipts of the subject before it.
        subject_prev: body hash of the last of them, 32 bytes; None exactly if there is none.

    Raises:
        BodyError: field-conflict, if the two contradict each other; bad-value.
        EncodingError: int-range; limit, as `encode_body`.
    """
    if (subject_prev is None) != (subject_seq == 0):
        raise BodyError("field-conflict", "subject_prev is absent iff subject_seq is 0")
    if subject_prev is not None and len(subject_prev) != 32:
        raise BodyError("bad-value", f"subject_prev has 32 bytes, not {len(subject_prev)}")
    if not 0 <= subject_seq <= MAX_UINT:
        raise EncodingError("int-range", f"subject_seq {subject_seq} is outside 0..2^53-1")
    wire = _to_wire()(receipt, subject_seq, subject_prev)
    if len(wire) > MAX_ITEMS:  # its extensions left no room for the place
        raise EncodingError("limit", f"a map of more than {MAX_ITEMS} fields")
    return pack_body(receipt, wire)


@cache
def _to_wire() -> Callable[..., dict[int, Any]]:
    return lay_out_wire(Receipt.FIELDS, given=("subject_seq", "subject_prev"))
