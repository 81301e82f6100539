"""Which request of a program is an LLM call, and whose API it goes to.

A request counts as a call if it goes to one of a provider's own hosts, or below a
URL that was configured, and its path is one that is metered. All else is none of
the ledger's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from nous_ledger.gateway.paths import CallShape
from nous_ledger.gateway.provider_table import UNMETERED
from nous_ledger.gateway.providers import (
    CUSTOM_PROVIDER,
    ROUTES,
    Upstream,
    find_route,
    make_upstream,
)
from nous_ledger.protocol.errors import InputError

_MAX_ORIGINS: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a call goes and what it is."""

    upstream: Upstream
    shape: CallShape
    query: bytes = b""


class Targets:
    """The places whose calls get receipts; may be used by several threads."""

    def __init__(self, upstreams: Mapping[str, str]) -> None:
        """Take the configured places.

        Args:
            upstreams: base URLs by route (`openai`, `custom-NAME`, …), beside the
                providers' own hosts.

        Raises:
            InputError: no such route, or no such URL.
        """
        made = {name: make_upstream(find_route(name), url) for name, url in upstreams.items()}
        self._by_route: Mapping[str, Upstream] = MappingProxyType(made)
        local = (route for route in ROUTES.values() if route.base_url.startswith("http://"))
        places = (*made.values(), *map(make_upstream, local))
        # The longest first: one configured place may lie below another.
        self._places = sorted(places, key=lambda place: len(place.base_url), reverse=True)
        self._origins: dict[str, Upstream | None] = {}

    def upstream(self, route: str) -> Upstream:
        """Return where the calls of a route go.

        Raises:
            InputError: no such route, or it has no URL of its own and none is configured.
        """
        return self._by_route.get(route) or make_upstream(find_route(route))

    def find(self, method: str, origin: str, target: bytes) -> Target | None:
        """Return where a request goes, None if it is no LLM call.

        Args:
            method: HTTP method.
            origin: scheme, host and port as `https://host[:port]`, a scheme's own port
                left out.
            target: path and query as they stand in the request.
        """
        raw, _, query = target.partition(b"?")
        path = raw.decode("latin-1")
        for place in self._places:
            if f"{origin}{path}".startswith(f"{place.base_url}/"):
                below = f"{origin}{path}".removeprefix(place.base_url)
                # One server may stand for several providers: their paths tell them apart.
                if (found := make_target(place, method, below, query)) is not None:
                    return found
        upstream = self.provider_of(origin)
        return None if upstream is None else make_target(upstream, method, path, query)

    def provider_of(self, origin: str) -> Upstream | None:
        """Return the provider that has a host for its own, None if it is nobody's."""
        if origin not in self._origins:
            if len(self._origins) >= _MAX_ORIGINS:
                self._origins.clear()
            self._origins[origin] = _own_upstream(origin)
        return self._origins[origin]


def make_target(upstream: Upstream, method: str, path: str, query: bytes) -> Target | None:
    """Return what a request to an upstream is, None if it is no LLM call.

    A path that may lead to another place is not left out: a call that is billed
    would go without a receipt. Nothing is metered of it.

    Args:
        upstream: where it goes.
        method: HTTP method.
        path: path below the upstream's base URL, without its query.
        query: the query, without the question mark.
    """
    shape = upstream.shape(method, path)
    if shape == UNMETERED:
        return None
    return Target(upstream=upstream, shape=shape or UNMETERED, query=query)


def _own_upstream(origin: str) -> Upstream | None:
    """Return the provider that has a host for its own, None if it is nobody's."""
    if not origin.startswith("https://"):
        return None
    for route in ROUTES.values():
        try:
            upstream = make_upstream(route, origin)
        except InputError:
            return None
        if upstream.provider == route.name != CUSTOM_PROVIDER:
            return upstream
    return None
