"""Messages of an AWS event stream, cut out of bytes that arrive in any pieces.

    message = u32 length of the message, u32 length of the headers, u32 CRC-32 of these eight
              bytes, headers, payload, u32 CRC-32 of everything before
    header  = u8 length, name, u8 type, value

The length of a message is believed only when its own checksum holds. If it does
not, nothing that follows can be told apart any more: it passes unread.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from struct import unpack_from
from typing import Final

from nous_ledger.gateway.framing import MAX_EVENT_BYTES, StreamEvent

_PRELUDE: Final = 12
_SHORTEST: Final = 16
_STRING: Final = 7
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_PREFIXED: Final = (6, _STRING)


class EventStreamParser:
    """Cuts one stream into messages."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        """Start at the beginning of a stream.

        Args:
            max_event_bytes: longest message that is read.
        """
        self._max = max_event_bytes
        self._buffer = bytearray()
        self._skipping = 0  # bytes of a message that is too long
        self._lost = False
        self._cut_off = False

    def feed(self, piece: bytes) -> list[StreamEvent]:
        """Take the next bytes of the stream and return the messages they complete."""
        self._buffer += piece
        return list(self._cut())

    @property
    def whole(self) -> bool:
        """Whether the stream did not end within a message."""
        return not (self._cut_off or self._skipping)

    def close(self) -> list[StreamEvent]:
        """Return what is left at the end of the stream: part of a message."""
        self._cut_off = bool(self._buffer)
        return [StreamEvent(self._take(len(self._buffer)))] if self._buffer else []

    def _cut(self) -> Iterator[StreamEvent]:
        while self._buffer:
            if self._lost:
                yield StreamEvent(self._take(len(self._buffer)), damaged=True)
            elif self._skipping:
                fragment = self._take(min(self._skipping, len(self._buffer)))
                self._skipping -= len(fragment)
                yield StreamEvent(fragment, oversized=True)
            elif (length := self._length()) is None:
                return
            elif length > self._max:
                self._skipping = length
            elif length and len(self._buffer) < length:
                return
            elif length:
                yield _read(self._take(length))

    def _length(self) -> int | None:
        """Return the length of the next message, 0 if that is lost, None if not here yet."""
        if len(self._buffer) < _PRELUDE:
            return None
        total, headers, check = unpack_from(">III", self._buffer)
        whole = _SHORTEST + headers <= total
        if zlib.crc32(self._buffer[:8]) != check or not whole:
            self._lost = True
            return 0
        return int(total)

    def _take(self, length: int) -> bytes:
        raw = bytes(self._buffer[:length])
        del self._buffer[:length]
        return raw


def _read(raw: bytes) -> StreamEvent:
    """Return the event that a message holds."""
    try:
        headers = _headers(raw, unpack_from(">I", raw, 4)[0])
    except (struct.error, IndexError):
        return StreamEvent(raw, damaged=True)
    if zlib.crc32(raw[:-4]) != unpack_from(">I", raw, len(raw) - 4)[0]:
        return StreamEvent(raw, damaged=True)
    payload = raw[_PRELUDE + unpack_from(">I", raw, 4)[0] : -4]
    failed = headers.get(b":message-type", b"event") != b"event"
    name = headers.get(b":exception-type" if failed else b":event-type", b"")
    return StreamEvent(raw, name=name, data=payload or None, failed=failed)


def _headers(raw: bytes, length: int) -> dict[bytes, bytes]:
    """Return the headers that are strings.

    Raises:
        IndexError: they are longer than they say, or of an unknown type.
    """
    found: dict[bytes, bytes] = {}
    at, end = _PRELUDE, _PRELUDE + length
    while at < end:
        name_end = at + 1 + raw[at]
        kind = raw[name_end]
        start = name_end + 1
        if kind in _PREFIXED:
            start += 2
            size = int(unpack_from(">H", raw, start - 2)[0])
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise IndexError(kind)
        if kind == _STRING:
            found[raw[at + 1 : name_end]] = raw[start : start + size]
        at = start + size
    if at != end:
        raise IndexError(at)
    return found
