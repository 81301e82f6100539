"""The checks of one record and its body: by themselves, and against what was signed.

Spec:
    PROTOCOL.md, sections "Records and bodies" to "Labels", KEY-28, HEAD-8, HEAD-13.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from hashlib import sha256
from operator import itemgetter
from typing import Final, NamedTuple

from nous_ledger.protocol.accuracy import verify_binding
from nous_ledger.protocol.audit_streams import output_of, service_of, stream_sample
from nous_ledger.protocol.bodies import (
    BODY_CLASSES,
    Binding,
    Body,
    Redaction,
    check_body_in_record,
    decode_body,
)
from nous_ledger.protocol.errors import LedgerError, SignatureError
from nous_ledger.protocol.receipt import MAX_CLOCK_SKEW_MS, Receipt
from nous_ledger.protocol.record import (
    RECORD_VERSION,
    SIGNED_LENGTH,
    TYPE_KEY,
    TYPE_RECEIPT,
    decode_record,
    record_digest,
)
from nous_ledger.protocol.signing import verify_signature
from nous_ledger.protocol.types import LeafCount, LeafIndex, LogId, UnixSeconds
from sentinel.audit.codes import Place
from sentinel.audit.keys import KeyEra
from sentinel.audit.receipts import read_usual_receipt
from sentinel.audit.tally import Tally

_SIGNED: Final = struct.Struct(">BHIQQ32s")


class LeafRules(NamedTuple):
    """What holds for some records of a log.

    Attributes:
        log_id: identity of the log.
        eras: the keys that sign records, by their first index; at least one.
        suspect: ranges of leaves whose keys were reported as suspect.
        closed_at: leaf of the close, if there is one.
        heads: (leaf count, time) of trusted heads in ascending order; the last one covers
            every leaf that is checked.
        max_merge_delay_s: seconds within which a head covers each record.
    """

    log_id: LogId
    eras: tuple[KeyEra, ...]
    suspect: tuple[tuple[LeafIndex, LeafIndex], ...]
    closed_at: LeafIndex | None
    heads: tuple[tuple[LeafCount, UnixSeconds], ...]
    max_merge_delay_s: int

    def era(self, leaf: LeafIndex) -> KeyEra:
        """Return the key in force at a leaf."""
        firsts = [era.first_index for era in self.eras]
        return self.eras[bisect_right(firsts, leaf) - 1]


def check_leaf(
    rules: LeafRules, leaf: LeafIndex, data: bytes, body: bytes | None, tally: Tally
) -> None:
    """Check one record and its body, and note what they say.

    Args:
        rules: what holds for it.
        leaf: where it stands.
        data: 120 bytes.
        body: its body, empty if it was not served; None if it was not asked for.
        tally: takes facts and findings.
    """
    version, type_, epoch, index, logged_at, body_hash = _SIGNED.unpack_from(data)
    if version != RECORD_VERSION or index != leaf or logged_at >> 53:
        _report_unfit(leaf, data, tally)
        return
    _check_signed(rules, leaf, data, epoch, tally)
    _check_times(rules, leaf, logged_at, tally)
    if type_ == TYPE_RECEIPT:
        tally.receipt_records += 1
    if type_ == TYPE_KEY:
        return  # its body was read before, as part of the key history
    if body is None:
        tally.unread += 1
    elif not body:
        tally.withheld.append((leaf, type_, body_hash, False))
    elif sha256(body).digest() != body_hash:
        text = f"the body served for leaf {leaf} is not the one that was signed"
        tally.withheld.append((leaf, type_, body_hash, True))
        tally.found(Place.BODY, "body-hash", leaf, text)
    elif type_ == TYPE_RECEIPT:
        _check_receipt(leaf, data, body, (logged_at, body_hash), tally)
    else:
        _check_other(rules, leaf, data, body, tally)


def _report_unfit(leaf: LeafIndex, data: bytes, tally: Tally) -> None:
    """Note why a record is none of this place; nothing else that it says is believed."""
    try:
        index = decode_record(data).index
    except LedgerError as error:
        tally.found(Place.RECORD, error.code, leaf, f"leaf {leaf}: {error.message}")
        return
    text = f"the record at leaf {leaf} says that it is {index}"
    tally.found(Place.RECORD, "record-index", leaf, text)


def _check_signed(rules: LeafRules, leaf: LeafIndex, data: bytes, epoch: int, tally: Tally) -> None:
    if rules.closed_at is not None and leaf > rules.closed_at:
        text = f"a record stands at leaf {leaf}, after the close at {rules.closed_at}"
        tally.found(Place.RECORD, "after-close", leaf, text)
    era = rules.era(leaf) if len(rules.eras) > 1 else rules.eras[0]
    if epoch != era.epoch:
        text = f"the record at leaf {leaf} is of epoch {epoch} where {era.epoch} is in force"
        tally.found(Place.RECORD, "epoch", leaf, text)
        return
    try:
        digest = record_digest(rules.log_id, data[:SIGNED_LENGTH])
        verify_signature(digest, data[SIGNED_LENGTH:], era.public_key)
    except SignatureError as error:
        tally.found(Place.RECORD, error.code, leaf, f"the record at leaf {leaf}: {error.message}")
    if rules.suspect and any(low <= leaf < high for low, high in rules.suspect):
        tally.suspect += 1
        text = f"the key that signed leaf {leaf} was reported as suspect"
        tally.found(Place.RECORD, "suspect", leaf, text)


def _check_times(rules: LeafRules, leaf: LeafIndex, logged_at: int, tally: Tally) -> None:
    last, seconds = tally.last_time, logged_at // 1000
    if last < 0:
        tally.first_time = logged_at
    elif logged_at < last:
        text = f"the record at leaf {leaf} was logged {last - logged_at} ms before the one before"
        tally.found(Place.RECORD, "backdated", leaf, text, LeafIndex(leaf - 1))
    tally.last_time = logged_at
    heads = rules.heads
    covering = bisect_right(heads, leaf, key=itemgetter(0)) if len(heads) > 1 else 0
    count, timestamp = heads[covering]
    if timestamp < seconds:
        text = f"the head over {count} leaves is of {timestamp}, before its leaf {leaf}"
        tally.found(Place.RECORD, "head-time", leaf, text)
    late = heads[covering - 1][1] - seconds - rules.max_merge_delay_s if covering else 0
    if late > 0:
        text = f"leaf {leaf} was not covered by a head {late} s after it was due"
        tally.found(Place.RECORD, "late", leaf, text)


def _check_receipt(
    leaf: LeafIndex, data: bytes, body: bytes, signed: tuple[int, bytes], tally: Tally
) -> None:
    logged_at, body_hash = signed
    place = read_usual_receipt(body)
    if place is not None and place.time <= logged_at + MAX_CLOCK_SKEW_MS:
        tally.receipts.append((leaf, body_hash, place.id, place.subject, place.seq, place.prev))
        if place.output:
            tally.answered(place.service, place.output)
        return
    receipt = _read_body(leaf, data, TYPE_RECEIPT, body, tally)
    if isinstance(receipt, Receipt):
        subject, seq, prev = receipt.subject, receipt.subject_seq, receipt.subject_prev
        tally.receipts.append((leaf, body_hash, receipt.id, subject, seq, prev))
        _note_counts(leaf, receipt, tally)
    else:
        tally.withheld.append((leaf, TYPE_RECEIPT, body_hash, True))


def _note_counts(leaf: LeafIndex, receipt: Receipt, tally: Tally) -> None:
    """Note what a receipt adds to the audit of streams (AUD-1, AUD-2)."""
    tokens, sample = output_of(receipt), stream_sample(receipt)
    if tokens or sample is not None:
        tally.answered(service_of(receipt), tokens)
    if sample is not None:
        tally.sample(leaf, *sample)


def _read_body(leaf: LeafIndex, data: bytes, type_: int, body: bytes, tally: Tally) -> Body | None:
    """Return a body that breaks no rule; note which one it breaks."""
    try:
        decoded = decode_body(type_, body)
        check_body_in_record(decoded, decode_record(data))
    except LedgerError as error:
        tally.found(Place.BODY, error.code, leaf, f"the body of leaf {leaf}: {error.message}")
        return None
    return decoded


def _check_other(rules: LeafRules, leaf: LeafIndex, data: bytes, body: bytes, tally: Tally) -> None:
    type_ = int.from_bytes(data[1:3], "big")
    if type_ not in BODY_CLASSES:
        tally.unknown += 1
        tally.found(Place.RECORD, "unknown-type", leaf, f"leaf {leaf} is of unknown type {type_}")
        return
    decoded = _read_body(leaf, data, type_, body, tally)
    if isinstance(decoded, Redaction):
        tally.events.append(("redaction", leaf, decoded.indices))
    elif isinstance(decoded, Binding):
        _check_binding(rules, leaf, decoded, tally)
    elif decoded is not None:
        tally.events.append(("claim", leaf, type_))


def _check_binding(rules: LeafRules, leaf: LeafIndex, binding: Binding, tally: Tally) -> None:
    try:
        signer = verify_binding(binding, rules.log_id)
    except SignatureError as error:
        tally.found(Place.BINDING, error.code, leaf, f"the binding at leaf {leaf}: {error.message}")
        return
    fact = ("binding", leaf, binding.subject, binding.wallet, binding.nonce, signer)
    tally.events.append(fact)
