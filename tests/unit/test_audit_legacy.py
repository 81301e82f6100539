"""What a nous-v2 gateway may say between two looks that no honest one of the tests says."""

from nous_ledger.protocol.legacy import LegacyPublicKey
from sentinel.audit.legacy import LegacyAudit, LegacyOutcome
from sentinel.audit.legacy_memory import LegacyChain, LegacyMemory
from sentinel.audit.legacy_wire import parse_key_answer
from tests.integration.sentinel.legacy_server import BASIC, root, rows
from tests.refusals import code_of

KEY: LegacyPublicKey = parse_key_answer(BASIC["pubkey_response"])
ROWS = rows(7)


def chain(count: int) -> LegacyChain:
    return LegacyChain(root([row["leaf_hash"] for row in ROWS[:count]]), count)


def audited(memory: LegacyMemory, before: LegacyChain, after: LegacyChain) -> LegacyOutcome:
    audit = LegacyAudit(memory, before, KEY)
    audit.add(ROWS, ())
    return audit.finish(after, 1000)


def test_the_root_of_before_is_not_that_of_the_same_records() -> None:
    """WIT-21: whichever of them was changed, if what they were is not remembered."""
    memory = LegacyMemory(key=KEY, leaf_count=4, root="ab" * 32)
    found = audited(memory, chain(7), chain(7))
    assert "legacy-rewritten" in [finding.code for finding in found.findings]
    assert not found.verified


def test_a_count_that_goes_back_while_records_are_read() -> None:
    """WIT-25."""
    found = audited(LegacyMemory(key=KEY), chain(7), chain(4))
    assert set(found.memory.waiting) == {"legacy-truncated"}
    assert not found.verified


def test_an_answer_without_a_key() -> None:
    assert code_of(lambda: parse_key_answer({"ok": True})) == "legacy-format"
