"""Which addresses a caller may make the gateway connect to: public ones, and what was allowed.

An address that only this machine, its network or its cloud provider has would let a
caller reach what it cannot reach itself. Names are resolved here, once for each
connection; all their addresses are checked, and the connection goes to one of these.
So a name that changes what it stands for in between gains nothing.

The table is made of the registries of special-purpose addresses (RFC 6890 and what
followed), not of a library's idea of them, which changes with its version.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Final, TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_NOT_PUBLIC: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # Of IPv6 only 2000::/3 is given out; these of it lead elsewhere or nowhere.
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
_GIVEN_OUT: Final = ipaddress.ip_network("2000::/3")

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME: Final = 253


class AddressRefusedError(OSError):
    """A name stands for an address that callers may not be led to."""


def is_public(address: Address) -> bool:
    """Return whether an address is one that anybody can reach.

    >>> is_public(ipaddress.ip_address("93.184.215.14"))
    True
    >>> is_public(ipaddress.ip_address("::ffff:93.184.215.14"))
    False
    """
    if isinstance(address, ipaddress.IPv6Address) and address not in _GIVEN_OUT:
        return False
    return not any(
        address in network for network in _NOT_PUBLIC if network.version == address.version
    )


def is_allowed(address: Address, networks: Iterable[Network]) -> bool:
    """Return whether callers may be led to an address.

    Args:
        address: where a connection would go.
        networks: what the operator allowed beside public addresses.
    """
    return is_public(address) or any(
        address in network for network in networks if network.version == address.version
    )


def read_host(text: str) -> str | Address | None:
    """Return the name or address that a host of a URL is; None if it is neither.

    Forms that only some programs take for an address (decimal, octal, hexadecimal,
    shortened) are neither, and a name does not end in a dot.

    >>> read_host("fcbarcelona.com"), read_host("127.0.0.1")
    ('fcbarcelona.com', IPv4Address('127.0.0.1'))
    >>> read_host("0x7f000002"), read_host("127.1"), read_host("localhost.")
    (None, None, None)

    Args:
        text: lower-case; an IPv6 address without brackets.
    """
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        labels = text.split(".")
    if len(text) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        return None
    return None if _NUMBER.fullmatch(labels[-1]) else text


class CheckedResolver(AbstractResolver):
    """Resolves names, and refuses those of which any address is not allowed."""

    def __init__(self, resolver: AbstractResolver, networks: Iterable[Network]) -> None:
        """Check what another resolver finds.

        Args:
            resolver: finds the addresses.
            networks: what the operator allowed beside public addresses.
        """
        self._resolver = resolver
        self._networks = tuple(networks)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            AddressRefusedError: one of them is not allowed, or there is none.
        """
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            address = ipaddress.ip_address(result["host"].partition("%")[0])
            if not is_allowed(address, self._networks):
                raise AddressRefusedError("the name stands for an address that is not public")
        if not found:
            raise AddressRefusedError("the name stands for no address")
        return found

    async def close(self) -> None:
        """Close the other resolver."""
        await self._resolver.close()
