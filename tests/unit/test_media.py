"""Tokens of images, and how large images are (BND-17 to BND-19)."""

import base64
import os
import random
import struct
import zlib
from typing import Any

import pytest

from nous_ledger.reconcile.media import image_range, made_images
from nous_ledger.reconcile.media_size import MAX_HEADER_BYTES, Size, size_of, size_of_data
from nous_ledger.reconcile.media_video import video_range


def png(width: int, height: int) -> bytes:
    head = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    )


def jpeg(width: int, height: int, before: int = 0) -> bytes:
    pad = b"".join(b"\xff\xe1" + struct.pack(">H", 65_535) + bytes(65_533) for _ in range(before))
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(9) + pad + b"\xff" + frame


def webp(kind: bytes, body: bytes) -> bytes:
    return b"RIFF\x00\x00\x00\x00WEBP" + kind + struct.pack("<I", len(body)) + body


VP8X = webp(b"VP8X", b"\x00" * 4 + (799).to_bytes(3, "little") + (599).to_bytes(3, "little"))
VP8L = webp(b"VP8L", b"\x2f" + (799 | 599 << 14).to_bytes(4, "little") + bytes(8))
VP8 = webp(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 800, 600 | 0x4000) + bytes(8))


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (png(800, 600), (800, 600)),
        (png(800, 600)[:24], (800, 600)),
        (b"GIF89a" + struct.pack("<HH", 800, 600), (800, 600)),
        (b"GIF87a" + struct.pack("<HH", 1, 65_535), (1, 65_535)),
        (VP8X, (800, 600)),
        (VP8L, (800, 600)),
        (VP8, (800, 600)),
        (jpeg(800, 600), (800, 600)),
        (jpeg(800, 600, before=3), (800, 600)),
        (jpeg(800, 600, before=5), None),
        (png(800, 600)[:23], None),
        (png(0, 600), None),
        (png(65_536, 600), None),
        (b"GIF89a\x01\x00", None),
        (VP8L[:20], None),
        (webp(b"VP8 ", bytes(20)), None),
        (b"\xff\xd8\xff\xda" + bytes(40), None),
        (b"\xff\xd8\xff\xe0\x00\x00" + jpeg(8, 8), None),
        (b"\xff\xd8" + b"\xff" * 300, None),
        (b"\xff\xd8\xff\xc0\x00\x11", None),
        (b"BM" + bytes(60), None),
        (b"", None),
    ],
)
def test_sizes(data: bytes, size: Size | None) -> None:
    """BND-18."""
    assert size_of(data) == size
    text = base64.b64encode(data).decode()
    if len(data) < MAX_HEADER_BYTES and len(data) % 3 == 0:
        assert size_of_data(text) == size
        assert size_of_data(f"data:image/x;base64,{text}") == size


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png,abcd",
        "data:image/png;base64",
        "data:;base64,****",
        "not base64 at all!",
        "",
        "A",
        "\ud800",
        base64.urlsafe_b64encode(b"\xff\xfe\xff" * 9).decode(),
    ],
)
def test_data_that_is_none(text: str) -> None:
    assert size_of_data(text) is None


def test_only_the_beginning_of_large_data_is_decoded() -> None:
    text = base64.b64encode(png(800, 600) + bytes(3)).decode().rstrip("=")
    assert size_of_data(text + "A" * 8_000_000 + "!") == (800, 600)


