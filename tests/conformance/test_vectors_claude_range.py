"""The method claude-range/1 against the vectors."""

from nous_ledger.reconcile.counting import engine_for
from nous_ledger.reconcile.estimate import RANGE_ENCODING, claude_range
from nous_ledger.reconcile.tokenizers import builtin_table
from tests.conformance.vector_files import Case, cases


@cases("claude_range", "Range")
def test_ranges(case: Case) -> None:
    """The range is this and no other (EST-1), drawn from the count of TOK-2."""
    count = engine_for(builtin_table().encodings[RANGE_ENCODING])
    assert count(case["text"]) == case["tokens"]
    assert claude_range(case["text"], case["tokens"]) == (case["lower"], case["upper"])
