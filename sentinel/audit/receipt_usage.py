"""The buckets of the common receipt, checked by their bytes.

Spec:
    PROTOCOL.md, sections "Buckets" and "Labels".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from nous_ledger.protocol.audit_streams import OUTPUT_KINDS
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.label import (
    BOUNDED,
    EXACT,
    MAX_OFFSET,
    OUTPUT_VISIBLE,
    UNVERIFIABLE,
    Bucket,
    check_exact_allowed,
    check_usage,
)
from nous_ledger.protocol.registries import TOKEN_KINDS_END

UINT: Final = (
    rb"(?:[\x00-\x7f]|\xcc[\x80-\xff]|\xcd(?!\x00).{2}|\xce(?!\x00\x00).{4}"
    rb"|\xcf(?!\x00{4})\x00[\x00-\x1f].{6})"
)
TEXT: Final = rb"(?:[\xa1-\xbf]|\xd9[\x20-\xff]|\xda\x01.)[\x20-\x7e]+"
_HASH: Final = rb"\xc4\x20.{32}"
BUCKET: Final = (
    rb"([\x83\x85-\x88])\x01([\x00-\x3f])(?:\x02(<uint>))?\x03([\x01-\x03])"
    rb"(?:\x04(<uint>)\x05(<uint>)\x06(<text>)(?:\x07\xc4\x20([\x00-\xff]{32})\x08(<uint>))?)?"
)
_BOUNDED: Final = bytes([BOUNDED])
_EXACT: Final = bytes([EXACT])
_VISIBLE: Final = bytes([OUTPUT_VISIBLE])
_MAX_METHOD: Final = 64


class ExactCount(NamedTuple):
    """An EXACT bucket, its fields as they are encoded; `reported` is empty if it is absent."""

    reported: bytes
    lower: bytes
    upper: bytes
    method: bytes
    vocab: bytes
    counted: bytes


def compiled(form: bytes, names: bytes = b"") -> re.Pattern[bytes]:
    """Return a pattern with the forms of what it names in it, their groups left out."""
    for name, part in ((b"<bucket>", BUCKET), (b"<names>", names)):
        form = form.replace(name, part.replace(b"(<", b"(?:<").replace(b"([", b"(?:["))
    for name, part in ((b"<uint>", UINT), (b"<text>", TEXT), (b"<hash>", _HASH)):
        form = form.replace(name, part)
    return re.compile(form, re.DOTALL)


_BUCKETS: Final = compiled(BUCKET)
_NO_USAGE: Final = (-1, None)


def read_usage(
    usage: bytes, stated: bytes | None, status: bytes, api: int
) -> tuple[int, ExactCount | None]:
    """Return the output tokens and the EXACT bucket of buckets that are good and add up.

    Args:
        usage: the list of buckets.
        stated: the provider's total; None if there is none.
        status: how the call ended.
        api: wire format of the call.

    Returns:
        -1 and None where the buckets are not good, or do not add up.
    """
    buckets = _BUCKETS.findall(usage)
    total, output, complete = 0, 0, True
    exact = None
    for header, kind, reported, label, lower, upper, method, vocab, count in buckets:
        if label == _BOUNDED:
            good = lower and number_of(lower) <= number_of(upper) and is_whole(method, _MAX_METHOD)
            if not good or vocab or header != (b"\x86" if reported else b"\x85"):
                return _NO_USAGE
        elif label == _EXACT:
            exact = ExactCount(reported, lower, upper, method, vocab, count)
            if kind != _VISIBLE or header != (b"\x88" if reported else b"\x87"):
                return _NO_USAGE
        elif header != b"\x83" or not reported or lower:
            return _NO_USAGE
        if not reported:
            complete = complete and kind[0] >= TOKEN_KINDS_END
        elif kind[0] < TOKEN_KINDS_END:
            tokens = number_of(reported)
            total += tokens
            output += tokens if kind[0] in OUTPUT_KINDS else 0
    kinds = b"".join(bucket[1] for bucket in buckets)
    good = (
        len(buckets) == usage[0] & 0x0F
        and _may_stand(kinds)
        and (stated is None or not complete or number_of(stated) == total)
        and (exact is None or _may_be_exact(exact, buckets, kinds, (number_of(status), api)))
    )
    return (output, exact) if good else _NO_USAGE


def _may_be_exact(
    exact: ExactCount, buckets: list[tuple[bytes, ...]], kinds: bytes, call: tuple[int, int]
) -> bool:
    """Return whether an EXACT bucket is whole, has a range near its count, and is allowed."""
    if not exact.vocab or not is_whole(exact.method, _MAX_METHOD):
        return False
    low, high, counted = number_of(exact.lower), number_of(exact.upper), number_of(exact.counted)
    if low > high or abs(low - counted) > MAX_OFFSET or abs(high - counted) > MAX_OFFSET:
        return False
    hidden = any(bucket[1] == b"\x11" and bucket[2] != b"\x00" for bucket in buckets)
    return _allows(kinds, text_of(exact.method), call, int(hidden))


@lru_cache(maxsize=1024)
def _allows(kinds: bytes, method: str, call: tuple[int, int], hidden: int) -> bool:
    """Return whether a receipt with buckets of these kinds may have an EXACT one."""
    vocab = bytes(32)
    try:
        exact = Bucket(
            kind=OUTPUT_VISIBLE, label=EXACT, lower=0, upper=0, method=method, vocab=vocab, count=0
        )
        others = [
            Bucket(kind=kind, reported=hidden, label=UNVERIFIABLE)
            for kind in kinds
            if kind != OUTPUT_VISIBLE
        ]
        check_exact_allowed([*others, exact], *call, ())
    except LedgerError:
        return False
    return True


def text_of(data: bytes) -> str:
    """Return a string of printable characters that is as long as its header says."""
    return data[1 if data[0] < 0xC0 else 2 :].decode("ascii")


def number_of(data: bytes) -> int:
    """Return the number in the shortest form of an unsigned integer."""
    return data[0] if len(data) == 1 else int.from_bytes(data[1:], "big")


def is_whole(text: bytes, longest: int) -> bool:
    """Return whether a string of printable characters is as long as its header says."""
    length, header = len(text), text[0]
    if header < 0xC0:
        return length == header - 0x9F
    return header == 0xD9 and length == text[1] + 2 <= longest + 2


@lru_cache(maxsize=1024)
def _may_stand(kinds: bytes) -> bool:
    """Return whether buckets of these kinds may stand together, in this order."""
    try:
        check_usage([Bucket(kind=kind, reported=0, label=UNVERIFIABLE) for kind in kinds])
    except LedgerError:
        return False
    return True
