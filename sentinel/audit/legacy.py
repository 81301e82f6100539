"""The audit of a nous-v2 gateway: page by page, against what is remembered; pure.

The chain is read first, then all records, then the chain again. The root is rebuilt at
the count that came with it, so a record that is appended in between is no mismatch; and
it is rebuilt at the remembered count, so a rewrite is one however consistent it is.
Fewer leaves than remembered may be a cache that lags: that is "could not check" until
it has lasted for `GRACE_S`.

Spec:
    PROTOCOL.md, section "Auditing nous-v2" (WIT-19 to WIT-25).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from nous_ledger.protocol.legacy import LegacyPublicKey
from nous_ledger.protocol.types import LeafCount, LeafIndex
from sentinel.audit.findings import Finding, Place
from sentinel.audit.legacy_memory import (
    KnownRecord,
    LegacyChain,
    LegacyMemory,
    PeakTracker,
)
from sentinel.audit.legacy_records import WRONG, RecordAudit
from sentinel.audit.legacy_wire import stated_leaf

GRACE_S: Final = 300
"""Seconds for which a cache may lag before fewer leaves than remembered are held against it."""
PECULIARITIES: Final = {
    "legacy-unsigned": "carry no signature: nothing attributes them to the gateway",
    "legacy-ambiguous": "share their leaf with another record",
    "legacy-type-confused": "have a number or text that is not of its type",
    "legacy-malleated": "carry the second form of a signature that is known",
    "legacy-resigned": "carry another valid signature than before",
}
"""What nous-v2 leaves open: reported apart, neither as valid nor as tampering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyOutcome:
    """What an audit came to.

    Attributes:
        memory: what to remember from now on.
        findings: what was found.
        records: records that were read.
        verified: whether the chain's root was established.
    """

    memory: LegacyMemory
    findings: tuple[Finding, ...]
    records: int
    verified: bool


class LegacyAudit:
    """One audit, fed with the pages in their order.

    Attributes:
        records: records taken so far.
    """

    def __init__(self, memory: LegacyMemory, chain: LegacyChain, key: LegacyPublicKey) -> None:
        """Begin.

        Args:
            memory: what is remembered.
            chain: count and root, read before the first record.
            key: what signatures are checked with.
        """
        self.records = 0
        self._memory = memory
        self._chain = chain
        self._key = key
        self._peaks = PeakTracker()
        self._roots = {0: ""}
        self._records = RecordAudit(key, chain.leaf_count)

    def add(
        self, rows: Sequence[Mapping[str, object]], known: Sequence[KnownRecord]
    ) -> tuple[KnownRecord, ...]:
        """Take the next records, and return what to remember of them.

        Args:
            rows: as served, in ascending order of ids.
            known: what is remembered of the first of them, as far as anything is.
        """
        for row in rows:
            self._peaks.append(stated_leaf(row))
            count = self._peaks.leaf_count
            if count in (self._memory.leaf_count, self._chain.leaf_count):
                self._roots[count] = self._peaks.root()
        kept = self._records.add(self.records, rows, known)
        self.records += len(rows)
        return kept

    def finish(self, after: LegacyChain, now: int) -> LegacyOutcome:
        """Return what the audit came to.

        Args:
            after: count and root, read after the last record.
            now: second by this machine's clock.
        """
        faults: list[Finding] = list(self._record_findings())
        waiting: dict[str, str] = {}
        established = self._check_memory(faults, waiting)
        established = self._check_chain(after, faults, waiting) and established
        patient = [self._wait(code, text, now) for code, text in waiting.items()]
        memory = replace(
            self._memory,
            key=self._key,
            waiting={code: self._memory.waiting.get(code, now) for code in waiting},
        )
        if established:
            memory = self._advance(memory)
        peculiar = self._peculiarities(memory, established=established)
        return LegacyOutcome(
            memory=memory,
            findings=(*faults, *patient, *peculiar),
            records=self.records,
            verified=established,
        )

    def _record_findings(self) -> Iterator[Finding]:
        for code, first in sorted(self._records.wrong.items()):
            text = f"{first.times} records {WRONG[code]}; the first has id {first.record_id}"
            yield _found(code, text, index=first.at)

    def _check_memory(self, faults: list[Finding], waiting: dict[str, str]) -> bool:
        """Compare with the count and root that were established last."""
        count = self._memory.leaf_count
        least = min(self.records, self._chain.leaf_count)
        if (at := self._records.rewritten) is not None:
            text = f"the record at {at} is not the one that was there before"
            faults.append(_found("legacy-rewritten", text, index=at, count=count))
        elif self.records >= count and self._roots.get(count) != self._memory.root:
            text = f"the first {count} records lead to another root than before"
            faults.append(_found("legacy-rewritten", text, count=count))
        elif least < count:
            waiting["legacy-truncated"] = f"{least} leaves are served, {count} were before"
        else:
            return True
        return False

    def _check_chain(
        self, after: LegacyChain, faults: list[Finding], waiting: dict[str, str]
    ) -> bool:
        """Compare the records with the root that came with their count."""
        chain, records = self._chain, self.records
        if after.leaf_count < chain.leaf_count:
            waiting["legacy-truncated"] = (
                f"a count of {after.leaf_count} was stated after one of {chain.leaf_count}"
            )
        if chain.leaf_count > records:
            waiting["legacy-missing"] = (
                f"{records} records are served under a root over {chain.leaf_count}"
            )
        elif self._roots[chain.leaf_count] != chain.root:
            text = f"{chain.leaf_count} records do not lead to the root that is stated for them"
            faults.append(_found("legacy-root", text, count=chain.leaf_count))
        elif after.leaf_count == records and after.root != self._peaks.root():
            text = f"{records} records do not lead to the root that is stated for them"
            faults.append(_found("legacy-root", text, count=records))
        elif after.leaf_count >= chain.leaf_count:
            if after.leaf_count < records:
                waiting["legacy-uncovered"] = (
                    f"{records - after.leaf_count} records are not covered by the root"
                )
            return True
        return False

    def _wait(self, code: str, text: str, now: int) -> Finding:
        """Return what is said of something that may pass by itself, or has lasted too long."""
        since = self._memory.waiting.get(code, now)
        if now - since < GRACE_S:
            return _found("stale", f"{text}; a cache may lag", count=self._memory.leaf_count)
        return _found(code, f"{text}, for {now - since} s now", count=self._memory.leaf_count)

    def _advance(self, memory: LegacyMemory) -> LegacyMemory:
        count = self._chain.leaf_count
        totals = Counter(memory.totals) + self._records.covered
        return replace(memory, leaf_count=count, root=self._roots[count], totals=dict(totals))

    def _peculiarities(self, memory: LegacyMemory, *, established: bool) -> Iterator[Finding]:
        counts = Counter(memory.totals) + self._records.beyond
        if not established:
            counts += self._records.covered
        for code, meaning in PECULIARITIES.items():
            if counts[code]:
                text = f"{counts[code]} records {meaning}"
                yield _found(code, text, records=counts[code])


def _found(
    code: str, message: str, *, index: int | None = None, count: int | None = None, **attrs: int
) -> Finding:
    return Finding(
        place=Place.LEGACY,
        code=code,
        message=message,
        index=None if index is None else LeafIndex(index),
        count=None if count is None else LeafCount(count),
        attrs=attrs,
    )
