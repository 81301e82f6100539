"""Enumerations: numbers and names, both ways, as PROTOCOL.md lists them."""

import re
from pathlib import Path

import pytest

from nous_ledger.protocol import registries
from nous_ledger.protocol.registries import Registry
from tests.refusals import refusal

PROTOCOL = (Path(__file__).parents[2] / "PROTOCOL.md").read_text("utf-8")
ALL = {name: value for name, value in vars(registries).items() if isinstance(value, Registry)}


def section(number: str) -> str:
    """Return a section's text."""
    found = re.search(rf"^#+ {re.escape(number)} .*?(?=^#)", PROTOCOL, re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


def inline(title: str) -> tuple[tuple[str, int], ...]:
    """Return the names and numbers in the paragraph of 8.3 that begins with a title."""
    found = re.search(rf"^\*\*{title}\*\* .*$", section("8.3"), re.MULTILINE)
    assert found
    return named(found[0])


def tabled(title: str) -> tuple[tuple[str, int], ...]:
    """Return the names and numbers in the table of 8.3 below a title."""
    found = re.search(rf"^\*\*{title}\*\*\n\n((?:\|.*\n)+)", section("8.3"), re.MULTILINE)
    assert found
    return tuple(
        (m[2], int(m[1])) for m in re.finditer(r"^\| (\d+) \| `(.+?)`", found[1], re.MULTILINE)
    )


def named(text: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, int(number)) for number, name in re.findall(r"(\d+) `([\w.]+)`", text))


def row(number: str, field: str) -> tuple[tuple[str, int], ...]:
    """Return the names and numbers in the row of a field table."""
    found = re.search(rf"^\| \d+ \| {field} \|.*$", section(number), re.MULTILINE)
    assert found
    return named(found[0])


LISTED = {
    "KEY_EVENT_KIND": row("7.4", "kind"),
    "KEY_REASON": row("7.4", "reason"),
    "REDACTION_REASON": row("7.8", "reason"),
    "SOURCE": inline("source"),
    "LABEL": inline("label"),
    "METERING": inline("metering"),
    "POLICY_ACTION": inline("policy action"),
    "API": inline("api"),
    "STATUS": tabled("status"),
    "KIND": tabled("kind"),
    "ANOMALY": tabled("anomaly"),
}


@pytest.mark.parametrize("name", LISTED)
def test_registries_are_those_of_the_protocol(name: str) -> None:
    """Every number with its JSON name, in the order of section 8.3 (ENC-20)."""
    assert len(LISTED[name]) >= 3
    assert ALL[name].items() == LISTED[name]


def test_no_enumeration_is_left_out() -> None:
    """Subject kinds and record types have no JSON name of their own."""
    assert ALL.keys() - LISTED.keys() == {"SUBJECT_KIND", "RECORD_TYPE"}
    assert [number for _, number in registries.SUBJECT_KIND.items()] == list(range(1, 8))
    assert [number for _, number in registries.RECORD_TYPE.items()] == list(range(9))


@pytest.mark.parametrize("name", ALL)
def test_names_and_numbers_belong_together(name: str) -> None:
    registry = ALL[name]
    pairs = registry.items()
    assert len({number for _, number in pairs}) == len({text for text, _ in pairs}) == len(pairs)
    for text, number in pairs:
        assert registry[text] == number
        assert number in registry
        assert registry.name_of(number) == text


@pytest.mark.parametrize("name", ALL)
def test_unknown_values_are_shown_and_unknown_names_refused(name: str) -> None:
    """ENC-20."""
    registry = ALL[name]
    assert 999 not in registry
    assert registry.name_of(999) == "unknown(999)"
    first = registry.items()[0][0]
    for text in ("", "unknown(999)", first.swapcase(), first + "_", "999"):
        error = refusal(registry.__getitem__, text)
        assert error.code == "input"
        assert first in error.message


def test_groups_of_kinds() -> None:
    """What LBL-5, RCPT-10 and BKT-2 speak of."""
    kinds = dict(registries.KIND.items())
    tokens = {name for name, number in kinds.items() if number < registries.TOKEN_KINDS_END}
    assert kinds.keys() - tokens == {
        *("audio_ms", "images", "search_units", "pages", "web_searches", "web_fetches")
    }
    media = {name for name, number in kinds.items() if number in registries.MEDIA_KINDS}
    assert media == {
        *("input_audio", "input_image", "input_video"),
        *("output_audio", "output_image", "output_video"),
    }
    split = {name for name, number in kinds.items() if number in registries.INPUT_SPLIT_KINDS}
    assert split == {"input_uncached", "cache_read"} | {n for n in kinds if "cache_write" in n}
