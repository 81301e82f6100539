"""Evidence of misbehaviour: the library against the vectors, and against their own reading."""

import pytest

from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.policy import format_policy, parse_policy
from sentinel.audit.confirm import verify_evidence
from tests.conformance.vector_files import Case, cases, meet
from tests.unit.audit_evidence import NAMES, made
from vectors.generate.rules import accusation
from vectors.generate.rules.checks import RuleError


@cases("evidence", "Evidence")
def test_evidence(case: Case) -> None:
    """SENT-20 to SENT-23."""
    policy = parse_policy(case["policy"].encode())

    def run() -> None:
        confirmed = verify_evidence(case["file"].encode(), policy)
        assert (confirmed.kind.value, confirmed.code) == (case["kind"], case["code"])

    meet(case, run)


@pytest.mark.parametrize("name", NAMES)
def test_the_other_reading_is_convinced_by_the_same_files(name: str) -> None:
    """What a sentinel makes of a lying log convinces a verifier that shares no code with it."""
    data, log = made(name)
    text, policy = data.decode(), log.policy()
    confirmed = verify_evidence(data, policy)
    found = accusation.verify(text, format_policy(policy).decode())
    assert (found["kind"], found["code"]) == (confirmed.kind.value, confirmed.code)
    for at in range(300, len(text) - 2, max(len(text) // 5, 1)):
        other = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
        with pytest.raises(RuleError):
            accusation.verify(other, format_policy(policy).decode())
        with pytest.raises(LedgerError):
            verify_evidence(other.encode(), policy)
