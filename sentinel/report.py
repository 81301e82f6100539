"""How a round went: what was looked at, what was found, what that means for the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sentinel.audit.findings import Finding, Severity
from sentinel.audit.state import Totals


class Outcome(StrEnum):
    """What a round comes to."""

    GOOD = "good"
    WRONG = "wrong"
    COULD_NOT_CHECK = "could-not-check"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """One round.

    Attributes:
        origin: name of the log.
        log_id: its identity, 32 bytes; empty as long as several are pinned and none is known.
        address: where it was read.
        at: second at which the round began, by this machine's clock.
        took_s: seconds that it took.
        leaf_count: leaves of the newest trusted head; 0 before the first.
        root: its root; empty before the first.
        head_time: second at which it was signed last; None before the first.
        change: how the head that was served stands to it; empty if none could be read.
        audited: records that were checked, from the first on.
        new: how many of them in this round.
        totals: what was counted over all of them.
        findings: what this round found.
        open_findings: alarms and faults, of this and earlier rounds, that nobody acknowledged.
        waiting: records below the trusted head that are still to be audited, unless only
            heads are looked at.
        stopped: whether the round was asked to end early.
        streams: sums of the audit of streams of receipts; None where there is none.
        require_counts: whether these decide how the round comes out.
    """

    origin: str
    log_id: bytes
    address: str
    at: int
    took_s: float
    leaf_count: int
    root: bytes
    head_time: int | None
    change: str
    audited: int
    new: int
    totals: Totals
    findings: tuple[Finding, ...]
    open_findings: int
    waiting: int = 0
    stopped: bool = False
    streams: Mapping[str, Any] | None = None
    require_counts: bool = False

    @property
    def outcome(self) -> Outcome:
        """What the round comes to; what was wrong earlier stays wrong until acknowledged."""
        return Outcome.WRONG if self.open_findings else self.otherwise

    @property
    def otherwise(self) -> Outcome:
        """What the round would come to if everything open were acknowledged."""
        if self.miscounted():
            return Outcome.WRONG
        unfinished = self.unchecked() or self.waiting or self.stopped or self.uncounted()
        return Outcome.COULD_NOT_CHECK if unfinished else Outcome.GOOD

    def miscounted(self) -> int:
        """Return how many streams show something, where that was to decide."""
        if not self.require_counts or self.streams is None:
            return 0
        return int(self.streams["speaking"])

    def uncounted(self) -> int:
        """Return how many receipts could not be read, where streams were to decide."""
        if not self.require_counts or self.streams is None:
            return 0
        return int(self.streams["unread_receipts"])

    def unchecked(self) -> tuple[Finding, ...]:
        """Return what was required and could not be checked."""
        return tuple(
            found
            for found in self.findings
            if found.severity is Severity.UNCHECKED and found.info.required
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "type": "round",
            "outcome": self.outcome.value,
            "otherwise": self.otherwise.value,
            "origin": self.origin,
            "log_id": self.log_id.hex() or None,
            "address": self.address,
            "at": self.at,
            "took_s": round(self.took_s, 3),
            "change": self.change or None,
            "leaf_count": self.leaf_count,
            "root": self.root.hex() or None,
            "head_time": self.head_time,
            "audited": self.audited,
            "new": self.new,
            "waiting": self.waiting,
            "totals": self.totals._asdict(),
            "open_findings": self.open_findings,
            "stopped": self.stopped,
            "streams": self.streams,
            "findings": [finding_to_json(found) for found in self.findings],
        }


def finding_to_json(found: Finding) -> dict[str, Any]:
    """Return a finding as plain values, without its evidence."""
    return {
        "severity": found.severity.value,
        "place": found.place.value,
        "code": found.code,
        "message": found.message,
        "index": found.index,
        "count": found.count,
        "attrs": dict(found.attrs),
    }
