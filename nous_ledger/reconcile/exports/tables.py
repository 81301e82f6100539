"""Tables: what Google and Azure charge, and any CSV or JSON lines by a mapping.

A mapping is a TOML file that names, for what is wanted, the column that holds it:

    provider = "openai"          # a fixed value; or provider_column = "vendor"

    [columns]
    start = "hour"               # time of a call, or beginning of the span
    end = "hour_end"             # left out for one call
    model = "model"
    request_id = "id"
    calls = "requests"
    input_tokens = "tokens in"   # or a list of columns that are added
    output_tokens = ["visible", "reasoning"]
    cost = "usd"
    detail = "project"
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.types import UnixMillis
from nous_ledger.reconcile.exports.rows import (
    RowError,
    Statement,
    count_of,
    dollars_of,
    sum_of,
    text_of,
    time_of,
)

DAY_MS: Final = 86_400_000
_DOLLARS: Final = ("", "$", "US$", "USD")
_COUNTS: Final = ("calls", "input_tokens", "output_tokens")
_COLUMNS: Final = (*_COUNTS, "start", "end", "model", "request_id", "cost", "detail")
RowReader = Callable[[int, dict[str, Any]], Statement]


def read_google(line: int, row: dict[str, Any]) -> Statement:
    """Return what a row of a Google Cloud cost table says.

    Raises:
        RowError: a value is not what it must be.
    """
    start = time_of(_first(row, "Usage start date", "usage_start_time"), "Usage start date")
    end = _first(row, "Usage end date", "usage_end_time")
    cost, unit = _cost(row, "Cost", "cost", "Subtotal")
    currency = _first(row, "Currency", "currency") or unit
    return Statement(
        line=line,
        start=start,
        end=time_of(end, "Usage end date") if end else UnixMillis(start + DAY_MS),
        provider="gemini",
        cost=dollars_of(cost, "cost") if currency in _DOLLARS else None,
        detail=text_of(_first(row, "SKU description", "sku.description"), "SKU description"),
    )


def read_azure(line: int, row: dict[str, Any]) -> Statement:
    """Return what a row of an Azure cost and usage table says.

    Raises:
        RowError: a value is not what it must be.
    """
    start = time_of(_day(_first(row, "date", "Date", "UsageDateTime")), "date")
    currency = _first(row, "billingCurrency", "BillingCurrencyCode", "BillingCurrency")
    cost = _first(row, "costInUsd", "costInBillingCurrency", "CostInBillingCurrency", "PreTaxCost")
    in_dollars = row.get("costInUsd") or currency in (None, "", "USD")
    return Statement(
        line=line,
        start=start,
        end=UnixMillis(start + DAY_MS),
        provider="azure-openai",
        cost=dollars_of(cost, "cost") if in_dollars else None,
        detail=text_of(_first(row, "meterName", "MeterName"), "meterName"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A reader of rows by a mapping.

    Attributes:
        provider: name of the provider, where it is the same for all rows.
        provider_column: column that holds it, where it is not.
        columns: for each thing wanted the columns that hold it.
    """

    provider: str
    provider_column: str
    columns: Mapping[str, tuple[str, ...]]

    def __call__(self, line: int, row: dict[str, Any]) -> Statement:
        """Return what a row says.

        Raises:
            RowError: a value is not what it must be.
        """
        start = time_of(self._one(row, "start"), "start")
        end, counts = self._one(row, "end"), {}
        for name in _COUNTS:
            columns = self.columns.get(name, ())
            counts[name] = sum_of(*(count_of(row.get(column), column) for column in columns))
        request_id = text_of(self._one(row, "request_id"), "request_id")
        return Statement(
            line=line,
            start=start,
            end=time_of(end, "end") if end not in (None, "") else start,
            provider=self.provider or text_of(row.get(self.provider_column), "provider"),
            model=text_of(self._one(row, "model"), "model"),
            request_id=request_id,
            calls=1 if counts["calls"] is None and request_id else counts["calls"],
            input_tokens=counts["input_tokens"],
            output_tokens=counts["output_tokens"],
            cost=dollars_of(self._one(row, "cost"), "cost"),
            detail=text_of(self._one(row, "detail"), "detail"),
        )

    def _one(self, row: dict[str, Any], name: str) -> object:
        columns = self.columns.get(name, ())
        return row.get(columns[0]) if columns else None


def read_mapping(data: bytes) -> Mapped:
    """Return the reader that a mapping describes.

    Raises:
        InputError: it is no mapping; names the place.
    """
    try:
        document = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _wrong(f"no TOML ({error})") from error
    columns = document.get("columns")
    if not isinstance(columns, dict) or "start" not in columns:
        raise _wrong("[columns] names at least the column of start")
    if unknown := document.keys() - {"columns", "provider", "provider_column"}:
        raise _wrong(f"unknown: {', '.join(sorted(unknown))}")
    if unknown := columns.keys() - set(_COLUMNS):
        raise _wrong(f"columns: unknown: {', '.join(sorted(unknown))}")
    found: dict[str, tuple[str, ...]] = {}
    for name, value in columns.items():
        listed = value if isinstance(value, list) else [value]
        if not all(isinstance(column, str) for column in listed):
            raise _wrong(f"columns.{name}: the name of a column")
        if len(listed) != 1 and name not in _COUNTS:
            raise _wrong(f"columns.{name}: only counts are added over several columns")
        found[name] = tuple(listed)
    return Mapped(
        provider=str(document.get("provider", "")),
        provider_column=str(document.get("provider_column", "")),
        columns=found,
    )


def _first(row: dict[str, Any], *names: str) -> Any:  # noqa: ANN401 - a cell of any form
    for name in names:
        if row.get(name) not in (None, ""):
            return row[name]
    return None


def _cost(row: dict[str, Any], *starts: str) -> tuple[Any, str]:
    """Return the cell of the first column that is named so, and the currency in its title."""
    for start in starts:
        for name, cell in row.items():
            if name == start or name.startswith(f"{start} ("):
                return cell, name.removeprefix(start).strip(" ()")
    raise RowError("no column holds the cost")


def _day(value: object) -> object:
    """Return a day in ISO form; Azure writes months first."""
    if isinstance(value, str) and value.count("/") == 2:
        month, day, year = value.split("/")
        return f"{year:0>4}-{month:0>2}-{day:0>2}"
    return value


def _wrong(text: str) -> InputError:
    return InputError("input", f"mapping: {text}")
