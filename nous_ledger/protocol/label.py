"""Labels of token counts: their shape, when EXACT is allowed, and verdicts.

A label says how far one count has ground truth. Its rules are arithmetic on the
receipt alone, so every machine comes to the same answer; whether the gateway
counted rightly can only be found out by counting again.

Spec:
    PROTOCOL.md, section "Labels".
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Final

from nous_ledger.protocol.errors import BodyError, LabelError
from nous_ledger.protocol.fields import Field, MapShape, table_class
from nous_ledger.protocol.kinds import Bytes, Enum, Text, Uint
from nous_ledger.protocol.registries import (
    EXACT_FORBIDDING_ANOMALIES,
    INPUT_SPLIT_KINDS,
    KIND,
    LABEL,
    MEDIA_KINDS,
    TEXT_APIS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nous_ledger.protocol.strict import Value

EXACT: Final = 1
BOUNDED: Final = 2
UNVERIFIABLE: Final = 3
MAX_OFFSET: Final = 8
METHOD_BYTES: Final = "bytes/1"
BYTES_PER_PART: Final = 16

INPUT_UNSPLIT: Final = 8
OUTPUT_VISIBLE: Final = 16
REASONING: Final = 17
OUTPUT_UNSPLIT: Final = 18
STATUS_COMPLETE: Final = 0
METERING_MALFORMED: Final = 3

_EXACT_METHOD: Final = re.compile(r"(?!bytes/)[a-z0-9._-]+/1(\+split)?")


class Verdict(StrEnum):
    """What arithmetic says about one bucket; it never accuses anybody."""

    OK = "ok"
    ABOVE = "above"
    BELOW = "below"
    OUTSIDE = "outside"
    UNCHECKABLE = "uncheckable"


@table_class
class Bucket(MapShape):
    """One disjoint part of a call's usage.

    Attributes:
        kind: what is counted (registry KIND).
        reported: the provider's number.
        label: EXACT 1, BOUNDED 2 or UNVERIFIABLE 3.
        lower: smallest number that the evidence allows.
        upper: largest number that the evidence allows.
        method: how the range was found.
        vocab: SHA-256 of the vocabulary of a re-count, 32 bytes.
        count: tokens found by the re-count.
        extensions: (key, value) pairs with keys from 64 on.
    """

    kind: int
    reported: int | None = None
    label: int
    lower: int | None = None
    upper: int | None = None
    method: str | None = None
    vocab: bytes | None = None
    count: int | None = None
    extensions: tuple[tuple[int, Value], ...] = ()

    DEPTH: ClassVar[int] = 3
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(1, "kind", Enum(KIND), required=True),
        Field(2, "reported", Uint()),
        Field(3, "label", Enum(LABEL), required=True),
        Field(4, "lower", Uint()),
        Field(5, "upper", Uint()),
        Field(6, "method", Text(64)),
        Field(7, "vocab", Bytes(32)),
        Field(8, "count", Uint()),
    )

    def check_rules(self) -> None:
        """Raise LabelError unless the fields fit the label."""
        if self.label == UNVERIFIABLE:
            if self.reported is None or (
                self.lower is not None
                or self.upper is not None
                or self.method is not None
                or self.vocab is not None
                or self.count is not None
            ):
                raise LabelError("label-shape", "UNVERIFIABLE has a reported count and no evidence")
        elif self.label == BOUNDED:
            self._check_bounded()
        elif self.label == EXACT:
            self._check_exact()

    def _check_bounded(self) -> None:
        if self.lower is None or self.upper is None or self.method is None:
            raise LabelError("label-shape", "BOUNDED needs lower, upper and method")
        if self.vocab is not None or self.count is not None:
            raise LabelError("label-shape", "BOUNDED has no vocab and no count")
        if self.lower > self.upper:
            raise LabelError("label-range", "lower is larger than upper")

    def _check_exact(self) -> None:
        lower, upper, count = self.lower, self.upper, self.count
        if lower is None or upper is None or count is None:
            raise LabelError("label-shape", "EXACT needs lower, upper and count")
        if self.method is None or self.vocab is None:
            raise LabelError("label-shape", "EXACT needs method and vocab")
        if not _EXACT_METHOD.fullmatch(self.method):
            raise LabelError("method-name", f"{self.method!r} cannot make a count EXACT")
        if lower > upper or abs(lower - count) > MAX_OFFSET or abs(upper - count) > MAX_OFFSET:
            raise LabelError("label-range", "the range is empty or more than 8 away from the count")
        if self.kind != OUTPUT_VISIBLE:
            raise LabelError("exact-not-allowed", "only visible output can be EXACT")


def check_usage(usage: Sequence[Bucket]) -> None:
    """Check the order of buckets and which kinds may stand together.

    Raises:
        BodyError: bad-order, field-conflict.
    """
    _check_kinds(tuple([bucket.kind for bucket in usage]))


@lru_cache(maxsize=256)
def _check_kinds(kinds: tuple[int, ...]) -> None:
    """Check the kinds of a receipt's buckets; the same few stand together again and again."""
    if any(first >= second for first, second in pairwise(kinds)):
        raise BodyError("bad-order", "usage: one bucket per kind, kinds ascending")
    if INPUT_UNSPLIT in kinds and not INPUT_SPLIT_KINDS.isdisjoint(kinds):
        raise BodyError("field-conflict", "usage: input_unsplit stands beside a split of the input")
    if OUTPUT_UNSPLIT in kinds and (OUTPUT_VISIBLE in kinds or REASONING in kinds):
        raise BodyError(
            "field-conflict", "usage: output_unsplit stands beside a split of the output"
        )


