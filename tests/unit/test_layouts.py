"""Maps of keys that many had before are read by functions of their own, to the same effect."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.layouts import KnownKeys
from nous_ledger.protocol.receipt import Context, Receipt
from tests.property.sample_log import full_receipt
from tests.refusals import code_of

MANY = 100
RECEIPT = replace(full_receipt(), extensions=())
WIRE = RECEIPT.to_wire()
USAGE, CONTEXT, POLICY = 18, 27, 29


def common_reader(cls: type[Any], wire: dict[int, Any]) -> KnownKeys:
    """Return how maps of these keys are read once there were many of them."""
    known = KnownKeys(cls, tuple(wire))
    for _ in range(MANY):
        known.read(wire)
    assert known.read != KnownKeys(cls, tuple(wire)).read
    return known


def test_a_common_map_gives_the_same_value_as_a_rare_one() -> None:
    known = common_reader(Receipt, WIRE)
    rare, common = KnownKeys(Receipt, tuple(WIRE)).read(WIRE), known.read(WIRE)
    assert type(common) is Receipt
    assert common == rare == RECEIPT
    assert common.to_wire() == WIRE


def test_what_a_common_map_lacks_has_its_default() -> None:
    wire = {1: 1, 2: 5, 3: 3}
    assert common_reader(Bucket, wire).read(wire) == Bucket(kind=1, reported=5, label=3)


@pytest.mark.parametrize(
    "change",
    [
        {1: b"short"},
        {2: -1},
        {2: "text"},
        {USAGE: ()},
        {USAGE: 1},
        {USAGE: ({1: 1},)},
        {USAGE: ({1: 1, 2: 5, 3: 9, 4: None},)},
        {CONTEXT: {}},
        {CONTEXT: {1: ""}},
        {POLICY: ((1, 2),)},
        {2: None},
        {USAGE: None},
        {2: None, 1: b"short"},
    ],
)
def test_what_is_wrong_is_named_alike_before_and_after(change: dict[int, Any]) -> None:
    wire = WIRE | change
    Receipt._known_keys.cache_clear()  # type: ignore[attr-defined]
    rare = code_of(lambda: Receipt.from_wire(wire))
    for _ in range(MANY):
        Receipt.from_wire(WIRE)
    assert code_of(lambda: Receipt.from_wire(wire)) == rare


def test_an_empty_map_is_never_common() -> None:
    known = KnownKeys(Context, ())
    for _ in range(MANY):
        with pytest.raises(LedgerError, match="empty context"):
            known.read({})


def test_a_value_that_was_made_quickly_cannot_be_changed() -> None:
    wire = {1: 1, 2: 5, 3: 3}
    for made in (Bucket(kind=1, reported=5, label=3), common_reader(Bucket, wire).read(wire)):
        assert type(made) is Bucket
        with pytest.raises(FrozenInstanceError):
            made.kind = 2  # type: ignore[misc]
        with pytest.raises(FrozenInstanceError):
            del made.kind
