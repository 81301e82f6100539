"""What calls cost by a price table: integer pico-USD, and always which table said so.

A price table is a TOML file. Prices are US dollars per million tokens, written as
strings, so that none of them ever is a binary fraction:

    [[prices]]
    providers = ["openai"]
    models = 'gpt-4o-mini(-.*)?'
    from = 2024-07-18          # UTC; without it, from the beginning
    input = "0.15"
    cache_read = "0.075"
    output = "0.60"

    [[prices.above]]           # calls with more input tokens than this, all of them
    input_tokens = 200000
    input = "0.30"
    output = "1.20"

The first row that fits a call counts, the latest `from` before it. What has no price
is unpriced, never free. The table's hash stands beside every sum made with it, so a
sum can be made again from the receipts and the table.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from typing import Any, Final, Protocol

from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import KIND, TOKEN_KINDS_END
from nous_ledger.protocol.types import PicoUsd, UnixMillis

MAX_TABLE_BYTES: Final = 4 * 1024 * 1024
"""Longest price table that is read."""

_PICO_PER_MILLION: Final = Decimal(10) ** 6  # USD per million tokens to pico-USD per token
_INPUT: Final = ("input_uncached", "input_unsplit", "tool_prompt")
_OUTPUT: Final = ("output_visible", "reasoning", "output_unsplit", "rejected_prediction")
_CACHE_WRITES: Final = ("cache_write_5m", "cache_write_1h", "cache_write_30m", "cache_write_12h")
_NAMES: Final = tuple(name for name, number in KIND.items() if number < TOKEN_KINDS_END)
_PRICES: Final = frozenset((*_NAMES, "input", "output", "cache_write"))
_INPUT_END: Final = 10  # kinds below it are input
_MEMBERS: Final = frozenset(("providers", "models", "from", "above")) | _PRICES


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one receipt costs by one table.

    Attributes:
        amount: pico-USD of all that has a price; None if some tokens have none.
        unpriced: names of the bucket kinds that have tokens and no price; `model` if
            nothing is known of the model, `usage` if the receipt counts nothing.
        parts: (bucket kind, pico-USD) of each bucket by itself, rounded by itself, so
            that they need not add up to the amount to the last pico-USD.
    """

    amount: PicoUsd | None
    unpriced: tuple[str, ...] = ()
    parts: tuple[tuple[int, PicoUsd], ...] = ()


