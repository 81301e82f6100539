"""What receipts add up to, where their labels are of a later version."""

from dataclasses import replace

from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.statement_sums import StatementSums
from tests.property.sample_log import receipt


def test_a_label_that_is_not_known_counts_as_reported_alone() -> None:
    """Labels are an open list: a later version may have more."""
    sums = StatementSums()
    usage = (Bucket(kind=1, reported=5, label=9),)
    assert sums.add(replace(receipt(), usage=usage, provider_total=5))
    (row,) = sums.rows()
    (kind,) = row.kinds
    assert (kind.reported, kind.exact, kind.bounded, kind.unverifiable) == (5, 0, 0, 0)
