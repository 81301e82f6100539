"""Width and height of an image or a video, from its headers (BND-18, BND-22)."""

import base64
import binascii
from typing import Any


def number(data: bytes, at: int, length: int, order: Any = "big") -> int:
    """Return an unsigned integer; past the end there is none."""
    if at + length > len(data):
        raise ValueError(at)
    return int.from_bytes(data[at : at + length], order)


def dimensions(text: str) -> tuple[int, int] | None:
    """Return the size of an image in base64 or a `data:` URL, None if it does not tell."""
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            return None
    text = text[:349_524]
    try:
        data = base64.b64decode(text[: len(text) - len(text) % 4], validate=True)
        width, height = _read(data)
    except (ValueError, binascii.Error):
        return None
    inside = 1 <= width <= 65_535 and 1 <= height <= 65_535
    return (width, height) if inside else None


def _read(data: bytes) -> tuple[int, int]:
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR":
        return number(data, 16, 4), number(data, 20, 4)
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return number(data, 6, 2, "little"), number(data, 8, 2, "little")
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X":
        return number(data, 24, 3, "little") + 1, number(data, 27, 3, "little") + 1
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8L" and data[20] == 0x2F:
        bits = number(data, 21, 4, "little")
        return bits % 2**14 + 1, bits // 2**14 % 2**14 + 1
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8 " and data[23:26] == b"\x9d\x01\x2a":
        return number(data, 26, 2, "little") % 2**14, number(data, 28, 2, "little") % 2**14
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    raise ValueError("no image")


def _jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    while number(data, at, 1) == 0xFF:
        marker = number(data, at + 1, 1)
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
            continue
        if marker in (0xD8, 0xD9, 0xDA):
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return number(data, at + 7, 2), number(data, at + 5, 2)
        length = number(data, at + 2, 2)
        if length < 2:
            break
        at += 2 + length
    raise ValueError("no frame")


def video_tokens(text: str) -> int:
    """Return (width × height / 1024) × frames of all tracks of a film in base64; 0 for none."""
    data = base64.b64decode(text)
    total = 0
    for moov in children(data, b"moov"):
        for trak in children(moov, b"trak"):
            head = children(trak, b"tkhd")[0]
            table = [trak]
            for name in (b"mdia", b"minf", b"stbl", b"stsz"):
                table = children(table[0], name)
            width, height = number(head, 76, 4) // 65_536, number(head, 80, 4) // 65_536
            total += -(-width * height * number(table[0], 8, 4) // 1024)
    return total


def children(data: bytes, name: bytes) -> list[bytes]:
    """Return the contents of the boxes of a name."""
    found, at = [], 0
    while at < len(data):
        size = number(data, at, 4)
        if data[at + 4 : at + 8] == name:
            found.append(data[at + 8 : at + size])
        at += size
    return found
