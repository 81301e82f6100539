"""The receipt of one call, from its first draft to its final form.

A call's draft is written before anything is forwarded: it is the receipt as it
would stand if the gateway died right then (status gateway_interrupted). At the
end of the call it is completed; after a crash it is what remains.

Spec:
    PROTOCOL.md RCPT-12, ENC-25.
"""

from __future__ import annotations

import os
import time
from typing import Final

from nous_ledger.gateway.metering import METERING_NONE, NOTHING_METERED, Metered
from nous_ledger.gateway.paths import CallShape
from nous_ledger.gateway.providers import Upstream
from nous_ledger.protocol.encoding import is_encodable_text
from nous_ledger.protocol.hashing import raw_usage_hash
from nous_ledger.protocol.making import changing, making
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import ANOMALY, SOURCE, STATUS
from nous_ledger.protocol.types import Hash32, SubjectId, UnixMillis
from nous_ledger.protocol.values import maker, value

COMPLETE: Final = STATUS["complete"]
CLIENT_ABORTED: Final = STATUS["client_aborted"]
UPSTREAM_ERROR: Final = STATUS["upstream_error"]
UPSTREAM_RESET: Final = STATUS["upstream_reset"]
TIMEOUT: Final = STATUS["timeout"]
INTERRUPTED: Final = STATUS["gateway_interrupted"]
INCOMPLETE: Final = STATUS["incomplete"]

_UUID_FIXED: Final = 7 << 76 | 2 << 62
"""Version and variant of a UUID of version 7."""
_UUID_FREE: Final = (1 << 128) - 1 & ~(15 << 76 | 3 << 62)

_PROXY: Final = SOURCE["proxy"]

_BEGUN: Final = making(
    Receipt,
    (
        *("salt", "id", "time", "source", "subject", "provider", "upstream", "operation", "api"),
        *("model_requested", "status", "metering", "request_commitment", "forwarded_commitment"),
        *("anomalies", "claimed_wallet"),
    ),
)
_ENDED: Final = changing(
    Receipt,
    (
        *("status", "http_status", "duration", "streamed", "response_commitment"),
        *("model_served", "service_tier", "provider_request_id", "anomalies", "metering"),
        *("usage", "provider_total", "reported_cost", "raw_usage_hash"),
    ),
)

_MODEL: Final = ANOMALY["model_unrepresentable"]
_REQUEST_ID: Final = ANOMALY["request_id_unrepresentable"]
_TOO_LONG: Final = ANOMALY["body_too_long_to_commit"]


@value
class Ending:
    """How a call ended.

    Attributes:
        status: receipt status.
        http_status: status of the upstream's response; None if none came.
        duration: milliseconds from the request's arrival to the end.
        streamed: the response was an event stream.
        metered: what was read from the response.
        response_commitment: over what the client received; None if that is not
            known or was too long.
        too_long: a body was too long to be committed to.
        provider_request_id: the provider's id of the call.
    """

    status: int
    http_status: int | None = None
    duration: int = 0
    streamed: bool = False
    metered: Metered = NOTHING_METERED
    response_commitment: Hash32 | None = None
    too_long: bool = False
    provider_request_id: str | None = None


new_ending: Final = maker(Ending)

RANDOM_LENGTH: Final = 16 + 10
"""Random bytes of a draft: its salt and what of its id is no time."""


def receipt_name(receipt_id: bytes) -> str:
    """Return the id of a receipt as people and header fields have it: that of a UUID."""
    digits = receipt_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_receipt_id(now: UnixMillis) -> bytes:
    """Return a new UUID of version 7: 48 bits of milliseconds, then 74 random bits."""
    return _uuid7(now, os.urandom(10))


def _uuid7(now: UnixMillis, tail: bytes) -> bytes:
    bits = now << 80 | int.from_bytes(tail, "big")
    return (bits & _UUID_FREE | _UUID_FIXED).to_bytes(16, "big")


def draft_receipt(
    *,
    subject: SubjectId,
    upstream: Upstream,
    shape: CallShape,
    model: str | None,
    request_commitment: Hash32 | None = None,
    forwarded_commitment: Hash32 | None = None,
    claimed_wallet: bytes | None = None,
    random: bytes = b"",
) -> Receipt:
    """Return the receipt of a call that begins now, as it stands if it never ends.

    Args:
        subject: pseudonym of the caller.
        upstream: where the call goes.
        shape: what the call is.
        model: the model asked for, if the request names one.
        request_commitment: over the request as the client sent it.
        forwarded_commitment: over the request as forwarded, if it was altered.
        claimed_wallet: the wallet that the request names, 20 bytes.
        random: `RANDOM_LENGTH` random bytes that serve nothing else; made here unless given.
    """
    now = UnixMillis(time.time_ns() // 1_000_000)
    random = random or os.urandom(RANDOM_LENGTH)
    model_fits = model is None or is_encodable_text(model, 256)
    return _BEGUN(
        random[:16],
        _uuid7(now, random[16:]),
        now,
        _PROXY,
        subject,
        upstream.provider,
        upstream.host,
        shape.operation,
        shape.api,
        model if model_fits else None,
        INTERRUPTED,
        METERING_NONE,
        request_commitment,
        forwarded_commitment,
        None if model_fits else (_MODEL,),
        claimed_wallet,
    )


def complete_receipt(draft: Receipt, ending: Ending) -> Receipt:
    """Return the final form of a draft.

    A string of the upstream that cannot stand in a receipt is left out and
    leaves an anomaly; it never costs the receipt.
    """
    metered, http_status = ending.metered, ending.http_status
    anomalies = list(metered.anomalies)
    if draft.anomalies is not None:
        anomalies += draft.anomalies
    if ending.too_long:
        anomalies.append(_TOO_LONG)
    model = _fitting(metered.model, 256, anomalies, _MODEL)
    request_id = _fitting(ending.provider_request_id, 256, anomalies, _REQUEST_ID)
    has_usage = metered.metering != METERING_NONE
    return _ENDED(
        draft,
        ending.status,
        http_status if http_status and 100 <= http_status <= 599 else None,
        ending.duration,
        1 if ending.streamed else None,
        ending.response_commitment,
        model,
        _fitting(metered.service_tier, 64, anomalies, None),
        request_id,
        tuple(sorted({*anomalies})) if anomalies else None,
        metered.metering,
        metered.usage or None if has_usage else None,
        metered.provider_total if has_usage else None,
        metered.reported_cost if has_usage else None,
        raw_usage_hash(metered.raw_usage) if has_usage else None,
    )


def _fitting(
    value: str | None, max_bytes: int, anomalies: list[int], code: int | None
) -> str | None:
    if value is None or is_encodable_text(value, max_bytes):
        return value
    if code is not None:
        anomalies.append(code)
    return None
