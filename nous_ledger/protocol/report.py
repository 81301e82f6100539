"""What a verification says: four answers, never a bare "valid".

Spec:
    PROTOCOL.md, sections "Four answers" and "Report and exit code".
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from nous_ledger.protocol.bodies import Body
from nous_ledger.protocol.jsonform import body_to_json, record_to_json
from nous_ledger.protocol.label import Verdict, verdict
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import Record
from nous_ledger.protocol.registries import KIND, LABEL
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, LogId, UnixSeconds
from nous_ledger.protocol.values import value

NOT_WITNESSED: Final = "not-witnessed"
LATER_ROTATION: Final = "a rotation after this head is not known here"


class Outcome(StrEnum):
    """How one question was answered."""

    ESTABLISHED = "established"
    WRONG = "wrong"
    COULD_NOT_CHECK = "could-not-check"
    NOT_ASKED = "not-asked"


@value
class Answer:
    """The answer to one question.

    Attributes:
        outcome: how it was answered.
        code: stable code of the reason; empty when established.
        detail: one sentence for people.
    """

    outcome: Outcome
    code: str = ""
    detail: str = ""


@value
class BucketVerdict:
    """What arithmetic says about one bucket of the receipt."""

    kind: int
    label: int
    reported: int | None
    lower: int | None
    upper: int | None
    verdict: Verdict


@value
class Anchored:
    """A head of the log that stood in a contract after a block.

    Attributes:
        chain_id: number of the chain (EIP-155).
        contract: address of the contract, 20 bytes.
        block_number: height of the block.
        block_hash: its hash.
        block_time: its time, seconds: what the head covers existed before.
        leaf_count: leaves of the head.
        root: its root.
        chain: running hash over all heads that the contract took.
    """

    chain_id: int
    contract: bytes
    block_number: int
    block_hash: Hash32
    block_time: UnixSeconds
    leaf_count: LeafCount
    root: Hash32
    chain: Hash32

    def to_json(self) -> dict[str, Any]:
        """Return it as str and int."""
        return {
            "chain_id": self.chain_id,
            "contract": f"0x{self.contract.hex()}",
            "block_number": self.block_number,
            "block_hash": f"0x{self.block_hash.hex()}",
            "block_time": self.block_time,
            "leaf_count": self.leaf_count,
            "root": self.root.hex(),
        }


def verdicts_of(receipt: Receipt) -> tuple[BucketVerdict, ...]:
    """Return what arithmetic says about each bucket of a receipt."""
    return tuple(
        BucketVerdict(
            kind=bucket.kind,
            label=bucket.label,
            reported=bucket.reported,
            lower=bucket.lower,
            upper=bucket.upper,
            verdict=verdict(bucket, receipt.metering),
        )
        for bucket in receipt.usage or ()
    )


@value
class Report:
    """The result of verifying one bundle.

    Attributes:
        attribution: did this log's key, authorised at that index, sign this record?
        inclusion: is the record in the log that the head commits to?
        log_view: is the head what the policy demands, witnesses included?
        accuracy: how far does each count have ground truth?
        origin: name of the log.
        log_id: identity of the log; None where the key history failed.
        leaf_count: leaves of the head.
        index: index of the record.
        head_time: seconds at which the head was signed; None where not established.
        witnessed_time: seconds since which the quorum has witnessed the head.
        record: the record.
        body: its decoded body; None if withheld, opaque or not valid.
        notes: what else the reader should know.
        accuracy_required: whether the caller asked for accuracy.
        anchor: what anchor evidence adds to the log view; None if none was given.
        anchored: where and when the log was anchored; None unless that is established.
    """

    attribution: Answer
    inclusion: Answer
    log_view: Answer
    accuracy: Answer
    origin: str
    log_id: LogId | None
    leaf_count: LeafCount
    index: LeafIndex
    head_time: UnixSeconds | None
    witnessed_time: UnixSeconds | None
    record: Record
    body: Body | None
    notes: tuple[str, ...]
    accuracy_required: bool
    anchor: Answer | None = None
    anchored: Anchored | None = None

    @property
    def verdicts(self) -> tuple[BucketVerdict, ...]:
        """What arithmetic says about each bucket of a receipt; empty for other bodies."""
        return verdicts_of(self.body) if isinstance(self.body, Receipt) else ()

    def answers(self) -> tuple[tuple[str, Answer], ...]:
        """Return the four answers with their names, in the order of the questions."""
        return (
            ("attribution", self.attribution),
            ("inclusion", self.inclusion),
            ("log_view", self.log_view),
            ("accuracy", self.accuracy),
        )

    def exit_code(self) -> int:
        """Return 1 if an answer is wrong, 3 if a required one is missing, else 0."""
        anchor = () if self.anchor is None else (self.anchor,)
        four = (answer for _, answer in self.answers())
        if any(answer.outcome is Outcome.WRONG for answer in (*four, *anchor)):
            return 1
        required = [self.attribution, self.inclusion, *anchor]
        if self.log_view.code != NOT_WITNESSED:
            required.append(self.log_view)
        if self.accuracy_required:
            required.append(self.accuracy)
        return 0 if all(a.outcome is Outcome.ESTABLISHED for a in required) else 3

    def to_json(self) -> dict[str, Any]:
        """Return the report as str, int, list, dict and None."""
        answers: dict[str, dict[str, Any]] = {
            name: _answer_to_json(answer) for name, answer in self.answers()
        }
        if self.anchor is not None:
            where = self.anchored.to_json() if self.anchored else None
            answers["anchor"] = {**_answer_to_json(self.anchor), "anchored": where}
        return {
            **answers,
            "exit_code": self.exit_code(),
            "origin": self.origin,
            "log_id": self.log_id.hex() if self.log_id else None,
            "leaf_count": self.leaf_count,
            "index": self.index,
            "head_time": self.head_time,
            "witnessed_time": self.witnessed_time,
            "record": record_to_json(self.record),
            "body": body_to_json(self.body) if self.body else None,
            "verdicts": [_verdict_to_json(verdict) for verdict in self.verdicts],
            "notes": list(self.notes),
        }


def _answer_to_json(answer: Answer) -> dict[str, str]:
    return {"outcome": str(answer.outcome), "code": answer.code, "detail": answer.detail}


def _verdict_to_json(verdict: BucketVerdict) -> dict[str, Any]:
    return {
        "kind": KIND.name_of(verdict.kind),
        "label": LABEL.name_of(verdict.label),
        "reported": verdict.reported,
        "lower": verdict.lower,
        "upper": verdict.upper,
        "verdict": str(verdict.verdict),
    }
