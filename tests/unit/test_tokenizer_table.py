"""The table of tokenizers: which models it knows, and that faults in one are named."""

import copy
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.gateway.providers import ROUTES
from nous_ledger.reconcile.counting import engine_for
from nous_ledger.reconcile.tokenizers import builtin_table, extended_table, read_table
from tests.refusals import code_of

DOCUMENT = tomllib.loads(
    files("nous_ledger.reconcile").joinpath("tokenizers.toml").read_text("utf-8")
)


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-4-turbo-2024-04-09", "cl100k_base"),
        ("gpt-3.5-turbo-0125", "cl100k_base"),
    ],
)
def test_known_models(model: str, encoding: str) -> None:
    rule = builtin_table().rule("openai", model)
    assert rule is not None
    assert rule.encoding.name == encoding
    assert rule.method() == f"{encoding}/1"
    assert (rule.lowest, rule.highest, rule.pinned) == (0, 1, False)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", None),
        ("openai", "gpt-4o-audio-preview"),
        ("openai", "gpt-4o-realtime-preview"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::8a7b"),
        ("openai", "gpt-9"),
        ("openai", "o3-mini"),
        ("openai", "gpt-5"),
        ("openai", "GPT-4o"),
        ("openai", "gpt-4o\n"),
        ("custom", "gpt-4o"),
        ("openrouter", "openai/gpt-4o"),
        ("anthropic", "gpt-4o"),
        ("openrouter", "meta-llama/llama-3.3-70b-instruct"),
        ("custom", "llama-3.3-70b-versatile"),
        ("mistral", "mistral-small-latest"),
        ("mistral", "ft:open-mistral-nemo:acme:20261001:0a1b"),
        ("mistral", "magistral-medium-2506"),
        ("together", "me/Llama-3.3-70B-Instruct-Turbo-ft-acme"),
        ("groq", "openai/gpt-oss-120b"),
        ("fireworks", "accounts/acme/models/llama-v3p3-70b-instruct"),
        ("deepseek", "deepseek-chat-lite"),
    ],
)
def test_models_of_which_nothing_is_known(provider: str, model: str | None) -> None:
    """TOK-4: unknown models, fine-tuned ones and other people's are never EXACT."""
    assert builtin_table().rule(provider, model) is None


@pytest.mark.parametrize(
    ("provider", "model", "encoding", "thinks"),
    [
        ("deepseek", "deepseek-chat", "deepseek-v3", False),
        ("deepseek", "deepseek-reasoner", "deepseek-v3", True),
        ("deepseek", "deepseek-v4-pro", "deepseek-v3", True),
        ("together", "deepseek-ai/DeepSeek-V3", "deepseek-v3", False),
        ("together", "Qwen/Qwen2.5-72B-Instruct-Turbo", "qwen2", False),
        ("groq", "qwen/qwen3-32b", "qwen2", True),
        ("mistral", "open-mistral-nemo", "tekken", False),
        ("mistral", "ministral-8b-2410", "tekken", False),
        ("groq", "llama-3.3-70b-versatile", "llama3", False),
        ("fireworks", "accounts/fireworks/models/llama-v3p1-405b-instruct", "llama3", False),
        ("together", "meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4", False),
    ],
)
def test_models_of_open_weights(provider: str, model: str, encoding: str, thinks: bool) -> None:
    """What thinks has no pinned offset yet, so nothing of it is EXACT."""
    rule = builtin_table().rule(provider, model)
    assert rule is not None
    assert (rule.encoding.name, rule.thinks, rule.pinned) == (encoding, thinks, False)
    assert (rule.lowest, rule.highest) == (0, 1)


def test_no_row_names_a_broker_or_an_unknown_upstream() -> None:
    """TOK-4."""
    providers = {name for rule in builtin_table().rules for name in rule.providers}
    assert providers.isdisjoint({"custom", "openrouter", "vllm", "ollama"})
    assert providers <= ROUTES.keys()


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base", "deepseek-v3", "qwen2", "qwen3.5"])
def test_encodings_have_their_engine(name: str) -> None:
    assert engine_for(builtin_table().encodings[name])("hello world") == 2


OWN = """
[encodings.deepseek-v3]
path = "ds/tokenizer.json"

[encodings.mine]
vocabulary = "%s"
engine = "tokenizers"
form = "tokenizer.json"
path = "/models/mine.json"

[[models]]
providers = ["custom"]
upstreams = ["vllm.internal:8000"]
names = 'mine-.*'
encoding = "mine"
offsets = [1, 1]
hidden = "none"
pinned = true
""" % ("ab" * 32)


