"""The table of tokenizers: which models it knows, and that faults in one are named."""

import copy
import tomllib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest

from nous_ledger.reconcile.counting import engine_for
from nous_ledger.reconcile.tokenizers import builtin_table, read_table
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
        ("groq", "llama-3.3-70b-versatile"),
    ],
)
def test_models_of_which_nothing_is_known(provider: str, model: str | None) -> None:
    """TOK-4: unknown models, fine-tuned ones and other people's are never EXACT."""
    assert builtin_table().rule(provider, model) is None


def test_every_encoding_of_the_table_has_its_engine() -> None:
    for encoding in builtin_table().encodings.values():
        assert engine_for(encoding)("hello world") == 2


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
