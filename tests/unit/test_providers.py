"""The provider table: what is metered, how paths are read, whose name a receipt gives."""

import re
import tomllib
from importlib.resources import files
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.gateway.paths import MAX_PATH_BYTES, compile_template, read_path
from nous_ledger.gateway.provider_table import UNMETERED, load_table
from nous_ledger.gateway.providers import (
    API_CHAT,
    API_OTHER,
    ROUTES,
    find_route,
    make_upstream,
)
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.registries import API
from tests.architecture.repository import ROOT

METERED = [
    ("openai", "/v1/chat/completions", "openai.chat", "chat", None),
    ("openai", "/chat/completions", "openai.chat", "chat", None),
    ("openai", "/v1/chat/completions/", "openai.chat", "chat", None),
    ("openai", "/v1/responses", "openai.responses", "chat", None),
    ("openai", "/v1/responses/compact", "openai.responses", "chat", None),
    ("openai", "/v1/completions", "openai.completions", "text_completion", None),
    ("openai", "/v1/embeddings", "openai.embeddings", "embeddings", None),
    ("openai", "/v1/images/edits", "openai.images", "image_generation", None),
    ("openai", "/v1/audio/speech", "openai.audio", "speech", None),
    ("anthropic", "/v1/messages", "anthropic.messages", "chat", None),
    ("gemini", "/v1beta/models/g-2:generateContent", "gemini.generate", "generate_content", "g-2"),
    ("gemini", "/v1/models/g-2:streamGenerateContent", "gemini.generate", "generate_content",
     "g-2"),
    ("gemini", "/v1beta/openai/chat/completions", "openai.chat", "chat", None),
    ("vertex", "/v1/projects/p/locations/l/publishers/google/models/g:generateContent",
     "gemini.generate", "generate_content", "g"),
    ("vertex", "/v1/projects/p/locations/l/publishers/anthropic/models/c@1:streamRawPredict",
     "anthropic.messages", "chat", "c@1"),
    ("vertex", "/v1/projects/p/locations/l/endpoints/openapi/chat/completions", "openai.chat",
     "chat", None),
    ("bedrock", "/model/us.a-v1%3A0/converse", "bedrock.converse", "chat", "us.a-v1:0"),
    ("bedrock", "/model/arn%3Aaws%3Abedrock%3A%3A1%3Ax%2Fus.a/converse-stream",
     "bedrock.converse", "chat", "arn:aws:bedrock::1:x/us.a"),
    ("cohere", "/v2/chat", "cohere.v2", "chat", None),
    ("cohere", "/v2/rerank", "cohere.v2", "rerank", None),
    ("cohere", "/compatibility/v1/chat/completions", "openai.chat", "chat", None),
    ("mistral", "/v1/chat/completions", "mistral.chat", "chat", None),
    ("mistral", "/v1/fim/completions", "mistral.chat", "text_completion", None),
    ("mistral", "/v1/embeddings", "openai.embeddings", "embeddings", None),
    ("ollama", "/api/chat", "ollama.chat", "chat", None),
    ("ollama", "/api/generate", "ollama.generate", "text_completion", None),
    ("ollama", "/v1/chat/completions", "openai.chat", "chat", None),
    ("azure-openai", "/openai/deployments/d%C3%A9p/chat/completions", "openai.chat", "chat",
     "dép"),
    ("azure-openai", "/openai/v1/responses", "openai.responses", "chat", None),
    ("deepseek", "/anthropic/v1/messages", "anthropic.messages", "chat", None),
    ("groq", "/openai/v1/chat/completions", "openai.chat", "chat", None),
    ("together", "/v1/completions", "openai.completions", "text_completion", None),
    ("openrouter", "/api/v1/chat/completions", "openai.chat", "chat", None),
    ("fireworks", "/inference/v1/chat/completions", "openai.chat", "chat", None),
    ("perplexity", "/chat/completions", "openai.chat", "chat", None),
    ("xai", "/v1/chat/completions", "openai.chat", "chat", None),
    ("vllm", "/v1/chat/completions", "openai.chat", "chat", None),
    ("custom", "/any/prefix/v1/chat/completions", "openai.chat", "chat", None),
]  # fmt: skip


