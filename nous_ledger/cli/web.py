"""Reading from a gateway over HTTP: bounded, without redirects, with short waits.

Spec:
    PROTOCOL.md, section "Readers over HTTP" (SERV-8).
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from nous_ledger.cli.terminal import printable
from nous_ledger.protocol.errors import FormatError, InputError, UnavailableError

IDLE_SECONDS: Final = 10
MAX_ERROR_BYTES: Final = 4096
MAX_SHOWN: Final = 200
SECRET_HEADERS: Final = frozenset({"nous-opening"})

_Parsed = TypeVar("_Parsed")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the answer must come from the host that was named."""

    def redirect_request(self, *_: object) -> None:
        """Take no other address."""


def fetch(base: str, path: str, limit: int, headers: dict[str, str] | None = None) -> bytes:
    """Return the body of a GET request to a gateway.

    Args:
        base: http or https address of the gateway, without credentials.
        path: what to get below it.
        limit: most bytes of the body.
        headers: further request headers; their values never reach a message.

    Raises:
        InputError: the address is not of that form, or a secret header would
            leave this machine unencrypted.
        UnavailableError: unreachable (also for every status other than 200, and
            for a body over the limit).
    """
    parts = _gateway_address(base)
    local = _is_loopback(parts.hostname or "")
    if parts.scheme == "http" and not local and SECRET_HEADERS.intersection(headers or ()):
        raise InputError(
            "input",
            f"an opening does not go unencrypted to {parts.hostname}",
            hint="use https, or a tunnel to 127.0.0.1",
        )
    url = f"{base.rstrip('/')}{path}"
    request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 - checked above
    # What serves this machine is not asked for through a proxy of another one.
    proxies = [urllib.request.ProxyHandler({})] if local else []
    opener = urllib.request.build_opener(_NoRedirects, *proxies)
    try:
        with opener.open(request, timeout=IDLE_SECONDS) as answer:
            data: bytes = answer.read(limit + 1)
            status, missing = answer.status, answer.length
    except urllib.error.HTTPError as error:
        raise _unreachable(url, f"answered {error.code}: {_explanation(error)}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise _unreachable(url, f"could not be read: {reason}") from error
    if status != http.client.OK:
        raise _unreachable(url, f"answered {status}")
    if len(data) > limit:
        raise _unreachable(url, f"answered with more than {limit} bytes")
    if missing:
        raise _unreachable(url, "ended its answer early")
    return data


def parse_answer(data: bytes, parse: Callable[[bytes], _Parsed], what: str) -> _Parsed:
    """Return what a gateway's answer says.

    Raises:
        UnavailableError: unreachable, if it is not of the form that was asked for:
            whatever answered there is no gateway of this kind, which proves nothing.
    """
    try:
        return parse(data)
    except FormatError as error:
        raise UnavailableError(
            "unreachable",
            f"the address did not answer with {what}: {error.message}",
            hint="name the base URL of a nous-ledger gateway",
        ) from error


def _gateway_address(url: str) -> SplitResult:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        plain = "@" not in parts.netloc and not parts.query and not parts.fragment
        if plain and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    # The address is not repeated where it is refused: it may hold a password.
    raise InputError(
        "input",
        "the address of a gateway is an http or https URL without credentials or query",
        hint="for example http://127.0.0.1:8787",
    )


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _explanation(error: urllib.error.HTTPError) -> str:
    """Return what an error answer says: the message of our read API, or its beginning."""
    text = ""
    with error, contextlib.suppress(OSError, http.client.HTTPException):
        text = error.read(MAX_ERROR_BYTES).decode("utf-8", "replace")
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        text = str(json.loads(text)["error"]["message"])
    return printable(text or error.reason)[:MAX_SHOWN]


def _unreachable(url: str, what: str) -> UnavailableError:
    return UnavailableError(
        "unreachable", f"{url} {what}", hint="check the address, and that the gateway runs"
    )
