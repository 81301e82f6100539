"""What the sentinel finds.

Spec:
    PROTOCOL.md, sections "Rounds" and "Findings" (SENT-2, SENT-6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nous_ledger.protocol.types import LeafCount, LeafIndex
from sentinel.audit.codes import FINDING_CODES, CodeInfo, Place, Proof, Severity

__all__ = ["FINDING_CODES", "CodeInfo", "Finding", "Place", "Proof", "Severity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the sentinel found.

    Attributes:
        place: where.
        code: stable code; what it means stands in `FINDING_CODES` under (place, code).
        message: one sentence for people.
        index: leaf index that it is about.
        count: leaf count of the head that it is about.
        attrs: further values: str, int or None.
        cites: leaf indices of the records that its evidence consists of; with them
            `prove` makes the evidence.
        evidence: the evidence file; None where there is none, or not yet.
    """

    place: Place
    code: str
    message: str
    index: LeafIndex | None = None
    count: LeafCount | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    cites: tuple[LeafIndex, ...] = ()
    evidence: bytes | None = None

    @property
    def info(self) -> CodeInfo:
        """What its code means at its place."""
        return FINDING_CODES[self.place, self.code]

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return self.info.severity
