"""Under which names the gateway answers.

A page in a browser on this machine can send requests to the gateway. It cannot
read the answers, unless its own name is made to lead here (DNS rebinding): then
the browser takes the gateway for the page's server. Such a request still says
which name it is for; one that is meant for us names this machine or an address.
"""

from __future__ import annotations

import contextlib
import ipaddress
from functools import lru_cache
from typing import Final

_LOCAL: Final = "localhost"
_LONGEST: Final = 300
"""Characters of a name and a port; what is longer is neither."""


def is_own_host(value: str | None, further: frozenset[str]) -> bool:
    """Return whether a request's Host is one that the gateway answers under.

    Args:
        value: the header field; None where there is none, which no browser sends.
        further: names beside `localhost` and addresses, in lower case.

    >>> is_own_host("localhost:8787", frozenset()), is_own_host("[::1]", frozenset())
    (True, True)
    >>> is_own_host("evil.example:8787", frozenset())
    False
    """
    if value is None:
        return True
    return len(value) <= _LONGEST and _is_own(value, further)


@lru_cache(maxsize=256)
def _is_own(value: str, further: frozenset[str]) -> bool:
    if value.startswith("["):
        name = value[1:].partition("]")[0]
    else:
        name = value.partition(":")[0].lower().removesuffix(".")
    if name == _LOCAL or name.endswith(f".{_LOCAL}") or name in further:
        return True
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False
