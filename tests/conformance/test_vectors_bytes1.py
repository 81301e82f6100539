"""The method bytes/1: what is counted again against the vectors."""

import pytest

from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.protocol.label import (
    BOUNDED,
    METHOD_BYTES,
    OUTPUT_UNSPLIT,
    OUTPUT_VISIBLE,
    Bucket,
)
from nous_ledger.protocol.receipt import Receipt
from tests.conformance.vector_files import Case, cases


def receipt_of(case: Case, kind: int) -> Receipt:
    """Return a receipt that claims a bound for one kind of output."""
    return Receipt(
        salt=bytes(16),
        id=bytes(6) + b"\x70\x00\x80" + bytes(7),
        time=0,
        source=2,
        subject=bytes(32),
        subject_seq=0,
        provider="custom",
        operation="chat",
        api=case["api"],
        status=case["status"],
        streamed=1 if case["streamed"] else None,
        metering=1,
        usage=(
            Bucket(kind=kind, reported=1, label=BOUNDED, lower=0, upper=1, method=METHOD_BYTES),
        ),
    )


@pytest.mark.parametrize(
    ("kind", "name"), [(OUTPUT_VISIBLE, "visible"), (OUTPUT_UNSPLIT, "unsplit")]
)
@cases("bytes1", "Bounds")
def test_bounds(case: Case, kind: int, name: str) -> None:
    """The bounds are these and no others (LBL-8 to LBL-11)."""
    given = case["response"]
    response = given.encode() if isinstance(given, str) else bytes.fromhex(given["hex"])
    request = case["request"].encode()
    found = recount_bounds(receipt_of(case, kind), request, response).get(kind)
    bounds = None if found is None else [found.lower, found.upper]
    assert bounds == case[name], case["comment"]


@cases("bytes1", "Limits")
def test_limits(case: Case) -> None:
    """What every reader takes is read."""
    request, response = (
        "".join(text * times for text, times in case[name]).encode()
        for name in ("request", "response")
    )
    found = recount_bounds(receipt_of(case, OUTPUT_VISIBLE), request, response)[OUTPUT_VISIBLE]
    assert [found.lower, found.upper] == case["visible"], case["comment"]
