"""Texts on which counters of tokens are known to fail, and random ones made of them."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from typing import Final

HARD: Final = (
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
    "<s>[INST] x [/INST]</s> <|eot_id|><|begin_of_text|> <unk> \u2581 x\u2581y [TOOL_CALLS]",
    "I'll they're don't WE'VE 'tis x's'y 12345678 3.14159 a1b2c3",
    "camelCaseAndPascalCase iPhone XMLHttpRequest __init__",
    "e\u0301 combining, ﬁ ligature, \u017f's long s, İstanbul",
    "   leading and trailing   \n \n\t\t ",
    "/".join("path" for _ in range(20)) + "\n///\n",
    "क्षत्रिय हिन्दी में वाक्य। ไทยไม่มีช่องว่าง",
)

# Some places of every kind that a text may have; unassigned ones are not compared,
# because every engine has its own table of what they will be.
POINTS: Final = [
    point
    for point in [*range(0x2000), *range(0x2000, 0x30000, 7), *range(0x1F300, 0x1FAFF)]
    if unicodedata.category(chr(point)) not in ("Cs", "Cn", "Co")
]


def fuzzed(count: int, seed: str) -> Iterator[str]:
    """Yield texts of pieces of the hard ones and of characters from anywhere."""
    draw = random.Random(seed)
    for _ in range(count):
        pieces = [draw.choice(HARD) for _ in range(draw.randint(1, 4))]
        text = "".join(piece[: draw.randint(0, len(piece))] for piece in pieces)
        yield text + "".join(chr(draw.choice(POINTS)) for _ in range(draw.randint(0, 12)))
