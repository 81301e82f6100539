"""What can be checked of a bundle of records by itself, in whatever process.

A pure function of bytes: several processes share the work, and what it returns is small
and plain. What ties records to others is left to the fold, which takes the spans in order.

Spec:
    PROTOCOL.md, sections "Records and bodies" to "Labels", KEY-28, HEAD-8, HEAD-13.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from nous_ledger.protocol.audit_streams import Service
from nous_ledger.protocol.errors import EncodingError
from nous_ledger.protocol.record import RECORD_LENGTH
from nous_ledger.protocol.tiles import ENTRY_BYTES, FULL_WIDTH, decode_bodies
from nous_ledger.protocol.types import LeafIndex
from sentinel.audit.findings import Finding, Place
from sentinel.audit.growth import Frontier
from sentinel.audit.leaf import LeafRules, check_leaf
from sentinel.audit.ports import Sample
from sentinel.audit.state import AuditState
from sentinel.audit.tally import Tally

_PREFIX: Final = ENTRY_BYTES - RECORD_LENGTH


class SpanJob(NamedTuple):
    """A bundle of records to check; plain, so that another process can have it.

    Attributes:
        rules: what holds for its records.
        first: leaf of the bundle's first record.
        skip: records at its beginning that were audited before.
        entries: 122 bytes per record, the length prefix included.
        bodies: the bundle of their bodies; None where none are read.
        expected: what they must hash to: 32 bytes, or 32 for each record.
    """

    rules: LeafRules
    first: LeafIndex
    skip: int
    entries: bytes
    bodies: bytes | None
    expected: bytes


class SpanFacts(NamedTuple):
    """What became of a bundle.

    Attributes:
        first: leaf of the first record that was not audited before.
        leaves: their leaf hashes, 32 bytes each; empty if the bundle is not what was signed.
        first_time: logged_at of the first record that could be read; -1 without any.
        last_time: logged_at of the last one; -1 without any.
        receipts: (leaf, body hash, id, subject, seq, prev) of each receipt that was read.
        withheld: (leaf, type, body hash, served) of each record whose body was not served,
            or was served and could not be read.
        events: ("binding", leaf, subject, wallet, nonce, signer), ("redaction", leaf,
            indices) or ("claim", leaf, type) of each body of another type, in order.
        counts: how many records are receipts, were not read for want of bodies, lie under
            suspect keys, are of unknown types.
        findings: what was found, at most one for each place and code.
        samples: receipts with an EXACT count, in order.
        outputs: reported output tokens by who answered, in the order of first receipts.
    """

    first: LeafIndex
    leaves: bytes
    first_time: int
    last_time: int
    receipts: list[tuple[Any, ...]]
    withheld: list[tuple[Any, ...]]
    events: list[tuple[Any, ...]]
    counts: tuple[int, int, int, int]
    findings: list[Finding]
    samples: Sequence[Sample] = ()
    outputs: Sequence[tuple[Service, int]] = ()


def make_rules(state: AuditState) -> LeafRules:
    """Return what holds for the records that are to be audited next.

    To be made again whenever a head is accepted or a key event read.
    """
    history = state.ring.history
    assert history is not None, "a head is trusted only with a genesis"  # noqa: S101
    return LeafRules(
        log_id=history.log_id,
        eras=state.ring.eras(),
        suspect=history.suspect,
        closed_at=history.closed_at,
        heads=tuple((head.leaf_count, head.timestamp) for head in state.heads),
        max_merge_delay_s=history.genesis.max_merge_delay_s or 0,
    )


def make_job(
    state: AuditState, frontier: Frontier, bundle: int, entries: bytes, bodies: bytes | None
) -> SpanJob:
    """Return the check of one bundle; its key events must have been read before.

    Args:
        state: where the audit stands; `audited` may lie before the bundle.
        frontier: what the head vouches for.
        bundle: number of the bundle.
        entries: its entries.
        bodies: its bodies; None where none are read.
    """
    first = bundle * FULL_WIDTH
    return SpanJob(
        rules=make_rules(state),
        first=LeafIndex(first),
        skip=max(state.audited - first, 0),
        entries=entries,
        bodies=bodies,
        expected=frontier.expected(bundle),
    )


def is_proved(entries: bytes, expected: bytes) -> bool:
    """Return whether entries hash to what a signed root vouches for.

    Args:
        entries: 122 bytes per record.
        expected: 32 bytes, the root over 256 records; else 32 bytes for each record.
    """
    return _are_expected(_leaf_hashes(_records(entries)), expected)


def check_span(job: SpanJob) -> SpanFacts:
    """Check a bundle of records and their bodies, each by itself."""
    records = _records(job.entries)
    leaves = _leaf_hashes(records)
    first = LeafIndex(job.first + job.skip)
    if not _are_expected(leaves, job.expected):
        text = f"the records from leaf {job.first} on are not those of the signed tree"
        return _refused(
            first, Finding(place=Place.TREE, code="root-mismatch", message=text, index=job.first)
        )
    try:
        bodies = () if job.bodies is None else decode_bodies(job.bodies, len(records))
    except EncodingError as error:
        text = f"the bodies from leaf {job.first} on: {error.message}"
        return _refused(
            first, Finding(place=Place.SOURCE, code="unreachable", message=text, index=job.first)
        )
    tally = Tally()
    for offset in range(job.skip, len(records)):
        body = bodies[offset] if bodies else None
        check_leaf(job.rules, LeafIndex(job.first + offset), records[offset], body, tally)
    return SpanFacts(
        first=first,
        leaves=b"".join(leaves[job.skip :]),
        first_time=tally.first_time,
        last_time=tally.last_time,
        receipts=tally.receipts,
        withheld=tally.withheld,
        events=tally.events,
        counts=(tally.receipt_records, tally.unread, tally.suspect, tally.unknown),
        findings=tally.findings(),
        samples=tally.samples,
        outputs=tally.services(),
    )


def _records(entries: bytes) -> list[bytes]:
    return [entries[at + _PREFIX : at + ENTRY_BYTES] for at in range(0, len(entries), ENTRY_BYTES)]


def _leaf_hashes(records: Sequence[bytes]) -> list[bytes]:
    return [sha256(b"\x00" + record).digest() for record in records]


def _are_expected(leaves: list[bytes], expected: bytes) -> bool:
    if len(leaves) < FULL_WIDTH:
        return b"".join(leaves) == expected
    hashes = leaves
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return hashes[0] == expected


def _refused(first: LeafIndex, finding: Finding) -> SpanFacts:
    return SpanFacts(first, b"", -1, -1, [], [], [], (0, 0, 0, 0), [finding])
