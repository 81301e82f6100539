"""Verify a bundle: the facade that answers the four questions apart.

The steps and their order are those of PROTOCOL.md's table. A step that fails
decides its answer; some failures leave the answers after them undecided, which
is never the same as wrong.

Spec:
    PROTOCOL.md, section "Verification" (VER-1 to VER-24).
"""

from __future__ import annotations

from typing import Final

from nous_ledger.protocol.accuracy import (
    Content,
    Recounter,
    check_accuracy,
    check_commitments,
    read_body,
)
from nous_ledger.protocol.bodies import Body, check_body_hash
from nous_ledger.protocol.bundle import Bundle, parse_bundle
from nous_ledger.protocol.errors import (
    InputError,
    KeyHistoryError,
    LedgerError,
    ProofError,
    RecordError,
    UnavailableError,
)
from nous_ledger.protocol.head import HeadSignature
from nous_ledger.protocol.keyhistory import KeyHistory, verify_key_history
from nous_ledger.protocol.logview import (
    check_times,
    is_policy_outdated,
    verify_head_line,
    verify_listed_lines,
    verify_text_line,
    verify_witnesses,
)
from nous_ledger.protocol.policy import NO_QUORUM, Policy
from nous_ledger.protocol.proof import verify_inclusion
from nous_ledger.protocol.quorum import witnessed_time
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import (
    SIGNED_LENGTH,
    TYPE_KEY,
    decode_record,
    leaf_hash,
    record_digest,
)
from nous_ledger.protocol.registries import RECORD_TYPE
from nous_ledger.protocol.report import (
    LATER_ROTATION,
    NOT_WITNESSED,
    Answer,
    Outcome,
    Report,
)
from nous_ledger.protocol.signing import verify_signature
from nous_ledger.protocol.types import UnixSeconds

_ESTABLISHED: Final = Answer(outcome=Outcome.ESTABLISHED)
_UNWITNESSED: Final = Answer(
    outcome=Outcome.NOT_ASKED,
    code=NOT_WITNESSED,
    detail="nobody but the log vouches for it: the policy asks for no witnesses",
)
_UNDECIDED: Final = Answer(
    outcome=Outcome.COULD_NOT_CHECK, code="undecided", detail="an earlier check failed"
)


_OUTDATED: Final = UnavailableError(
    "policy-outdated", "the log's Ed25519 key of this epoch is not in the policy"
)


class _StopError(Exception):
    """A step failed after which nothing more can be decided."""


def verify_bundle(
    data: bytes,
    policy: Policy,
    *,
    opening: bytes | None = None,
    request: bytes | None = None,
    response: bytes | None = None,
    forwarded: bytes | None = None,
    recount: Recounter | None = None,
    now: UnixSeconds | None = None,
    max_age: int | None = None,
    require_accuracy: bool = False,
) -> Report:
    """Return the four answers about the record in a bundle.

    Args:
        data: the bundle, a .tlog-proof file, at most 1 MiB.
        policy: keys and witnesses that the caller trusts.
        opening: per-call secret, 32 bytes; goes with at least one body.
        request: request body as the client sent it, content codings removed.
        response: response body as the client received it, content codings removed.
        forwarded: request body as the gateway forwarded it.
        recount: how to count again; None leaves the labels claimed.
        now: the time, seconds; needed with `max_age`.
        max_age: most seconds since the head was witnessed (or signed).
        require_accuracy: whether accuracy and verdicts decide the exit code.

    Raises:
        FormatError: not-a-bundle.
        UnavailableError: newer-version.
        InputError: opening and bodies do not go together, or `now` is missing.
    """
    content = Content(opening=opening, request=request, response=response, forwarded=forwarded)
    if max_age is not None and now is None:
        raise InputError("input", "a maximal age needs the time now")
    run = _Run(parse_bundle(data), policy)
    oldest = None if max_age is None or now is None else UnixSeconds(now - max_age)
    try:
        history = run.check_log_view(oldest)
        run.check_inclusion(history)
        run.check_attribution(history)
        run.check_accuracy(history, content, recount, required=require_accuracy)
    except _StopError:
        pass
    return run.report(required=require_accuracy)


