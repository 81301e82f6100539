"""Receipts made of few fields, or of others by a change: as their class makes them."""

from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.making import changing, making
from nous_ledger.protocol.receipt import Receipt
from tests.property.made_bodies import SAMPLES, receipts, values

NAMES: Final = tuple(slot.name for slot in fields(Receipt) if slot.name != "extensions")
NEEDED: Final = tuple(
    slot.name for slot in fields(Receipt) if slot.default is MISSING and slot.name in NAMES
)
OPTIONAL: Final = tuple(name for name in NAMES if name not in NEEDED)
CHANGES: Final = (
    ("status", "metering", "usage", "provider_total", "raw_usage_hash", "anomalies"),
    ("api", "status", "anomalies", "duration", "model_served", "http_status"),
    ("salt", "id", "time", "subject", "provider", "upstream", "source", "import_"),
    ("subject_seq", "subject_prev", "context", "policy", "streamed", "operation"),
)
GIVEN: Final = (
    NEEDED,
    (*NEEDED, "upstream", "usage", "provider_total", "anomalies"),
    (*reversed(NEEDED), *OPTIONAL),
)

samples = st.sampled_from([body for _, body in SAMPLES if isinstance(body, Receipt)])
odd = st.none() | st.booleans() | st.floats() | st.integers() | st.just(()) | values(2)

changer = cache(lambda changed: changing(Receipt, changed))
maker = cache(lambda given: making(Receipt, given))


def outcome(make: Callable[[], Receipt]) -> object:
    """Return what is made, or all that its error says."""
    try:
        made = make()
    except LedgerError as error:
        return type(error), error.code, error.message, error.attrs
    assert type(made) is Receipt
    return made


@st.composite
def some_values(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, Any]:
    """Return values for some fields: mostly those of a good receipt."""
    other = draw(receipts())
    found = {name: getattr(other, name) for name in names}
    for name in draw(st.sets(st.sampled_from(names), max_size=2)):
        found[name] = draw(odd)
    return found


@given(samples, st.sampled_from(CHANGES), st.data())
def test_a_change_is_a_replacement(like: Receipt, changed: tuple[str, ...], data: Any) -> None:
    """Equal, or refused for the same reason; values may contradict what stays (RCPT-12)."""
    new = data.draw(some_values(changed))
    made = outcome(lambda: changer(changed)(like, *(new[name] for name in changed)))
    assert made == outcome(lambda: replace(like, **new))


@given(st.sampled_from(GIVEN), st.data())
def test_what_is_made_of_some_fields(names: tuple[str, ...], data: Any) -> None:
    """Equal to what the class makes, or refused for the same reason (BODY-3)."""
    new = data.draw(some_values(names))
    made = outcome(lambda: maker(names)(*(new[name] for name in names)))
    assert made == outcome(lambda: Receipt(**new))


def test_what_is_required_must_be_given() -> None:
    with pytest.raises(AssertionError):
        making(Receipt, NEEDED[1:])