def test_an_operator_adds_files_encodings_and_models() -> None:
    table = extended_table(OWN.encode(), Path("/etc/nous"))
    assert table.encodings["deepseek-v3"].file == "/etc/nous/ds/tokenizer.json"
    assert table.encodings["deepseek-v3"].package == ""
    assert table.encodings["mine"].own
    assert not table.encodings["deepseek-v3"].own
    moved = table.rule("deepseek", "deepseek-chat")
    assert moved is not None
    assert moved.encoding is table.encodings["deepseek-v3"]
    own = table.rule("custom", "mine-7b", "vllm.internal:8000")
    assert own is not None
    assert (own.encoding.name, own.lowest, own.pinned) == ("mine", 1, True)
    assert table.rule("custom", "mine-7b", "other.internal") is None
    assert table.rule("custom", "mine-7b") is None
    assert table.rule("openai", "gpt-4o") is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('upstreams = ["vllm.internal:8000"]', ""),
        ('["custom"]', '["openrouter"]'),
        ('["custom"]', '"custom"'),
        ('upstreams = ["vllm.internal:8000"]', "upstreams = [7]"),
        ('path = "ds/tokenizer.json"', f'vocabulary = "{"ab" * 32}"'),
        ('path = "ds/tokenizer.json"', 'path = "x"\noffsets = 1'),
        ("[encodings.deepseek-v3]", "[encodings.o200k_base]"),
        ('path = "/models/mine.json"', ""),
        ('path = "/models/mine.json"', 'package = "p"\nfile = "f"'),
        ('engine = "tokenizers"', 'engine = "toktok"'),
        ('engine = "tokenizers"', 'engine = "tiktoken"\npattern = "x"'),
        ('form = "tokenizer.json"', 'form = "ranks"'),
        ('form = "tokenizer.json"', 'form = "sentencepiece"'),
        ('form = "tokenizer.json"', 'form = "tokenizer.json"\nnfc = true'),
        ('form = "tokenizer.json"', 'form = "tokenizer.json"\nshown = [1]'),
        ('encoding = "mine"', 'encoding = "yours"'),
        ("[encodings.mine]", "[encodings.'My Own']"),
        ("[[models]]", "[models]"),
        ("[encodings.mine]", "[[encodings]]"),
        ("[encodings.mine]", "not TOML"),
    ],
)
def test_faults_in_an_operators_table_are_named(old: str, new: str) -> None:
    assert old in OWN
    text = OWN.replace(old, new)
    assert code_of(lambda: extended_table(text.encode(), Path())) == "input"


def test_an_operators_table_is_text() -> None:
    assert code_of(lambda: extended_table(b"\xff", Path())) == "input"


def test_a_split_method_says_so() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["models"][0] |= {"hidden": "split", "offsets": [1, 1], "pinned": True}
    rule = read_table(document).rule("openai", "gpt-4o")
    assert rule is not None
    assert (rule.method(), rule.thinks, rule.pinned) == ("o200k_base/1+split", True, True)


def _set(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        holder: Any = document
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("surplus", value=1),
        _set("encodings", "bytes", value=DOCUMENT["encodings"]["o200k_base"]),
        _set("encodings", "n" * 49, value=DOCUMENT["encodings"]["o200k_base"]),
        _set("encodings", "o200k_base", "vocabulary", value="ab"),
        _set("encodings", "o200k_base", "engine", value="guess"),
        _set("encodings", "o200k_base", "surplus", value=1),
        _set("models", 0, "surplus", value=1),
        _set("models", 0, value={"providers": ["openai"]}),
        _set("models", 0, "offsets", value=[1, 0]),
        _set("models", 0, "offsets", value=[0, 9]),
        _set("models", 0, "offsets", value=[0]),
        _set("models", 0, "hidden", value="some"),
        _set("models", 0, "pinned", value=True),
        _set("models", 0, "pinned", value=1),
        _set("models", 0, "encoding", value="p50k_base"),
        _set("models", 0, "names", value="("),
        _set("models", 0, "names", value=7),
    ],
)
def test_faults_in_a_table_are_named(change: Callable[[dict[str, Any]], None]) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    assert code_of(lambda: read_table(document)) == "input"
