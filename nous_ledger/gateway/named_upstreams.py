"""Upstreams that a caller names, in the header `x-nous-upstream` of a call to `/custom/…`.

Only those that the operator allowed, by scheme, host and port; and only at addresses
that are public or in a network that the operator allowed too. What answers there is
recorded as `custom`, whatever it says of itself.

Spec:
    PROTOCOL.md, section "The receipt", fields provider and upstream.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from nous_ledger.gateway.addresses import Network, is_allowed, read_host
from nous_ledger.gateway.providers import CUSTOM_PROVIDER, Upstream, find_route, make_upstream
from nous_ledger.protocol.errors import InputError

UPSTREAM_HEADERS: Final = frozenset({b"x-nous-upstream", b"nous-upstream"})

_PORTS: Final = {"https": 443, "http": 80}
_LONGEST_URL: Final = 1_024


class UpstreamRefusedError(Exception):
    """The upstream that a caller names is none that it may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedUpstream:
    """What callers may name.

    Attributes:
        scheme: https or http.
        host: name or address; of a name that begins with `*.`, all names below it.
        port: the port.
    """

    scheme: str
    host: str
    port: int

    def fits(self, scheme: str, host: str, port: int) -> bool:
        """Return whether an upstream is one of these."""
        if (self.scheme, self.port) != (scheme, port):
            return False
        return host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host


def parse_allowed(text: str) -> AllowedUpstream:
    """Return what `[SCHEME://]HOST[:PORT]` allows; https and its port unless it says otherwise.

    Raises:
        InputError: it is not of that form.
    """
    url = text.lower() if "://" in text else f"https://{text.lower()}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if (
        parts.scheme not in _PORTS
        or parts.path not in ("", "/")
        or any((parts.query, parts.fragment, parts.username, parts.password))
        or read_host(host.removeprefix("*.")) is None
    ):
        raise InputError(
            "input",
            f"{text!r} is no upstream that callers could name",
            hint="write HOST, HOST:PORT, http://HOST:PORT, or *.HOST for all names below one",
        )
    return AllowedUpstream(scheme=parts.scheme, host=host, port=port or _PORTS[parts.scheme])


def parse_network(text: str) -> Network:
    """Return a network such as 10.0.0.0/8, or that of one address.

    Raises:
        InputError: it is none.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InputError(
            "input", f"{text!r} is no network", hint="for example 10.8.0.0/16"
        ) from error


class NamedUpstreams:
    """Finds the upstream that a caller names."""

    def __init__(
        self, allowed: Iterable[AllowedUpstream] = (), networks: Iterable[Network] = ()
    ) -> None:
        """Set what may be named.

        Args:
            allowed: scheme, host and port of each.
            networks: where they may lie, beside public addresses.
        """
        self._allowed = tuple(allowed)
        self.networks = tuple(networks)

    def __bool__(self) -> bool:
        """Whether anything may be named."""
        return bool(self._allowed)

    def find(self, value: str) -> Upstream:
        """Return the upstream of a header's value: a URL, or a host for https.

        Raises:
            UpstreamRefusedError: it was not allowed, is no URL, or is an address that
                callers may not be led to.
        """
        url = value.strip()
        url = url if "://" in url else f"https://{url}"
        try:
            upstream = make_upstream(find_route(CUSTOM_PROVIDER), url)
            parts = urlsplit(upstream.base_url)
            host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        except (InputError, ValueError) as error:
            raise UpstreamRefusedError from error
        found = read_host(host)
        if len(url) > _LONGEST_URL or found is None:
            raise UpstreamRefusedError
        if not any(allowed.fits(parts.scheme, host, port) for allowed in self._allowed):
            raise UpstreamRefusedError
        if not isinstance(found, str) and not is_allowed(found, self.networks):
            raise UpstreamRefusedError
        return upstream
