"""The price of a call as its provider names it, as an integer.

Providers that name a price give US dollars as a JSON number. It is read from the
bytes of that number, never through a binary fraction, and rounded half to even
once. What is no amount that a receipt can hold is left out.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.types import MAX_UINT, PicoUsd
from nous_ledger.reconcile.jsontext import parse_json

_PICO: Final = 12
_MAX_DIGITS: Final = 64


def read_cost(usage: bytes, path: tuple[str, ...]) -> PicoUsd | None:
    """Return the price that a usage value names, None if it names none.

    Args:
        usage: JSON bytes of the usage value.
        path: members that lead to the price.

    >>> read_cost(b'{"cost":0.00014}', ("cost",))
    140000000
    """
    try:
        found = parse_json(usage).at(*path)
    except FormatError:
        return None
    if found is None or type(found.value) not in (int, float) or len(found.wire) > _MAX_DIGITS:
        return None
    amount = Decimal(found.wire.decode())
    if not 0 <= amount <= MAX_UINT // 10**_PICO:
        return None
    return PicoUsd(int(amount.scaleb(_PICO).to_integral_value(ROUND_HALF_EVEN)))
