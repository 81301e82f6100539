"""What can be checked of one leaf by itself: its record, its body, its usage values.

Pure functions of bytes, so that several processes can share the work.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from nous_ledger.protocol.bodies import check_body_hash, check_body_in_record, decode_body
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import (
    RECORD_LENGTH,
    SIGNED_LENGTH,
    TYPE_KEY,
    TYPE_RECEIPT,
    TYPE_REDACTION,
    Record,
    decode_record,
    leaf_hash,
    record_digest,
    verify_record,
    verify_records,
)
from nous_ledger.protocol.signing import verify_signature
from nous_ledger.protocol.types import LogId

_FIRST_INDEX: Final = attrgetter("first_index")
_ALWAYS_READABLE: Final = frozenset({TYPE_KEY, TYPE_REDACTION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, and where.

    Attributes:
        code: stable code, of the protocol or of `LEDGER_ERROR_CODES`.
        table: table of the database.
        index: its row: leaf index, node position or leaf count as a number,
            receipt id or pseudonym as hex; None for the table as a whole.
        message: a sentence.
    """

    code: str
    table: str
    index: int | str | None
    message: str


class KeyEra(NamedTuple):
    """The key that signs records from one index on."""

    first_index: int
    epoch: int
    public_key: bytes


class LeafRow(NamedTuple):
    """One leaf as it stands in the tables; None where a row is missing, empty if erased."""

    leaf: int
    record: bytes
    body: bytes | None
    usage: bytes | None