def test_hostile_headers_are_read_in_no_time() -> None:
    """Whatever stands there, two numbers come out or none, and nothing is raised."""
    chance = random.Random(7)
    seeds = [png(8, 8), jpeg(8, 8), VP8, VP8L, VP8X, b"GIF89a" + bytes(8)]
    for number in range(3_000):
        data = bytearray(seeds[number % len(seeds)] + bytes(20))
        for _ in range(1 + number % 4):
            data[chance.randrange(len(data))] = chance.randrange(256)
        found = size_of(bytes(data[: chance.randrange(len(data) + 1)]))
        assert found is None or all(0 < side <= 65_535 for side in found)
    walk = b"\xff\xd8" + b"\xff\xe0\x00\x02" * (MAX_HEADER_BYTES // 4) + os.urandom(8)
    assert size_of(walk) is None


OPENAI = [
    ("gpt-4o", "low", (4000, 3000), (85, 85)),
    ("gpt-4o", "high", (1024, 1024), (765, 765)),
    ("gpt-4o", "high", (2048, 4096), (1105, 1105)),
    ("gpt-4o-2024-08-06", "high", (512, 512), (255, 765)),
    ("gpt-4o", "auto", (1024, 1024), (85, 765)),
    ("gpt-4.1", "high", (1, 65_535), (85 + 4 * 170, 85 + 16 * 170)),
    ("gpt-4o", "high", (2048, 2048), (765, 765)),
    ("gpt-4o", "high", (512, 2048), (765, 85 + 12 * 170)),
    ("gpt-4o", "auto", None, (85, 2805)),
    ("gpt-4o", "low", None, (85, 85)),
    ("gpt-4o", "high", None, (85, 2805)),
    ("gpt-4o-mini", "high", (1024, 1024), (2833 + 4 * 5667, 2833 + 4 * 5667)),
    ("o3-2025-04-16", "high", (1024, 1024), (675, 675)),
    ("gpt-5", "auto", (1024, 1024), (70, 630)),
    ("gpt-4.1-mini", "auto", (1024, 1024), (1, 1659)),
    ("gpt-4.1-mini", "auto", (1800, 2400), (1, 2489)),
    ("gpt-5-nano", "low", (32, 33), (1, 5)),
    ("o4-mini", "high", None, (1, 2642)),
    ("gpt-4o-audio-preview", "low", (10, 10), None),
    ("ft:gpt-4o-2024-08-06:acme::x", "low", (10, 10), None),
    ("gpt-9", "low", (10, 10), None),
    ("gpt-4o-\u0662\u0660\u0662\u0664-08-06", "low", (10, 10), None),
]


@pytest.mark.parametrize(("model", "detail", "size", "expected"), OPENAI)
def test_images_of_openai(
    model: str, detail: str, size: Size | None, expected: tuple[int, int] | None
) -> None:
    """BND-17: 85 + 170 for each square of 512 pixels, or patches of 32."""
    assert image_range("openai", model, detail, size) == expected
    assert image_range("azure-openai", model, detail, size) == expected
    assert image_range("custom", model, detail, size) is None


@pytest.mark.parametrize(
    ("provider", "model", "size", "expected"),
    [
        ("gemini", "gemini-2.0-flash", (384, 384), (64, 258)),
        ("gemini", "gemini-2.5-pro", (960, 540), (64, 258 * 6)),
        ("vertex", "gemini-2.5-pro", (768, 1536), (64, 258 * 6)),
        ("gemini", "gemini-2.5-pro", None, None),
        ("gemini", "gemini-3-pro", (10, 10), None),
        ("anthropic", "claude-sonnet-4-5", (1000, 1000), (0, 1334 + 64)),
        ("bedrock", "us.anthropic.claude-sonnet-4-v1:0", (8000, 8000), (0, 4784)),
        ("vertex", "claude-opus-4@20250514", None, (0, 4784)),
        ("anthropic", "other", (10, 10), None),
        ("anthropic", None, (10, 10), None),
    ],
)
def test_images_of_others(
    provider: str, model: str | None, size: Size | None, expected: tuple[int, int] | None
) -> None:
    assert image_range(provider, model, "auto", size) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"size": "1024x1024", "quality": "low"}, (272, 272)),
        ({"size": "1536x1024", "quality": "high", "n": 3}, (3 * 6208, 3 * 6208)),
        ({"size": "1024x1536", "partial_images": 2, "quality": "medium"}, (1584, 1784)),
        ({"size": "auto", "quality": "medium"}, (1056, 1584)),
        ({}, (272, 6240)),
        ({"size": None, "n": None}, (272, 6240)),
        ({"size": "512x512"}, None),
        ({"quality": "hd"}, None),
        ({"n": 11}, None),
        ({"n": "2"}, None),
        ({"partial_images": 4}, None),
        ({"size": ["auto"]}, None),
    ],
)
def test_images_that_are_made(fields: dict[str, Any], expected: tuple[int, int] | None) -> None:
    """BND-19."""
    assert made_images("openai", "gpt-image-1", fields) == expected
    assert made_images("openai", "gpt-image-2", fields) is None
    assert made_images("custom", "gpt-image-1", fields) is None


def box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + name + body


def track(width: int, height: int, frames: int, version: int = 0) -> bytes:
    start = bytes([version, 0, 0, 0]) + bytes(72 if version == 0 else 84)
    header = box(b"tkhd", start, struct.pack(">II", width << 16, height << 16))
    table = box(b"stbl", box(b"stsd", bytes(8)), box(b"stsz", struct.pack(">III", 0, 0, frames)))
    return box(b"trak", header, box(b"mdia", box(b"hdlr", bytes(4)), box(b"minf", table)))


def movie(*tracks: bytes) -> str:
    film = box(b"ftyp", b"isom") + box(b"mdat", bytes(99)) + box(b"moov", *tracks)
    return base64.b64encode(film).decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (movie(track(1280, 720, 300)), (0, 270_000)),
        (movie(track(1280, 720, 300, version=1)), (0, 270_000)),
        (movie(track(0, 0, 900), track(10, 10, 1)), (0, 1)),
        (movie(track(1280, 720, 1), track(1280, 720, 1)), (0, 1800)),
        (movie(track(0, 0, 900)), None),
        (movie(track(1280, 720, 0)), None),
        (movie(track(1280, 720, 1, version=9)), None),
        (movie(box(b"trak", box(b"tkhd"))), None),
        (movie(), None),
        (base64.b64encode(box(b"moov", track(8, 8, 1))[:-1]).decode(), None),
        (base64.b64encode(struct.pack(">I4s", 3, b"moov") * 9).decode(), None),
        (base64.b64encode(struct.pack(">I4sQ", 1, b"moov", 2**63)).decode(), None),
        (base64.b64encode(box(b"free") * 5_000 + box(b"moov", track(8, 8, 1))).decode(), None),
        (base64.b64encode(struct.pack(">I4s", 0, b"moov") + track(64, 64, 1)).decode(), (0, 4)),
        ("no base64", None),
    ],
)
def test_videos(text: str, expected: tuple[int, int] | None) -> None:
    """BND-22: (width × height / 1024) × frames, of what an MP4 says of itself."""
    assert video_range(text) == expected
