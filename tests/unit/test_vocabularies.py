"""Vocabulary files: the right one counts, any other is refused, and nothing is fetched."""

import base64
import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.reconcile.counting import engine_for
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.tokenizers import Encoding
from nous_ledger.reconcile.vocabularies import find_file, hash_ranks, hash_tokenizer_json

BYTES = [bytes([value]) for value in range(256)]
TOKENS = [*BYTES, b"th", b"the", b"he", b" the", "é".encode(), b"<t>"]
PATTERN = r" ?\p{L}+|\s+|[^\s\p{L}]+"

with_tokenizers = pytest.mark.skipif(
    importlib.util.find_spec("tokenizers") is None, reason="tokenizers is not installed"
)


def ranks_file(folder: Path, tokens: list[bytes] = TOKENS) -> Path:
    lines = [b"%b %d" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens)]
    path = folder / "mine.tiktoken"
    path.write_bytes(b"\n".join(reversed(lines)) + b"\n\n")  # the order of lines says nothing
    return path


def ranks(path: Path, **changes: Any) -> Encoding:
    encoding = Encoding(
        name="mine",
        vocabulary=hash_ranks(TOKENS),
        engine="tiktoken",
        form="ranks",
        file=str(path),
        pattern=PATTERN,
        shown=("<t>",),
        nfc=True,
        own=True,
    )
    return replace(encoding, **changes)


def code(encoding: Encoding) -> str:
    with pytest.raises(RecountError) as caught:
        engine_for(encoding)
    return f"{caught.value.code}: {caught.value.message}"


def test_a_file_of_ranks(tmp_path: Path) -> None:
    """TOK-1."""
    count = engine_for(ranks(ranks_file(tmp_path)))
    assert [count(text) for text in ("the the", "thé", "", "a<b")] == [2, 2, 0, 3]


def test_texts_that_may_stand_for_several_counts(tmp_path: Path) -> None:
    """TOK-9."""
    count = engine_for(ranks(ranks_file(tmp_path)))
    assert count("a <t> b") is None
    assert count("the\u0301") is None
    plain = engine_for(ranks(ranks_file(tmp_path), nfc=False, shown=()))
    assert (plain("a<t>"), plain("the\u0301")) == (4, 3)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + b"eHg= 262\n"), "wrong-vocabulary"),
        (lambda path: path.write_bytes(path.read_bytes()[9:]), "wrong-vocabulary"),
        (lambda path: path.write_bytes(b"AA== 5\n"), "no-tokenizer"),
        (lambda path: path.write_bytes(b"not such a file"), "no-tokenizer"),
        (lambda path: path.write_bytes(b"*** 0\n"), "no-tokenizer"),
        (lambda path: path.write_bytes(b""), "wrong-vocabulary"),
        (lambda path: path.unlink(), "no-tokenizer"),
        (lambda path: (path.unlink(), path.mkdir()), "no-tokenizer"),
    ],
)
def test_files_that_are_not_the_right_one(
    tmp_path: Path, change: Callable[[Path], object], expected: str
) -> None:
    """TOK-3."""
    path = ranks_file(tmp_path)
    change(path)
    assert code(ranks(path)).startswith(expected)


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    assert "has more than" in code(ranks(path))


def test_a_package_is_found_without_being_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "carrying_vocabularies"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('was run')\n")
    path = ranks_file(package)
    monkeypatch.syspath_prepend(tmp_path)
    encoding = ranks(Path("mine.tiktoken"), package="carrying_vocabularies")
    assert find_file(encoding) == path
    assert engine_for(encoding)("the") == 1
    assert "no file" in code(ranks(Path("other"), package="carrying_vocabularies"))
    assert "is not installed" in code(ranks(path, package="no_such_package"))


def test_a_tekken_file_counts_what_special_tokens_leave(tmp_path: Path) -> None:
    rows = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate([*TOKENS, b"never", b"in use"])
    ]
    size = len(TOKENS) + 3
    config = {"default_vocab_size": size, "default_num_special_tokens": 3}
    path = tmp_path / "tekken.json"
    path.write_text(json.dumps({"config": config, "vocab": rows}))
    encoding = ranks(path, form="tekken")
    assert engine_for(encoding)("the never") == 7
    path.write_text(json.dumps({"config": {}, "vocab": rows}))
    assert code(ranks(path, form="tekken", name="again")).startswith("no-tokenizer")


def tokenizer_json(**changes: Any) -> dict[str, Any]:
    names = [chr(value) for value in range(33, 127)]
    vocab = {name: rank for rank, name in enumerate([*names, "Ġ", "th", "the", "Ġthe"])}
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated"}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    document: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [split | {"invert": False}, level | {"use_regex": False}],
        },
        "model": {"type": "BPE", "vocab": vocab, "merges": ["t h", "th e", "Ġ the"]},
    }
    return document | changes


def own(path: Path, document: dict[str, Any]) -> Encoding:
    path.write_text(json.dumps(document))
    vocabulary = hash_tokenizer_json(document)
    return ranks(
        path,
        name=path.stem,
        engine="tokenizers",
        form="tokenizer.json",
        pattern="",
        nfc=False,
        vocabulary=vocabulary,
    )


def test_the_hash_covers_what_decides_a_count_and_nothing_else() -> None:
    """TOK-8."""
    document = tokenizer_json()
    found = hash_tokenizer_json(document)
    assert found.hex() == "0a4f917859004bf5de1666e08616c0835c9fd583110709676aa28078415f526f"
    model = document["model"]
    special = [{"id": 99, "content": "<think>", "special": False}]
    pairs = [merge.split(" ") for merge in model["merges"]]
    turned = dict(reversed(model["vocab"].items()))
    for same in (
        document | {"added_tokens": special, "version": "2.0", "post_processor": {"type": "x"}},
        document | {"model": model | {"merges": pairs}},
        document | {"model": model | {"vocab": turned}},
    ):
        assert hash_tokenizer_json(same) == found
    for other in (
        document | {"normalizer": {"type": "NFC"}},
        document | {"pre_tokenizer": None},
        document | {"model": model | {"merges": model["merges"][:2]}},
        document | {"model": model | {"vocab": model["vocab"] | {"x": 99}}},
    ):
        assert hash_tokenizer_json(other) != found


@with_tokenizers
def test_a_tokenizer_json_of_an_operator(tmp_path: Path) -> None:
    special = [
        {
            "id": 98,
            "content": "thethe",
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
    ]
    count = engine_for(own(tmp_path / "a.json", tokenizer_json(added_tokens=special)))
    assert [count(text) for text in ("the the", "thethe", "a <t>")] == [2, 2, None]
    composing = tokenizer_json(normalizer={"type": "NFC"})
    assert engine_for(own(tmp_path / "b.json", composing))("the\u0301") is None


@with_tokenizers
@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"type": "Unigram", "vocab": {}, "merges": []}},
        {"model": tokenizer_json()["model"] | {"byte_fallback": True}},
        {"model": tokenizer_json()["model"] | {"dropout": 0.1}},
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": {"type": "Metaspace"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
        {"pre_tokenizer": None},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["b c"]}},
    ],
)
def test_other_kinds_of_tokenizers_are_not_counted_with(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """What changes a text before it counts, or counts otherwise than in bytes, is refused."""
    assert code(own(tmp_path / "c.json", tokenizer_json(**changes))).startswith("no-tokenizer")


def test_without_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tiktoken", None)
    assert "the engine tiktoken is not installed" in code(ranks(ranks_file(tmp_path)))
