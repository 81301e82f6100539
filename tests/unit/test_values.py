"""Value classes: what they refuse, and that each makes values of itself."""

import copy
import pickle
from collections.abc import Callable
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


def sent(made: object) -> Any:
    return pickle.loads(pickle.dumps(made))  # noqa: S301 - what was packed right here


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, sent])
def test_values_can_be_copied_and_sent_to_another_process(again: Callable[[Any], Any]) -> None:
    for made in (
        Nothing(),
        Span(lower=1, upper=3),
        (Bucket(kind=1, reported=4, label=3, extensions=((64, {1: b"x"}),)), maker(Span)(lower=2)),
    ):
        assert again(made) == made
        assert type(again(made)) is type(made)
    negative = Checked(number=1)
    object.__setattr__(negative, "number", -1)
    with pytest.raises(ValueError, match="below zero"):
        again(negative)


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