@pytest.mark.parametrize(("route", "path", "api", "operation", "model"), METERED)
def test_metered_paths(route: str, path: str, api: str, operation: str, model: str | None) -> None:
    shape = ROUTES[route].shape("POST", path)
    assert shape is not None
    assert (shape.api, shape.operation, shape.model) == (API[api], operation, model)
    assert shape.stream == ("stream" in path.rpartition("/")[2].rpartition(":")[2] and
                            "rawpredict" not in path.lower())  # fmt: skip
    assert ROUTES[route].shape("GET", path) == UNMETERED


@pytest.mark.parametrize(
    ("route", "path"),
    [
        ("openai", "/v1/responses/resp_1/cancel"),
        ("openai", "/v1/chat/completions/chatcmpl-1"),
        ("openai", "/v1/messages"),
        ("openai", "/v1/threads/t/messages"),
        ("custom", "/v1/threads/t/messages"),
        ("anthropic", "/v1/messages/count_tokens"),
        ("anthropic", "/v1/messages/batches"),
        ("anthropic", ""),
        ("gemini", "/v1beta/models/g:countTokens"),
        ("bedrock", "/model/m/invoke"),
        ("cohere", "/v1/chat"),
        ("ollama", "/api/embed"),
    ],
)
def test_paths_that_are_not_metered(route: str, path: str) -> None:
    assert ROUTES[route].shape("POST", path) == UNMETERED
    assert UNMETERED.api == API_OTHER


@pytest.mark.parametrize(
    "path",
    [
        "/v1//chat/completions",
        "//v1/chat/completions",
        "/v1/chat/completions//",
        "/v1%2fchat/completions",
        "/v1/chat%2Fcompletions",
        "/v1/%63hat/completions",
        "/v1/%2563hat/completions",
        "/V1/Chat/COMPLETIONS",
        "/v1/chat/completions;a=b",
        "/v1;x/chat;y/completions;z",
        "/v1/chat/completions%20",
        "/v1/chat/completions.",
        "/v1/chat/completions%3Fa=b",
        "/v1/chat/completions%23a",
        "/v1/v1/chat/completions",
    ],
)
def test_no_spelling_of_a_path_is_billed_and_not_counted(path: str) -> None:
    """Some server takes each of these for a chat completion, so it is metered as one."""
    shape = ROUTES["openai"].shape("POST", path)
    assert shape is not None
    assert shape.api == API_CHAT


@pytest.mark.parametrize(
    "path",
    [
        "/v1/./chat/completions",
        "/v1/x/../chat/completions",
        "/v1/x/%2e%2e/chat/completions",
        "/v1/x/%252e%252E/chat/completions",
        "/..;/v1/chat/completions",
        "/v1/..%2fchat/completions",
        "/v1/%20../chat/completions",
        "/v1\\chat/completions",
        "/v1%5cchat/completions",
        "/v1/chat/completions#x",
        "/v1/chat/completions%00",
        "/v1/chat%0a/completions",
        "/v1/%2525252563hat/completions",
        "/" + "a" * MAX_PATH_BYTES,
    ],
)
def test_paths_that_are_refused(path: str) -> None:
    assert read_path(path) is None
    assert ROUTES["openai"].shape("POST", path) is None


@given(st.text(st.sampled_from("ab/.%2ef;\\ ?#"), max_size=24))
def test_reading_a_path_twice_changes_nothing_and_leads_nowhere_else(text: str) -> None:
    path = read_path("/" + text)
    if path is not None:
        assert not {"", ".", ".."} & set(path[1:].split("/")) or path == "/"
        assert read_path(quote(path.encode("latin-1"), safe="/%")) in (path, None)


