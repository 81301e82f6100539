"""OpenAI's and Anthropic's usage and cost reports: JSON values with buckets of time.

Both services answer in pages; a file may hold one page, a list of pages, a page on
every line, or pages one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any, Final

from nous_ledger.protocol.types import PicoUsd, UnixMillis
from nous_ledger.reconcile.exports.json_stream import read_buckets
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
_ReadResult = Callable[..., Statement]


def read_report(stream: IO[bytes], name: str) -> Iterator[Found]:
    """Yield what a usage or cost report says.

    Args:
        stream: the report, at its beginning.
        name: whose it is, one of REPORTS.
    """
    start, end, read = REPORTS[name]
    number = 0
    for found in read_buckets(stream):
        if isinstance(found, RowFault):
            yield found
            continue
        line, bucket = found
        results = bucket.get("results")
        for result in results if isinstance(results, list) else ():
            number += 1
            try:
                span = (time_of(bucket.get(start), start), time_of(bucket.get(end), end))
                yield read(result, line=number, start=span[0], end=span[1])
            except RowError as error:
                yield RowFault(line=line, message=f"result {number}: {error}")


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


REPORTS: Final[dict[str, tuple[str, str, _ReadResult]]] = {
    "openai": ("start_time", "end_time", _openai),
    "anthropic": ("starting_at", "ending_at", _anthropic),
}
"""For each service the members that hold a bucket's span, and what reads a result."""
