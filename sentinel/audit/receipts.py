"""The common receipt, accepted without making an object of it.

A sentinel reads every receipt of a log to learn five things about it and to know that it
breaks no rule. Most receipts are of few forms, so what surely is a good one is told here
by its decoded map alone. All else, good or bad, goes to the protocol's own reader, which
decides; a test compares the two.

Spec:
    PROTOCOL.md, sections "Encoding", "Receipt" and "Labels".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import is_, itemgetter
from typing import Any, Final, NamedTuple

from nous_ledger.protocol.encoding import MAX_BODY_BYTES, pack_checked, read_leniently
from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE
from nous_ledger.protocol.receipt import Receipt, is_uuid7
from nous_ledger.protocol.registries import TOKEN_KINDS_END
from nous_ledger.protocol.types import MAX_UINT

_KINDS: Final[dict[int, Any]] = {field.key: field.kind for field in Receipt.FIELDS}
_REQUIRED: Final = frozenset(field.key for field in Receipt.FIELDS if field.required)
_UINTS: Final = frozenset({2, 3, 4, 6, 11, 14, 15, 16, 17, 19, 21})
_HASHES: Final = frozenset({5, 7, 20, 23, 24, 25})
_TEXTS: Final = {8: 64, 9: 261, 10: 64, 12: 256, 13: 256, 22: 64, 26: 256}
_OTHERS: Final = frozenset({0, 1, 18, 27, 30})
_USUAL: Final = _UINTS | _HASHES | _TEXTS.keys() | _OTHERS

_PROXY: Final = 1
_IMPORT: Final = 3
_REFUSED: Final = 4
_MALFORMED: Final = 3
_ANOMALIES_WITHOUT_TOTAL: Final = frozenset({1, 11})
_CONTEXT_BYTES: Final = 256
_METHOD_BYTES: Final = 64
_KIND_BITS: Final = 64
_INPUT_UNSPLIT: Final = 1 << 8
_INPUT_SPLIT: Final = 0b1111_1110
_OUTPUT_UNSPLIT: Final = 1 << 18
_OUTPUT_SPLIT: Final = 0b11 << 16


class ReceiptPlace(NamedTuple):
    """What of a receipt is compared with other records.

    Attributes:
        id: its id, 16 bytes.
        subject: pseudonym, 32 bytes.
        seq: its number in its subject's chain.
        prev: body hash of the receipt before; None for the first.
        time: start of the call in milliseconds.
    """

    id: bytes
    subject: bytes
    seq: int
    prev: bytes | None
    time: int


class _Plan(NamedTuple):
    """How the fields of a map with certain keys are read."""

    keys: tuple[int, ...]
    uints: Callable[[Any], tuple[Any, ...]]
    hashes: Callable[[Any], tuple[Any, ...]]
    texts: tuple[tuple[int, int], ...]


def read_usual_receipt(data: bytes) -> ReceiptPlace | None:
    """Return the place of a receipt that breaks no rule of its type, or None.

    None says nothing: the receipt may be good and unusual, or bad.

    Args:
        data: the body of a record of type 1.
    """
    if len(data) > MAX_BODY_BYTES:
        return None
    try:
        wire: Any = read_leniently(data)
        plan = _plan(tuple(wire)) if type(wire) is dict else None
        if plan is None or pack_checked(wire) != data or not _is_good(wire, plan):
            return None
    except Exception:  # noqa: BLE001 - the protocol's reader names the fault
        return None
    return ReceiptPlace(wire[1], wire[5], wire[6], wire.get(7), wire[2])


@lru_cache(maxsize=256)
def _plan(keys: tuple[int, ...]) -> _Plan | None:
    """Return how to read a map of usual receipts; True and 1.0 pass here for 1."""
    if not _USUAL >= {*keys} >= _REQUIRED or [*keys] != sorted(keys):
        return None
    numbers = tuple(map(int, keys))
    return _Plan(
        keys=numbers,
        uints=itemgetter(*(key for key in numbers if key in _UINTS)),
        hashes=itemgetter(*(key for key in numbers if key in _HASHES), 5),
        texts=tuple((key, _TEXTS[key]) for key in numbers if key in _TEXTS),
    )


def _is_good(wire: dict[int, Any], plan: _Plan) -> bool:
    """Return whether the fields of a map break no rule of receipts."""
    if not all(map(is_, wire, plan.keys)) or None in wire.values():
        return False
    for number in plan.uints(wire):
        if type(number) is not int or not 0 <= number <= MAX_UINT:
            return False
    for item in plan.hashes(wire):
        if type(item) is not bytes or len(item) != 32:
            return False
    for key, longest in plan.texts:
        if not _is_plain(wire[key], longest):
            return False
    return _are_named(wire) and _fit(wire) and _is_good_usage(wire)


def _is_plain(text: object, longest: int) -> bool:
    """Return whether a text is of printable ASCII, not empty and not too long."""
    return type(text) is str and 0 < len(text) <= longest and text.isascii() and text.isprintable()


def _are_named(wire: dict[int, Any]) -> bool:
    """Return whether salt, id, provider, upstream and context are of their forms."""
    salt, identity, upstream, context = wire[0], wire[1], wire.get(9), wire.get(27)
    return (
        type(salt) is bytes
        and len(salt) == 16
        and type(identity) is bytes
        and len(identity) == 16
        and is_uuid7(identity)
        and _KINDS[8].has_form(wire[8])
        and (upstream is None or _KINDS[9].has_form(upstream))
        and (context is None or _is_good_context(context))
    )


def _is_good_context(context: object) -> bool:
    if type(context) is not dict or not context:
        return False
    keys = list(context)
    known = {int}.issuperset(map(type, keys)) and keys[0] >= 1 and keys[-1] <= 6
    ascending = keys == sorted(keys)
    return known and ascending and all(_is_plain(v, _CONTEXT_BYTES) for v in context.values())


def _fit(wire: dict[int, Any]) -> bool:
    """Return whether the fields do not contradict each other."""
    source, anomalies = wire[4], wire.get(30)
    return (
        (7 in wire) == (wire[6] > 0)
        and source != _IMPORT
        and (9 in wire or source != _PROXY or wire[14] == _REFUSED)
        and (wire[17] > 0 or not (18 in wire or 19 in wire or 20 in wire))
        and 100 <= wire.get(15, 100) <= 599
        and wire.get(16, 1) == 1
        and (anomalies is None or _are_good_anomalies(anomalies))
    )


def _are_good_anomalies(anomalies: object) -> bool:
    if type(anomalies) is not tuple or not anomalies or not {int}.issuperset(map(type, anomalies)):
        return False
    ascending = [*anomalies] == sorted({*anomalies})
    return ascending and anomalies[0] >= 0 and anomalies[-1] <= MAX_UINT


def _is_good_usage(wire: dict[int, Any]) -> bool:
    """Return whether buckets are good, may stand together, and add up to the total."""
    usage = wire.get(18, _NO_USAGE)
    if type(usage) is not tuple or len(usage) > 32 or (not usage and usage is not _NO_USAGE):
        return False
    kinds = total = 0
    complete = True
    for bucket in usage:
        kind, reported = _read_bucket(bucket)
        if kind < 0 or kinds >> kind:
            return False
        kinds |= 1 << kind
        if kind < TOKEN_KINDS_END:
            complete &= reported is not None
            total += reported or 0
    if kinds & _INPUT_UNSPLIT and kinds & _INPUT_SPLIT:
        return False
    if kinds & _OUTPUT_UNSPLIT and kinds & _OUTPUT_SPLIT:
        return False
    return _is_good_total(wire, total if complete else None)


_NO_USAGE: Final[tuple[Any, ...]] = ()


def _is_good_total(wire: dict[int, Any], total: int | None) -> bool:
    stated = wire.get(19)
    if stated is None or stated == total or total is None or wire[17] == _MALFORMED:
        return True
    return not _ANOMALIES_WITHOUT_TOTAL.isdisjoint(wire.get(30, ()))


_UNVERIFIABLE_KEYS: Final = (1, 2, 3)
_BOUNDED_KEYS: Final = ((1, 2, 3, 4, 5, 6), (1, 3, 4, 5, 6))


def _read_bucket(bucket: object) -> tuple[int, int | None]:
    """Return kind and reported number of a good bucket without an EXACT label, else (-1, None)."""
    if type(bucket) is not dict or not {int}.issuperset(map(type, bucket)):
        return -1, None
    keys, numbers = tuple(bucket), list(bucket.values())
    if keys in _BOUNDED_KEYS:
        good = bucket[3] == BOUNDED and bucket[4] <= bucket[5]
        good = good and _is_plain(numbers.pop(), _METHOD_BYTES)
    else:
        good = keys == _UNVERIFIABLE_KEYS and bucket[3] == UNVERIFIABLE
    for number in numbers:
        good = good and type(number) is int and 0 <= number <= MAX_UINT
    return (bucket[1], bucket.get(2)) if good and bucket[1] < _KIND_BITS else (-1, None)