def check_exact_allowed(
    usage: Sequence[Bucket], status: int, api: int, anomalies: Sequence[int]
) -> None:
    """Check that no EXACT label stands where its conditions do not hold.

    Args:
        usage: the buckets of one receipt.
        status: how the call ended.
        api: wire format of the call.
        anomalies: anomaly codes of the receipt.

    Raises:
        LabelError: exact-not-allowed.
    """
    for bucket in usage:
        if bucket.label == EXACT:
            break
    else:
        return
    exact = [bucket for bucket in usage if bucket.label == EXACT]
    if status != STATUS_COMPLETE or api not in TEXT_APIS:
        raise LabelError("exact-not-allowed", "EXACT needs a complete call of a text API")
    if not EXACT_FORBIDDING_ANOMALIES.isdisjoint(anomalies):
        raise LabelError("exact-not-allowed", "an anomaly of the receipt forbids EXACT")
    kinds = {bucket.kind for bucket in usage}
    if OUTPUT_UNSPLIT in kinds or not MEDIA_KINDS.isdisjoint(kinds):
        raise LabelError("exact-not-allowed", "an unsplit or media bucket forbids EXACT")
    hidden = [b for b in usage if b.kind == REASONING and b.reported != 0]
    if hidden and not all((b.method or "").endswith("+split") for b in exact):
        raise LabelError(
            "exact-not-allowed", "hidden reasoning allows EXACT by a +split method only"
        )


def verdict(bucket: Bucket, metering: int) -> Verdict:
    """Return what the bucket's own numbers say, the same on every machine.

    Args:
        bucket: one bucket.
        metering: metering value of its receipt.
    """
    reported, lower, upper = bucket.reported, bucket.lower, bucket.upper
    if reported is None or metering == METERING_MALFORMED or lower is None or upper is None:
        return Verdict.UNCHECKABLE
    if bucket.label == EXACT:
        if reported > upper:
            return Verdict.ABOVE
        return Verdict.BELOW if reported < lower else Verdict.OK
    if bucket.label == BOUNDED:
        return Verdict.OK if lower <= reported <= upper else Verdict.OUTSIDE
    return Verdict.UNCHECKABLE


def bytes_bound(text_bytes: int, parts: int) -> tuple[int, int]:
    """Return (lower, upper) of the visible tokens of a text by method bytes/1.

    Every token of a byte-level vocabulary stands for at least one byte, and
    providers add a few for each choice and tool call.

    Args:
        text_bytes: UTF-8 bytes of everything the caller got as model output.
        parts: number of choices and tool calls.
    """
    return (1 if text_bytes else 0), text_bytes + BYTES_PER_PART * parts