@pytest.mark.parametrize(
    ("route", "url", "host", "provider"),
    [
        ("openai", "", "api.openai.com", "openai"),
        ("openai", "https://api.openai.com/", "api.openai.com", "openai"),
        ("openai", "https://API.OpenAI.com:443", "api.openai.com", "openai"),
        ("openai", "https://eu.api.openai.com", "eu.api.openai.com", "openai"),
        ("openai", "https://a.eu.api.openai.com", "a.eu.api.openai.com", "custom"),
        ("openai", "http://api.openai.com", "api.openai.com", "custom"),
        ("openai", "https://api.openai.com:8443", "api.openai.com:8443", "custom"),
        ("openai", "https://api.openai.com.evil.example/v1", "api.openai.com.evil.example",
         "custom"),
        ("openai", "https://apixopenai.com", "apixopenai.com", "custom"),
        ("openai", "https://api.anthropic.com", "api.anthropic.com", "custom"),
        ("openai", "http://127.0.0.1:8080/base", "127.0.0.1:8080", "custom"),
        ("openai", "http://[::1]:80", "[::1]", "custom"),
        ("ollama", "", "127.0.0.1:11434", "custom"),
        ("ollama", "https://ollama.com", "ollama.com", "ollama"),
        ("vllm", "http://127.0.0.1:8000", "127.0.0.1:8000", "custom"),
        ("custom", "https://api.openai.com", "api.openai.com", "custom"),
        ("custom-lab", "https://lab.example/v1", "lab.example", "custom"),
        ("bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com",
         "bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"),
        ("bedrock", "https://bedrock-runtime.evil.example/.amazonaws.com",
         "bedrock-runtime.evil.example", "custom"),
        ("azure-openai", "https://mine.openai.azure.com", "mine.openai.azure.com", "azure-openai"),
        ("vertex", "https://us-east1-aiplatform.googleapis.com",
         "us-east1-aiplatform.googleapis.com", "vertex"),
        ("vertex", "", "aiplatform.googleapis.com", "vertex"),
    ],
)  # fmt: skip
def test_only_its_own_host_is_recorded_under_a_providers_name(
    route: str, url: str, host: str, provider: str
) -> None:
    """RCPT-6: and every recorded host has the form of the field."""
    upstream = make_upstream(find_route(route), url)
    assert (upstream.host, upstream.provider) == (host, provider)


@pytest.mark.parametrize("url", ["", "http://h", "https://h:444", "https://h.example/a/b"])
def test_a_made_up_host_is_custom_on_every_route(url: str) -> None:
    for name, route in ROUTES.items():
        if url:
            assert make_upstream(route, url).provider == "custom"
        elif route.base_url.startswith("https://"):
            assert make_upstream(route).provider == name
            assert re.fullmatch("[a-z0-9._-]{1,64}", name)  # RCPT-5


@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com",
        "ftp://x",
        "https://",
        "https://user:secret@h",
        "https://h?x=1",
        "https://h/?",
        "https://h#f",
        "https://h/#",
        "https://h:99999",
        "https://[::1",
        "https://ho st",
        "https://h/a\tb",
        "https://h\\x",
        "https://exämple.com",
    ],
)
def test_other_upstream_urls_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InputError) as caught:
        make_upstream(ROUTES["openai"], url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["vllm", "bedrock", "azure-openai", "custom"])
def test_a_route_without_an_upstream_of_its_own_needs_one(name: str) -> None:
    with pytest.raises(InputError):
        make_upstream(ROUTES[name])


@pytest.mark.parametrize("name", ["nobody", "custom-", "custom-A", "custom-a/b", ""])
def test_a_route_that_nobody_defined(name: str) -> None:
    with pytest.raises(InputError):
        find_route(name)


def test_the_whole_path_counts_that_the_upstream_sees() -> None:
    upstream = make_upstream(ROUTES["custom"], "http://127.0.0.1:1/v1/chat")
    shape = upstream.shape("POST", "/completions")
    assert shape is not None
    assert shape.api == API_CHAT
    assert make_upstream(ROUTES["custom"], "http://h/a/..").shape("POST", "/x") is None


