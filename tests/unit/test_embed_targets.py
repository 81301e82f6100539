"""Which requests of a program are LLM calls, and of which provider."""

import pytest

from nous_ledger.embed.targets import Targets
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.registries import API

LOCAL = "http://127.0.0.1:9999"
TARGETS = Targets(
    {"openai": f"{LOCAL}/v1", "anthropic": LOCAL, "custom-lab": "https://lab.example"}
)


def _found(origin: str, target: str, method: str = "POST") -> tuple[str, str, str] | None:
    found = TARGETS.find(method, origin, target.encode())
    if found is None:
        return None
    return found.upstream.provider, found.upstream.host, API.name_of(found.shape.api)


@pytest.mark.parametrize(
    ("origin", "target", "expected"),
    [
        (
            "https://api.openai.com",
            "/v1/chat/completions",
            ("openai", "api.openai.com", "openai.chat"),
        ),
        (
            "https://api.anthropic.com",
            "/v1/messages?beta=true",
            ("anthropic", "api.anthropic.com", "anthropic.messages"),
        ),
        (
            "https://generativelanguage.googleapis.com",
            "/v1beta/models/gemini-demo:generateContent?key=k",
            ("gemini", "generativelanguage.googleapis.com", "gemini.generate"),
        ),
        (LOCAL, "/v1/chat/completions", ("custom", "127.0.0.1:9999", "openai.chat")),
        (LOCAL, "/v1/messages", ("custom", "127.0.0.1:9999", "anthropic.messages")),
        ("https://lab.example", "/v1/embeddings", ("custom", "lab.example", "openai.embeddings")),
        # A path that may lead elsewhere gets a receipt although nothing of it is read.
        ("https://api.openai.com", "/v1/%2e%2e/x", ("openai", "api.openai.com", "other")),
    ],
)
def test_calls(origin: str, target: str, expected: tuple[str, str, str]) -> None:
    assert _found(origin, target) == expected
    assert _found(origin, target) == expected  # from what was kept, too


@pytest.mark.parametrize(
    ("origin", "target"),
    [
        ("https://api.openai.com", "/v1/models"),
        ("https://api.openai.com:8443", "/v1/chat/completions"),
        ("http://api.openai.com", "/v1/chat/completions"),  # not by https: nobody's
        ("https://api.openai.com.example", "/v1/chat/completions"),
        ("https://example.com", "/v1/chat/completions"),
        ("http://127.0.0.1:99990", "/v1/messages"),
        ("https://[::1", "/v1/messages"),
    ],
)
def test_none(origin: str, target: str) -> None:
    assert _found(origin, target) is None


def test_the_method_counts() -> None:
    assert _found("https://api.openai.com", "/v1/chat/completions", "GET") is None


@pytest.mark.parametrize("upstreams", [{"nobody": LOCAL}, {"openai": "ftp://x"}])
def test_what_is_configured_is_checked(upstreams: dict[str, str]) -> None:
    with pytest.raises(InputError):
        Targets(upstreams)
