"""OpenAI's and Anthropic's usage and cost reports: JSON values with buckets of time.

Both services answer in pages; a file may hold one page, a list of pages, or a page on
every line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nous_ledger.protocol.types import PicoUsd, UnixMillis
from nous_ledger.reconcile.exports.rows import (
    RowError,
    RowFault,
    Statement,
    count_of,
    dollars_of,
    member,
    sum_of,
    text_of,
    time_of,
)

Found = Statement | RowFault


def buckets_of(document: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON of any form
    """Yield the buckets of a page, of a list of pages, or of a list of buckets."""
    pages = document if isinstance(document, list) else [document]
    for page in pages:
        if isinstance(page, dict):
            data = page.get("data")
            yield from (item for item in (data if isinstance(data, list) else [page]) if item)


def read_openai(document: Any, first: int) -> Iterator[Found]:  # noqa: ANN401 - JSON of any form
    """Yield what a usage or costs report of OpenAI says.

    Args:
        document: a page, or a list of pages.
        first: number of its first result.
    """
    for number, bucket, result in _results(document, first):
        try:
            start = time_of(bucket.get("start_time"), "start_time")
            end = time_of(bucket.get("end_time"), "end_time")
            yield _openai(result, line=number, start=start, end=end)
        except RowError as error:
            yield RowFault(line=number, message=str(error))


def read_anthropic(document: Any, first: int) -> Iterator[Found]:  # noqa: ANN401 - JSON of any form
    """Yield what a usage or cost report of Anthropic says.

    Args:
        document: a page, or a list of pages.
        first: number of its first result.
    """
    for number, bucket, result in _results(document, first):
        try:
            start = time_of(bucket.get("starting_at"), "starting_at")
            end = time_of(bucket.get("ending_at"), "ending_at")
            yield _anthropic(result, line=number, start=start, end=end)
        except RowError as error:
            yield RowFault(line=number, message=str(error))


def _results(document: Any, first: int) -> Iterator[tuple[int, dict[str, Any], Any]]:  # noqa: ANN401
    number = first
    for bucket in buckets_of(document):
        results = member(bucket, "results")
        for result in results if isinstance(results, list) else ():
            yield number, bucket, result
            number += 1


def _openai(result: Any, *, line: int, start: UnixMillis, end: UnixMillis) -> Statement:  # noqa: ANN401
    if (amount := member(result, "amount")) is not None:
        cost, detail = _dollars(amount), text_of(member(result, "line_item"), "line_item")
        inputs = outputs = calls = None
    else:
        cost, detail = None, ""
        inputs = count_of(member(result, "input_tokens"), "input_tokens")
        outputs = count_of(member(result, "output_tokens"), "output_tokens")
        calls = count_of(member(result, "num_model_requests"), "num_model_requests")
    project = text_of(member(result, "project_id"), "project_id")
    return Statement(
        line=line,
        start=start,
        end=end,
        provider="openai",
        model=text_of(member(result, "model"), "model"),
        calls=calls,
        input_tokens=inputs,
        output_tokens=outputs,
        cost=cost,
        detail=" ".join(part for part in (project, detail) if part),
    )


def _anthropic(result: Any, *, line: int, start: UnixMillis, end: UnixMillis) -> Statement:  # noqa: ANN401
    cost = None
    if (amount := member(result, "amount")) is not None:
        currency = text_of(member(result, "currency"), "currency") or "USD"
        cost = dollars_of(amount, "amount", cents=True) if currency == "USD" else None
    created = member(result, "cache_creation")
    writes = created.items() if isinstance(created, dict) else ()
    parts = [
        count_of(member(result, "uncached_input_tokens"), "uncached_input_tokens"),
        count_of(member(result, "cache_read_input_tokens"), "cache_read_input_tokens"),
        *(count_of(value, f"cache_creation.{name}") for name, value in writes),
    ]
    return Statement(
        line=line,
        start=start,
        end=end,
        provider="anthropic",
        model=text_of(member(result, "model"), "model"),
        input_tokens=sum_of(*parts),
        output_tokens=count_of(member(result, "output_tokens"), "output_tokens"),
        cost=cost,
        detail=text_of(member(result, "description"), "description")
        or text_of(member(result, "workspace_id"), "workspace_id"),
    )


def _dollars(amount: Any) -> PicoUsd | None:  # noqa: ANN401 - JSON of any form
    currency = text_of(member(amount, "currency"), "amount.currency") or "usd"
    value = member(amount, "value")
    return dollars_of(value, "amount.value") if currency.lower() == "usd" else None
