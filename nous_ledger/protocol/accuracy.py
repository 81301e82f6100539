"""The fourth question: how far do a receipt's counts have ground truth?

Spec:
    PROTOCOL.md, section "Accuracy" (VER-15 to VER-20) and "Commitments".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hmac import compare_digest

from nous_ledger.protocol.bodies import (
    Binding,
    Body,
    check_body_hash,
    check_body_in_record,
    decode_body,
)
from nous_ledger.protocol.eip712 import binding_digest
from nous_ledger.protocol.errors import (
    CommitmentError,
    InputError,
    LabelError,
    RecordError,
    SignatureError,
    UnavailableError,
)
from nous_ledger.protocol.hashing import (
    OPENING_LENGTH,
    commit_forwarded,
    commit_request,
    commit_response,
)
from nous_ledger.protocol.label import BOUNDED, EXACT, Bucket, Verdict
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_KEY, Record
from nous_ledger.protocol.report import verdicts_of
from nous_ledger.protocol.signing import address_of, recover
from nous_ledger.protocol.types import LogId, SubjectId, UnixSeconds
from nous_ledger.protocol.values import value


@value
class Recount:
    """What counting again found for one bucket.

    Attributes:
        lower: smallest number that the text allows.
        upper: largest number that the text allows.
        count: tokens found; None for methods that only bound.
    """

    lower: int
    upper: int
    count: int | None = None


Recounter = Callable[[Receipt, bytes | None, bytes], Mapping[int, Recount]]
"""Counts again: (receipt, request or None, response) to results by bucket kind.

A kind that it cannot count is left out of the result.
"""


@value
class Content:
    """What the caller gave to check a receipt's content; bodies without codings.

    Attributes:
        opening: per-call secret, 32 bytes.
        request: request body as the client sent it.
        response: response body as the client received it.
        forwarded: request body as the gateway forwarded it.
    """

    opening: bytes | None = None
    request: bytes | None = None
    response: bytes | None = None
    forwarded: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse an opening without a body, and a body without an opening.

        Raises:
            InputError: also if the opening is not 32 bytes.
        """
        bodies = (self.request, self.response, self.forwarded)
        given = any(body is not None for body in bodies)
        if given != (self.opening is not None):
            raise InputError("input", "an opening and at least one body go together")
        if self.opening is not None and len(self.opening) != OPENING_LENGTH:
            raise InputError("input", "an opening has 32 bytes: 64 hex digits")


def read_body(record: Record, data: bytes, log_id: LogId) -> Body:
    """Return the body of a record after checking every rule that it can break.

    Args:
        record: the record that commits to it.
        data: the body's bytes; empty when withheld.
        log_id: the log, for the wallet signature of a binding.

    Raises:
        EncodingError, BodyError, SignatureError: a rule is broken.
        UnavailableError: undecided (the hash differs), withheld, unknown-type.
    """
    if not data and record.type != TYPE_KEY:
        raise UnavailableError("withheld", "the body is withheld")
    try:
        check_body_hash(record, data)
    except RecordError as error:
        raise UnavailableError("undecided", "the body is not the one that was signed") from error
    body = decode_body(record.type, data)
    check_body_in_record(body, record)
    if isinstance(body, Binding):
        verify_binding(body, log_id)
    return body


def verify_binding(binding: Binding, log_id: LogId) -> bytes:
    """Return the address that signed a binding.

    Of an unbind (zero wallet) only that some key signed it can be checked.

    Raises:
        SignatureError: malformed, high-s, bad-recovery-id, mismatch.
    """
    digest = binding_digest(
        log_id,
        SubjectId(binding.subject),
        binding.wallet,
        binding.nonce,
        UnixSeconds(binding.deadline),
    )
    signer = address_of(recover(digest, binding.signature))
    if any(binding.wallet) and signer != binding.wallet:
        raise SignatureError("mismatch", "the binding is not signed by its wallet")
    return signer


def check_commitments(receipt: Receipt, content: Content) -> tuple[str, ...]:
    """Compare each given body with the receipt's commitment to it.

    Returns:
        A note for each body that the receipt does not commit to.

    Raises:
        CommitmentError: commitment-mismatch.
    """
    notes: list[str] = []
    for name, commit, body, expected in (
        ("request", commit_request, content.request, receipt.request_commitment),
        ("response", commit_response, content.response, receipt.response_commitment),
        ("forwarded request", commit_forwarded, content.forwarded, receipt.forwarded_commitment),
    ):
        if body is None or content.opening is None:
            continue
        if expected is None:
            notes.append(f"the receipt holds no commitment to the {name}")
        elif not compare_digest(commit(content.opening, body), expected):
            raise CommitmentError(
                "commitment-mismatch", f"the {name} is not the one that the receipt commits to"
            )
    return tuple(notes)


def check_accuracy(
    receipt: Receipt, content: Content, recount: Recounter | None, *, required: bool
) -> None:
    """Return if the labels were reproduced here; raise what stands against it.

    Args:
        receipt: a receipt whose rules hold and whose commitments were compared.
        content: opening and bodies that were given.
        recount: how to count again; None if that was not asked for.
        required: whether a verdict other than `ok` counts.

    Raises:
        LabelError: above, below, outside (only if required), label-range.
        UnavailableError: not-recounted.
    """
    if required:
        for found in verdicts_of(receipt):
            if found.verdict not in (Verdict.OK, Verdict.UNCHECKABLE):
                raise LabelError(
                    found.verdict.value, f"{found.reported} is not in the label's range"
                )
    claims = [b for b in receipt.usage or () if b.label in (EXACT, BOUNDED)]
    counted = _count_again(receipt, content, recount)
    if not claims or any(bucket.kind not in counted for bucket in claims):
        raise UnavailableError("not-recounted", "the labels are claimed by the gateway")
    for bucket in claims:
        _compare(bucket, counted[bucket.kind])


def _count_again(
    receipt: Receipt, content: Content, recount: Recounter | None
) -> Mapping[int, Recount]:
    if recount is None or content.response is None or receipt.response_commitment is None:
        return {}
    # A request that no commitment covers could be any request.
    request = content.request if receipt.request_commitment is not None else None
    return recount(receipt, request, content.response)


def _compare(bucket: Bucket, found: Recount) -> None:
    if (bucket.lower, bucket.upper, bucket.count) != (found.lower, found.upper, found.count):
        raise LabelError(
            "label-range", f"counted again: {found.lower}..{found.upper}, count {found.count}"
        )
