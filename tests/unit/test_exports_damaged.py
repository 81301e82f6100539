"""Exports that are damaged, half-written or long: what is whole is read, all else is listed."""

import io
import json
from typing import Any

import pytest

from nous_ledger.reconcile.exports import json_stream
from nous_ledger.reconcile.exports.formats import read_export
from nous_ledger.reconcile.exports.json_stream import read_buckets
from nous_ledger.reconcile.exports.records import MAX_RECORD_LINES
from nous_ledger.reconcile.exports.rows import RowFault, Statement
from nous_ledger.reconcile.exports.tables import read_mapping
from tests.unit.test_exports import AZURE, BEDROCK, GOOGLE, LITELLM, MAPPING, START

HOUR_S = 3_600
FORMS = ("one line", "pretty", "a page a line", "a list of pages", "a list of buckets")


def buckets(name: str, count: int, results: int = 2) -> list[dict[str, Any]]:
    """Return buckets of a usage report, one after the other."""
    start, end = ("start_time", "end_time") if name == "openai" else ("starting_at", "ending_at")
    return [
        {
            start: START // 1000 + number * HOUR_S,
            end: START // 1000 + (number + 1) * HOUR_S,
            "results": [
                {
                    "model": f"m-{result}",
                    "input_tokens": 7,
                    "uncached_input_tokens": 7,
                    "output_tokens": 5,
                }
                for result in range(results)
            ],
        }
        for number in range(count)
    ]


def written(form: str, found: list[dict[str, Any]]) -> str:
    pages: list[dict[str, Any]] = [
        {"object": "page", "data": found[:2]},
        {"data": found[2:], "has_more": False},
    ]
    if form == "pretty":
        return json.dumps(pages[0] | {"data": found}, indent=2)
    if form == "a page a line":
        return "".join(f"{json.dumps(page)}\n" for page in pages)
    if form == "a list of pages":
        return json.dumps(pages)
    return json.dumps(found if form == "a list of buckets" else pages[0] | {"data": found})


