"""What calls cost: by a table of one's own, and by the packaged one."""

import dataclasses
import random
import sys
from decimal import Decimal
from typing import Any

import pytest

from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import KIND
from nous_ledger.reconcile.errors import PriceError
from nous_ledger.reconcile.packaged_prices import PackagedPrices
from nous_ledger.reconcile.prices import OwnPrices, cost_of, to_pico
from tests.cli.sample import START_MS, make_draft
from tests.refusals import code_of

TABLE = b"""
[[prices]]
providers = ["openai"]
models = 'gpt-4o-mini(-.*)?'
input = "0.15"
cache_read = "0.075"
output = "0.60"

[[prices]]
providers = ["openai"]
models = 'gpt-4o-mini(-.*)?'
from = 2027-01-01
input = "0.10"
output = "0.40"

[[prices]]
providers = ["gemini"]
models = 'gemini-pro'
input = "1.25"
output = "10"
cache_write = "3"
cache_write_1h = "4"

[[prices.above]]
input_tokens = 200000
input = "2.50"
"""
MINI = "gpt-4o-mini-2024-07-18"


def receipt(counts: dict[str, int | None], **changes: Any) -> Receipt:
    numbers = dict(KIND.items())
    usage = tuple(
        Bucket(kind=numbers[name], reported=count, label=2, lower=0, upper=9, method="m")
        for name, count in counts.items()
    )
    values = {"model_served": MINI, "usage": usage, "provider_total": None}
    return make_draft(random.Random(1), START_MS, **(values | changes))


def own() -> OwnPrices:
    return OwnPrices(TABLE, "prices.toml")


@pytest.mark.parametrize(
    ("counts", "pico"),
    [
        ({"input_uncached": 1}, 150_000),
        ({"input_uncached": 1_000_000}, 150_000_000_000),
        ({"input_uncached": 10, "cache_read": 7, "output_visible": 3}, 3_825_000),
        # 19 x 1.5e-7 + 200 x 6e-7 is 0.00012284999999999998 in binary fractions.
        ({"input_unsplit": 19, "output_visible": 200, "reasoning": 0}, 122_850_000),
        ({"output_unsplit": 2**53 - 1}, (2**53 - 1) * 600_000),
        ({"input_uncached": 0}, 0),
    ],
)
def test_own_table(counts: dict[str, int | None], pico: int) -> None:
    cost, table = cost_of(receipt(counts), (own(),))
    assert (cost.amount, cost.unpriced) == (pico, ())
    assert table is not None
    assert (table.name, len(table.digest)) == ("prices.toml", 32)


def test_the_price_of_the_day_counts() -> None:
    counts: dict[str, int | None] = {"input_uncached": 1_000}
    for time, pico in ((1_798_761_599_999, 150_000_000), (1_798_761_600_000, 100_000_000)):
        assert cost_of(receipt(counts, time=time), (own(),))[0].amount == pico


def test_tiers_are_of_the_whole_input() -> None:
    gemini = {"provider": "gemini", "model_served": "gemini-pro"}
    for tokens, price in ((200_000, 1_250_000), (200_001, 2_500_000)):
        cost, _ = cost_of(receipt({"input_uncached": tokens}, **gemini), (own(),))
        assert cost.amount == tokens * price
    split = receipt({"input_uncached": 1, "cache_write": 200_000, "output_visible": 1}, **gemini)
    assert cost_of(split, (own(),))[0].amount == 2_500_000 + 200_000 * 3_000_000 + 10_000_000
    hour = receipt({"cache_write_5m": 2, "cache_write_1h": 3}, **gemini)
    assert cost_of(hour, (own(),))[0].amount == 2 * 3_000_000 + 3 * 4_000_000


@pytest.mark.parametrize(
    ("counts", "changes", "unpriced"),
    [
        ({"input_uncached": 1, "cache_write": 5}, {}, ("cache_write",)),
        ({"input_uncached": 1, "output_visible": None}, {}, ("output_visible",)),
        ({"input_uncached": 1, "web_searches": 2}, {}, ("web_searches",)),
        ({"input_uncached": 1}, {"model_served": "gpt-9"}, ("model",)),
        ({"input_uncached": 1}, {"provider": "custom"}, ("model",)),
        ({"input_uncached": 1}, {"usage": None, "metering": 0}, ("usage",)),
    ],
)
def test_unpriced_is_not_free(
    counts: dict[str, int | None], changes: dict[str, Any], unpriced: tuple[str, ...]
) -> None:
    cost, _ = cost_of(receipt(counts, **changes), (own(),))
    assert (cost.amount, cost.unpriced) == (None, unpriced)


def test_rounding_is_half_to_even_once() -> None:
    assert to_pico(Decimal("0.0000000000005")) == 0
    assert to_pico(Decimal("0.0000000000015")) == 2
    table = OwnPrices(
        b'[[prices]]\nproviders=["openai"]\nmodels=".*"\ninput="0.0000005"\noutput="0.0000005"\n',
        "t",
    )
    # Each is half a pico-USD: rounded apart they would be nothing, together they are one.
    both = receipt({"input_uncached": 1, "output_visible": 1})
    assert cost_of(both, (table,))[0].amount == 1


def test_the_first_table_that_knows_the_model_counts() -> None:
    cheap = OwnPrices(
        b'[[prices]]\nproviders=["openai"]\nmodels="gpt-4o-mini.*"\ninput="0.01"\n', "own"
    )
    cost, table = cost_of(receipt({"input_uncached": 10}), (cheap, own()))
    assert (cost.amount, table) == (100_000, cheap)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"[[prices]",
        b"surplus = 1\nprices = []",
        b"prices = 1",
        b"prices = [1]",
        b"[[prices]]\nmodels='x'",
        b"[[prices]]\nproviders=['a']\nmodels='('",
        b"[[prices]]\nproviders=['a']\nmodels='x'\nsurplus='1'",
        b"[[prices]]\nproviders=['a']\nmodels='x'\ninput=0.15",
        b"[[prices]]\nproviders=['a']\nmodels='x'\ninput='-1'",
        b"[[prices]]\nproviders=['a']\nmodels='x'\ninput='NaN'",
        b"[[prices]]\nproviders=['a']\nmodels='x'\ninput='many'",
        b"[[prices]]\nproviders=['a']\nmodels='x'\nfrom='2026-01-01'",
        b"[[prices]]\nproviders=['a']\nmodels='x'\n[[prices.above]]\ninput='1'",
        b"[[prices]]\nproviders=['a']\nmodels='x'\n[[prices.above]]\ninput_tokens=1\nsurplus='1'",
        b"#" * (4 * 1024 * 1024 + 1),
    ],
)
def test_faults_in_a_table_are_named(data: bytes) -> None:
    assert code_of(lambda: OwnPrices(data, "t")) == "input"


def test_the_packaged_table() -> None:
    table = PackagedPrices()
    assert table.name.startswith("genai-prices 0.2.")
    mixed = receipt({"input_uncached": 500, "cache_read": 500, "output_visible": 100})
    cost, found = cost_of(mixed, (table,))
    assert (cost.amount, found) == (172_500_000, table)
    assert table.cost(dataclasses.replace(mixed, model_served="no-such-model-9")) is None
    search = receipt({"input_uncached": 1, "search_units": 4})
    assert cost_of(search, (table,))[0].unpriced == ("search_units",)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data", None)
    with pytest.raises(PriceError) as caught:
        PackagedPrices()
    assert caught.value.code == "no-prices"
    assert "--prices" in caught.value.hint
