"""Readers of exports: what each says, and rows in error by their line."""

import io
import json
from typing import Any

import pytest

from nous_ledger.protocol.types import PicoUsd, UnixMillis
from nous_ledger.reconcile.exports.formats import FORMATS, guess_format, read_export
from nous_ledger.reconcile.exports.rows import MAX_LINE, RowFault, Statement
from nous_ledger.reconcile.exports.tables import read_mapping
from tests.refusals import code_of

HOUR = 3_600_000
START = UnixMillis(1_790_000_000_000)
OPENAI_USAGE: dict[str, Any] = {
    "object": "page",
    "data": [
        {
            "object": "bucket",
            "start_time": START // 1000,
            "end_time": START // 1000 + 3600,
            "results": [
                {
                    "object": "organization.usage.completions.result",
                    "input_tokens": 141,
                    "output_tokens": 201,
                    "input_cached_tokens": 20,
                    "num_model_requests": 3,
                    "project_id": "proj_a",
                    "model": "gpt-4o-mini-2024-07-18",
                },
                {"input_tokens": -1, "output_tokens": 4},
            ],
        }
    ],
    "has_more": False,
}
OPENAI_COSTS = {
    "data": [
        {
            "start_time": START // 1000,
            "end_time": START // 1000 + 86_400,
            "results": [
                {"amount": {"value": 0.06, "currency": "usd"}, "line_item": "gpt-4o, input"},
                {"amount": {"value": 5, "currency": "eur"}},
            ],
        }
    ]
}
ANTHROPIC_USAGE = {
    "data": [
        {
            "starting_at": "2026-09-21T14:00:00Z",
            "ending_at": "2026-09-21T15:00:00Z",
            "results": [
                {
                    "uncached_input_tokens": 1_500,
                    "cache_creation": {
                        "ephemeral_1h_input_tokens": 1_000,
                        "ephemeral_5m_input_tokens": 500,
                    },
                    "cache_read_input_tokens": 200,
                    "output_tokens": 500,
                    "model": "claude-sonnet-4-20250514",
                }
            ],
        }
    ]
}
ANTHROPIC_COST = {
    "data": [
        {
            "starting_at": "2026-09-21T00:00:00Z",
            "ending_at": "2026-09-22T00:00:00Z",
            "results": [{"amount": "123.78912", "currency": "USD", "description": "Claude usage"}],
        }
    ]
}
LITELLM = {
    "request_id": "chatcmpl-1",
    "startTime": "2026-09-21T14:13:20Z",
    "model": "openai/gpt-4o",
    "custom_llm_provider": "openai",
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "spend": 1.3350000000000001e-05,
}
BEDROCK = {
    "schemaType": "ModelInvocationLog",
    "timestamp": "2026-09-21T14:13:20Z",
    "requestId": "a1-b2",
    "modelId": "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-3-5-haiku",
    "input": {"inputTokenCount": 10, "cacheReadInputTokenCount": 4},
    "output": {"outputTokenCount": 7},
}
GOOGLE = """Service description,SKU description,Usage start date,Usage end date,Cost ($),Currency
Vertex AI,Gemini 2.5 output text,2026-09-21,2026-09-22,"1,234.50",USD
Vertex AI,Gemini 2.5 input text,2026-09-21,2026-09-22,0.25,EUR
Vertex AI,half a row,2026-09
"""
AZURE = """date,meterName,quantity,costInBillingCurrency,billingCurrency
09/21/2026,gpt 4o Inp glbl Tokens,12.5,3.25,USD
"""
MAPPING = b"""
provider = "openai"
[columns]
start = "when"
model = "model"
request_id = "id"
input_tokens = "in"
output_tokens = ["visible", "hidden"]
cost = "usd"
"""


def read(name: str, data: bytes | str, mapping: bytes | None = None) -> list[Any]:
    raw = data.encode() if isinstance(data, str) else data
    mapped = read_mapping(mapping) if mapping else None
    return list(read_export(io.BytesIO(raw), name, mapped))


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_openai_usage() -> None:
    first, second = read("openai", json.dumps(OPENAI_USAGE))
    assert first == Statement(
        line=1,
        start=START,
        end=UnixMillis(START + HOUR),
        provider="openai",
        model="gpt-4o-mini-2024-07-18",
        calls=3,
        input_tokens=141,
        output_tokens=201,
        detail="proj_a",
    )
    assert second == RowFault(
        line=1, message="result 2: input_tokens is no whole number from 0 to 2^53-1: -1"
    )


def test_openai_costs() -> None:
    dollars, euros = read("openai", json.dumps(OPENAI_COSTS))
    assert (dollars.cost, dollars.detail) == (60_000_000_000, "gpt-4o, input")
    assert euros.cost is None  # another currency is not converted, and not taken for dollars


def test_pages_in_a_list_and_on_lines() -> None:
    pages = [OPENAI_USAGE, OPENAI_USAGE]
    assert len(read("openai", json.dumps(pages))) == 4
    found = read("openai", lines(OPENAI_USAGE) + "{\n" + lines(OPENAI_USAGE))
    assert [type(item) for item in found] == [Statement, RowFault, RowFault, Statement, RowFault]
    assert found[2].line in (2, 3)  # a brace that is closed on no line


