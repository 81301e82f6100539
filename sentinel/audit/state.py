"""What the sentinel carries from one round to the next: small, frozen, and text on request.

Spec:
    PROTOCOL.md, section "Sentinel and witness".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, UnixMillis, UnixSeconds
from sentinel.audit.keys import KeyRing

_NO_LEAVES: Final = LeafCount(0)
_NO_TIME: Final = UnixMillis(0)


class SeenHead(NamedTuple):
    """A head whose signatures were verified.

    Attributes:
        note: the note as it was served.
        leaf_count: leaves of its tree.
        root: root over them.
        timestamp: second at which it was signed.
        epoch: key epoch that signed it.
    """

    note: bytes
    leaf_count: LeafCount
    root: Hash32
    timestamp: UnixSeconds
    epoch: Epoch


class Freshness(NamedTuple):
    """How long the newest head has been the newest, by this machine's clock.

    Attributes:
        timestamp: when the newest head was signed; 0 before any.
        since: second at which it was first seen, or the sentinel looked again after a pause.
        last_look: second of the last round that got a head.
        looks: rounds that got a head since `since`.
    """

    timestamp: UnixSeconds = UnixSeconds(0)
    since: UnixSeconds = UnixSeconds(0)
    last_look: UnixSeconds = UnixSeconds(0)
    looks: int = 0


class Totals(NamedTuple):
    """Counts over the records audited so far.

    Attributes:
        receipts: records of type receipt.
        unread: records whose bodies were not asked for.
        withheld: records whose body was asked for and not served.
        garbled: records whose body was served, and was not the signed one or broke a rule.
        lost_receipts: receipts among the withheld and the garbled.
        skipped: places in subject chains for which withheld receipts must stand.
        suspect: records under keys that were reported as suspect.
        unknown: records of types that this release does not know.
    """

    receipts: int = 0
    unread: int = 0
    withheld: int = 0
    garbled: int = 0
    lost_receipts: int = 0
    skipped: int = 0
    suspect: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditState:
    """Where the audit of one log stands.

    Attributes:
        ring: the key history as far as it was read.
        heads: accepted heads in ascending order of leaf counts: the newest one at or
            below `audited`, if there is one, and all above.
        audited: leaves whose records were checked and folded, from the first on.
        last_logged_at: time of the last of them.
        totals: what was counted.
        freshness: how long the newest head has been the newest.
    """

    ring: KeyRing
    heads: tuple[SeenHead, ...] = ()
    audited: LeafCount = _NO_LEAVES
    last_logged_at: UnixMillis = _NO_TIME
    totals: Totals = field(default_factory=Totals)
    freshness: Freshness = field(default_factory=Freshness)

    @property
    def trusted(self) -> SeenHead | None:
        """The newest head that was accepted; None before the first."""
        return self.heads[-1] if self.heads else None
