"""What later evidence makes of a receipt's labels: one reading for everybody.

A reconciliation never changes a receipt. Readers put both side by side: what was fixed
when the call was made, and what counts now. Which bucket counts is a function of the
receipt and of its reconciliations alone, so it is the same on every machine.

Spec:
    PROTOCOL.md, section "Reconciliation" (RCON-*), LBL-6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nous_ledger.protocol.errors import BodyError, LabelError
from nous_ledger.protocol.label import (
    BOUNDED,
    EXACT,
    UNVERIFIABLE,
    Bucket,
    check_exact_allowed,
)
from nous_ledger.protocol.values import value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nous_ledger.protocol.bodies import Reconciliation
    from nous_ledger.protocol.receipt import Receipt
    from nous_ledger.protocol.types import LeafIndex

CHECKED: Final = " checked"
"""How the source of evidence ends whose texts fit the receipt's commitments (RCON-4)."""
UNCHECKED: Final = " unchecked"
"""How it ends where a text could not be compared with a commitment."""


@value
class Evidence:
    """One bucket of a reconciliation that counts.

    Attributes:
        index: leaf of the reconciliation.
        bucket: what it says.
        source: where the evidence is from; empty if it does not say.
    """

    index: LeafIndex
    bucket: Bucket
    source: str

    @property
    def is_checked(self) -> bool:
        """Whether it says that its texts were compared with the receipt's commitments."""
        return self.source.endswith(CHECKED)


def check_reconciliation(claim: Reconciliation, receipt: Receipt) -> None:
    """Check the rules that tie a reconciliation to the receipt that it names.

    Spec:
        PROTOCOL.md RCON-1, LBL-6.

    Args:
        claim: its body.
        receipt: the receipt at its index, of its body_hash.

    Raises:
        BodyError: field-conflict, if a bucket repeats none of the receipt's.
        LabelError: exact-not-allowed.
    """
    reported = {bucket.kind: bucket.reported for bucket in receipt.usage or ()}
    for bucket in claim.usage:
        if bucket.kind not in reported or reported[bucket.kind] != bucket.reported:
            raise BodyError(
                "field-conflict", f"the receipt has no bucket of kind {bucket.kind} with this count"
            )
    others = tuple(bucket for bucket in receipt.usage or () if bucket.label != EXACT)
    check_exact_allowed(
        (*claim.usage, *others), receipt.status, receipt.api, receipt.anomalies or ()
    )


def counting_evidence(
    receipt: Receipt, body_hash: bytes, claims: Iterable[tuple[LeafIndex, Reconciliation]]
) -> tuple[Evidence, ...]:
    """Return what counts of some reconciliations: one bucket for each kind and method.

    Spec:
        PROTOCOL.md RCON-2.

    Args:
        receipt: the receipt whose leaf all of them name.
        body_hash: of its body, 32 bytes.
        claims: leaf and body of each, in any order.
    """
    found: dict[tuple[int, str | None], Evidence] = {}
    for index, claim in sorted(claims, key=lambda one: one[0]):
        if claim.body_hash != body_hash:
            continue
        try:
            check_reconciliation(claim, receipt)
        except (BodyError, LabelError):
            continue  # a finding of the log's audit, and no evidence
        for bucket in claim.usage:
            if bucket.label not in (EXACT, BOUNDED):
                continue
            evidence = Evidence(index=index, bucket=bucket, source=claim.source or "")
            found[bucket.kind, bucket.method] = evidence
    return tuple(sorted(found.values(), key=lambda one: (one.bucket.kind, one.index)))


def usage_after(
    receipt: Receipt, evidence: Sequence[Evidence]
) -> tuple[tuple[Bucket, Evidence | None], ...]:
    """Return each bucket as it stands after evidence, and the evidence that made it so.

    An EXACT bucket of the receipt itself stays. Else EXACT comes before BOUNDED, and
    BOUNDED before what nothing is known of; of EXACT buckets the latest counts, of ranges
    the narrowest, the receipt's own first and then the latest.

    Spec:
        PROTOCOL.md RCON-3.

    Args:
        receipt: the receipt.
        evidence: what `counting_evidence` returned for it.
    """
    return tuple(_after(bucket, evidence) for bucket in receipt.usage or ())


def _after(own: Bucket, evidence: Sequence[Evidence]) -> tuple[Bucket, Evidence | None]:
    if own.label not in (BOUNDED, UNVERIFIABLE):
        return own, None  # EXACT, or a label of a later version, which nothing can outrank
    later = [one for one in evidence if one.bucket.kind == own.kind]
    exact = [one for one in later if one.bucket.label == EXACT]
    if exact:
        best = max(exact, key=lambda one: one.index)
        return best.bucket, best
    ranges = sorted(
        (one for one in later if one.bucket.label == BOUNDED),
        key=lambda one: (_width(one.bucket), -one.index),
    )
    if ranges and (own.label == UNVERIFIABLE or _width(ranges[0].bucket) < _width(own)):
        return ranges[0].bucket, ranges[0]
    return own, None


def _width(bucket: Bucket) -> int:
    return (bucket.upper or 0) - (bucket.lower or 0)
