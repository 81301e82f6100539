"""Events of a server-sent event stream, cut out of bytes that arrive in any pieces.

    stream  = *event
    event   = *( field end-of-line ) end-of-line
    field   = "data" [ ":" [ space ] value ] / "event" [ ":" [ space ] value ] / other
    end-of-line = CR LF / LF / CR

The cutting works on bytes, so a character split over two pieces is whole again
before anyone decodes it. Every byte that goes in comes out in some event's
`raw`, in order: a proxy that forwards `raw` forwards the stream. Which events
come out does not depend on where the pieces were cut.

An event without its closing blank line at the end of the stream is delivered
all the same: a usage value in it was sent and is billed. An event longer than
the bound comes out in fragments without data, so memory stays bounded and no
byte is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from nous_ledger.gateway.framing import MAX_EVENT_BYTES, StreamEvent

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
# Two line ends in a row, where CR LF is one line end, never two. A CR that is the last
# byte so far may yet become CR LF, so it waits. (No possessive quantifiers here or
# elsewhere: the `re` of Python before 3.11.4 takes some for what they are not.)
_EVENT_END: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\Z))")
# At the end of the stream no LF can follow any more.
_LAST_EVENT_END: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_LONGEST_EVENT_END: Final = 4  # CR LF CR LF


class SseParser:
    """Cuts one stream into events.

    Attributes:
        between_events: the next byte begins an event that is not the first.
    """

    whole = True  # an event that is not whole is no JSON

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        """Start at the beginning of a stream.

        Args:
            max_event_bytes: longest event whose data is read, in bytes of `raw`.
        """
        self._max = max_event_bytes
        self._buffer = bytearray()
        self._searched = 0  # no event ends before this offset of the buffer
        self._oversized = False
        self._started = False
        self.between_events = False

    def feed(self, piece: bytes) -> list[StreamEvent]:
        """Take the next bytes of the stream and return the events they complete."""
        if self._is_one_event(piece):
            events = [self._event(piece)]
        else:
            self._buffer += piece
            events = list(self._cut(_EVENT_END))
        self.between_events = self._started and not self._buffer and not self._oversized
        return events

    def _is_one_event(self, piece: bytes) -> bool:
        """Return whether some bytes are surely one event in full, as they nearly always are."""
        if self._buffer or self._oversized or b"\r" in piece:
            return False
        return piece.find(b"\n\n") == len(piece) - 2 and len(piece) > 1

    def close(self) -> list[StreamEvent]:
        """Return what is left at the end of the stream."""
        events = list(self._cut(_LAST_EVENT_END))
        if self._buffer:
            rest = bytes(self._buffer)
            self._buffer.clear()
            events.append(self._event(rest))
        return events

    def _cut(self, event_end: re.Pattern[bytes]) -> Iterator[StreamEvent]:
        start = 0
        at = self._searched
        while match := event_end.search(self._buffer, at):
            yield self._event(bytes(self._buffer[start : match.end()]))
            start = at = match.end()
            self._oversized = False
        del self._buffer[:start]
        # A line end may already be here whose partner has not arrived.
        self._searched = max(0, len(self._buffer) - _LONGEST_EVENT_END + 1)
        if self._oversized or len(self._buffer) > self._max:
            yield from self._fragment()

    def _fragment(self) -> Iterator[StreamEvent]:
        self._oversized = True
        if self._searched:
            fragment = bytes(self._buffer[: self._searched])
            del self._buffer[: self._searched]
            self._searched = 0
            yield StreamEvent(fragment, oversized=True)

    def _event(self, raw: bytes) -> StreamEvent:
        if self._oversized or len(raw) > self._max:
            return StreamEvent(raw, oversized=True)
        text = raw
        if not self._started:
            self._started = True
            text = raw.removeprefix(_BYTE_ORDER_MARK)
        return _read_fields(raw, text)


def _read_fields(raw: bytes, text: bytes) -> StreamEvent:
    if text.startswith(b"data: ") and text.endswith(b"\n\n"):  # nearly every event
        value = text[6:-2]
        if b"\n" not in value and b"\r" not in value:
            return StreamEvent(raw, b"", value)
    name = b""
    data: list[bytes] = []
    for line in _LINE_END.split(text):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    # A line "data" without a colon is a field with an empty value, as is "data:".
    return StreamEvent(raw, name, b"\n".join(data) if data else None)
