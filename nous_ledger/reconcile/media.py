"""Tokens of images, by the formulas that their providers publish.

A formula gives a range: a detail of `auto` may turn out low or high, small images are
scaled up or not, and of an image behind a URL the size is not known.

Spec:
    PROTOCOL.md BND-17, BND-19.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from nous_ledger.reconcile.media_size import Size

METHOD_IMAGE_INPUT: Final = "image-input/1"
METHOD_IMAGE_OUTPUT: Final = "image-output/1"

Range = tuple[int, int]

_OPENAI: Final = frozenset({"openai", "azure-openai"})
_GOOGLE: Final = frozenset({"gemini", "vertex"})
_CLAUDE: Final = frozenset({"anthropic", "vertex", "bedrock"})
_DATED: Final = r"(?:-\d{4}-\d{2}-\d{2})?"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tiles:
    """Models that cut an image into squares of 512 pixels.

    Attributes:
        base: tokens of any image.
        tile: tokens of each square.
    """

    base: int
    tile: int


# OpenAI's models by the whole of their names: squares of 512 pixels.
_TILE_MODELS: Final[tuple[tuple[re.Pattern[str], _Tiles], ...]] = tuple(
    (re.compile(f"(?:{names}){_DATED}", re.ASCII), _Tiles(base=base, tile=tile))
    for names, base, tile in (
        (r"gpt-4o|gpt-4\.1|gpt-4\.5-preview|gpt-4-turbo", 85, 170),
        (r"gpt-4o-mini", 2833, 5667),
        (r"o1|o1-pro|o3", 75, 150),
        (r"gpt-5|gpt-5-chat-latest", 70, 140),
    )
)
# And the smaller ones: patches of 32 pixels, times a factor in hundredths.
_PATCH_MODELS: Final[tuple[tuple[re.Pattern[str], int], ...]] = tuple(
    (re.compile(f"(?:{names}){_DATED}", re.ASCII), factor)
    for names, factor in (
        (r"gpt-4\.1-mini|gpt-5-mini", 162),
        (r"gpt-4\.1-nano|gpt-5-nano", 246),
        (r"o4-mini", 172),
    )
)
_MAX_PATCHES: Final = 1_536
_MAX_TILES: Final = 16  # 2048 by 2048 pixels, which no image is larger than once it is scaled
_GEMINI: Final = re.compile(r"gemini-(?:1\.5|2\.0|2\.5)-[a-z0-9.-]+")
_GEMINI_TILE: Final = 258
_GEMINI_LOW: Final = 64
_CLAUDE_NAMES: Final = re.compile(r"(?:(?:[a-z-]+\.)?anthropic\.)?claude-[a-z0-9.:@-]+")
_CLAUDE_MAX: Final = 4_784
_CLAUDE_MARGIN: Final = 64

_IMAGE_MODELS: Final = re.compile(r"gpt-image-1(?:-mini)?")
# Tokens of one image that gpt-image-1 makes: low, medium, high.
_MADE: Final[Mapping[str, tuple[int, int, int]]] = MappingProxyType(
    {
        "1024x1024": (272, 1056, 4160),
        "1024x1536": (408, 1584, 6240),
        "1536x1024": (400, 1568, 6208),
    }
)
_QUALITIES: Final = ("low", "medium", "high")
_PARTIAL_IMAGE: Final = 100
_MAX_PARTIAL: Final = 3
_MAX_IMAGES: Final = 10


def image_range(provider: str, model: str | None, detail: str, size: Size | None) -> Range | None:
    """Return the tokens that one image of a prompt may count.

    Spec:
        BND-17.

    Args:
        provider: name of the provider, as in the receipt.
        model: the model that answered, else the one asked for.
        detail: `low`, `high`, or anything else for what the provider chooses.
        size: width and height in pixels; None if not known.

    Returns:
        Least and most tokens; None where no formula is published for the model.
    """
    name = model or ""
    if provider in _OPENAI:
        for names, tiles in _TILE_MODELS:
            if names.fullmatch(name):
                return _tiled(tiles, detail, size)
        for names, factor in _PATCH_MODELS:
            if names.fullmatch(name):
                return _patched(factor, size)
    if provider in _GOOGLE and _GEMINI.fullmatch(name):
        return None if size is None else (_GEMINI_LOW, _gemini_tiles(size) * _GEMINI_TILE)
    if provider in _CLAUDE and _CLAUDE_NAMES.fullmatch(name):
        return 0, _claude(size)
    return None


def made_images(provider: str, model: str | None, fields: Mapping[str, Any]) -> Range | None:
    """Return the tokens that the images that a request asks for may count.

    Spec:
        BND-19.

    Args:
        provider: name of the provider, as in the receipt.
        model: the model that answered, else the one asked for.
        fields: members of the request body.
    """
    if provider not in _OPENAI or not _IMAGE_MODELS.fullmatch(model or ""):
        return None
    count, partial = fields.get("n") or 1, fields.get("partial_images") or 0
    if type(count) is not int or type(partial) is not int:
        return None
    if not (1 <= count <= _MAX_IMAGES and 0 <= partial <= _MAX_PARTIAL):
        return None
    size, quality = fields.get("size") or "auto", fields.get("quality") or "auto"
    rows = [row for name, row in _MADE.items() if size in (name, "auto")]
    numbers = [
        row[place]
        for row in rows
        for place, name in enumerate(_QUALITIES)
        if quality in (name, "auto")
    ]
    if not numbers:
        return None
    return count * min(numbers), count * (max(numbers) + partial * _PARTIAL_IMAGE)


def _tiled(tiles: _Tiles, detail: str, size: Size | None) -> Range:
    if detail == "low":
        return tiles.base, tiles.base
    least = tiles.base
    most = tiles.base + tiles.tile * _MAX_TILES
    if size is not None:
        most = tiles.base + tiles.tile * min(_MAX_TILES, _squares(size, enlarge=True))
        if detail == "high":
            least = tiles.base + tiles.tile * _squares(size, enlarge=False)
    return least, most


def _squares(size: Size, *, enlarge: bool) -> int:
    """Return how many squares of 512 pixels an image makes once it is scaled.

    First it is made to fit 2048 by 2048, then its shorter side becomes 768: made smaller
    in any case, larger only in one reading of the rule. Integers only, so that every
    machine rounds alike; a side that is not whole is rounded down, but is at least 1.
    """
    width, height = size
    longest = max(width, height)
    if longest > 2048:
        width, height = (max(1, side * 2048 // longest) for side in size)
    shortest = min(width, height)
    if shortest > 768 or enlarge:
        width, height = (max(1, side * 768 // shortest) for side in (width, height))
    return -(-width // 512) * -(-height // 512)


def _patched(factor: int, size: Size | None) -> Range:
    patches = _MAX_PATCHES
    if size is not None:
        patches = min(patches, -(-size[0] // 32) * -(-size[1] // 32))
    return 1, -(-patches * factor // 100)


def _gemini_tiles(size: Size) -> int:
    """Return the most tiles of two published readings: of 768 pixels, or of two thirds."""
    if max(size) <= 384:
        return 1
    unit = max(1, min(size) * 2 // 3)
    by_side = -(-size[0] // 768) * -(-size[1] // 768)
    by_unit = -(-size[0] // unit) * -(-size[1] // unit)
    return max(by_side, by_unit)


def _claude(size: Size | None) -> int:
    """Return the most tokens: an image is never scaled up, and large ones are scaled down."""
    if size is None:
        return _CLAUDE_MAX
    return min(_CLAUDE_MAX, -(-size[0] * size[1] // 750) + _CLAUDE_MARGIN)