class _Run:
    """One verification: answers as they are decided, and what later steps need."""

    def __init__(self, bundle: Bundle, policy: Policy) -> None:
        self.bundle = bundle
        self.policy = policy
        self.record = decode_record(bundle.record)
        self.origin = bundle.head.origin
        self.keys = policy.log_keys(self.origin)
        self.pinned = frozenset(key.log_id for key in self.keys if key.log_id is not None)
        self.answers: dict[str, Answer] = {}
        self.history: KeyHistory | None = None
        self.head: HeadSignature | None = None
        self.witnessed: UnixSeconds | None = None
        self.body: Body | None = None
        self.notes: list[str] = []

    def decide(self, name: str, error: LedgerError) -> None:
        """Let an error answer a question, unless it is answered already."""
        unavailable = isinstance(error, UnavailableError)
        outcome = Outcome.COULD_NOT_CHECK if unavailable else Outcome.WRONG
        self.answers.setdefault(
            name, Answer(outcome=outcome, code=error.code, detail=error.message)
        )

    def check_log_view(self, oldest: UnixSeconds | None) -> KeyHistory:
        """Steps 1 to 11: policy, log lines, key history, head, witnesses, age."""
        if not self.keys:
            error = UnavailableError("unknown-log", f"the policy does not list {self.origin}")
            for name in ("attribution", "inclusion", "log_view", "accuracy"):
                self.decide(name, error)
            raise _StopError
        note = self.bundle.note
        try:
            verified = verify_listed_lines(note, self.keys)
            self.history = history = self._read_history()
            self.head = head = verify_head_line(note, self.bundle.head, history)
            check_times(head.timestamp, (*history.records, self.record))
            if is_policy_outdated(history, self.keys):
                self.decide("log_view", _OUTDATED)
            else:
                verify_text_line(note, history, verified)
            cosigned = verify_witnesses(note, self.policy)
        except LedgerError as error:
            self.decide("log_view", error)
            raise _StopError from error
        self._check_quorum(cosigned, head.timestamp, oldest)
        return history

    def _read_history(self) -> KeyHistory:
        events = ((event.record, event.body) for event in self.bundle.key_events)
        try:
            return verify_key_history(
                events,
                leaf_count=self.bundle.head.leaf_count,
                origin=self.origin,
                pinned=self.pinned,
            )
        except LedgerError as error:
            self.decide("attribution", error)
            raise _StopError from error

    def _check_quorum(
        self,
        cosigned: dict[bytes, UnixSeconds],
        signed: UnixSeconds,
        oldest: UnixSeconds | None,
    ) -> None:
        try:
            self.witnessed = witnessed_time(self.policy, cosigned)
            seen = signed if self.witnessed is None else self.witnessed
            if oldest is not None and seen < oldest:
                raise UnavailableError("too-old", f"the head is from {seen}, before {oldest}")
        except LedgerError as error:
            self.decide("log_view", error)
        unwitnessed = self.policy.quorum == NO_QUORUM
        self.answers.setdefault("log_view", _UNWITNESSED if unwitnessed else _ESTABLISHED)

    def check_inclusion(self, history: KeyHistory) -> None:
        """Steps 12 and 13: every key event, then the record, is in the tree."""
        head = self.bundle.head
        try:
            for event, record in zip(self.bundle.key_events, history.records, strict=True):
                leaf = leaf_hash(event.record)
                verify_inclusion(leaf, record.index, head.leaf_count, event.path, head.root)
        except ProofError as error:
            self.decide("inclusion", error)
            raise _StopError from error
        try:
            self._check_place()
        except ProofError as error:
            self.decide("inclusion", error)
        self.answers.setdefault("inclusion", _ESTABLISHED)

    def _check_place(self) -> None:
        bundle, head = self.bundle, self.bundle.head
        leaf = leaf_hash(bundle.record)
        verify_inclusion(leaf, bundle.index, head.leaf_count, bundle.path, head.root)
        if self.record.index != bundle.index:
            raise ProofError("record-index", f"the record names index {self.record.index}")

    def check_attribution(self, history: KeyHistory) -> None:
        """Step 14: the key in force at the record's index signed exactly this record."""
        try:
            self._check_signed(history)
        except LedgerError as error:
            self.decide("attribution", error)
        self.answers.setdefault("attribution", _ESTABLISHED)

    def _check_signed(self, history: KeyHistory) -> None:
        record, bundle = self.record, self.bundle
        epoch = history.epoch_at(record.index)
        if record.epoch != epoch:
            raise KeyHistoryError("epoch", f"epoch {record.epoch}, but {epoch} was in force")
        digest = record_digest(history.log_id, bundle.record[:SIGNED_LENGTH])
        verify_signature(digest, record.signature, history.epochs[epoch].secp256k1)
        if record.type == TYPE_KEY:
            events = [(event.record, event.body) for event in bundle.key_events]
            if bundle.body and (bundle.record, bundle.body) not in events:
                raise KeyHistoryError("key-event-order", "the key event is not in the history")
            if not bundle.body:
                raise RecordError("body-hash", "the body of a key event is always public")
        if bundle.body:
            check_body_hash(record, bundle.body)
        if not self.pinned:
            raise UnavailableError(
                "unpinned", f"the policy does not pin the log id of {self.origin}"
            )
        if history.is_suspect(record.index):
            raise UnavailableError("suspect", "the key in force there was reported as suspect")

    def check_accuracy(
        self,
        history: KeyHistory,
        content: Content,
        recount: Recounter | None,
        *,
        required: bool,
    ) -> None:
        """Step 15: body rules, labels, commitments, and the re-count if asked for."""
        try:
            body = read_body(self.record, self.bundle.body, history.log_id)
            self.body = body
            if not isinstance(body, Receipt):
                name = RECORD_TYPE.name_of(self.record.type)
                raise UnavailableError("no-receipt", f"the record is a {name}")
            self.notes += check_commitments(body, content)
            check_accuracy(body, content, recount, required=required)
        except LedgerError as error:
            self.decide("accuracy", error)
        self.answers.setdefault("accuracy", _ESTABLISHED)

    def report(self, *, required: bool) -> Report:
        """Return the report; what was not decided is undecided."""
        return Report(
            attribution=self.answers.get("attribution", _UNDECIDED),
            inclusion=self.answers.get("inclusion", _UNDECIDED),
            log_view=self.answers.get("log_view", _UNDECIDED),
            accuracy=self.answers.get("accuracy", _UNDECIDED),
            origin=self.origin,
            log_id=self.history.log_id if self.history else None,
            leaf_count=self.bundle.head.leaf_count,
            index=self.bundle.index,
            head_time=self.head.timestamp if self.head else None,
            witnessed_time=self.witnessed,
            record=self.record,
            body=self.body,
            notes=(*self.notes, LATER_ROTATION),
            accuracy_required=required,
        )
