"""The environment variables by which client libraries learn where a provider is.

Each is documented by the library that reads it: the OpenAI and Anthropic SDKs
(README, "base_url"), the Groq SDK (README), google-genai (`HttpOptions`, "Custom
base url"), the Cohere SDK (`ClientV2`, parameter base_url) and Ollama (FAQ, "How do
I configure Ollama server").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from nous_ledger.protocol.errors import InputError

DEFAULT_GATEWAY: Final = "http://127.0.0.1:8787"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseUrl:
    """One variable.

    Attributes:
        variable: its name.
        route: the gateway's route for that provider.
        suffix: what the library expects of the provider's path within the base URL.
        listens: the variable also tells a server where to listen, so it is set for
            one command at most, never for all.
    """

    variable: str
    route: str
    suffix: str = ""
    listens: bool = False

    def at(self, gateway: str) -> str:
        """Return the value that leads to a gateway."""
        return f"{gateway}/{self.route}{self.suffix}"


BASE_URLS: Final = (
    BaseUrl(variable="OPENAI_BASE_URL", route="openai", suffix="/v1"),
    BaseUrl(variable="ANTHROPIC_BASE_URL", route="anthropic"),
    BaseUrl(variable="GROQ_BASE_URL", route="groq"),
    BaseUrl(variable="GOOGLE_GEMINI_BASE_URL", route="gemini"),
    BaseUrl(variable="CO_API_URL", route="cohere"),
    # `ollama serve` listens where it points.
    BaseUrl(variable="OLLAMA_HOST", route="ollama", listens=True),
)


def served_urls() -> tuple[BaseUrl, ...]:
    """Return the variables of the routes that this release's gateway has."""
    from nous_ledger.gateway.providers import ROUTES

    return tuple(url for url in BASE_URLS if url.route in ROUTES)


def check_gateway_url(text: str) -> str:
    """Return a gateway's base URL without its final slash.

    >>> check_gateway_url("http://127.0.0.1:8787/")
    'http://127.0.0.1:8787'

    Raises:
        InputError: it is not an http or https URL of plain characters, or holds
            credentials, a query or a fragment. It is not repeated: it may hold a password.
    """
    try:
        parts = urlsplit(text)
        plain = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        plain = False
    if not plain or not text.isascii() or any(c in text for c in "@?#\"'\\$`%;&|<> \t\r\n"):
        raise InputError(
            "input",
            "the gateway's address is not an http or https URL without credentials and query",
            hint=f"for example {DEFAULT_GATEWAY}",
        )
    return text.rstrip("/")
