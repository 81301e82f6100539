"""claude_range.json: the range of the method claude-range/1."""

import json
from pathlib import Path

from vectors.generate.rules.clauderange import bounds
from vectors.generate.suite import Json, Suite

# Each text with its tokens under o200k_base, by flag.
FILE = Path(__file__).resolve().parents[1] / "captured" / "claude_texts.json"


def check(case: Json) -> Json:
    """Give the range."""
    lower, upper = bounds(case["text"], case["tokens"])
    return {"lower": lower, "upper": upper}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "claude_range",
        "claude-range/1",
        "9.7 claude-range/1",
        "`tokens` are those of `text` under o200k_base (9.6); `lower` and `upper` are the range.",
    )
    for name, description in (
        ("Prose", "Languages."),
        ("Code", "Code, markup and numbers."),
        ("Runs", "What repeats, with and without something between."),
        ("Capitals", "Words in capital letters."),
        ("Beyond", "Characters that bytes alone do not bound, or that may be left out."),
        ("Borders", "Borders of the classes of characters; no text, marks alone."),
    ):
        suite.flag(name, "BASIC", description, "A range that others do not find.", "EST-1")
    ranges = suite.group("Range", check)
    for flag, rows in json.loads(FILE.read_text("utf-8")).items():
        for comment, text, tokens in rows:
            ranges.valid(comment, flag, text=text, tokens=tokens)
    return suite