class PriceTable(Protocol):
    """What can say what a receipt costs."""

    @property
    def name(self) -> str:
        """What the table is called in reports."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the table, 32 bytes."""

    def cost(self, receipt: Receipt) -> Cost | None:
        """Return what a receipt costs; None where the table knows nothing of its model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    providers: frozenset[str]
    models: re.Pattern[str]
    since: UnixMillis
    tiers: tuple[tuple[int, Mapping[str, Decimal]], ...]  # above so many input tokens, prices

    def prices(self, input_tokens: int) -> Mapping[str, Decimal]:
        return next(prices for above, prices in self.tiers if input_tokens > above)


class OwnPrices:
    """A price table of one's own."""

    def __init__(self, data: bytes, name: str) -> None:
        """Read a table.

        Args:
            data: the TOML file.
            name: what it is called in reports.

        Raises:
            InputError: it is no such table; names the place.
        """
        if len(data) > MAX_TABLE_BYTES:
            raise _wrong(f"a table has at most {MAX_TABLE_BYTES} bytes")
        try:
            document = tomllib.loads(data.decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise _wrong(f"no TOML ({error})") from error
        if document.keys() - {"prices"} or not isinstance(document.get("prices"), list):
            raise _wrong("holds [[prices]] and nothing else")
        self.name = name
        self.digest = hashlib.sha256(data).digest()
        rows = [_read_row(f"prices[{n}]", row) for n, row in enumerate(document["prices"])]
        self._rows = sorted(rows, key=lambda row: -row.since)  # stable: the first of a day counts

    def cost(self, receipt: Receipt) -> Cost | None:
        """Return what a receipt costs; None where the table knows nothing of its model."""
        model = receipt.model_served or receipt.model_requested or ""
        for row in self._rows:
            known = receipt.provider in row.providers and row.models.fullmatch(model)
            if known and receipt.time >= row.since:
                return _priced(receipt, row)
        return None


def cost_of(receipt: Receipt, tables: tuple[PriceTable, ...]) -> tuple[Cost, PriceTable | None]:
    """Return what a receipt costs by the first table that knows its model, and which that is."""
    if not receipt.usage:
        return Cost(amount=None, unpriced=("usage",)), None
    for table in tables:
        if (cost := table.cost(receipt)) is not None:
            return cost, table
    return Cost(amount=None, unpriced=("model",)), None


def to_pico(dollars: Decimal) -> PicoUsd:
    """Return US dollars as pico-USD, rounded half to even, once."""
    with localcontext(prec=60):
        return PicoUsd(int((dollars * 10**12).quantize(Decimal(1), ROUND_HALF_EVEN)))


def _priced(receipt: Receipt, row: _Row) -> Cost:
    buckets = receipt.usage or ()
    inputs = sum(b.reported or 0 for b in buckets if b.kind < _INPUT_END)
    prices = row.prices(inputs)
    total, missing, parts = Decimal(0), [], []
    with localcontext(prec=60):
        for bucket in buckets:
            name = KIND.name_of(bucket.kind)
            price = prices.get(name)
            if bucket.reported is None or (price is None and bucket.reported):
                missing.append(name)
            elif price is not None:
                total += price * bucket.reported
                parts.append((bucket.kind, _rounded(price * bucket.reported)))
        amount = _rounded(total)
    if missing:
        return Cost(amount=None, unpriced=tuple(missing), parts=tuple(parts))
    return Cost(amount=amount, parts=tuple(parts))


def _rounded(per_million: Decimal) -> PicoUsd:
    return PicoUsd(int((per_million * _PICO_PER_MILLION).quantize(Decimal(1), ROUND_HALF_EVEN)))


def _read_row(place: str, fields: Any) -> _Row:  # noqa: ANN401 - from a file, of any form
    if not isinstance(fields, dict) or fields.keys() - _MEMBERS:
        unknown = sorted(fields.keys() - _MEMBERS) if isinstance(fields, dict) else "no table"
        raise _wrong(f"{place}: unknown: {unknown}")
    providers, models = fields.get("providers"), fields.get("models")
    if not isinstance(providers, list) or not isinstance(models, str):
        raise _wrong(f"{place}: providers is a list of names, models a regular expression")
    try:
        pattern = re.compile(models)
    except re.error as error:
        raise _wrong(f"{place}.models: no regular expression ({error})") from error
    base = _read_prices(place, fields)
    tiers: list[tuple[int, Mapping[str, Decimal]]] = [(-1, base)]
    for number, tier in enumerate(fields.get("above", ())):
        where = f"{place}.above[{number}]"
        if not isinstance(tier, dict) or type(tier.get("input_tokens")) is not int:
            raise _wrong(f"{where}.input_tokens: a number of tokens")
        if tier.keys() - _PRICES - {"input_tokens"}:
            raise _wrong(f"{where}: unknown: {sorted(tier.keys() - _PRICES)}")
        tiers.append((tier["input_tokens"], {**base, **_read_prices(where, tier)}))
    tiers.sort(key=lambda tier: -tier[0])
    return _Row(
        providers=frozenset(map(str, providers)),
        models=pattern,
        since=_read_day(place, fields.get("from")),
        tiers=tuple(tiers),
    )


def _read_prices(place: str, fields: Mapping[str, Any]) -> dict[str, Decimal]:
    """Return the price of each bucket kind that a row names, or stands for."""
    given: dict[str, Decimal] = {}
    for name in fields.keys() & _PRICES:
        text = fields[name]
        try:
            price = Decimal(text) if isinstance(text, str) else None
        except InvalidOperation:
            price = None
        if price is None or not price.is_finite() or price < 0:
            raise _wrong(f'{place}.{name}: dollars per million tokens, as a string such as "0.15"')
        given[name] = price
    spread = {
        **dict.fromkeys(_INPUT, given.get("input")),
        **dict.fromkeys(_OUTPUT, given.get("output")),
        **dict.fromkeys(_CACHE_WRITES, given.get("cache_write")),
    }
    return {name: price for name, price in spread.items() if price is not None} | {
        name: price for name, price in given.items() if name not in ("input", "output")
    }


def _read_day(place: str, day: object) -> UnixMillis:
    if day is None:
        return UnixMillis(0)
    if type(day) is not date:
        raise _wrong(f"{place}.from: a day such as 2024-07-18, without quotes")
    return UnixMillis(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000))


def _wrong(text: str) -> InputError:
    return InputError("input", f"price table: {text}")
