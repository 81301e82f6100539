"""What receipts add up to, where their labels are of a later version."""

from collections.abc import Iterator
from dataclasses import replace

from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
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


def test_what_does_not_fit_one_statement_adds_nothing() -> None:
    """A sum above 2^53-1, a 65th row, more than 64 kinds in a row."""
    sums = StatementSums()
    assert sums.add(drawn(Bucket(kind=1, reported=2**53 - 1, label=3)))
    assert not sums.add(drawn(Bucket(kind=1, reported=1, label=3)))
    assert sums.add(drawn(*kinds(102, 132)))
    assert sums.add(drawn(*kinds(132, 162)))
    assert not sums.add(drawn(*kinds(162, 192)))
    for number in range(63):
        assert sums.add(replace(drawn(), model_served=f"model-{number}"))
    assert not sums.add(replace(drawn(), model_served="model-63"))
    assert sums.calls == 66
    assert len(sums.rows()) == 64


def kinds(first: int, end: int) -> Iterator[Bucket]:
    return (Bucket(kind=kind, reported=1, label=3) for kind in range(first, end))


def drawn(*usage: Bucket) -> Receipt:
    return replace(receipt(), usage=usage or None, provider_total=None)
