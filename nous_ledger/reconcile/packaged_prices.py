"""The dated prices of the package genai-prices, which the extra `prices` installs.

Its tables are data of an installed package: nothing is fetched, and what a sum was made
with is named by the package's version and the hash of its data.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import KIND
from nous_ledger.protocol.types import PicoUsd
from nous_ledger.reconcile.errors import PriceError
from nous_ledger.reconcile.prices import Cost, to_pico

# Kinds of ours to the units of the package, in which totals contain their parts.
_UNITS: Final = {
    "input_uncached": ("input_tokens",),
    "input_unsplit": ("input_tokens",),
    "tool_prompt": ("input_tokens",),
    "cache_read": ("input_tokens", "cache_read_tokens"),
    "cache_write": ("input_tokens", "cache_write_tokens"),
    "cache_write_5m": ("input_tokens", "cache_write_tokens"),
    "cache_write_1h": ("input_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    "output_visible": ("output_tokens",),
    "reasoning": ("output_tokens",),
    "output_unsplit": ("output_tokens",),
    "rejected_prediction": ("output_tokens",),
    "input_audio": ("input_tokens", "input_audio_tokens"),
    "output_audio": ("output_tokens", "output_audio_tokens"),
}
_PROVIDERS: Final = {"azure-openai": "azure", "gemini": "google", "vertex": "google", "xai": "x-ai"}


class PackagedPrices:
    """The prices of an installed genai-prices."""

    def __init__(self) -> None:
        """Find the package.

        Raises:
            PriceError: no-prices: it is not installed.
        """
        try:
            import genai_prices.data  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise PriceError("no-prices", "the package genai-prices is not installed") from error
        self.name = f"genai-prices {version('genai-prices')}"
        self.digest = _digest_of(genai_prices.data.__file__ or "")

    def cost(self, receipt: Receipt) -> Cost | None:
        """Return what a receipt costs; None where the package knows nothing of its model."""
        units: dict[str, int] = {}
        missing, parts = [], []
        for bucket in receipt.usage or ():
            name = KIND.name_of(bucket.kind)
            if bucket.reported is None or (bucket.reported and name not in _UNITS):
                missing.append(name)
                continue
            alone = dict.fromkeys(_UNITS.get(name, ()), bucket.reported)
            for unit, tokens in alone.items():
                units[unit] = units.get(unit, 0) + tokens
            parts.append((bucket.kind, alone))
        try:
            total = _price(receipt, units)
            each = tuple((kind, _price(receipt, alone)) for kind, alone in parts)
        except LookupError:
            return None
        except ValueError as error:  # it has no price for a unit, or not on that day
            return Cost(amount=None, unpriced=(f"model ({error})",))
        if missing:
            return Cost(amount=None, unpriced=tuple(missing), parts=each)
        return Cost(amount=total, parts=each)


def _price(receipt: Receipt, units: dict[str, int]) -> PicoUsd:
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - an extra

    values: dict[str, Any] = units
    found = calc_price(
        Usage(**values),
        receipt.model_served or receipt.model_requested or "",
        provider_id=_PROVIDERS.get(receipt.provider, receipt.provider),
        genai_request_timestamp=datetime.fromtimestamp(receipt.time / 1000, UTC),
    )
    return to_pico(found.total_price)


@cache
def _digest_of(path: str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()
