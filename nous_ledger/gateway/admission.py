"""Who may make calls: no page of a foreign site, and nobody without a token where tokens are set.

Whatever runs on this machine reaches a gateway on loopback, a web page in its browser
too. A page cannot read answers, but it can post: that would cost money where an upstream
asks for no key, and leave receipts that nobody asked for. Browsers say where a request
comes from (`Origin`, `Sec-Fetch-Site`), so such requests are refused. Programs say
neither, and are not touched by this.

What is refused here is no call: it is not forwarded and has no receipt. It is answered
before its body is read, and each peer has a bounded number of such answers a minute.

Spec:
    PROTOCOL.md RCPT-12, SUBJ-2.
"""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from nous_ledger.gateway.answers import (
    CROSS_SITE,
    MISDIRECTED,
    NO_TOKEN,
    TOO_MANY_REFUSALS,
    Answer,
)
from nous_ledger.gateway.hosts import is_own_host
from nous_ledger.gateway.identity import CLIENT_TOKEN_HEADER

REFUSALS_PER_MINUTE: Final = 60
MAX_PEERS: Final = 4_096
"""Peers that are remembered; the one that was quiet for longest is forgotten first."""

_OWN_SITES: Final = (b"same-origin", b"none")
_LOOKED_AT: Final = frozenset({b"host", b"origin", b"sec-fetch-site", CLIENT_TOKEN_HEADER})
_PREFIX_OF_ONE_SITE: Final = 64

Headers = Sequence[tuple[bytes, bytes]]


class RefusalLimit:
    """Counts what was refused to each peer, in bounded memory.

    Each peer has a bucket of `per_minute` refusals that fills up again within a minute.
    """

    def __init__(
        self,
        per_minute: int = REFUSALS_PER_MINUTE,
        *,
        max_peers: int = MAX_PEERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with full buckets.

        Args:
            per_minute: refusals that a peer may have each minute.
            max_peers: peers that are remembered at once.
            clock: seconds that never go back.
        """
        self._per_minute = per_minute
        self._max_peers = max_peers
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, peer: str) -> bool:
        """Note one refusal; return whether the peer is still to be told why."""
        now = self._clock()
        left, since = self._left.pop(peer, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - since) * self._per_minute / 60)
        self._left[peer] = (max(0.0, left - 1), now)
        if len(self._left) > self._max_peers:
            self._left.popitem(last=False)
        return left >= 1


class Admission:
    """Decides whether a request comes in."""

    def __init__(
        self,
        *,
        hosts: frozenset[str] = frozenset(),
        origins: frozenset[str] = frozenset(),
        client_tokens: frozenset[bytes] = frozenset(),
        limit: RefusalLimit | None = None,
    ) -> None:
        """Set what is let in.

        Args:
            hosts: names that the gateway answers under, beside `localhost` and addresses.
            origins: origins of web pages that may make calls, as browsers write them.
            client_tokens: SHA-256 of each token; empty to ask callers for none.
            limit: what is kept of refusals.
        """
        self._hosts = hosts
        self._origins = frozenset(origin.encode() for origin in origins)
        self._client_tokens = client_tokens
        self._limit = RefusalLimit() if limit is None else limit

    def refusal(self, headers: Headers, client: object, *, acts: bool) -> Answer | None:
        """Return what a request is refused with, None if it is admitted.

        Args:
            headers: (lower-case name, value) pairs.
            client: address and port of the peer, None if it has none.
            acts: it is to be forwarded or may change something, so it must not come from a
                foreign page, and needs a token where tokens are set.
        """
        named = dict(headers)
        if len(named) < len(headers):  # a field is repeated: its values count together
            named.clear()
            for name, value in headers:
                if name in _LOOKED_AT:
                    named[name] = named[name] + b", " + value if name in named else value
        answer = self._judge(named, acts=acts)
        if answer is not None and not self._limit.take(peer_name(client)):
            return TOO_MANY_REFUSALS
        return answer

    def _judge(self, named: Mapping[bytes, bytes], *, acts: bool) -> Answer | None:
        host = named.get(b"host")
        if not is_own_host(None if host is None else host.decode("latin-1"), self._hosts):
            return MISDIRECTED
        if acts and self._is_foreign(named):
            return CROSS_SITE
        if acts and self._client_tokens:
            token = named.get(CLIENT_TOKEN_HEADER, b"").strip()
            # A hash tells nothing by how long a comparison takes.
            if hashlib.sha256(token).digest() not in self._client_tokens:
                return NO_TOKEN
        return None

    def _is_foreign(self, named: Mapping[bytes, bytes]) -> bool:
        """Return whether a request comes from a page of a site that is not ours."""
        origin = named.get(b"origin")
        if origin is not None and origin in self._origins:
            return False
        if named.get(b"sec-fetch-site", b"none") not in _OWN_SITES:
            return True
        # Older browsers name only the origin; our own pages have our own host there.
        return origin is not None and origin.partition(b"://")[2] != named.get(b"host")


def peer_name(client: object) -> str:
    """Return the name under which refusals to a peer are counted.

    >>> peer_name(("192.0.2.7", 5)), peer_name(("2001:db8::1:2:3:4", 5))
    ('192.0.2.7', '2001:db8::')

    Args:
        client: address and port as ASGI has them.
    """
    if not isinstance(client, tuple | list) or not client:
        return ""
    text = str(client[0])
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        # Whoever has one address of such a network has all of them.
        network = ipaddress.ip_network((address, _PREFIX_OF_ONE_SITE), strict=False)
        return str(network.network_address)
    return text
