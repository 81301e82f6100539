"""How far the ranges of PROTOCOL.md 9.7 are from what was measured of a vendor's tokens.

    python bench/ranges.py                          Claude, by the reconstruction `ctok`
    python bench/ranges.py --gemma tokenizer.json   Gemma's vocabulary beside bytes/1

`ctok` (PyPI, for Python 3.12 on) reconstructs counts of Claude and is nobody's official
tokenizer; a `tokenizer.json` of Gemma is nothing that Gemini's servers are known to use.
So both are evidence for bounds only. Texts are this machine's: translated messages of its
programs in about 150 languages, sources, and made-up ones that are hard on tokenizers.
"""

from __future__ import annotations

import argparse
import base64
import gettext
import random
import string
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from nous_ledger.protocol.label import bytes_bound
from nous_ledger.reconcile.counting import engine_for
from nous_ledger.reconcile.estimate import RANGE_ENCODING, claude_range
from nous_ledger.reconcile.tokenizers import builtin_table

LONGEST = 4_000
CATALOGUES = Path("/usr/share/locale")
SOURCES = {
    "code": ("nous_ledger/**/*.py", "sentinel/**/*.py", "contracts/src/**/*.sol"),
    "documents": ("*.md", "docs/**/*.md", "LICENSE"),
    "data": ("vectors/*.json", "*.toml", "nous_ledger/**/*.toml"),
}
ROOT = Path(__file__).resolve().parents[1]
EMOJI = (*range(0x1F300, 0x1F650), *range(0x1F680, 0x1F6D0), *range(0x1F900, 0x1F9FF))
MADE: dict[str, Callable[[random.Random, int], str]] = {
    "base64": lambda d, n: base64.b64encode(d.randbytes(n)).decode(),
    "hex": lambda d, n: d.randbytes(n).hex(),
    "letters": lambda d, n: "".join(d.choices(string.ascii_letters, k=n)),
    "capitals": lambda d, n: " ".join(d.choices(("NO", "NASA", "ANY", "KIND OF"), k=n)),
    "digits": lambda d, n: "".join(d.choices(string.digits, k=n)),
    "marks": lambda d, n: "".join(d.choices(string.punctuation, k=n)),
    "spaces": lambda d, n: "".join(d.choices(" \n\t", k=n)),
    "runs": lambda d, n: d.choice("a=-*_. #~Z9国é\n") * n,
    "in turn": lambda d, n: d.choice(("=-", "ab", ". ", "| ", "A.", "0,")) * n,
    "emoji": lambda d, n: "".join(chr(p) for p in d.choices(EMOJI, k=n)),
    "joined emoji": lambda _, n: "👩\u200d👩\u200d👧\u200d👦🏳️\u200d🌈👍🏽" * (n // 10 + 1),
    "Han": lambda d, n: "".join(chr(d.randint(0x4E00, 0x9FA5)) for _ in range(n)),
    "rare Han": lambda d, n: "".join(chr(d.randint(0x3400, 0x4DBF)) for _ in range(n)),
    "Hangul": lambda d, n: "".join(chr(d.randint(0xAC00, 0xD7A3)) for _ in range(n)),
    "phonetic": lambda d, n: "".join(d.choices("ʘɐɑɒɓɔɕɖɗəɚɛɜɝ \u02c8\u02d01.", k=n)),
    "mathematics": lambda d, n: "".join(d.choices("∀∃∈\u211d→≤∑∫√αβγδπθ²³₁₂ xyz()=+", k=n)),
    "other planes": lambda d, n: "".join(chr(d.randint(0x10000, 0x1F000)) for _ in range(n)),
}
Count = Callable[[str], int]
Range = Callable[[str, int], tuple[int, int]]


def texts() -> Iterator[tuple[str, str]]:
    """Yield kind and text."""
    yield from translated()
    for kind, patterns in SOURCES.items():
        paths = sorted(path for p in patterns for path in ROOT.glob(p))
        draw = random.Random(kind)
        for path in draw.sample(paths, min(60, len(paths))):
            text = path.read_text("utf-8")
            for length in (60, 200, 800, 3_000):
                start = draw.randrange(max(1, len(text) - length))
                yield kind, text[start : start + length]
    draw = random.Random("made")
    for length in (5, 20, 60, 200, 600):
        for kind, make in MADE.items():
            for _ in range(6):
                yield kind, make(draw, length)


def translated() -> Iterator[tuple[str, str]]:
    """Yield messages of the machine's programs, some at a time, by language."""
    by_language: dict[str, list[str]] = defaultdict(list)
    for path in sorted(CATALOGUES.glob("*/LC_MESSAGES/*.mo")):
        try:
            with path.open("rb") as file:
                catalogue: dict[object, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way to all messages
        except (OSError, ValueError, IndexError):  # some are damaged
            continue
        by_language[path.parts[4]] += [
            text for key, text in catalogue.items() if key and text and text != key
        ]
    for language, found in sorted(by_language.items()):
        draw = random.Random(language)
        for length in (1, 1, 1, 3, 3, 8, 8, 20, 20, 60, 60):
            start = draw.randrange(max(1, len(found) - length))
            yield "languages", "\n".join(found[start : start + length])


def claude_counts() -> dict[str, Count]:
    """Return the counts of both generations; the frame of a message is taken off."""
    from ctok import token_count  # noqa: PLC0415

    def of(version: str) -> Count:
        frame = token_count("", version)
        return lambda text: int(token_count(text, version)) - frame

    return {"Claude 3 to 4.6": of("3.0"), "Claude 4.7 on": of("4.8")}


def gemma_counts(path: Path) -> dict[str, Count]:
    """Return the count by a `tokenizer.json` of Gemma."""
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_file(str(path))
    return {"Gemma": lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)}


def measure(counts: dict[str, Count], bounds: Range) -> None:
    """Print, for each kind of text, how near to its bounds a count comes."""
    tokens = engine_for(builtin_table().encodings[RANGE_ENCODING])
    rows: dict[str, list[tuple[float, float, float, float, float]]] = defaultdict(list)
    outside = characters = 0
    for kind, whole in texts():
        text = whole[:LONGEST]
        base = tokens(text)
        if not text or base is None:
            continue
        characters += len(text)
        lower, upper = bounds(text, base)
        found = [count(text) for count in counts.values()]
        least, most = max(min(found), 1), max(found)
        outside += most > upper or least < lower
        length = len(text.encode())
        bytes_upper = bytes_bound(length, 1)[1]
        ratio = (least / base, most / base) if base >= 8 else (1.0, 1.0)
        rows[kind].append((most / upper, lower / least, upper / bytes_upper, *ratio))
    print(f"{sum(map(len, rows.values()))} texts, {characters} characters, {outside} outside")
    print("kind            texts  most/upper  lower/least  upper/bytes1  tokens/o200k_base")
    for kind, found_rows in rows.items():
        near, under, width, least_ratio, most_ratio = zip(*found_rows, strict=True)
        mean = sum(width) / len(width)
        print(
            f"{kind:<15} {len(near):>5}  {max(near):>10.2f}  {max(under):>11.2f}  {mean:>12.2f}"
            f"  {min(least_ratio):.2f} to {max(most_ratio):.2f}"
        )


def main() -> int:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gemma", type=Path, metavar="FILE", help="tokenizer.json of Gemma")
    chosen = parser.parse_args().gemma
    try:
        counts = claude_counts() if chosen is None else gemma_counts(chosen)
    except ImportError as error:
        print(f"{error.name} is not installed", file=sys.stderr)
        return 3
    by_bytes: Range = lambda text, _: bytes_bound(len(text.encode()), 1)  # noqa: E731
    measure(counts, claude_range if chosen is None else by_bytes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
