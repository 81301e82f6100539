"""Later evidence: the library against the vectors.

Spec:
    PROTOCOL.md RCON-1 to RCON-3, LBL-6.
"""

from typing import Any

from nous_ledger.protocol.bodies import Reconciliation, decode_body
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.reconciled import (
    Evidence,
    check_reconciliation,
    counting_evidence,
    usage_after,
)
from nous_ledger.protocol.types import LeafIndex
from tests.conformance.vector_files import Case, cases, meet, unhex


def receipt_of(case: Case) -> Receipt:
    body = decode_body(1, unhex(case["receipt"]))
    assert isinstance(body, Receipt)
    return body


def claim_of(data: str) -> Reconciliation:
    body = decode_body(2, unhex(data))
    assert isinstance(body, Reconciliation)
    return body


@cases("reconciled", "Fit")
def test_evidence_fits_its_receipt(case: Case) -> None:
    meet(case, lambda: check_reconciliation(claim_of(case["claim"]), receipt_of(case)))


@cases("reconciled", "After")
def test_what_counts_after_evidence(case: Case) -> None:
    receipt = receipt_of(case)
    claims = [(LeafIndex(one["index"]), claim_of(one["body"])) for one in case["claims"]]
    found = counting_evidence(receipt, sha256(unhex(case["receipt"])), claims)
    assert [shown(bucket, evidence) for bucket, evidence in usage_after(receipt, found)] == (
        case["usage"]
    )


def shown(bucket: Bucket, evidence: Evidence | None) -> dict[str, Any]:
    named = {
        name: getattr(bucket, name)
        for name in ("kind", "label", "lower", "upper", "method", "count")
        if getattr(bucket, name) is not None
    }
    return named | {"evidence": None if evidence is None else evidence.index}