@pytest.mark.parametrize(
    ("route", "query", "asks"),
    [
        ("openai", b"", True),
        ("mistral", b"", False),
        ("groq", b"", False),
        ("azure-openai", b"", True),
        ("azure-openai", b"api-version=2024-06-01", False),
        ("azure-openai", b"api-version=2024-09-01-preview", True),
        ("azure-openai", b"api-version=preview", True),
    ],
)
def test_who_is_asked_for_usage(route: str, query: bytes, asks: bool) -> None:
    assert ROUTES[route].may_ask(query) is asks


TABLE = """
[[formats.f]]
path = "/chat"
api = "openai.chat"
operation = "chat"
[providers.p]
base_url = "https://p.example"
formats = ["f"]
request_id = "x-request-id"
credentials = ["authorization"]
errors = "openai"
include_usage = "ask"
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "=", "providers.toml, the table: "),
        ('errors = "openai"', 'errors = "odd"', "providers.p: 'odd' is not known here"),
        ('errors = "openai"', "", "providers.p: 'errors' is missing"),
        ('errors = "openai"', 'error = "openai"', "providers.p: 'error' is not one of base_url"),
        ('formats = ["f"]', 'formats = ["g"]', "providers.p: 'g' is not known here"),
        ('formats = ["f"]', 'formats = "f"', "providers.p: 'formats' is not a list"),
        ('"openai.chat"', '"openai.chatty"', "formats.f: "),
        ('"/chat"', '"chat"', "formats.f: 'chat' is not a path template"),
        ('"/chat"', '"/*/chat"', "formats.f: '/*/chat' is not a path template"),
        ('["authorization"]', '["cookie"]', "providers.p: 'cookie' is not known here"),
        ('"ask"', '"sometimes"', "providers.p: 'sometimes' is not known here"),
        ("[providers.p]", "[providers.P]", "providers.P: 'P' is not known here"),
        ("[providers.p]", "[provider.p]", "the table: 'provider' is not one of"),
    ],
)
def test_a_fault_of_the_table_names_its_place(old: str, new: str, said: str) -> None:
    assert "p" in load_table(TABLE)
    faulty = TABLE.replace(old, new) if old else TABLE + new
    with pytest.raises(InputError, match=re.escape(said)):
        load_table(faulty)


def test_every_row_and_every_format_of_the_table_is_of_use() -> None:
    text = files("nous_ledger.gateway").joinpath("providers.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    used = {name for row in table["providers"].values() for name in row["formats"]}
    assert used == set(table["formats"])
    metered = {path.shape.api for route in ROUTES.values() for path in route.paths}
    assert metered == {number for _, number in API.items()} - {API_OTHER}


def test_a_template_with_an_odd_wildcard_is_refused() -> None:
    for template in ("/a/{b}", "/**x", "/a%2f", "a"):
        with pytest.raises(InputError):
            compile_template(template)


DOCUMENT = (ROOT / "docs/providers.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| `([a-z-]+)`[^|]*\| ([^|]+) \|[^|]+\| ([^|]+) \|$", re.MULTILINE)


def test_the_page_names_every_route_and_says_whose_streams_are_asked() -> None:
    rows = {name: (goes_to, asked) for name, goes_to, asked in _ROW.findall(DOCUMENT)}
    assert set(rows) >= set(ROUTES)
    for name, route in ROUTES.items():
        goes_to, asked = rows[name]
        assert route.base_url.partition("://")[2] == goes_to or "to be configured" in goes_to
        assert ("yes" in asked) == (route.asks_for_usage and "openai.chat" in _apis(name))


def _apis(name: str) -> set[str]:
    return {API.name_of(path.shape.api) for path in ROUTES[name].paths}


def test_the_page_names_every_wire_format() -> None:
    named = set(re.findall(r"^\| `([a-z0-9.]+)` \|", DOCUMENT, re.MULTILINE))
    assert named >= {name for name, _ in API.items()} - {"other"}
