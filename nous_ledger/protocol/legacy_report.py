"""What an audit of a nous-v2 log reports, and what only the whole set can show.

Spec:
    PROTOCOL.md, section "Legacy: nous-v2".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from nous_ledger.protocol.errors import LegacyError
from nous_ledger.protocol.legacy_record import LegacyRecord
from nous_ledger.protocol.legacy_tree import LegacyRoot, verify_legacy_root

CodeAndReason: TypeAlias = tuple[str, str]

_WRONG: Final = frozenset({"legacy-leaf", "legacy-signature"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyFinding:
    """One thing that an audit has to say about one record, or about the root.

    Attributes:
        position: zero-based place in the audited sequence; None for the root.
        record_id: id of the record; None for the root.
        code: a code of `LegacyError`, or "stale" where the root could not be checked.
        detail: one sentence.
    """

    position: int | None
    record_id: int | None
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyReport:
    """What an audit found. A record may count under several names but `verified`.

    Attributes:
        records: number of records audited.
        verified: records without any finding.
        wrong: records whose leaf or signature does not verify.
        unsigned: records without a signature.
        malleated: records whose signature stands there in both forms.
        ambiguous: records that share their leaf with another one.
        type_confused: records with a field that is not of its type.
        uncovered: records at the end that the root does not reach.
        root: the verified root; None if it is wrong or could not be checked.
        root_code: "" when established, "legacy-root" when wrong, "stale" when
            count and records are of different moments (could not check).
        findings: all findings, by position; the root's last.
    """

    records: int
    verified: int
    wrong: int
    unsigned: int
    malleated: int
    ambiguous: int
    type_confused: int
    uncovered: int
    root: LegacyRoot | None
    root_code: str
    findings: tuple[LegacyFinding, ...]


def report_legacy(
    records: Sequence[LegacyRecord],
    examined: Sequence[Sequence[CodeAndReason]],
    root: str,
    count: int,
    trusted: LegacyRoot | None,
) -> LegacyReport:
    """Return the report over records whose signatures have been examined.

    Args:
        records: all records in the order of the tree.
        examined: for each record, the (code, reason) pairs that apply to it alone.
        root: stated root.
        count: stated leaf count.
        trusted: a root that an earlier audit established, or None.
    """
    repeated = _compare_signatures(records, examined)
    found = [(*own, *repeated.get(place, ())) for place, own in enumerate(examined)]
    findings = [
        LegacyFinding(position=place, record_id=records[place].id, code=code, detail=detail)
        for place, reasons in enumerate(found)
        for code, detail in reasons
    ]
    codes = [{code for code, _ in reasons} for reasons in found]
    leaves = [record.leaf_hash for record in records]
    verified, root_code, detail = _check_root(leaves, root, count, trusted)
    if root_code:
        at_root = LegacyFinding(position=None, record_id=None, code=root_code, detail=detail)
        findings.append(at_root)
    return LegacyReport(
        records=len(records),
        verified=codes.count(set()),
        wrong=sum(not _WRONG.isdisjoint(row) for row in codes),
        unsigned=sum("legacy-unsigned" in row for row in codes),
        malleated=sum("legacy-malleated" in row for row in codes),
        ambiguous=sum("legacy-ambiguous" in row for row in codes),
        type_confused=sum("legacy-type-confused" in row for row in codes),
        uncovered=max(len(records) - max(count, 0), 0),
        root=verified,
        root_code=root_code,
        findings=tuple(findings),
    )


def _compare_signatures(
    records: Sequence[LegacyRecord], examined: Sequence[Sequence[CodeAndReason]]
) -> dict[int, tuple[CodeAndReason]]:
    """Return a (code, reason) for each position whose signature is not the only one of its kind.

    A gateway draws a new random number for every signature, so two honest
    records with one leaf still differ in r. The same r shows a copy.
    """
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for position, record in enumerate(records):
        if record.receipt_sig and "legacy-signature" not in dict(examined[position]):
            groups[record.leaf_hash, record.receipt_sig[:64]].append(position)
    found: dict[int, tuple[CodeAndReason]] = {}
    for positions in groups.values():
        if len({records[position].receipt_sig for position in positions}) > 1:
            pair = ("legacy-malleated", "the set has both forms of the record's signature")
        elif len(positions) > 1:
            pair = ("legacy-ambiguous", "another row has the same leaf and signature")
        else:
            continue
        found.update(dict.fromkeys(positions, (pair,)))
    return found


def _check_root(
    leaves: Sequence[str], root: str, count: int, trusted: LegacyRoot | None
) -> tuple[LegacyRoot | None, str, str]:
    """Return the verified root, or None with a code and a reason."""
    try:
        if trusted and len(leaves) >= trusted.leaf_count:
            prefix = leaves[: trusted.leaf_count]
            verify_legacy_root(prefix, trusted.root, trusted.leaf_count)
        if count > len(leaves):
            return None, "stale", f"{len(leaves)} records were read for a root over {count}"
        verified = verify_legacy_root(leaves[: max(count, 0)], root, count)
    except LegacyError as error:
        return None, "legacy-root", error.message
    if trusted and count < trusted.leaf_count:
        return None, "stale", f"a root over {trusted.leaf_count} leaves was seen before"
    return verified, "", ""
