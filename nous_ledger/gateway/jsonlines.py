"""A stream of JSON values, one per line, cut out of bytes that arrive in any pieces.

stream = *( value end-of-line ) [ value ]
end-of-line = [ CR ] LF
"""

from __future__ import annotations

from typing import Final

from nous_ledger.gateway.framing import MAX_EVENT_BYTES, StreamEvent

_SPACE: Final = b" \t\r\n"


class LineParser:
    """Cuts one stream into lines; an empty line says nothing."""

    whole = True  # a line that is not whole is no JSON

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        """Start at the beginning of a stream.

        Args:
            max_event_bytes: longest line whose value is read, its end included.
        """
        self._max = max_event_bytes
        self._buffer = bytearray()
        self._oversized = False

    def feed(self, piece: bytes) -> list[StreamEvent]:
        """Take the next bytes of the stream and return the lines they complete."""
        events: list[StreamEvent] = []
        start = 0
        while end := piece.find(b"\n", start) + 1:
            self._buffer += piece[start:end]
            events.append(self._line())
            self._oversized = False
            start = end
        self._buffer += piece[start:]
        if self._oversized or len(self._buffer) > self._max:
            self._oversized = True
            if self._buffer:
                events.append(self._line())
        return events

    def close(self) -> list[StreamEvent]:
        """Return what is left at the end of the stream."""
        return [self._line()] if self._buffer else []

    def _line(self) -> StreamEvent:
        raw = bytes(self._buffer)
        self._buffer.clear()
        if self._oversized or len(raw) > self._max:
            return StreamEvent(raw, oversized=True)
        return StreamEvent(raw, data=raw.strip(_SPACE) or None)
