r"""The common receipt, accepted by its bytes without an object of it ever being made.

A sentinel reads every receipt of a log to learn a few things about it and to know that it
breaks no rule. One canonical encoding per value means that most receipts are of one form,
which a regular expression describes: every length and range that a header can show is in
it, and a string ends before the next byte that no printable text has, a key. What is left
are the lengths of strings, a few comparisons, and names that repeat from call to call.

All else, good or bad, goes to the protocol's own reader, which decides; a test compares
the two.

Spec:
    PROTOCOL.md, sections "Encoding", "Receipt" and "Labels".
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

from nous_ledger.protocol.audit_streams import Service, StreamKey
from nous_ledger.protocol.encoding import decode
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.receipt import Context, Receipt
from nous_ledger.protocol.types import TokenCount
from sentinel.audit.receipt_usage import (
    ExactCount,
    compiled,
    is_whole,
    number_of,
    read_usage,
    text_of,
)

_NAMES: Final = (
    rb"\x08(<text>)(?:\x09(<text>))?\x0a(<text>)\x0b(<uint>)(?:\x0c(<text>))?(?:\x0d(<text>))?"
)
_BODY: Final = (
    rb"([\x8b-\x8f]|\xde\x00[\x10-\x20])\x00(\xc4\x10.{16})"
    rb"\x01\xc4\x10(.{6}[\x70-\x7f].[\x80-\xbf].{7})"
    rb"\x02(<uint>)(?:\x03(<uint>))?\x04([\x01\x02])\x05\xc4\x20(.{32})"
    rb"\x06(<uint>)(?:\x07\xc4\x20(.{32}))?"
    rb"(<names>)"
    rb"\x0e(<uint>)(?:\x0f(<uint>))?(\x10\x01)?\x11([\x00-\x02])"
    rb"(?:\x12([\x91-\x9f](?:<bucket>)+))?(?:\x13(<uint>))?(?:\x14(<hash>))?(?:\x15(<uint>))?"
    rb"(?:\x16(<text>))?(?:\x17(<hash>))?(?:\x18(<hash>))?(?:\x19(<hash>))?"
    rb"(?:\x1a(<text>))?(?:\x1b([\x81-\x86](?:[\x01-\x06]<text>)+))?"
)


_RECEIPT: Final = compiled(_BODY, _NAMES)
_NAME_FIELDS: Final = compiled(_NAMES)
_KINDS: Final = {field.key: field.kind for field in Receipt.FIELDS}
_NAMES_AT: Final = 9
_PROXY: Final = b"\x01"
_REFUSED: Final = b"\x04"
_NO_METERING: Final = b"\x00"
_OK: Final = b"\xcc\xc8"
_MAX_USUAL: Final = 4_096
_MAX_TIER: Final = 64
_MAX_REQUEST_ID: Final = 256


class ReceiptPlace(NamedTuple):
    """What of a receipt is compared with other records.

    Attributes:
        id: its id, 16 bytes.
        subject: pseudonym, 32 bytes.
        seq: its number in its subject's chain.
        prev: body hash of the receipt before; None for the first.
        time: start of the call in milliseconds.
        service: source and names of who answered, as they are encoded.
        output: output tokens that were reported.
        exact: the EXACT bucket, as it is encoded; None without one that has `reported`.
    """

    id: bytes
    subject: bytes
    seq: int
    prev: bytes | None
    time: int
    service: bytes
    output: int
    exact: ExactCount | None


class _Names(NamedTuple):
    """What is known of the fields 8 to 13 of a receipt, which are good."""

    fields: int
    upstream: bool
    api: int
    service: Service


def read_usual_receipt(data: bytes) -> ReceiptPlace | None:
    """Return the place of a receipt that breaks no rule of its type, or None.

    None says nothing: the receipt may be good and unusual, or bad.

    Args:
        data: the body of a record of type 1.
    """
    match = _RECEIPT.fullmatch(data) if len(data) <= _MAX_USUAL else None
    if match is None:
        return None
    parts = match.groups()
    names = _names(parts[_NAMES_AT])
    if names is None:
        return None
    header, fields = parts[0], len(parts) - 2 - parts.count(None) + names.fields
    if fields != (header[2] if len(header) > 1 else header[0] & 0x0F):
        return None
    seq = number_of(parts[7])
    if (parts[8] is None) != (seq == 0) or not _fits(parts, names):
        return None
    output, exact = 0, None
    if parts[14] is not None:
        output, exact = read_usage(parts[14], parts[15], parts[10], names.api)
        if output < 0:
            return None
        if exact is not None and not exact.reported:
            exact = None
    service = parts[5] + parts[_NAMES_AT]
    time = number_of(parts[3])
    return ReceiptPlace(parts[2], parts[6], seq, parts[8], time, service, output, exact)


def read_sample(place: ReceiptPlace) -> tuple[StreamKey, TokenCount, TokenCount]:
    """Return stream, reported and counted tokens of a receipt with an EXACT bucket."""
    assert place.exact is not None, "the caller asked before"  # noqa: S101
    reported, lower, upper, method, vocab, count = place.exact
    counted = number_of(count)
    offsets = (number_of(lower) - counted, number_of(upper) - counted)
    key = _stream(place.service, method, vocab, *offsets)
    return key, TokenCount(number_of(reported)), TokenCount(counted)


@lru_cache(maxsize=1024)
def _stream(service: bytes, method: bytes, vocab: bytes, lowest: int, highest: int) -> StreamKey:
    return StreamKey(
        service=read_service(service),
        method=text_of(method),
        vocab=vocab,
        lowest=lowest,
        highest=highest,
    )


@lru_cache(maxsize=1024)
def read_service(service: bytes) -> Service:
    """Return who answered a receipt that was read as a usual one.

    Args:
        service: as `ReceiptPlace` has it.
    """
    names = _names(service[1:])
    assert names is not None, "they were good before"  # noqa: S101
    return replace(names.service, source=service[0])


def _fits(parts: tuple[Any, ...], names: _Names) -> bool:
    """Return whether the fields behind the names are good, and none contradicts another."""
    status, http, metering, usage, total = parts[10], parts[11], *parts[13:16]
    tier, request_id, context = parts[18], parts[22], parts[23]
    unmetered = metering == _NO_METERING
    return (
        (names.upstream or parts[5] != _PROXY or status == _REFUSED)
        and (http is None or http == _OK or 100 <= number_of(http) <= 599)
        and not (unmetered and (usage or total or parts[16]))
        and (usage is not None or total is None or total == b"\x00")
        and (tier is None or is_whole(tier, _MAX_TIER))
        and (request_id is None or is_whole(request_id, _MAX_REQUEST_ID))
        and (context is None or _is_good_context(context))
    )


@lru_cache(maxsize=1024)
def _names(data: bytes) -> _Names | None:
    """Return what is known of provider, upstream, operation, api and models, if they are good."""
    match = _NAME_FIELDS.fullmatch(data)
    fields = 0 if match is None else sum(part is not None for part in match.groups())
    try:
        found = decode(bytes([0x80 | fields]) + data)
        assert type(found) is dict, "its header says so"  # noqa: S101
        texts: dict[int, str] = {k: v for k, v in found.items() if type(v) is str}
        for key, value in found.items():
            _KINDS[key].check(value)
    except LedgerError:
        return None
    service = Service(
        source=0,
        provider=texts[8],
        upstream=texts.get(9, ""),
        operation=texts[10],
        model=texts.get(13) or texts.get(12) or "unknown",
    )
    api = found[11]
    assert type(api) is int, "it was checked"  # noqa: S101
    return _Names(fields, 9 in texts, api, service)


@lru_cache(maxsize=1024)
def _is_good_context(data: bytes) -> bool:
    try:
        Context.from_wire(decode(data))
    except LedgerError:
        return False
    return True
