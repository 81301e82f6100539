"""Rows of the usage index, added up as leaderboards, models and users show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nous_ledger.gateway.usage_index import Sums, UsageRow
from nous_ledger.ledger.bindings import Bound

PICO: Final = 10**12


def sums_to_json(sums: Sums) -> dict[str, Any]:
    """Return the tokens, cost and calls that every answer of this kind has."""
    return {
        "total_tokens": sums.total,
        "input_tokens": sums.input,
        "output_tokens": sums.output,
        "cache_read_tokens": sums.cache_read,
        "cache_write_tokens": sums.cache_write,
        "total_cost": sums.cost / PICO if sums.costed else None,
        "total_cost_pico_usd": str(sums.cost) if sums.costed else None,
        "call_count": sums.calls,
    }


def leaderboard(
    rows: Iterable[UsageRow], bound: Mapping[bytes, Bound], limit: int
) -> list[dict[str, Any]]:
    """Return who used how much, the most first.

    Args:
        rows: what was used.
        bound: the wallet of each subject that has one; subjects of one wallet are one.
        limit: how many at most.
    """
    totals: dict[str, Sums] = {}
    wallets: dict[str, str] = {}
    for row in rows:
        identity = row.subject.hex()
        if row.subject in bound:
            identity = f"0x{bound[row.subject].wallet.hex()}"
            wallets[identity] = identity
        totals[identity] = totals.get(identity, Sums()).plus(row.sums)
    ranked = sorted(totals.items(), key=lambda pair: (-pair[1].total, pair[0]))
    return [
        {"identity": identity, "wallet": wallets.get(identity), **sums_to_json(sums)}
        for identity, sums in ranked[:limit]
    ]


def by_model(rows: Iterable[UsageRow]) -> list[dict[str, Any]]:
    """Return what was used of each model at each provider, the most first."""
    totals: dict[tuple[str, str], Sums] = {}
    users: dict[tuple[str, str], set[bytes]] = {}
    for row in rows:
        key = (row.provider, row.model)
        totals[key] = totals.get(key, Sums()).plus(row.sums)
        users.setdefault(key, set()).add(row.subject)
    ranked = sorted(totals.items(), key=lambda pair: (-pair[1].total, pair[0]))
    return [
        {"provider": key[0], "model": key[1], "unique_users": len(users[key]), **sums_to_json(sums)}
        for key, sums in ranked
    ]


def whole(rows: Iterable[UsageRow]) -> Sums:
    """Return everything together."""
    total = Sums()
    for row in rows:
        total = total.plus(row.sums)
    return total
