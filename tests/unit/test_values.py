"""Value classes: what they refuse, and that each makes values of itself."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.values import maker, value
from nous_ledger.reconcile.hidden import Allowance


@value
class Span:
    """A value of two fields."""

    lower: int
    upper: int = 0


@value
class Nothing:
    """A value without fields."""


@value
class Checked:
    """A value that looks at itself."""

    number: int

    def __post_init__(self) -> None:
        """Refuse numbers below zero."""
        if self.number < 0:
            raise ValueError("below zero")


@pytest.mark.parametrize("above", [Span, Nothing, Allowance, Bucket, Receipt])
def test_a_value_class_has_no_subclasses(above: type) -> None:
    """One that adds no field would make values of the class above."""
    for members in ({}, {"__slots__": ()}, {"more": 1, "__annotations__": {"more": int}}):
        with pytest.raises(TypeError, match="is a value class and has no subclasses"):
            type("Below", (above,), members)


def test_values_are_equal_by_their_class_and_fields_and_stay_as_they_are() -> None:
    span = Span(lower=1)
    assert span == Span(lower=1, upper=0)
    assert type(span) is Span
    assert hash(span) == hash(Span(lower=1))
    nothing: Any = Nothing()
    assert nothing == Nothing()
    assert nothing != span
    with pytest.raises(FrozenInstanceError):
        span.lower = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        Span(upper=1)  # type: ignore[call-arg]


def test_what_a_maker_makes_is_what_the_class_makes() -> None:
    made = maker(Span)(lower=1)
    assert made == Span(lower=1)
    assert type(made) is Span
    assert maker(Span)(lower=1, upper=2).upper == 2
    assert maker(Nothing)() == Nothing()
    with pytest.raises(FrozenInstanceError):
        made.lower = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        maker(Span)(upper=1)  # type: ignore[call-arg]
    assert maker(Checked)(number=0) == Checked(number=0)
    with pytest.raises(ValueError, match="below zero"):
        maker(Checked)(number=-1)
