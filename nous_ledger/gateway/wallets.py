"""The wallet that a request names: recorded as claimed, proved by nothing, never forwarded.

It stands in the path, `/openai/w/0x…/v1/…`, where a client can only be given a base URL,
or in the header `nous-wallet` (also `x-nous-wallet`).

Spec:
    PROTOCOL.md, section "The receipt", field claimed_wallet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_PREFIX: Final = "/w/"
_WALLET: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_HEADERS: Final = frozenset({b"nous-wallet", b"x-nous-wallet"})


class WalletError(Exception):
    """What a request names is no wallet, or it names two."""


def split_wallet(path: str) -> tuple[str, str | None]:
    """Return a path without its wallet, and the wallet's text if there is one.

    >>> split_wallet("/w/0x00000000000000000000000000000000000000aa/v1/models")
    ('/v1/models', '0x00000000000000000000000000000000000000aa')
    >>> split_wallet("/v1/models")
    ('/v1/models', None)

    Args:
        path: path below the route.
    """
    if not path.startswith(_PREFIX):
        return path, None
    wallet, slash, rest = path[len(_PREFIX) :].partition("/")
    return slash + rest, wallet


def claimed_wallet(in_path: str | None, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the wallet that a request names, 20 bytes; None if it names none.

    Args:
        in_path: the wallet of the path.
        headers: (lower-case name, value) pairs.

    Raises:
        WalletError: one is not `0x` and 40 hex digits, or there are two different ones.
    """
    named = [value.decode("latin-1").strip() for name, value in headers if name in _HEADERS]
    if in_path is not None:
        named.append(in_path)
    if not named:
        return None
    if not all(_WALLET.fullmatch(text) for text in named):
        raise WalletError
    wallets = {bytes.fromhex(text[2:]) for text in named}
    if len(wallets) > 1:
        raise WalletError
    return wallets.pop()
