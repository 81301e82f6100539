"""How large an image is, read from its first bytes: PNG, GIF, WebP and JPEG.

Only headers are read, and never more of them than the bound: an image comes from
whoever calls, so nothing in it is believed but two numbers, and these only as far as
an image format can hold them.

Spec:
    PROTOCOL.md BND-18.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Final

MAX_HEADER_BYTES: Final = 256 * 1024
"""Most of an image that is looked at; JPEG may hold thumbnails before its size."""
MAX_SIDE: Final = 65_535

_START_OF_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_SCAN: Final = frozenset({0xD8, 0xD9, 0xDA})  # beyond these no header follows

Size = tuple[int, int]


def size_of_data(text: str) -> Size | None:
    """Return width and height of an image that is given in base64, in pixels.

    Args:
        text: a `data:` URL, or base64 alone; with or without padding.

    Returns:
        None if it is no image of a known format, or if its header is not within bounds.
    """
    if text.startswith("data:"):
        head, comma, _ = text[:256].partition(",")
        if not comma or not head.endswith(";base64"):
            return None
        start = len(head) + 1
    else:
        start = 0
    piece = text[start : start + MAX_HEADER_BYTES // 3 * 4]
    piece = piece[: len(piece) // 4 * 4] or piece
    try:
        return size_of(base64.b64decode(piece, validate=True))
    except (binascii.Error, ValueError):
        return None


def size_of(data: bytes) -> Size | None:
    """Return width and height of an image in pixels, None if its header does not tell."""
    found: Size | None = None
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR" and len(data) >= 24:
        found = struct.unpack_from(">II", data, 16)
    elif data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        found = struct.unpack_from("<HH", data, 6)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        found = _webp(data)
    elif data.startswith(b"\xff\xd8"):
        found = _jpeg(data)
    if found is None or not all(0 < side <= MAX_SIDE for side in found):
        return None
    return found


def _webp(data: bytes) -> Size | None:
    if len(data) < 30:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg(data: bytes) -> Size | None:
    """Walk over the segments up to the frame, which names the size."""
    at, length = 2, min(len(data), MAX_HEADER_BYTES)
    while at + 4 <= length and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in _SCAN:
            return None
        elif marker in _START_OF_FRAME:
            if at + 9 > length:
                return None
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            step = int.from_bytes(data[at + 2 : at + 4], "big")
            if step < 2:
                return None
            at += 2 + step
    return None
