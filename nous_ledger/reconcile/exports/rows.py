"""What every reader of an export yields: statements about calls, and rows in error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from nous_ledger.protocol.types import MAX_UINT, PicoUsd, UnixMillis
from nous_ledger.reconcile.prices import to_pico

MAX_LINE: Final = 4 * 1024 * 1024
"""Longest line of an export that is read, in bytes."""
MAX_BUCKET: Final = 4 * 1024 * 1024
"""Longest bucket of a JSON report that is read at once, in characters."""

_MOST_DOLLARS: Final = 9_000_000  # in pico-USD, as much as 63 bits hold
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What an export says of one call, or of all calls of a span of time.

    Attributes:
        line: line of the file, or number of the result in a JSON report, from 1.
        start: beginning of the span, or time of the call; milliseconds.
        end: end of the span, exclusive; equal to start for one call.
        provider: name of the provider, as in receipts; empty if the export spans several.
        model: name of the model; empty where costs are not told by model.
        request_id: the provider's id of the call; empty for a span.
        calls: how many calls it speaks of; None if it does not say.
        input_tokens: all input, cached input included; None if it does not say.
        output_tokens: all output, hidden output included; None if it does not say.
        cost: pico-USD; None if it does not say, or not in US dollars.
        detail: what else tells rows of one span apart (project, line item, key).
    """

    line: int
    start: UnixMillis
    end: UnixMillis
    provider: str = ""
    model: str = ""
    request_id: str = ""
    calls: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: PicoUsd | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """A row that could not be read.

    Attributes:
        line: line of the file, from 1; of a JSON report that on which its bucket begins.
        message: what is wrong with it.
    """

    line: int
    message: str


class RowError(ValueError):
    """A value of a row is not what it must be."""


def count_of(value: object, name: str) -> int | None:
    """Return a count of tokens or calls; None if there is none.

    Raises:
        RowError: it is no integer in 0..2^53-1.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        text = value.strip().replace(",", "")
        if not (text.isascii() and text.isdigit() and len(text) <= 16):
            raise RowError(f"{name} is no whole number: {value[:40]!r}")
        value = int(text)
    if type(value) is not int or not 0 <= value <= MAX_UINT:
        raise RowError(f"{name} is no whole number from 0 to 2^53-1: {value!r:.40}")
    return value


def dollars_of(value: object, name: str, *, cents: bool = False) -> PicoUsd | None:
    """Return an amount of money in pico-USD; None if there is none.

    Raises:
        RowError: it is no number, or too large.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise RowError(f"{name} is no amount: {value!r:.40}")
    try:
        # A binary fraction is read as the decimal that it is written as.
        amount = Decimal(str(value).strip().replace(",", "").removeprefix("$"))
    except InvalidOperation as error:
        raise RowError(f"{name} is no amount: {value!r:.40}") from error
    if not amount.is_finite() or abs(amount) > _MOST_DOLLARS:
        raise RowError(f"{name} is no amount of at most {_MOST_DOLLARS} dollars: {value!r:.40}")
    return to_pico(amount / 100 if cents else amount)


def time_of(value: object, name: str) -> UnixMillis:
    """Return a time in milliseconds, from ISO 8601 text (UTC unless it says) or Unix seconds.

    Raises:
        RowError: it is no time.
    """
    try:
        if isinstance(value, str) and not value.strip().replace(".", "", 1).isdigit():
            moment = datetime.fromisoformat(value.strip())
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            seconds = float(value)
        else:
            raise RowError(f"{name} is no time: {value!r:.40}")
        if seconds > 100_000_000_000:  # milliseconds, as many logs have them
            seconds /= 1000
        millis = round(seconds * 1000)
    except (ValueError, OverflowError) as error:
        raise RowError(f"{name} is no time: {value!r:.40}") from error
    if not 0 <= millis <= MAX_UINT:
        raise RowError(f"{name} is no time: {value!r:.40}")
    return UnixMillis(millis)


def text_of(value: object, name: str, *, most: int = 512) -> str:
    """Return text; empty if there is none.

    Raises:
        RowError: it is no text, or too long.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most:
        raise RowError(f"{name} is no text of at most {most} characters: {value!r:.40}")
    if _SURROGATE.search(value):  # bytes that are no UTF-8, or half of an escaped pair
        raise RowError(f"{name} is no UTF-8")
    return value.strip()


def sum_of(*counts: int | None) -> int | None:
    """Return the sum of counts; None if none of them is known."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def member(holder: Any, *path: str) -> Any:  # noqa: ANN401 - JSON of any form
    """Return what stands at the end of a path of keys; None where it breaks off."""
    for key in path:
        holder = holder.get(key) if isinstance(holder, dict) else None
    return holder