def read(name: str, data: str | bytes) -> tuple[list[Statement], list[RowFault]]:
    raw = data if isinstance(data, bytes) else data.encode()
    mapped = read_mapping(MAPPING) if name in ("csv", "jsonl") else None
    found = list(read_export(io.BytesIO(raw), name, mapped))
    return (
        [item for item in found if isinstance(item, Statement)],
        [item for item in found if isinstance(item, RowFault)],
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_reports_in_every_form(name: str, form: str) -> None:
    told, faults = read(name, written(form, buckets(name, 5)))
    assert [item.line for item in told] == list(range(1, 11))
    assert [(item.input_tokens, item.output_tokens) for item in told] == [(7, 5)] * 10
    assert len({item.start for item in told}) == 5
    assert faults == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_half_a_report(name: str, form: str) -> None:
    """Wherever it breaks off: what came before is read, and that it breaks off is said."""
    text = written(form, buckets(name, 5))
    whole, _ = read(name, text)
    before = 0
    for end in range(1, len(text.rstrip()), 37):
        told, faults = read(name, text[:end])
        assert [item.start for item in told] == [item.start for item in whole[: len(told)]]
        assert len(told) >= before, end
        before = len(told)
        if form != "a page a line":  # which may end behind a line
            assert faults, end
    assert before >= 9


@pytest.mark.parametrize("damage", ['"start', "nul", "{,", '"unclosed, ', "]]}}", "\x00", "}"])
@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_a_damaged_bucket_costs_itself(name: str, damage: str) -> None:
    good = buckets(name, 6)
    parts = [json.dumps(bucket) for bucket in good]
    parts[2] = parts[2].replace('{"model": "m-1"', damage)
    told, faults = read(name, '{"data": [\n' + ",\n".join(parts) + "\n]}")
    starts = [item.start // 1000 for item in told]
    for number in (0, 1, 3, 4, 5):
        assert starts.count(START // 1000 + number * HOUR_S) == 2, number
    assert faults[0].line in (4, 5)  # bucket 2 stands on the fourth line


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_a_row_in_error_is_named_by_line_and_number(name: str) -> None:
    found = buckets(name, 4)
    found[2]["results"][1]["output_tokens"] = -1
    told, faults = read(name, json.dumps({"data": found}, indent=0))
    assert len(told) == 7
    assert [fault.message[:9] for fault in faults] == ["result 6:"]
    line = json.dumps({"data": found}, indent=0).splitlines()[faults[0].line - 1]
    assert line == "{"


def test_a_bucket_that_is_longer_than_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_BUCKET", 1024 * 1024)
    results = 30_000  # of 80 bytes
    (bucket,) = buckets("openai", 1, results)
    parts = list(read_buckets(io.BytesIO(json.dumps({"data": [bucket]}).encode())))
    assert len(parts) == results
    assert all(isinstance(part, tuple) and part[1]["start_time"] for part in parts)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 10_000,
        '"',
        "\ufeff",
        "{}",
        '{"data": {}}',
        "nonsense",
        "\x00" * 5_000,
        '{"data": [{"results": [{"model": "\\ud800"}], "start_time": 1, "end_time": 2}]}',
    ],
)
def test_what_is_no_report(text: str) -> None:
    told, faults = read("openai", text)
    assert told == []
    assert faults or not text.strip("\ufeff")


ROWS = {
    "litellm": [json.dumps(LITELLM | {"request_id": f"r{n}"}) for n in range(6)],
    "bedrock": [json.dumps(BEDROCK | {"requestId": f"r{n}"}) for n in range(6)],
    "jsonl": [json.dumps({"when": START, "id": f"r{n}", "in": 3}) for n in range(6)],
    "csv": [
        "when,model,id,in,visible,hidden,usd",
        *(f'1790000000,"m, ""x""",r{n},1,1,1,1' for n in range(6)),
    ],
    "google": GOOGLE.splitlines()[:2] * 1 + GOOGLE.splitlines()[1:2] * 5,
    "azure": AZURE.splitlines()[:2] + AZURE.splitlines()[1:2] * 5,
}
BAD = {
    "litellm": '{"request_id": "x", "startTime": "no time"}',
    "bedrock": '{"timestamp": "2026-09-21T14:13:20Z"}',
    "jsonl": '{"when": null}',
    "csv": "yesterday,m,x,1,1,1,1",
    "google": "Vertex AI,x,no day,2026-09-22,1,USD",
    "azure": "13/13/2026,m,1,1,USD",
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("damage", ["", '"half a "row', "{", "\udcff\udcfe", "\x00", "a,b"])
def test_damage_in_a_file_of_lines(name: str, damage: str) -> None:
    good = ROWS[name]
    rows = [*good[:3], damage or BAD[name], *good[3:]]
    told, faults = read(name, "\n".join(rows).encode("utf-8", "surrogateescape"))
    assert len(told) == 6
    assert [fault.line for fault in faults] == [4]


@pytest.mark.parametrize("name", ROWS)
def test_a_file_of_lines_that_breaks_off(name: str) -> None:
    text = "\n".join(ROWS[name])
    for end in range(len(ROWS[name][0]) + 2, len(text), 29):
        told, faults = read(name, text[:end])
        lines = text[:end].count("\n") + 1
        head = name in ("csv", "google", "azure")
        assert lines - head - 1 <= len(told) + len(faults) <= lines - head
        assert len(told) >= lines - head - 1
        assert [fault.line for fault in faults] in ([], [lines])


def test_a_quote_that_is_never_closed_costs_one_row() -> None:
    rows = [*ROWS["csv"][:3], '1790000000,"m,x,1,1,1,1', *ROWS["csv"][3:] * 200]
    told, faults = read("csv", "\n".join(rows))
    assert len(told) == 2 + 4 * 200
    assert [fault.line for fault in faults] == [4]


def test_a_cell_of_several_lines() -> None:
    cell = '"m\n' + "x\n" * (MAX_RECORD_LINES - 2) + 'y"'
    told, faults = read("csv", f"{ROWS['csv'][0]}\n1790000000,{cell},r1,1,1,1,1\n{ROWS['csv'][2]}")
    assert [item.request_id for item in told] == ["r1", "r1"]
    assert faults == []


def test_lines_before_the_head_of_a_table() -> None:
    told, _ = read("google", f"Invoice number,123\nCurrency,USD\n\n{GOOGLE}")
    assert len(told) == 2


def test_costs_in_another_currency_are_none_in_dollars() -> None:
    head = "Service description,SKU description,Usage start date,Cost (€)"
    told, faults = read("google", f"{head}\nVertex AI,output,2026-09-21,1.50\n")
    assert ([item.cost for item in told], faults) == ([None], [])
    told, _ = read("google", f"{head.replace('€', '$')}\nVertex AI,output,2026-09-21,1.50\n")
    assert [item.cost for item in told] == [1_500_000_000_000]


def test_more_money_than_a_number_of_the_file_holds() -> None:
    told, faults = read("csv", f"{ROWS['csv'][0]}\n1790000000,m,r,1,1,1,9000001\n{ROWS['csv'][1]}")
    assert (len(told), [fault.line for fault in faults]) == (1, [2])
