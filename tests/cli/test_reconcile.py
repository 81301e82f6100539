"""`nous-ledger reconcile`: import, check and report, from a real ledger."""

import json
import random
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.cli.reconcile_tables import dollars
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.label import Bucket
from tests.cli.harness import Call
from tests.cli.sample import START_MS, Clock, make_draft

MINI = "gpt-4o-mini-2024-07-18"
HOSTILE = "<script>alert(1)</script>|[x](http://x)"
PRICES = """
[[prices]]
providers = ["openai"]
models = 'gpt-4o-mini.*'
input = "0.15"
output = "0.60"
"""


RECTS = 3 + (2 + 1) + 2 + (1 + 2)  # all tokens, by model, money by model, by bucket


def draft(seed: random.Random, request_id: str, **changes: Any) -> Any:
    exact = Bucket(
        kind=16,
        reported=100,
        label=1,
        lower=100,
        upper=101,
        method="o200k_base/1",
        vocab=bytes(32),
        count=100,
    )
    values: dict[str, Any] = {
        "model_served": MINI,
        "usage": (Bucket(kind=1, reported=300, label=3), exact),
        "provider_total": 400,
        "provider_request_id": request_id,
    }
    return make_draft(seed, START_MS, **(values | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    seed, place = random.Random(3), tmp_path / "ledger"
    outside = Bucket(kind=16, reported=900, label=2, lower=1, upper=300, method="bytes/1")
    with Ledger.create(place, next_key_out=None, clock=Clock()) as ledger:
        for number in range(3):
            ledger.append(draft(seed, f"req-{number}"))
        ledger.append(
            draft(seed, "req-3", usage=(outside,), provider_total=900, model_served=HOSTILE)
        )
        ledger.append(draft(seed, "req-4", usage=None, metering=0, provider_total=None))
    return place


@pytest.fixture
def export(tmp_path: Path) -> Path:
    rows = [
        {
            "request_id": f"req-{n}",
            "startTime": START_MS / 1000 + n,
            "model": MINI,
            "spend": 0.1,
            "custom_llm_provider": "openai",
            "prompt_tokens": 300,
            "completion_tokens": tokens,
        }
        for n, tokens in ((0, 100), (1, 101), (9, 5))
    ]
    path = tmp_path / "spend.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{half a row")
    return path


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    return path


def test_importing_twice(nous: Call, folder: Path, export: Path) -> None:
    first = nous("reconcile", "import", export, "--ledger", folder)
    assert (first.code, first.out) == (1, "litellm: 3 added, 0 changed, 0 unchanged\n")
    assert first.err.startswith("line 4: no JSON")
    again = nous("reconcile", "import", export, "--ledger", folder)
    assert (again.code, again.out) == (
        0,
        "this very file was imported before; nothing was changed\n",
    )
    told = json.loads(nous("reconcile", "import", export, "--ledger", folder, "--json").out)
    assert told["known"] is True


def test_importing_what_cannot_be_told(nous: Call, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "calls.csv"
    table.write_text("when,id,tokens\n1790000000,req-0,300\n")
    nous("reconcile", "import", table, "--ledger", folder).failed(2, "--format")
    csv = ("reconcile", "import", table, "--ledger", folder, "--format", "csv")
    nous(*csv).failed(2, "--mapping")
    mapping = tmp_path / "columns.toml"
    mapping.write_text('[columns]\nstart = "when"\nrequest_id = "id"\ninput_tokens = "tokens"\n')
    assert nous(*csv, "--mapping", mapping).code == 0
    litellm = ("reconcile", "import", table, "--ledger", folder, "--format", "litellm")
    nous(*litellm, "--mapping", mapping).failed(2, "--mapping goes with")
    nous("reconcile", "import", tmp_path / "none", "--ledger", folder).failed(2, "none")


def test_checking(nous: Call, folder: Path, export: Path) -> None:
    nothing = nous("reconcile", "check", "--ledger", folder)
    assert nothing.code == 3
    assert "nothing was imported" in nothing.out
    nous("reconcile", "import", export, "--ledger", folder)
    found = nous("reconcile", "check", "--ledger", folder, "--json")
    assert found.code == 1
    calls = json.loads(found.out)["calls"]
    assert calls["agree"] == 1
    assert calls["counts"] == {"missing": 3, "extra": 1, "differs": 1}
    differs = [item for item in calls["differences"] if item["kind"] == "differs"]
    assert differs[0]["receipt"] == [300, 100]
    assert differs[0]["report"] == [300, 101]
    shown = nous("reconcile", "check", "--ledger", folder)
    assert shown.code == 1
    assert "the sides differ" in shown.out
    later = nous("reconcile", "check", "--ledger", folder, "--since", "2027-01-01")
    assert (later.code, "speaks of this time" in later.out) == (3, True)


def test_the_report_for_people(nous: Call, folder: Path, export: Path, prices: Path) -> None:
    nous("reconcile", "import", export, "--ledger", folder)
    found = nous("reconcile", "report", "--ledger", folder, "--prices", prices)
    assert found.code == 0
    # 3 calls of 300 in, unverifiable, and 100 out, exact; 900 bounded.
    assert found.out.startswith("42.9% of the reported tokens cannot be checked by anyone but")
    assert "req-3" in found.out
    assert "outside" in found.out
    assert "0.000315" in found.out  # 3 x (300 x 0.15 + 100 x 0.60) / 10^6
    assert "fraud" not in found.out


def test_the_report_for_programs(nous: Call, folder: Path, prices: Path) -> None:
    found = nous("reconcile", "report", "--ledger", folder, "--prices", prices, "--json")
    told = json.loads(found.out)
    assert told["headline"] == {
        "unverifiable_tokens": 900,
        "tokens": 2_100,
        "unverifiable_tokens_at_call": 900,
        "unverifiable_cost_pico_usd": 135_000_000,
        "cost_pico_usd": 315_000_000,
    }
    mini = next(item for item in told["services"] if item["model"] == MINI)
    assert (mini["calls"], mini["unmetered"], mini["unpriced_calls"]) == (4, 1, 1)
    assert mini["cost_pico_usd"] == 315_000_000
    assert mini["cost_by_label_pico_usd"] == {"EXACT": 180_000_000, "UNVERIFIABLE": 135_000_000}
    assert len(told["prices"]) == 1
    nous("reconcile", "report", "--ledger", folder, "--json", "--md").failed(2, "exclude")


def test_markdown_shows_names_as_they_are(nous: Call, folder: Path, prices: Path) -> None:
    found = nous("reconcile", "report", "--ledger", folder, "--prices", prices, "--md")
    assert found.out.startswith("# Reconciliation\n\n**42.9% of the reported tokens")
    assert "<script>" not in found.out
    assert r"\<script\>alert(1)\</script\>\|\[x\](http://x)" in found.out


class Page(HTMLParser):
    """What a page holds: its tags, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.shown = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        self.ids |= {value or "" for name, value in attrs if name == "id"}

    def handle_data(self, data: str) -> None:
        self.shown += data


def test_the_page(nous: Call, folder: Path, prices: Path, tmp_path: Path) -> None:
    page = tmp_path / "june.html"
    call = ("reconcile", "report", "--ledger", folder, "--prices", prices, "--html", page)
    assert nous(*call).code == 0
    read = Page(page.read_text())
    assert "script" not in read.tags
    assert all(link.startswith("#r") for link in read.links)  # self-contained: nothing is fetched
    assert {link[1:] for link in read.links} <= read.ids
    assert read.tags.count("rect") == RECTS
    assert HOSTILE in read.shown
    assert "42.9% of the reported tokens" in read.shown
    nous(*call).failed(2, "--force")
    assert nous(*call, "--force").code == 0


def test_the_page_in_a_browser(nous: Call, folder: Path, prices: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    page = tmp_path / "june.html"
    nous("reconcile", "report", "--ledger", folder, "--prices", prices, "--html", page)
    drawn = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--dump-dom",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert drawn.count("<rect") == RECTS
    assert "alert(1)&lt;/script&gt;" in drawn


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (0, "0.000000"),
        (500_000, "0.000000"),
        (1_500_000, "0.000002"),
        (500_001, "0.000001"),
        (9_007_199_254_740_991, "9007.199255"),
        (-1_000_000, "-0.000001"),
    ],
)
def test_dollars(pico: int, text: str) -> None:
    assert dollars(pico) == text
