"""Heads: what is served as one, and what it says beside the newest one that is trusted.

Spec:
    PROTOCOL.md, section "The head" (HEAD-1 to HEAD-18), and SENT-1, SENT-2, SENT-17.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.errors import FormatError, HeadError, LedgerError
from nous_ledger.protocol.head import (
    HeadSignature,
    decode_head_signature,
    only_line,
    verify_head_signature,
)
from nous_ledger.protocol.keyhistory import MAX_EPOCH, KeyHistory
from nous_ledger.protocol.logview import (
    is_policy_outdated,
    verify_listed_lines,
    verify_text_line,
    verify_witnesses,
)
from nous_ledger.protocol.note import Note, NoteSignature, find_signatures, parse_note
from nous_ledger.protocol.policy import NO_QUORUM, Policy
from nous_ledger.protocol.quorum import witnessed_time
from nous_ledger.protocol.types import Epoch, LeafCount, UnixSeconds
from nous_ledger.protocol.vkey import head_vkey
from sentinel.audit.findings import Finding, Place
from sentinel.audit.keys import KeyRing, broken_finding, unread_event
from sentinel.audit.state import SeenHead

CLOCK_TOLERANCE_S: Final = 300
"""Seconds that this machine's clock and the log's may differ without being mentioned."""


class HeadReading(NamedTuple):
    """What became of reading a head.

    Attributes:
        head: the head, if its signatures verified.
        needs: the epoch that it claims, if key events of its leaves must be read first.
        vouched: whether an Ed25519 key that is known of the log signed the head's text. If
            not, anybody may have made up what it needs: little work should be put into it.
        leaf_count: leaves that it claims; 0 if it could not be read.
        findings: what was found.
    """

    head: SeenHead | None
    needs: Epoch | None
    leaf_count: LeafCount
    findings: tuple[Finding, ...]
    vouched: bool = False


class _Moment(NamedTuple):
    """When a head is looked at, and how old it may be."""

    now: UnixSeconds
    max_age: int | None


class _Refused(Exception):  # noqa: N818 - it carries an answer
    """The head is not taken, for a reason."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def read_head(
    data: bytes,
    ring: KeyRing,
    policy: Policy,
    now: UnixSeconds,
    max_age: int | None = None,
) -> HeadReading:
    """Return the head in some bytes after checking its signatures, epoch and witnesses.

    Args:
        data: what was served as head.
        ring: the key history so far. If the head is of a later epoch, `needs` says so:
            read key events among the leaves from `ring.scanned` on, then call again.
        policy: pinned keys and witnesses.
        now: second by this machine's clock.
        max_age: most seconds since the head was witnessed, or signed under `quorum none`.
    """
    try:
        note = parse_note(data)
        checkpoint = parse_checkpoint(note.text)
    except FormatError as error:
        found = Finding(place=Place.SOURCE, code=error.code, message=error.message)
        return HeadReading(None, None, LeafCount(0), (found,))
    try:
        return _read(data, note, checkpoint, ring, policy, _Moment(now, max_age))
    except _Refused as refused:
        return HeadReading(None, None, checkpoint.leaf_count, (refused.finding,))


def _read(  # noqa: PLR0917 - the parts of one head
    data: bytes,
    note: Note,
    checkpoint: Checkpoint,
    ring: KeyRing,
    policy: Policy,
    moment: _Moment,
) -> HeadReading:
    count = checkpoint.leaf_count
    if count == 0 and ring.history is None:
        raise _Refused(_found("empty-tree", "the log shows a head over no leaves", count))
    signature, verified = _log_lines(note, checkpoint, ring, policy)
    if signature.epoch > ring.epoch and ring.broken is None and ring.scanned < count:
        vouched = bool(verified) or _is_known_line(note, ring)
        return HeadReading(None, signature.epoch, count, (), vouched)
    history = ring.history_at(count)
    if history is None or signature.epoch != history.epoch:
        unfit = unread_event(ring, count) if history else broken_finding(ring)
        raise _Refused(unfit or _wrong_epoch(signature.epoch, count, ring))
    findings = _check_signatures(note, checkpoint, signature, verified, history, policy)
    findings += _check_witnesses(note, policy, checkpoint, signature.timestamp, moment)
    if signature.timestamp > moment.now + CLOCK_TOLERANCE_S:
        ahead = signature.timestamp - moment.now
        text = f"the head's time is {ahead} s ahead of this machine's"
        findings.append(_found("clock-ahead", text, count))
    if count == 0:
        findings.append(_found("empty-tree", "the log signed a head over no leaves", count))
    head = SeenHead(data, count, checkpoint.root, signature.timestamp, signature.epoch)
    return HeadReading(head, None, count, tuple(findings), vouched=True)


