"""What a span adds to the memory, gathered while it is folded."""

from __future__ import annotations

from typing import Any

from nous_ledger.protocol.types import LeafIndex, UnixSeconds
from sentinel.audit.codes import FINDING_CODES, Place, Proof
from sentinel.audit.findings import Finding
from sentinel.audit.ports import ChainEnd, Changes, Claim, Memory, Receipt, Used, Withheld
from sentinel.audit.span import SpanFacts
from sentinel.audit.state import Totals


class Learned:
    """A span being folded.

    Attributes:
        facts: what its records say.
        memory: what was remembered before.
        totals: the totals with those of this span.
        findings: what was found so far.
        receipts: new receipts.
        subjects: newest receipt by subject.
        nonces: largest nonce by signer.
        wallets: wallet bound last by subject.
        announced: leaves that redactions name.
    """

    def __init__(self, facts: SpanFacts, memory: Memory, totals: Totals, now: UnixSeconds) -> None:
        """Begin with what the span itself found."""
        self.facts = facts
        self.memory = memory
        self.totals = totals
        self.findings = list(facts.findings)
        self.receipts: list[Receipt] = []
        self.subjects: dict[bytes, ChainEnd] = {}
        self.nonces: dict[bytes, Used] = {}
        self.wallets: dict[bytes, bytes | None] = {}
        self.announced: list[LeafIndex] = []
        self._now = now

    def events(self, name: str) -> list[tuple[Any, ...]]:
        """Return the facts of one name, without it, in order."""
        return [event[1:] for event in self.facts.events if event[0] == name]

    def found(
        self, place: Place, code: str, leaf: LeafIndex, message: str, *cited: LeafIndex
    ) -> None:
        """Note a finding about a leaf, and the earlier leaves that its evidence needs."""
        needed = FINDING_CODES[place, code].proof is not Proof.NONE
        cites = (*cited, leaf) if needed else ()
        self.findings.append(
            Finding(place=place, code=code, message=message, index=leaf, cites=cites)
        )

    def changes(self) -> Changes:
        """Return what is to be remembered."""
        return Changes(
            receipts=tuple(self.receipts),
            subjects=self.subjects,
            nonces=self.nonces,
            wallets=self.wallets,
            withheld=tuple(
                Withheld(leaf, type_, body_hash, 0 if served else self._now)
                for leaf, type_, body_hash, served in self.facts.withheld
            ),
            announced=tuple(self.announced),
            claims=tuple(Claim(leaf, type_) for leaf, type_ in self.events("claim")),
            samples=tuple(self.facts.samples),
            outputs=tuple(self.facts.outputs),
            read=len(self.facts.receipts),
            unread=self.facts.counts[0] - len(self.facts.receipts),
        )