def test_anthropic() -> None:
    (usage,) = read("anthropic", json.dumps(ANTHROPIC_USAGE))
    assert (usage.input_tokens, usage.output_tokens) == (3_200, 500)
    assert (usage.start, usage.end) == (START - 800_000, START - 800_000 + HOUR)
    (cost,) = read("anthropic", json.dumps(ANTHROPIC_COST))
    assert cost.cost == 1_237_891_200_000  # the report is in cents
    assert cost.detail == "Claude usage"


def test_litellm() -> None:
    (found,) = read("litellm", lines(LITELLM))
    assert (found.provider, found.model, found.request_id) == ("openai", "gpt-4o", "chatcmpl-1")
    assert (found.calls, found.input_tokens, found.output_tokens) == (1, 12, 5)
    assert found.cost == 13_350_000  # as it is written, not as a binary fraction
    assert found.start == found.end == START


def test_bedrock() -> None:
    (found,) = read("bedrock", lines(BEDROCK))
    assert found.model == "us.anthropic.claude-3-5-haiku"
    assert (found.input_tokens, found.output_tokens, found.request_id) == (14, 7, "a1-b2")


def test_google_and_azure() -> None:
    dollars, euros, half = read("google", GOOGLE)
    assert (dollars.cost, dollars.detail) == (1_234_500_000_000_000, "Gemini 2.5 output text")
    assert dollars.end - dollars.start == 24 * HOUR
    assert euros.cost is None
    assert half == RowFault(line=4, message="3 cells under 6 titles")
    (azure,) = read("azure", AZURE)
    assert (azure.provider, azure.cost) == ("azure-openai", 3_250_000_000_000)
    assert azure.start == dollars.start


def test_any_table_by_a_mapping() -> None:
    table = 'when,model,id,in,visible,hidden,usd\n1790000000,m,r1,"1,200",5,7,0.5\n'
    (found,) = read("csv", "\ufeff" + table, MAPPING)
    assert found == Statement(
        line=2,
        start=START,
        end=START,
        provider="openai",
        model="m",
        request_id="r1",
        calls=1,
        input_tokens=1_200,
        output_tokens=12,
        cost=PicoUsd(500_000_000_000),
    )
    row = {"when": "2026-09-21T14:13:20+00:00", "model": "m", "id": "r1", "in": 3}
    (found,) = read("jsonl", lines(row), MAPPING)
    assert (found.start, found.input_tokens, found.output_tokens) == (START, 3, None)


@pytest.mark.parametrize(
    "row",
    [
        {"when": "yesterday"},
        {"when": None},
        {"when": True},
        {"when": "1e400"},
        {"when": -5},
        {"when": START, "in": 1.5},
        {"when": START, "in": "007x"},
        {"when": START, "in": 2**53},
        {"when": START, "in": True},
        {"when": START, "usd": "NaN"},
        {"when": START, "usd": [1]},
        {"when": START, "usd": 1e15},
        {"when": START, "model": 7},
        {"when": START, "model": "m" * 600},
    ],
)
def test_values_that_are_none(row: dict[str, Any]) -> None:
    (found,) = read("jsonl", lines(row), MAPPING)
    assert isinstance(found, RowFault)
    assert found.line == 1


def test_damaged_lines_are_listed_and_the_rest_is_read() -> None:
    good = json.dumps(LITELLM).encode()
    data = b"\n".join(
        [good, b"{", b"[1]", b"\xff\xfe", b"x" * (MAX_LINE + 5), b"", good, good[:-9]]
    )
    found = read("litellm", data)
    assert [item.line for item in found] == [1, 2, 3, 4, 5, 7, 8]
    assert [isinstance(item, Statement) for item in found] == [True, *[False] * 4, True, False]


def test_damaged_tables() -> None:
    table = b'when,model,id,in,visible,hidden,usd\n1,m,a,1,1,1,1\n1,m,"b\xff",1,1,1,1\n'
    table += b'1,m,"c" x,1,1,1,1\n1,m,d,1,1,1,1\n1,m,"e'
    found = read("csv", table, MAPPING)
    told = [item.request_id for item in found if isinstance(item, Statement)]
    assert told == ["a", "d"]
    assert [item.line for item in found if isinstance(item, RowFault)] == [3, 4, 6]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("openai", json.dumps(OPENAI_USAGE)),
        ("openai", json.dumps(OPENAI_COSTS)),
        ("anthropic", json.dumps(ANTHROPIC_USAGE)),
        ("litellm", lines(LITELLM)),
        ("bedrock", lines(BEDROCK)),
        ("google", GOOGLE),
        ("azure", AZURE),
        (None, "when,what\n1,2\n"),
    ],
)
def test_formats_are_told_by_their_beginning(name: str | None, data: str) -> None:
    assert guess_format(data.encode()[:4_096]) == name
    assert name is None or name in FORMATS


@pytest.mark.parametrize(
    "mapping",
    [
        b"\xff",
        b"columns = 1",
        b"[columns]\nmodel='m'",
        b"surplus=1\n[columns]\nstart='s'",
        b"[columns]\nstart='s'\nsurplus='x'",
        b"[columns]\nstart=1",
        b"[columns]\nstart=['a','b']",
    ],
)
def test_faults_in_a_mapping(mapping: bytes) -> None:
    assert code_of(lambda: read_mapping(mapping)) == "input"


def test_a_format_that_does_not_exist_or_needs_a_mapping() -> None:
    assert code_of(lambda: read("xml", b"")) == "input"
    assert code_of(lambda: read("csv", b"")) == "input"