PlainRow: TypeAlias = tuple[int, bytes, bytes | None, bytes | None]
"""The fields of a `LeafRow`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafJob:
    """Some leaves to check.

    Attributes:
        log_id: 32 bytes.
        eras: keys by first index; none if the key history gave no key.
        rows: the leaves, each with the fields of a `LeafRow`.
    """

    log_id: LogId
    eras: tuple[KeyEra, ...]
    rows: tuple[PlainRow, ...]


class LeafFacts(NamedTuple):
    """What the checks of the whole log need of one leaf.

    Of a record that cannot be read, logged_at is -1, body_hash None, and type what
    stands at its place. stored_hash is that of the body as it is stored. What ties a
    receipt to others is only that of a body that its record vouches for; id is None
    if there is none.
    """

    leaf: int
    type: int
    logged_at: int
    leaf_hash: bytes | None
    body_hash: bytes | None
    stored_hash: bytes | None
    erased: bool
    id: bytes | None = None
    subject: bytes = b""
    subject_seq: int = 0
    subject_prev: bytes | None = None


PlainFacts: TypeAlias = tuple[
    int,
    int,
    int,
    bytes | None,
    bytes | None,
    bytes | None,
    bool,
    bytes | None,
    bytes,
    int,
    bytes | None,
]
"""The fields of `LeafFacts`: plain tuples take a fifth of the time to another process."""


class LeafFindings(NamedTuple):
    """What became of a job; as a plain tuple on its way from another process."""

    leaves: list[PlainFacts]
    faults: list[Fault]


def check_leaves(job: LeafJob) -> LeafFindings:
    """Check some leaves, each by itself."""
    found = LeafFindings([], [])
    only = _only_era(job)
    verified = _verified_together(job, only)
    for row, signed in zip(map(LeafRow._make, job.rows), verified, strict=True):
        era = only or _era_of(job, row.leaf)
        if era is not None and (facts := _sound_receipt(row, signed, era, job.log_id)):
            found.leaves.append(facts)
            continue
        try:
            record = decode_record(row.record)
        except LedgerError as error:
            found.faults.append(_fault(error, "records", row.leaf))
            found.leaves.append(_unreadable(row))
            continue
        found.faults.extend(_record_faults(row, record, era, job.log_id))
        receipt = _check_body(row, record, found.faults)
        if row.usage is not None and record.type != TYPE_RECEIPT:
            text = "usage values stand beside a record that is no receipt"
            found.faults.append(
                Fault(code="row-leftover", table="raw_usage", index=row.leaf, message=text)
            )
        found.leaves.append(_facts(row, record, receipt))
    return found


def _era_of(job: LeafJob, leaf: int) -> KeyEra | None:
    number = bisect_right(job.eras, leaf, key=_FIRST_INDEX)
    return job.eras[max(0, number - 1)] if job.eras else None


def _only_era(job: LeafJob) -> KeyEra | None:
    """Return the key that signs all of the records; None if it changes among them."""
    first, last = _era_of(job, job.rows[0][0]), _era_of(job, job.rows[-1][0])
    return first if first is last else None


def _verified_together(job: LeafJob, era: KeyEra | None) -> Sequence[Record | None]:
    """Return the records after checking all signatures at once; else None for each of them.

    Then one at least is wrong, which is found out one by one, or `era` is None.
    """
    if era is not None:
        with contextlib.suppress(LedgerError):
            return verify_records([row[1] for row in job.rows], job.log_id, era.public_key)
    return [None] * len(job.rows)


def _sound_receipt(
    row: LeafRow, verified: Record | None, era: KeyEra, log_id: LogId
) -> PlainFacts | None:
    """Return what ties a receipt to others if nothing is wrong with its leaf.

    Nearly all leaves are such. None for the others: of them is found out what is wrong.

    Args:
        row: the leaf.
        verified: its record if the signature was checked already.
        era: the key that must have made it.
        log_id: the log.
    """
    leaf, data, stored, usage = row
    if not stored:
        return None
    try:
        record = verified or verify_record(data, log_id, era.public_key)
        body = decode_body(record.type, check_body_hash(record, stored))
        if record.index != leaf or record.epoch != era.epoch or type(body) is not Receipt:
            return None
        check_body_in_record(body, record)
    except LedgerError:
        return None
    if usage and sha256(usage) != body.raw_usage_hash:
        return None
    stated = record.body_hash
    whole = (leaf, record.type, record.logged_at, leaf_hash(data), stated, stated, False)
    return (*whole, body.id, body.subject, body.subject_seq, body.subject_prev)


def _record_faults(
    row: LeafRow, record: Record, era: KeyEra | None, log_id: LogId
) -> Iterator[Fault]:
    if record.index != row.leaf:
        text = f"the record at {row.leaf} says that it is {record.index}"
        yield Fault(code="record-index", table="records", index=row.leaf, message=text)
    if era is None:
        return
    if record.epoch != era.epoch:
        text = f"the record is of epoch {record.epoch} where {era.epoch} is in force"
        yield Fault(code="epoch", table="records", index=row.leaf, message=text)
    try:
        digest = record_digest(log_id, row.record[:SIGNED_LENGTH])
        verify_signature(digest, record.signature, era.public_key)
    except LedgerError as error:
        yield _fault(error, "records", row.leaf)


def _check_body(row: LeafRow, record: Record, faults: list[Fault]) -> Receipt | None:
    """Return the receipt of a leaf, if its record vouches for it."""
    if not row.body:
        _check_absence(row, record, faults)
        return None
    try:
        body = decode_body(record.type, check_body_hash(record, row.body))
        check_body_in_record(body, record)
    except LedgerError as error:
        faults.append(_fault(error, "bodies", row.leaf))
        return None
    if not isinstance(body, Receipt):
        return None
    if row.usage and sha256(row.usage) != body.raw_usage_hash:
        text = "the usage values are not those that the receipt names"
        faults.append(Fault(code="usage-hash", table="raw_usage", index=row.leaf, message=text))
    return body


def _check_absence(row: LeafRow, record: Record, faults: list[Fault]) -> None:
    """Report a body that is not there unless it may have been erased, with all beside it."""
    if row.body is None or record.type in _ALWAYS_READABLE:
        text = "the record has no body" if row.body is None else "this body is never erased"
        faults.append(Fault(code="row-missing", table="bodies", index=row.leaf, message=text))
    elif row.usage:
        text = "the usage values were not erased with the body"
        faults.append(Fault(code="row-leftover", table="raw_usage", index=row.leaf, message=text))


def _facts(row: LeafRow, record: Record, receipt: Receipt | None) -> PlainFacts:
    facts = (
        row.leaf,
        record.type,
        record.logged_at,
        leaf_hash(row.record),
        record.body_hash,
        _stored_hash(row, record, receipt),
        row.body == b"",
    )
    if receipt is None:
        return (*facts, None, b"", 0, None)
    return (*facts, receipt.id, receipt.subject, receipt.subject_seq, receipt.subject_prev)


def _stored_hash(row: LeafRow, record: Record, receipt: Receipt | None) -> bytes | None:
    if not row.body:
        return None
    return record.body_hash if receipt is not None else sha256(row.body)


def _unreadable(row: LeafRow) -> LeafFacts:
    return LeafFacts(
        leaf=row.leaf,
        type=int.from_bytes(row.record[1:3], "big"),
        logged_at=-1,
        leaf_hash=leaf_hash(row.record) if len(row.record) == RECORD_LENGTH else None,
        body_hash=None,
        stored_hash=sha256(row.body) if row.body else None,
        erased=row.body == b"",
    )


def _fault(error: LedgerError, table: str, index: int) -> Fault:
    return Fault(code=error.code, table=table, index=index, message=error.message)
