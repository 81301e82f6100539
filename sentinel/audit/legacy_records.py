"""The records of a nous-v2 gateway: what each is by itself, and beside what it was before.

A record that is as it was remembered is not examined again; of every other one leaf,
signature and form are.

Spec:
    PROTOCOL.md, section "Auditing nous-v2" (WIT-19 to WIT-25).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from nous_ledger.protocol.errors import LegacyError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.legacy import (
    LegacyPublicKey,
    LegacyRecord,
    audit_legacy,
    parse_legacy_record,
)
from sentinel.audit.legacy_memory import NO_SIGNATURE, KnownRecord
from sentinel.audit.legacy_wire import content_of, id_of, stated_leaf, stated_signature

WRONG: Final = {
    "legacy-format": "cannot be read as a record",
    "legacy-leaf": "do not hash to their leaf",
    "legacy-signature": "have a signature that does not verify",
    "legacy-stripped": "had a signature before and have none now",
}
"""What is wrong with a record, for people."""

_REPEATED: Final = frozenset({"legacy-ambiguous"})
_MALLEATED: Final = frozenset({"legacy-malleated"})


class FirstOf(NamedTuple):
    """Where something wrong was found first, and how often.

    Attributes:
        at: position of the first record.
        record_id: its id, if it has one.
        times: how many there are.
    """

    at: int
    record_id: int | None
    times: int


class _Fresh(NamedTuple):
    """A record that is to be examined."""

    at: int
    record: LegacyRecord
    before: KnownRecord | None
    repeated: frozenset[str]

    @property
    def is_resigned(self) -> bool:
        """Whether the same leaf was there before under another signature."""
        before = self.before
        if before is None or before.signature == NO_SIGNATURE:
            return False
        return before.leaf.hex() == self.record.leaf_hash


class RecordAudit:
    """Examines records in their order.

    Attributes:
        rewritten: position of the first record that is not the one remembered there.
        wrong: what is wrong with records, by code.
        covered: how many records below the chain's count have a peculiarity, by code.
        beyond: the same for records above it.
    """

    def __init__(self, key: LegacyPublicKey, chain_count: int) -> None:
        """Begin.

        Args:
            key: what signatures are checked with.
            chain_count: leaves that the chain covers.
        """
        self.rewritten: int | None = None
        self.wrong: dict[str, FirstOf] = {}
        self.covered: Counter[str] = Counter()
        self.beyond: Counter[str] = Counter()
        self._key = key
        self._chain_count = chain_count
        self._signed: dict[int, int] = {}  # leaf and r -> the start of s, and whether seen

    def add(
        self, start: int, rows: Sequence[Mapping[str, object]], known: Sequence[KnownRecord]
    ) -> tuple[KnownRecord, ...]:
        """Examine the next records, and return what to remember of them.

        Args:
            start: position of the first of them.
            rows: as served.
            known: what is remembered of the first of them, as far as anything is.
        """
        kept: list[KnownRecord] = []
        fresh: list[_Fresh] = []
        for offset, row in enumerate(rows):
            at = start + offset
            before = known[offset] if offset < len(known) else None
            leaf = bytes.fromhex(stated_leaf(row))
            now = KnownRecord(leaf, stated_signature(row), content_of(row))
            repeated = self._repeated(now)
            if now != before:
                fresh += self._compare(at, row, now, before, repeated)
            kept.append(_to_keep(now, before))
        self._examine(fresh)
        return tuple(kept)

    def _repeated(self, record: KnownRecord) -> frozenset[str]:
        """Return what a record is whose leaf and r an earlier one has."""
        if record.signature == NO_SIGNATURE:
            return frozenset()
        r, s = record.signature[:32], record.signature[32:]
        same = int.from_bytes(sha256(record.leaf + r)[:8], "big")
        rest = int.from_bytes(s[:4], "big")
        first = self._signed.setdefault(same, rest << 1)
        self._signed[same] = first | 1
        if not first & 1:
            return frozenset()
        return _REPEATED if first >> 1 == rest else _MALLEATED

    def _compare(
        self,
        at: int,
        row: Mapping[str, object],
        now: KnownRecord,
        before: KnownRecord | None,
        repeated: frozenset[str],
    ) -> tuple[_Fresh, ...]:
        """Return a record that is new, or not as it was, if it can be examined."""
        if before and (before.leaf, before.content) != (now.leaf, now.content):
            self.rewritten = at if self.rewritten is None else self.rewritten
        if before and before.leaf == now.leaf and now.signature == NO_SIGNATURE:
            self._note("legacy-stripped", at, id_of(row))
            return ()
        try:
            return (_Fresh(at, parse_legacy_record(row), before, repeated),)
        except LegacyError as error:
            self._note(error.code, at, id_of(row))
            return ()

    def _examine(self, fresh: Sequence[_Fresh]) -> None:
        """Check leaves and signatures of records that are new or changed."""
        if not fresh:
            return
        signatures = {
            item.before.leaf.hex(): item.before.signature.hex() for item in fresh if item.before
        }
        records = [item.record for item in fresh]
        report = audit_legacy(records, "", 0, self._key, known=signatures)
        found: dict[int | None, set[str]] = {}
        for finding in report.findings:
            found.setdefault(finding.position, set()).add(finding.code)
        for position, item in enumerate(fresh):
            codes = found.get(position, set()) | item.repeated
            if not codes and item.is_resigned:
                codes = {"legacy-resigned"}
            for code in codes:
                self._note(code, item.at, item.record.id)

    def _note(self, code: str, at: int, record_id: int | None) -> None:
        if code in WRONG:
            first = self.wrong.get(code, FirstOf(at, record_id, 0))
            self.wrong[code] = first._replace(times=first.times + 1)
        else:
            tally = self.covered if at < self._chain_count else self.beyond
            tally[code] += 1


def _to_keep(now: KnownRecord, before: KnownRecord | None) -> KnownRecord:
    """Return what to remember: a signature that was there once is never forgotten."""
    if before and before.leaf == now.leaf and now.signature == NO_SIGNATURE:
        return before
    return now
