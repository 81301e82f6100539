"""Counting again: the bounds of a receipt from its response, for `verify --recount`.

Spec:
    PROTOCOL.md LBL-8 to LBL-10, VER-19, VER-20.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.request import MAX_SEPARATORS, rules_out_hidden
from nous_ledger.protocol.accuracy import Recount
from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.label import BOUNDED, METHOD_BYTES
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import STATUS
from nous_ledger.reconcile.jsontext import parse_json
from nous_ledger.reconcile.labels import label_counts

_WHOLE: Final = (STATUS["complete"], STATUS["incomplete"])


def _rules_out_hidden(api: int, request: bytes | None) -> bool:
    try:
        fields = parse_json(request or b"", max_separators=MAX_SEPARATORS).value
    except FormatError:
        return False
    return rules_out_hidden(api, fields) if isinstance(fields, dict) else False


def recount_bounds(
    receipt: Receipt, request: bytes | None, response: bytes
) -> Mapping[int, Recount]:
    """Return the range of each bucket that method bytes/1 bounds, found again.

    Args:
        receipt: the receipt whose labels are claimed.
        request: request body that its commitment covers; needed for an unsplit output.
        response: response body that its commitment covers.

    Returns:
        Ranges by bucket kind; a kind is left out if it cannot be bounded here.
    """
    if receipt.status not in _WHOLE:
        return {}  # LBL-10: not all of the response reached the caller
    meter = Meter(receipt.api, streamed=receipt.streamed == 1)
    meter.feed(response)
    meter.close()
    claimed = [
        (bucket.kind, bucket.reported or 0)
        for bucket in receipt.usage or ()
        if bucket.label == BOUNDED and bucket.method == METHOD_BYTES
    ]
    found = label_counts(
        claimed,
        meter.visible_output(),
        hidden_ruled_out=_rules_out_hidden(receipt.api, request),
    )
    return {
        bucket.kind: Recount(lower=bucket.lower, upper=bucket.upper)
        for bucket in found
        if bucket.lower is not None and bucket.upper is not None
    }
