"""How large and how long a video is, read from the boxes of an MP4 or QuickTime file.

Nothing is decoded: the header of a track names its size, and a table of samples how many
frames it has. A file comes from whoever calls, so no length in it is followed beyond the
file, and no more boxes are looked at than any honest file has.

Spec:
    PROTOCOL.md BND-22.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Final

from nous_ledger.reconcile.media_size import MAX_SIDE

MAX_BOXES: Final = 4_096

_SIZE_AT: Final = {0: 76, 1: 88}  # of width in a track header, by its version
_COUNT_AT: Final = 8

Span = tuple[int, int]


def video_range(text: str) -> tuple[int, int] | None:
    """Return the tokens that a video may count, at most (width × height / 1024) × frames.

    Args:
        text: the file in base64.

    Returns:
        Least and most tokens; None if the file does not tell its size and frames.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    most = 0
    for track in _named(data, (0, len(data)), b"moov", b"trak"):
        header = next(_named(data, track, b"tkhd"), None)
        samples = next(_named(data, track, b"mdia", b"minf", b"stbl", b"stsz"), None)
        if header is not None and samples is not None:
            most += _tokens(data, header, samples)
    return (0, most) if most else None


def _tokens(data: bytes, header: Span, samples: Span) -> int:
    """Return the tokens of a track; nothing for one without a picture."""
    at = header[0] + _SIZE_AT.get(data[header[0]] if header[0] < header[1] else 2, MAX_BOXES)
    if at + 8 > header[1] or samples[0] + _COUNT_AT + 4 > samples[1]:
        return 0
    # Sides are in 1/65536 of a pixel.
    width, height = (int.from_bytes(data[place : place + 4], "big") >> 16 for place in (at, at + 4))
    count = samples[0] + _COUNT_AT
    frames = int.from_bytes(data[count : count + 4], "big")
    if not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE:
        return 0
    return -(-width * height * frames // 1024)


def _named(data: bytes, within: Span, name: bytes, *below: bytes) -> Iterator[Span]:
    """Yield the contents of the boxes at a path."""
    for found, span in _boxes(data, within):
        if found == name:
            if below:
                yield from _named(data, span, *below)
            else:
                yield span


def _boxes(data: bytes, within: Span) -> Iterator[tuple[bytes, Span]]:
    at, end = within
    for _ in range(MAX_BOXES):
        if at + 8 > end:
            return
        size, name, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if size == 0:  # to the end of what holds it
            size = end - at
        if size < head or at + size > end:
            return
        yield name, (at + head, at + size)
        at += size
