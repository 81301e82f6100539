"""Every code of the sentinel: where it is found, how grave it is, what proves it.

Codes are those of the protocol where it names the fault. The same code can weigh
differently by the place where it was found: a signature that fails under a head may be
the work of a cache in between, one in a record that a signed head covers is the log's.

Spec:
    PROTOCOL.md, sections "Rounds" and "Findings" (SENT-2, SENT-6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Severity(StrEnum):
    """How grave a finding is.

    alarm: the log misbehaved; the evidence convinces a third party, offline.
    fault: checked and wrong, but nobody else can be convinced of who did it.
    unchecked: could not be checked; says nothing against the log.
    notice: worth knowing.
    verdict: about a provider whose answers the log has receipts of, and never about the log.
    """

    ALARM = "alarm"
    FAULT = "fault"
    UNCHECKED = "unchecked"
    NOTICE = "notice"
    VERDICT = "verdict"


class Place(StrEnum):
    """Where something was found."""

    SOURCE = "source"
    HEAD = "head"
    WITNESS = "witness"
    TREE = "tree"
    KEY = "key"
    RECORD = "record"
    BODY = "body"
    SUBJECT = "subject"
    RECEIPT = "receipt"
    BINDING = "binding"
    STATEMENT = "statement"
    RECONCILIATION = "reconciliation"
    REDACTION = "redaction"
    PEER = "peer"
    LEGACY = "legacy"
    ANCHOR = "anchor"
    PROVIDER = "provider"


class Proof(StrEnum):
    """What kind of evidence proves a finding; the `kind` of an evidence file."""

    NONE = ""
    FORK = "fork"
    HEAD_ORDER = "head-order"
    LEAF = "leaf"
    KEY_EVENT = "key-event"
    LATE = "late"
    RECORD_PAIR = "record-pair"
    OMISSION = "omission"
    BODY_PAIR = "body-pair"
    STATEMENT = "statement"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeInfo:
    """What a code means at its place.

    Attributes:
        severity: how grave it is.
        meaning: when it is raised, for people.
        proof: kind of its evidence; NONE where there cannot be any.
        required: of what could not be checked, whether the audit is incomplete by it.
    """

    severity: Severity
    meaning: str
    proof: Proof = Proof.NONE
    required: bool = False


_ALARM: Final = Severity.ALARM
_FAULT: Final = Severity.FAULT
_UNCHECKED: Final = Severity.UNCHECKED
_NOTICE: Final = Severity.NOTICE
_VERDICT: Final = Severity.VERDICT

_ENCODING: Final = (
    "truncated",
    "trailing",
    "non-minimal",
    "duplicate-key",
    "unsorted",
    "forbidden-type",
    "bad-string",
    "int-range",
    "limit",
    "unknown-field",
)
_BODY: Final = (
    "missing-field",
    "wrong-type",
    "empty-value",
    "bad-value",
    "bad-order",
    "field-conflict",
    "total-mismatch",
    "time-order",
    "index-order",
    "label-shape",
    "label-range",
    "exact-not-allowed",
    "method-name",
)
_SIGNATURE: Final = ("malformed", "high-s", "bad-recovery-id", "mismatch")

_Row = tuple[Place, tuple[str, ...], CodeInfo]


def _row(
    place: Place,
    codes: str | tuple[str, ...],
    severity: Severity,
    meaning: str,
    proof: Proof = Proof.NONE,
    *,
    required: bool = False,
) -> _Row:
    names = (codes,) if isinstance(codes, str) else codes
    return (
        place,
        names,
        CodeInfo(severity=severity, meaning=meaning, proof=proof, required=required),
    )


_ROWS: Final[tuple[_Row, ...]] = (
    _row(Place.SOURCE, "unreachable", _UNCHECKED, "the source could not be read, or gave something else than asked for", required=True),
    _row(Place.SOURCE, ("note-format", "checkpoint-format"), _UNCHECKED, "what was served as head is no head: anyone on the way can do that", required=True),
    _row(Place.HEAD, ("unknown-log", "unpinned"), _UNCHECKED, "the policy does not pin the log", required=True),
    _row(Place.HEAD, ("unsupported-key", "policy-outdated"), _UNCHECKED, "the policy's keys do not serve to check the head", required=True),
    _row(Place.HEAD, "head-origin", _FAULT, "the head names another log"),
    _row(Place.HEAD, ("missing-kind", "duplicate-line"), _FAULT, "a signature line of the log is missing, or stands there twice"),
    _row(Place.HEAD, _SIGNATURE, _FAULT, "a signature line of the log, or of a key that the policy lists, does not verify"),
    _row(Place.HEAD, "head-epoch", _FAULT, "the head is signed in another key epoch than its leaves imply"),
    _row(Place.HEAD, "empty-tree", _FAULT, "a signed head over no leaves: a log begins with its genesis"),
    _row(Place.HEAD, "stale", _UNCHECKED, "a head that is older than the newest one seen; a cache may lag", required=True),
    _row(Place.HEAD, "unproved", _UNCHECKED, "a smaller head could not be compared: the tree is not known at its count yet", required=True),
    _row(Place.HEAD, "clock-ahead", _UNCHECKED, "the head's time lies ahead of this machine's: one of the two clocks is wrong", required=True),
    _row(Place.HEAD, "too-old", _UNCHECKED, "the head was witnessed, or signed where no witnesses are asked for, longer ago than was asked for", required=True),
    _row(Place.HEAD, "silent", _UNCHECKED, "no fresh head although a heartbeat is due; a cache may be stuck", required=True),
    _row(Place.HEAD, "heartbeat", _FAULT, "observed: no fresh head for longer than two heartbeats while the sentinel was looking"),
    _row(Place.HEAD, "quorum", _UNCHECKED, "too few witnesses of the policy cosigned the head", required=True),
    _row(Place.HEAD, "not-witnessed", _NOTICE, "the policy asks for no witnesses"),
    _row(Place.HEAD, "rollback", _ALARM, "a smaller head was signed after a larger one", Proof.HEAD_ORDER),
    _row(Place.HEAD, "head-time", _ALARM, "a larger head was signed before a smaller one", Proof.HEAD_ORDER),
    _row(Place.HEAD, "fork", _ALARM, "two heads of the log contradict each other", Proof.FORK),
    _row(Place.WITNESS, ("malformed", "mismatch"), _FAULT, "a cosignature of a listed witness does not verify"),
    _row(Place.TREE, "root-mismatch", _FAULT, "the tiles or entries that are served do not lead to the signed root"),
    _row(Place.KEY, "log-id", _FAULT, "the log's first record is not the pinned genesis"),
    _row(Place.KEY, "withheld", _FAULT, "the body of a key event is not served: it is always public"),
    _row(Place.KEY, "body-hash", _FAULT, "the served body of a key event is not the signed one"),
    _row(Place.KEY, "unknown-kind", _UNCHECKED, "a key event of a kind that this release does not know", required=True),
    _row(Place.KEY, ("key-event-order", "epoch", "reveal", "rotation-signature", "after-close", *_SIGNATURE), _ALARM, "a signed head covers a key event that does not continue the key history", Proof.KEY_EVENT),
    _row(Place.KEY, (*_ENCODING, *_BODY), _ALARM, "a signed head covers a key event whose body breaks a rule", Proof.KEY_EVENT),
    _row(Place.RECORD, "newer-version", _UNCHECKED, "a record of a newer version: update the sentinel", required=True),
    _row(Place.RECORD, "unknown-type", _NOTICE, "records of a type that this release does not know; their bodies were not read"),
    _row(Place.RECORD, "suspect", _UNCHECKED, "the key in force at these records was reported as suspect"),
    _row(Place.RECORD, ("record-version", "record-range", "record-index", "epoch", "after-close", *_SIGNATURE), _ALARM, "a signed head covers a record that breaks a rule", Proof.LEAF),
    _row(Place.RECORD, "head-time", _ALARM, "the head's time is before that of a record it covers", Proof.LEAF),
    _row(Place.RECORD, "backdated", _ALARM, "logged_at is before that of an earlier record", Proof.RECORD_PAIR),
    _row(Place.RECORD, "equivocation", _ALARM, "two records were signed for one index", Proof.RECORD_PAIR),
    _row(Place.RECORD, "omission", _ALARM, "a signed record is not at its index in a head that covers it", Proof.OMISSION),
    _row(Place.RECORD, "late", _ALARM, "a head that should have covered the record does not", Proof.LATE),
    _row(Place.BODY, "body-hash", _FAULT, "a served body is not the one that was signed"),
    _row(Place.BODY, "withheld", _UNCHECKED, "bodies were not served, or not asked for; what they say was not checked"),
    _row(Place.BODY, "withheld-unannounced", _FAULT, "a body is withheld and no redaction named it within the merge delay"),
    _row(Place.BODY, (*_ENCODING, *_BODY), _ALARM, "a signed body breaks a rule of the encoding, of its type, or of its labels", Proof.LEAF),
    _row(Place.BINDING, _SIGNATURE, _ALARM, "the wallet's signature in a binding does not verify", Proof.LEAF),
    _row(Place.BINDING, "nonce-order", _ALARM, "a binding's nonce is not above an earlier one of its signer", Proof.BODY_PAIR),
    _row(Place.BINDING, "not-bound", _FAULT, "an unbind is not signed by the wallet that was bound last"),
    _row(Place.SUBJECT, "subject-branch", _ALARM, "two receipts of one subject contradict each other's place in its chain", Proof.BODY_PAIR),
    _row(Place.SUBJECT, "subject-gap", _FAULT, "receipts of a subject are missing, and no withheld body stands for them"),
    _row(Place.RECEIPT, "duplicate-id", _ALARM, "two records hold receipts of one id", Proof.BODY_PAIR),
    _row(Place.STATEMENT, "statement-sums", _ALARM, "a statement differs from the receipts it sums", Proof.STATEMENT),
    _row(Place.STATEMENT, "statement-range", _FAULT, "a statement sums receipts that the log does not have"),
    _row(Place.STATEMENT, "unproved", _UNCHECKED, "a statement could not be compared: receipts of its range are not readable"),
    _row(Place.RECONCILIATION, "reference", _ALARM, "a reconciliation does not fit the record that it names", Proof.REFERENCE),
    _row(Place.RECONCILIATION, "field-conflict", _ALARM, "a reconciliation has a bucket that its receipt does not have", Proof.REFERENCE),
    _row(Place.RECONCILIATION, "exact-not-allowed", _ALARM, "a reconciliation labels EXACT what its receipt does not allow", Proof.REFERENCE),
    _row(Place.RECONCILIATION, "unproved", _UNCHECKED, "a reconciliation could not be compared: its receipt is not readable"),
    _row(Place.REDACTION, "redaction-target", _NOTICE, "a redaction names a record whose body is always public"),
    _row(Place.PEER, "unreachable", _UNCHECKED, "another witness could not be read, or gave no head that is signed by the log and by itself", required=True),
    _row(Place.PEER, "ahead", _NOTICE, "another witness has seen more of the log; compared as soon as the log shows as much here"),
    _row(Place.PEER, "hidden", _UNCHECKED, "another witness saw more of the log more than an hour ago, and it is not shown here", required=True),
    _row(Place.PEER, "unproved", _UNCHECKED, "another witness's head could not be compared: the tree is not known at its count yet", required=True),
    _row(Place.PEER, "split-view", _ALARM, "the log signed for another witness a head that contradicts what it shows here", Proof.FORK),
    _row(Place.PEER, ("rollback", "head-time"), _ALARM, "the log signed heads for another witness and here whose times and sizes contradict", Proof.HEAD_ORDER),
    _row(Place.PEER, "contradiction", _FAULT, "another witness has a head of another tree with the log's Ed25519 line alone; both heads are in the attributes"),
    _row(Place.ANCHOR, "unreachable", _UNCHECKED, "the chain could not be read, or its servers contradict each other", required=True),
    _row(Place.ANCHOR, "not-registered", _UNCHECKED, "the contract does not know the log", required=True),
    _row(Place.ANCHOR, "ahead", _UNCHECKED, "the contract holds more of the log than is shown here", required=True),
    _row(Place.ANCHOR, "unproved", _UNCHECKED, "an anchored head could not be compared, or servers show no signature of the log for it", required=True),
    _row(Place.ANCHOR, "contradiction", _FAULT, "the log signed a head that is anchored and of another tree; head and signature are in the attributes"),
    _row(Place.ANCHOR, "forked", _FAULT, "the contract holds two signed heads of the log that contradict each other"),
    _row(Place.ANCHOR, "event-missing", _FAULT, "servers withhold an event: the running hash does not come out"),
    _row(Place.ANCHOR, "rewound", _FAULT, "the contract holds less than before, which no final block can"),
    _row(Place.ANCHOR, "stopped", _FAULT, "newer records have waited for an anchor for longer than --anchor-max-age"),
    _row(Place.PROVIDER, "over-reported", _VERDICT, "a stream of receipts shows more tokens than a re-count and every known offset allow"),
    _row(Place.PROVIDER, "under-reported", _VERDICT, "a stream of receipts shows fewer tokens than a re-count and every known offset allow"),
    _row(Place.PROVIDER, "inconsistent", _VERDICT, "no known offset explains the counts of a stream of receipts"),
    _row(Place.PROVIDER, "two-sided", _VERDICT, "a stream shows too many and too few: a wrong tokenizer, or missing text; nothing is said of the provider"),
    _row(Place.PROVIDER, "contradicted", _VERDICT, "one receipt reports more than 10 tokens and half of its re-count beyond it"),
    _row(Place.LEGACY, "stale", _UNCHECKED, "fewer leaves than before, or than belong together; a cache may lag", required=True),
    _row(Place.LEGACY, "unpinned", _UNCHECKED, "the key was first taken from the gateway itself: pin it with --legacy-key"),
    _row(Place.LEGACY, "legacy-unsigned", _UNCHECKED, "records without a signature: nothing attributes them to the gateway", required=True),
    _row(Place.LEGACY, ("legacy-ambiguous", "legacy-type-confused", "legacy-malleated", "legacy-resigned"), _NOTICE, "records that nous-v2 leaves open: neither valid nor tampering"),
    _row(Place.LEGACY, ("legacy-format", "legacy-leaf", "legacy-signature"), _FAULT, "a record is not one, does not hash to its leaf, or its signature does not verify"),
    _row(Place.LEGACY, "legacy-stripped", _FAULT, "a record that was signed before has no signature now"),
    _row(Place.LEGACY, "legacy-root", _FAULT, "the records do not lead to the root that is stated for them"),
    _row(Place.LEGACY, "legacy-rewritten", _FAULT, "records are not those that were there before"),
    _row(Place.LEGACY, ("legacy-truncated", "legacy-missing", "legacy-uncovered"), _FAULT, "leaves or records are missing for longer than a cache may lag"),
    _row(Place.LEGACY, "legacy-key-changed", _FAULT, "the gateway states another key than the one that is trusted"),
)  # fmt: skip

FINDING_CODES: Final[Mapping[tuple[Place, str], CodeInfo]] = MappingProxyType(
    {(place, code): info for place, codes, info in _ROWS for code in codes}
)
"""Every finding by place and code; PROTOCOL.md prints this table."""
