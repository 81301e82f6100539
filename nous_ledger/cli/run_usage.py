"""What a command used: its calls by model, with their tokens by kind and label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nous_ledger.cli.render import format_table, plural
from nous_ledger.protocol.registries import KIND, LABEL, METERING, STATUS

if TYPE_CHECKING:
    from nous_ledger.ledger import ReceiptRow


@dataclass(slots=True)
class ModelUsage:
    """The calls of one model.

    Attributes:
        statuses: how they ended, by number.
        unmetered: those without any usage.
        tokens: reported sum and calls, by kind and label.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    unmetered: int = 0
    tokens: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return self.statuses.total()


Usage = dict[tuple[str, str], ModelUsage]
"""By provider and model."""


def sum_usage(rows: Iterable[ReceiptRow]) -> Usage:
    """Return what some receipts add up to, by provider and model."""
    usage: Usage = {}
    for row in rows:
        if (receipt := row.receipt) is None:
            continue
        model = receipt.model_served or receipt.model_requested or "-"
        found = usage.setdefault((receipt.provider, model), ModelUsage())
        found.statuses[receipt.status] += 1
        found.unmetered += receipt.metering == METERING["none"]
        for bucket in receipt.usage or ():
            key = (bucket.kind, bucket.label)
            reported, calls = found.tokens.get(key, (0, 0))
            found.tokens[key] = (reported + (bucket.reported or 0), calls + 1)
    return usage


def count_calls(usage: Usage) -> int:
    """Return how many calls there were."""
    return sum(found.calls for found in usage.values())


def render_usage(usage: Usage) -> Iterator[str]:
    """Yield tables for people; a kind of which nothing was used is left out."""
    calls = count_calls(usage)
    unmetered = sum(found.unmetered for found in usage.values())
    yield f"{calls} call{plural(calls)}, {unmetered} unmetered"
    if not calls:
        return
    models = [
        (provider, model, str(found.calls), _statuses(found))
        for (provider, model), found in sorted(usage.items())
    ]
    yield from ("", format_table(("provider", "model", "calls", "status"), models, "llrl"))
    tokens = [
        (model, KIND.name_of(kind), LABEL.name_of(label), str(reported), str(count))
        for (_, model), found in sorted(usage.items())
        for (kind, label), (reported, count) in sorted(found.tokens.items())
        if reported
    ]
    if tokens:
        head = ("model", "tokens", "label", "reported", "calls")
        yield from ("", format_table(head, tokens, "lllrr"))


def usage_to_json(usage: Usage) -> dict[str, Any]:
    """Return the same for programs, with every kind."""
    return {
        "calls": count_calls(usage),
        "unmetered": sum(found.unmetered for found in usage.values()),
        "models": [
            {
                "provider": provider,
                "model": None if model == "-" else model,
                "calls": found.calls,
                "unmetered": found.unmetered,
                "statuses": {STATUS.name_of(s): n for s, n in sorted(found.statuses.items())},
                "kinds": [
                    {
                        "kind": KIND.name_of(kind),
                        "label": LABEL.name_of(label),
                        "reported": str(reported),
                        "calls": count,
                    }
                    for (kind, label), (reported, count) in sorted(found.tokens.items())
                ],
            }
            for (provider, model), found in sorted(usage.items())
        ],
    }


def _statuses(found: ModelUsage) -> str:
    parts = [
        f"{count} {STATUS.name_of(status)}" for status, count in sorted(found.statuses.items())
    ]
    return ", ".join(parts)
