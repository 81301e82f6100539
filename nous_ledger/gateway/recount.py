"""Counting again: the bounds of a receipt from its response, for `verify --recount`.

Spec:
    PROTOCOL.md, sections "bytes/1" and "Accuracy".
"""

from __future__ import annotations

from collections.abc import Mapping

from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.request import read_request
from nous_ledger.protocol.accuracy import Recount
from nous_ledger.protocol.label import BOUNDED, METHOD_BYTES, OUTPUT_UNSPLIT, bytes_bound
from nous_ledger.protocol.receipt import Receipt


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
    meter = Meter(receipt.api, streamed=receipt.streamed == 1)
    meter.feed(response)
    meter.close()
    visible = meter.visible_output()
    if visible is None:
        return {}
    hidden_ruled_out = read_request(receipt.api, request).hidden_ruled_out
    lower, upper = bytes_bound(visible.utf8_bytes, visible.choices + visible.tool_calls)
    return {
        bucket.kind: Recount(lower=lower, upper=upper)
        for bucket in receipt.usage or ()
        if bucket.label == BOUNDED
        and bucket.method == METHOD_BYTES
        and (bucket.kind != OUTPUT_UNSPLIT or hidden_ruled_out)
    }
