"""What is gathered while the records of a bundle are checked one after the other."""

from __future__ import annotations

from typing import Any

from nous_ledger.protocol.audit_streams import Service, StreamKey
from nous_ledger.protocol.types import LeafIndex, TokenCount
from sentinel.audit.codes import FINDING_CODES, Place, Proof
from sentinel.audit.findings import Finding
from sentinel.audit.ports import Sample
from sentinel.audit.receipts import read_service


class Tally:
    """Facts and findings of one bundle.

    Attributes:
        first_time: logged_at of the first record that could be read; -1 without any.
        last_time: logged_at of the last one; -1 without any.
        receipts: facts of receipts.
        withheld: records whose body could not be read.
        events: facts of other bodies.
        samples: (leaf, stream, reported, counted) of receipts with an EXACT count.
        outputs: reported output tokens by who answered, in the order of first receipts.
        receipt_records: records of type receipt.
        unread: records whose bodies were not asked for.
        suspect: records under keys that were reported as suspect.
        unknown: records of unknown types.
    """

    __slots__ = (
        "_found",
        "_streams",
        "events",
        "first_time",
        "last_time",
        "outputs",
        "receipt_records",
        "receipts",
        "samples",
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
        self.samples: list[Sample] = []
        self._streams: dict[StreamKey, StreamKey] = {}
        self.outputs: dict[bytes | Service, int] = {}
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

    def sample(
        self, leaf: LeafIndex, stream: StreamKey, reported: TokenCount, counted: TokenCount
    ) -> None:
        """Note a receipt that a stream audits; a name that repeats is kept once."""
        stream = self._streams.setdefault(stream, stream)
        self.samples.append(Sample(leaf, stream, reported, counted))

    def answered(self, service: bytes | Service, tokens: int) -> None:
        """Note output tokens, and that there is a service.

        Args:
            service: who reported them; as bytes it is looked up when all are known.
            tokens: how many.
        """
        self.outputs[service] = self.outputs.get(service, 0) + tokens

    def services(self) -> list[tuple[Service, int]]:
        """Return the reported output tokens by who answered."""
        found: dict[Service, int] = {}
        for name, tokens in self.outputs.items():
            service = read_service(name) if isinstance(name, bytes) else name
            found[service] = found.get(service, 0) + tokens
        return list(found.items())

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
