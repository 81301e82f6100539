"""Which of the contract's errors stands for which error code of the protocol."""

from __future__ import annotations

from typing import Final

from tests.contracts.evm import Outcome, Returned, Reverted

ERRORS: Final = {
    "proof-index": "ProofIndexOutOfRange",
    "proof-counts": "ProofCountsInvalid",
    "proof-shape": "ProofLengthWrong",
    "root-mismatch": "ProofRootMismatch",
    "malformed": "SignatureMalformed",
    "high-s": "SignatureHighS",
    "bad-recovery-id": "SignatureBadRecoveryId",
    "mismatch": "SignatureMismatch",
    "record-length": "RecordLengthWrong",
    "record-version": "RecordVersionUnknown",
    "newer-version": "RecordVersionUnknown",
    "record-range": "RecordFieldOutOfRange",
    "input": "OriginInvalid",
}


def meets(outcome: Outcome, code: str) -> bool:
    """Return whether a call came back (code "") or was refused with the error of this code."""
    if not code:
        return isinstance(outcome, Returned)
    return isinstance(outcome, Reverted) and outcome.error == ERRORS[code]
