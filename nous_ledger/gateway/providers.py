"""Where calls go, and under which provider's name they are recorded.

The first segment of a path names a route; the rest of the path goes to the
route's upstream unchanged. A receipt names a provider only when the call went
to one of that provider's own hosts: any other upstream is recorded as `custom`,
however the operator called the route. The routes stand in `providers.toml`.

Spec:
    PROTOCOL.md, section "The receipt", fields provider, upstream, operation, api.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from nous_ledger.gateway.paths import CallShape
from nous_ledger.gateway.provider_table import Route, load_table
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.receipt import UPSTREAM_FORM
from nous_ledger.protocol.registries import API

CUSTOM_PROVIDER: Final = "custom"

API_OTHER: Final = API["other"]
API_CHAT: Final = API["openai.chat"]
API_RESPONSES: Final = API["openai.responses"]
API_COMPLETIONS: Final = API["openai.completions"]
API_EMBEDDINGS: Final = API["openai.embeddings"]
API_IMAGES: Final = API["openai.images"]
API_AUDIO: Final = API["openai.audio"]
API_MESSAGES: Final = API["anthropic.messages"]
API_GEMINI: Final = API["gemini.generate"]
API_CONVERSE: Final = API["bedrock.converse"]
API_COHERE: Final = API["cohere.v2"]
API_OLLAMA_CHAT: Final = API["ollama.chat"]
API_OLLAMA_GENERATE: Final = API["ollama.generate"]
API_MISTRAL: Final = API["mistral.chat"]

ROUTES: Final[Mapping[str, Route]] = load_table(
    files("nous_ledger.gateway").joinpath("providers.toml").read_text(encoding="utf-8")
)

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_FURTHER: Final = re.compile(r"custom-[a-z0-9-]{1,32}")
_ODD: Final = re.compile(r"[\s\x00-\x1f\x7f\\?#]")


def find_route(name: str) -> Route:
    """Return the route of a name: one of `ROUTES`, or `custom-NAME`.

    Raises:
        InputError: no route is called so.
    """
    if name in ROUTES:
        return ROUTES[name]
    if _FURTHER.fullmatch(name):
        return replace(ROUTES[CUSTOM_PROVIDER], name=name)
    raise InputError(
        "input", f"no route is called {name!r}", hint=f"{', '.join(ROUTES)}, custom-NAME"
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

    def shape(self, method: str, path: str) -> CallShape | None:
        """Return what a call is, by the whole path that the upstream sees.

        Args:
            method: HTTP method.
            path: path below the route, without its query.

        Returns:
            What the call is; None if such a path is not forwarded.
        """
        return self.route.shape(method, urlsplit(self.base_url).path + path)


def make_upstream(route: Route, base_url: str = "") -> Upstream:
    """Return the upstream of a route.

    Args:
        route: as `find_route` gives it.
        base_url: http or https URL without credentials, query or fragment;
            empty for the provider's own.

    Raises:
        InputError: the URL is not of that form, or none is given and the provider
            has none of its own.
    """
    url = base_url.rstrip("/") or route.base_url
    host = _receipt_host(url)
    own = url.startswith("https://") and any(form.fullmatch(host) for form in _own_hosts(route))
    return Upstream(
        route=route,
        base_url=url,
        host=host,
        provider=route.name if own else CUSTOM_PROVIDER,
    )


def _own_hosts(route: Route) -> tuple[re.Pattern[str], ...]:
    if not route.base_url.startswith("https://"):
        return route.hosts
    return (re.compile(re.escape(_receipt_host(route.base_url))), *route.hosts)


def _receipt_host(url: str) -> str:
    try:
        parts = urlsplit(url)
        name, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _bad_url() from error
    if parts.scheme not in _DEFAULT_PORTS or "@" in parts.netloc or _ODD.search(url):
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
