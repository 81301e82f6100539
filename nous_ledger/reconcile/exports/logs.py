"""Logs with a JSON object per line: LiteLLM's spend logs, Bedrock's invocation logs."""

from __future__ import annotations

from typing import Any

from nous_ledger.reconcile.exports.rows import (
    RowError,
    Statement,
    count_of,
    dollars_of,
    member,
    sum_of,
    text_of,
    time_of,
)


def read_litellm(line: int, row: dict[str, Any]) -> Statement:
    """Return what a row of LiteLLM's spend logs says.

    Raises:
        RowError: a value is not what it must be.
    """
    start = time_of(row.get("startTime", row.get("start_time")), "startTime")
    model = text_of(row.get("model"), "model")
    provider = text_of(row.get("custom_llm_provider"), "custom_llm_provider")
    return Statement(
        line=line,
        start=start,
        end=start,
        provider=provider,
        model=model.removeprefix(f"{provider}/") if provider else model,
        request_id=text_of(row.get("request_id"), "request_id"),
        calls=1,
        input_tokens=count_of(row.get("prompt_tokens"), "prompt_tokens"),
        output_tokens=count_of(row.get("completion_tokens"), "completion_tokens"),
        cost=dollars_of(row.get("spend"), "spend"),
    )


def read_bedrock(line: int, row: dict[str, Any]) -> Statement:
    """Return what a row of Bedrock's model invocation logs says.

    Raises:
        RowError: a value is not what it must be.
    """
    start = time_of(row.get("timestamp"), "timestamp")
    model = text_of(row.get("modelId"), "modelId")
    if not model:
        raise RowError("modelId is missing")
    given, answer = member(row, "input"), member(row, "output")
    inputs = (
        count_of(member(given, name), f"input.{name}")
        for name in ("inputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
    )
    return Statement(
        line=line,
        start=start,
        end=start,
        provider="bedrock",
        # An ARN of an inference profile or a model ends in its id.
        model=model.rpartition("/")[2],
        request_id=text_of(row.get("requestId"), "requestId"),
        calls=1,
        input_tokens=sum_of(*inputs),
        output_tokens=count_of(member(answer, "outputTokenCount"), "output.outputTokenCount"),
    )
