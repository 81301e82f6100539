"""What is gathered while the records of a bundle are checked one after the other."""

from __future__ import annotations

from typing import Any

from nous_ledger.protocol.types import LeafIndex
from sentinel.audit.codes import FINDING_CODES, Place, Proof
from sentinel.audit.findings import Finding


class Tally:
    """Facts and findings of one bundle.

    Attributes:
        first_time: logged_at of the first record that could be read; -1 without any.
        last_time: logged_at of the last one; -1 without any.
        receipts: facts of receipts.
        withheld: records whose body could not be read.
        events: facts of other bodies.
        receipt_records: records of type receipt.
        unread: records whose bodies were not asked for.
        suspect: records under keys that were reported as suspect.
        unknown: records of unknown types.
    """

    __slots__ = (
        "_found",
        "events",
        "first_time",
        "last_time",
        "receipt_records",
        "receipts",
        "suspect",
        "unknown",
        "unread",
        "withheld",
    )

    def __init__(self) -> None:
        """Begin with nothing."""
        self.first_time = -1
        self.last_time = -1
        self.receipts: list[tuple[Any, ...]] = []
        self.withheld: list[tuple[Any, ...]] = []
        self.events: list[tuple[Any, ...]] = []
        self.receipt_records = 0
        self.unread = 0
        self.suspect = 0
        self.unknown = 0
        self._found: dict[tuple[Place, str], list[Any]] = {}

    def found(
        self, place: Place, code: str, leaf: LeafIndex, message: str, *cited: LeafIndex
    ) -> None:
        """Note a finding about a leaf; of several of one kind the first is kept, and counted.

        Args:
            place: where.
            code: its code there.
            leaf: the leaf.
            message: one sentence.
            cited: earlier leaves that its evidence needs beside it.
        """
        known = self._found.get((place, code))
        if known is not None:
            known[2] += 1
            known[3] = leaf
            return
        needed = FINDING_CODES[place, code].proof is not Proof.NONE
        self._found[place, code] = [leaf, message, 1, leaf, (*cited, leaf) if needed else ()]

    def findings(self) -> list[Finding]:
        """Return what was found."""
        return [
            Finding(
                place=place,
                code=code,
                message=message if records == 1 else f"{message} (the first of {records})",
                index=leaf,
                attrs={"records": records, "last": last},
                cites=cites,
            )
            for (place, code), (leaf, message, records, last, cites) in self._found.items()
        ]