def _log_lines(
    note: Note, checkpoint: Checkpoint, ring: KeyRing, policy: Policy
) -> tuple[HeadSignature, frozenset[NoteSignature]]:
    """Return the decoded 0xff line and the listed Ed25519 lines that verify."""
    origin, count = checkpoint.origin, checkpoint.leaf_count
    keys = policy.log_keys(ring.origin)
    try:
        if origin != ring.origin:
            raise HeadError("head-origin", f"the head is of {origin}, not of {ring.origin}")
        verified = verify_listed_lines(note, keys)
        ids = ring.pinned if ring.history is None else {ring.history.log_id}
        vkeys = sorted((head_vkey(origin, log_id) for log_id in ids), key=lambda key: key.key_id)
        present = [vkey for vkey in vkeys if find_signatures(note, vkey.name, vkey.key_id)]
        line = only_line(note, (present or vkeys)[0])
        signature = decode_head_signature(line.payload)
    except LedgerError as error:
        raise _Refused(_found(error.code, error.message, count)) from error
    if signature.epoch > MAX_EPOCH:
        raise _Refused(_wrong_epoch(signature.epoch, count, ring))
    return signature, verified


def _is_known_line(note: Note, ring: KeyRing) -> bool:
    """Return whether the Ed25519 key of the newest known epoch signed a note."""
    try:
        if ring.history is not None:
            verify_text_line(note, ring.history, frozenset())
            return True
    except LedgerError:
        pass
    return False


def _check_signatures(  # noqa: PLR0917 - what a head is checked with
    note: Note,
    checkpoint: Checkpoint,
    signature: HeadSignature,
    verified: frozenset[NoteSignature],
    history: KeyHistory,
    policy: Policy,
) -> list[Finding]:
    count = checkpoint.leaf_count
    key = history.epochs[signature.epoch].secp256k1
    try:
        verify_head_signature(checkpoint, history.log_id, signature, key)
        if is_policy_outdated(history, policy.log_keys(checkpoint.origin)):
            text = "the log's Ed25519 key of this epoch is not in the policy"
            return [_found("policy-outdated", text, count)]
        verify_text_line(note, history, verified)
    except LedgerError as error:
        raise _Refused(_found(error.code, error.message, count)) from error
    return []


def _check_witnesses(
    note: Note,
    policy: Policy,
    checkpoint: Checkpoint,
    signed: UnixSeconds,
    moment: _Moment,
) -> list[Finding]:
    count, findings = checkpoint.leaf_count, []
    try:
        cosigned = verify_witnesses(note, policy)
    except LedgerError as error:
        raise _Refused(
            Finding(place=Place.WITNESS, code=error.code, message=error.message, count=count)
        ) from error
    try:
        seen = witnessed_time(policy, cosigned)
    except HeadError as error:
        return [_found(error.code, error.message, count)]
    if policy.quorum == NO_QUORUM:
        findings.append(_found("not-witnessed", "the policy asks for no witnesses", count))
    age = moment.now - (signed if seen is None else seen)
    if moment.max_age is not None and age > moment.max_age:
        text = f"the head is {age} s old, {moment.max_age} are allowed"
        findings.append(_found("too-old", text, count))
    return findings


def _wrong_epoch(epoch: int, count: LeafCount, ring: KeyRing) -> Finding:
    why = f": {ring.broken.message}" if ring.broken else ""
    text = f"the head over {count} leaves is of epoch {epoch}, which is not that of its leaves{why}"
    broken = {"cause": ring.broken.code, "key_event": ring.broken.leaf} if ring.broken else {}
    return _found("head-epoch", text, count, epoch=epoch, **broken)


def _found(code: str, message: str, count: LeafCount, **attrs: object) -> Finding:
    return Finding(place=Place.HEAD, code=code, message=message, count=count, attrs=attrs)
