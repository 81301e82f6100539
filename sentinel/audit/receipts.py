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

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

from nous_ledger.protocol.audit_streams import OUTPUT_KINDS, Service
from nous_ledger.protocol.encoding import decode
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE, Bucket, check_usage
from nous_ledger.protocol.receipt import Context, Receipt
from nous_ledger.protocol.registries import TOKEN_KINDS_END

_UINT: Final = (
    rb"(?:[\x00-\x7f]|\xcc[\x80-\xff]|\xcd(?!\x00).{2}|\xce(?!\x00\x00).{4}"
    rb"|\xcf(?!\x00{4})\x00[\x00-\x1f].{6})"
)
_TEXT: Final = rb"(?:[\xa1-\xbf]|\xd9[\x20-\xff]|\xda\x01.)[\x20-\x7e]+"
_HASH: Final = rb"\xc4\x20.{32}"
_BUCKET: Final = (
    rb"([\x83\x85\x86])\x01([\x00-\x3f])(?:\x02(<uint>))?\x03([\x02\x03])"
    rb"(?:\x04(<uint>)\x05(<uint>)\x06(<text>))?"
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


def _compiled(form: bytes) -> re.Pattern[bytes]:
    for name, part in ((b"<bucket>", _BUCKET), (b"<names>", _NAMES)):
        form = form.replace(name, part.replace(b"(<", b"(?:<").replace(b"([", b"(?:["))
    for name, part in ((b"<uint>", _UINT), (b"<text>", _TEXT), (b"<hash>", _HASH)):
        form = form.replace(name, part)
    return re.compile(form, re.DOTALL)


_RECEIPT: Final = _compiled(_BODY)
_BUCKETS: Final = _compiled(_BUCKET)
_NAME_FIELDS: Final = _compiled(_NAMES)
_KINDS: Final = {field.key: field.kind for field in Receipt.FIELDS}
_NAMES_AT: Final = 9
_PROXY: Final = b"\x01"
_REFUSED: Final = b"\x04"
_NO_METERING: Final = b"\x00"
_BOUNDED: Final = bytes([BOUNDED])
_OK: Final = b"\xcc\xc8"
_MAX_USUAL: Final = 4_096
_MAX_METHOD: Final = 64
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
    """

    id: bytes
    subject: bytes
    seq: int
    prev: bytes | None
    time: int
    service: bytes
    output: int


class _Names(NamedTuple):
    """What is known of the fields 8 to 13 of a receipt, which are good."""

    fields: int
    upstream: bool
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
    seq = _number(parts[7])
    if (parts[8] is None) != (seq == 0) or not _fits(parts, names):
        return None
    output = 0 if parts[14] is None else _output(parts[14], parts[15])
    if output < 0:
        return None
    service = parts[5] + parts[_NAMES_AT]
    return ReceiptPlace(parts[2], parts[6], seq, parts[8], _number(parts[3]), service, output)


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
        and (http is None or http == _OK or 100 <= _number(http) <= 599)
        and not (unmetered and (usage or total or parts[16]))
        and (usage is not None or total is None or total == b"\x00")
        and (tier is None or _is_whole(tier, _MAX_TIER))
        and (request_id is None or _is_whole(request_id, _MAX_REQUEST_ID))
        and (context is None or _is_good_context(context))
    )


def _number(data: bytes) -> int:
    """Return the number in the shortest form of an unsigned integer."""
    return data[0] if len(data) == 1 else int.from_bytes(data[1:], "big")


def _is_whole(text: bytes, longest: int) -> bool:
    """Return whether a string of printable characters is as long as its header says."""
    length, header = len(text), text[0]
    if header < 0xC0:
        return length == header - 0x9F
    return header == 0xD9 and length == text[1] + 2 <= longest + 2


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
    return _Names(fields, 9 in texts, service)


@lru_cache(maxsize=1024)
def _is_good_context(data: bytes) -> bool:
    try:
        Context.from_wire(decode(data))
    except LedgerError:
        return False
    return True


def _output(usage: bytes, stated: bytes | None) -> int:
    """Return the output tokens of buckets that are good, may stand together, and add up.

    Returns:
        -1 where they are not, or do not.
    """
    buckets = _BUCKETS.findall(usage)
    total, output, complete = 0, 0, True
    for header, kind, reported, label, lower, upper, method in buckets:
        if label == _BOUNDED:
            whole = lower and _number(lower) <= _number(upper) and _is_whole(method, _MAX_METHOD)
            if not whole or header != (b"\x86" if reported else b"\x85"):
                return -1
        elif header != b"\x83" or not reported or lower:
            return -1
        if kind[0] < TOKEN_KINDS_END:
            if not reported:
                complete = False
                continue
            tokens = _number(reported)
            total += tokens
            if kind[0] in OUTPUT_KINDS:
                output += tokens
    if len(buckets) != usage[0] & 0x0F or not _may_stand(b"".join(b[1] for b in buckets)):
        return -1
    good = stated is None or not complete or _number(stated) == total
    return output if good else -1


@lru_cache(maxsize=1024)
def _may_stand(kinds: bytes) -> bool:
    """Return whether buckets of these kinds may stand together, in this order."""
    try:
        check_usage([Bucket(kind=kind, reported=0, label=UNVERIFIABLE) for kind in kinds])
    except LedgerError:
        return False
    return True
