"""The table of findings: what each code weighs, and that evidence goes with every alarm."""

from nous_ledger.protocol.errors import ERROR_CODES
from sentinel.audit.codes import FINDING_CODES, Place, Proof, Severity
from sentinel.audit.findings import Finding
from sentinel.audit.rulings import RULINGS


def test_alarms_and_evidence_go_together() -> None:
    """SENT-6."""
    for name, info in FINDING_CODES.items():
        assert (info.severity is Severity.ALARM) == (info.proof is not Proof.NONE), name
        assert info.severity is Severity.UNCHECKED or not info.required, name
        assert info.meaning, name


def test_every_kind_of_evidence_has_a_ruling_and_a_finding() -> None:
    kinds = {proof for proof in Proof if proof}
    assert set(RULINGS) == kinds
    assert {info.proof for info in FINDING_CODES.values()} - {Proof.NONE} == kinds


def test_codes_that_the_protocol_names_are_its_own() -> None:
    """What is a new code here names what the protocol has no word for."""
    named = {code for place, code in FINDING_CODES if place in (Place.RECORD, Place.BODY)}
    assert named - ERROR_CODES.keys() == {
        "backdated",
        "equivocation",
        "omission",
        "withheld-unannounced",
    }


def test_a_finding_knows_what_its_code_means() -> None:
    head = Finding(place=Place.HEAD, code="mismatch", message="m")
    record = Finding(place=Place.RECORD, code="mismatch", message="m")
    assert (head.severity, record.severity) == (Severity.FAULT, Severity.ALARM)
    assert record.info.proof is Proof.LEAF
