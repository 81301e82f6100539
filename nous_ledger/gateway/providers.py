"""Which calls are metered, and where each provider lives.

The first segment of a path names a route; the rest of the path goes to the
route's upstream unchanged. A receipt names a provider only when the call went
to that provider's own host: any other upstream is recorded as `custom`, however
the operator called the route.

Spec:
    PROTOCOL.md, section "The receipt", fields provider, upstream, operation, api.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.receipt import UPSTREAM_FORM
from nous_ledger.protocol.registries import API

CUSTOM_PROVIDER: Final = "custom"
OPERATION_CHAT: Final = "chat"
OPERATION_OTHER: Final = "other"

API_OTHER: Final = API["other"]
API_CHAT: Final = API["openai.chat"]
API_RESPONSES: Final = API["openai.responses"]
API_MESSAGES: Final = API["anthropic.messages"]

_VERSION: Final = re.compile(r"/v\d+[a-z0-9]*(?=/)")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One provider as the gateway knows it.

    Attributes:
        name: first path segment, and the provider's name in receipts.
        base_url: where the provider serves its API.
        apis: wire format of each metered path, without its version segment.
        request_id_header: response header with the provider's id of the call.
    """

    name: str
    base_url: str
    apis: Mapping[str, int]
    request_id_header: str

    def api(self, method: str, path: str) -> int:
        """Return the wire format of a call, `API_OTHER` if it is not metered.

        Args:
            method: HTTP method.
            path: path below the route, starting with a slash.
        """
        if method != "POST":
            return API_OTHER
        return self.apis.get(_VERSION.sub("", path.rstrip("/"), count=1), API_OTHER)


ROUTES: Final[Mapping[str, Route]] = MappingProxyType(
    {
        "openai": Route(
            name="openai",
            base_url="https://api.openai.com",
            apis={"/chat/completions": API_CHAT, "/responses": API_RESPONSES},
            request_id_header="x-request-id",
        ),
        "anthropic": Route(
            name="anthropic",
            base_url="https://api.anthropic.com",
            apis={"/messages": API_MESSAGES},
            request_id_header="request-id",
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where the calls of one route go.

    Attributes:
        route: what the gateway knows of the provider.
        base_url: scheme, host, port and path prefix, without a final slash.
        host: host[:port] as receipts name it; the scheme's own port is left out.
        provider: provider name for receipts.
    """

    route: Route
    base_url: str
    host: str
    provider: str


def make_upstream(route: Route, base_url: str = "") -> Upstream:
    """Return the upstream of a route.

    Args:
        route: one of `ROUTES`.
        base_url: http or https URL without credentials, query or fragment;
            empty for the provider's own.

    Raises:
        InputError: the URL is not of that form.
    """
    url = base_url.rstrip("/") or route.base_url
    host = _receipt_host(url)
    own = host == _receipt_host(route.base_url) and url.startswith("https://")
    return Upstream(
        route=route,
        base_url=url,
        host=host,
        provider=route.name if own else CUSTOM_PROVIDER,
    )


def _receipt_host(url: str) -> str:
    try:
        parts = urlsplit(url)
        name, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _bad_url() from error
    if parts.scheme not in _DEFAULT_PORTS or "@" in parts.netloc or parts.query or parts.fragment:
        raise _bad_url()
    host = f"[{name}]" if ":" in name else name
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        host += f":{port}"
    if not re.fullmatch(UPSTREAM_FORM, host):
        raise _bad_url()
    return host


def _bad_url() -> InputError:
    # The URL itself is not repeated: it may hold a password.
    return InputError(
        "input",
        "an upstream is an http or https URL with a host and no credentials, query or fragment",
        hint="for example https://api.openai.com",
    )
