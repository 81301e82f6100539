"""Counting again: a receipt's bounds and exact counts, for `verify --recount`.

Spec:
    PROTOCOL.md LBL-4, LBL-8 to LBL-10, BND-20, EST-1, VER-19, VER-20.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nous_ledger.gateway.bounds import bound_again
from nous_ledger.gateway.formats import parser_of
from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.request import MAX_SEPARATORS
from nous_ledger.protocol.accuracy import Recount
from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.label import BOUNDED, EXACT, METHOD_BYTES, Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import STATUS
from nous_ledger.protocol.types import TokenCount
from nous_ledger.reconcile.counting import counter_for
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.estimate import METHOD_CLAUDE, RANGE_ENCODING, claude_range
from nous_ledger.reconcile.jsontext import parse_json
from nous_ledger.reconcile.labels import label_counts
from nous_ledger.reconcile.tokenizers import Encoding, TokenizerTable, builtin_table
from nous_ledger.reconcile.visible_request import rules_out_hidden, shows_all

_WHOLE: Final = (STATUS["complete"], STATUS["incomplete"])


def read_fields(request: bytes | None) -> dict[str, Any] | None:
    """Return the members of a request, None if it is not a JSON object or not known."""
    try:
        fields = parse_json(request or b"", max_separators=MAX_SEPARATORS).value
    except FormatError:
        return None
    return fields if isinstance(fields, dict) else None


def recount_bounds(
    receipt: Receipt,
    request: bytes | None,
    response: bytes,
    *,
    table: TokenizerTable | None = None,
) -> Mapping[int, Recount]:
    """Return the range of each bucket that can be counted here, found again.

    Args:
        receipt: the receipt whose labels are claimed.
        request: request body that its commitment covers; needed for an unsplit output, for
            any of the wire formats of which the request decides what is shown, and for
            every bound that the request gives.
        response: response body that its commitment covers.
        table: encodings that can be counted in; None for the built-in table.

    Returns:
        Ranges by bucket kind; a kind is left out if it cannot be counted here, an EXACT
        one where its tokenizer is not installed or not known.
    """
    if receipt.status not in _WHOLE:
        return {}  # LBL-10: not all of the response reached the caller
    encodings = (table or builtin_table()).encodings
    exact = [bucket for bucket in receipt.usage or () if bucket.label == EXACT]
    ranged = [bucket.kind for bucket in receipt.usage or () if bucket.method == METHOD_CLAUDE]
    streamed = receipt.streamed == 1
    parser = parser_of(receipt.api, response) if streamed else None
    meter = Meter(receipt.api, streamed=streamed, parser=parser, keep_text=bool(exact or ranged))
    meter.feed(response)
    meter.close()
    claimed = [
        (bucket.kind, bucket.reported or 0)
        for bucket in receipt.usage or ()
        if bucket.label == BOUNDED and bucket.method in (METHOD_BYTES, METHOD_CLAUDE)
    ]
    visible = meter.visible_output()
    fields = read_fields(request)
    shown = visible if shows_all(receipt.api, fields) else None
    found = label_counts(
        claimed,
        shown,
        hidden_ruled_out=rules_out_hidden(receipt.api, fields or {}),
    )
    ranges = {
        bucket.kind: Recount(lower=bucket.lower, upper=bucket.upper)
        for bucket in found
        if bucket.lower is not None and bucket.upper is not None
    }
    for kind in ranged:
        bound = ranges.pop(kind, None)  # without one, the method does not apply either
        if bound is not None and shown is not None and shown.text is not None:
            ranges |= _ranged(kind, shown.text, encodings)
    for bucket in exact:
        if visible is not None and visible.text is not None:
            ranges |= _counted(bucket, visible.text, encodings)
    return ranges if request is None else {**ranges, **bound_again(receipt, request, shown)}


def _ranged(kind: int, text: str, encodings: Mapping[str, Encoding]) -> Mapping[int, Recount]:
    """Return the range of a text by claude-range/1 (EST-1)."""
    counted = _tokens(encodings.get(RANGE_ENCODING), text)
    if counted is None:
        return {}
    lower, upper = claude_range(text, counted)
    return {kind: Recount(lower=lower, upper=upper)}


def _counted(bucket: Bucket, text: str, encodings: Mapping[str, Encoding]) -> Mapping[int, Recount]:
    """Return the count of a text by a bucket's own method, under the offsets that it claims."""
    name = (bucket.method or "").partition("/")[0]
    encoding = encodings.get(name)
    if encoding is None or encoding.vocabulary != bucket.vocab or bucket.count is None:
        return {}
    if (count := _tokens(encoding, text)) is None:
        return {}
    shift = count - bucket.count
    return {
        bucket.kind: Recount(
            lower=(bucket.lower or 0) + shift, upper=(bucket.upper or 0) + shift, count=count
        )
    }


def _tokens(encoding: Encoding | None, text: str) -> TokenCount | None:
    if encoding is None:
        return None
    try:
        counter = counter_for(encoding)
    except RecountError:
        return None
    counter.feed(text)
    return counter.result()
