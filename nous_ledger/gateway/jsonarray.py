"""The items of a JSON array, cut out of bytes that arrive in any pieces.

    stream = "[" [ item *( "," item ) ] "]"

Only brackets, quotes and backslashes are looked at: what stands between two
commas of the outermost array is an item, and whether it is JSON is for its reader
to say. A stream that does not begin with a bracket is one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from nous_ledger.gateway.framing import MAX_EVENT_BYTES, StreamEvent

_SPACE: Final = b" \t\n\r"
_NOT_SPACE: Final = re.compile(rb"[^ \t\n\r]")
_STRUCTURE: Final = re.compile(rb'[\[\]{}"]')
_STEPS: Final = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_OUTERMOST: Final = re.compile(rb'[\[\]{}",]')
# As much of a string as is here; a backslash whose second byte is not waits.
_STRING: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)


class ArrayParser:
    """Cuts one array into items."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        """Start at the beginning of a stream.

        Args:
            max_event_bytes: longest item that is read, with what separates it from the next.
        """
        self._max = max_event_bytes
        self._buffer = bytearray()
        self._at = 0  # what stands before this offset of the buffer was looked at
        self._item = 0  # where in the buffer the next item begins
        self._depth = 0
        self._in_string = False
        self._begun = False
        self._array = False
        self._ended = False
        self._oversized = False
        self._items = 0
        self._missing = False  # where an item should be, there is none

    @property
    def whole(self) -> bool:
        """Whether this was one value, or an array with all its items and its end."""
        return not self._array or (self._ended and not self._missing)

    def feed(self, piece: bytes) -> list[StreamEvent]:
        """Take the next bytes of the stream and return the items they complete."""
        self._buffer += piece
        self._begin()
        events = list(self._cut()) if self._array and not self._ended else []
        if self._ended:
            events += self._rest()
        elif self._oversized or len(self._buffer) > self._max:
            self._oversized = True
            # An escape that is cut waits for its second byte.
            if end := self._at if self._array else len(self._buffer):
                events.append(self._take(end, None))
        return events

    def close(self) -> list[StreamEvent]:
        """Return what is left at the end of the stream."""
        if not self._buffer:
            return []
        end = len(self._buffer)
        whole = self._depth == 1 if self._array else True
        return [self._take(end, end if whole and not self._in_string else None)]

    def _rest(self) -> list[StreamEvent]:
        """Return what follows the array: nothing but white space may."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return [StreamEvent(rest, damaged=bool(rest.strip(_SPACE)))] if rest else []

    def _begin(self) -> None:
        """Look for the first bracket, once there is anything to see."""
        if self._begun:
            return
        first = _NOT_SPACE.search(self._buffer, self._at)
        self._at = len(self._buffer)
        if first is not None:
            self._begun = True
            self._array = first.group() == b"["
            self._at = self._item = first.start() + self._array
            self._depth = 1

    def _cut(self) -> Iterator[StreamEvent]:
        while (at := self._next()) is not None:
            self._ended = self._depth == 0
            self._missing |= self._ended and self._buffer[at : at + 1] != b"]"
            yield self._take(at + 1, at)
            if self._ended:
                return

    def _next(self) -> int | None:
        """Return where the next item ends, None if that is not here yet."""
        buffer, at = self._buffer, self._at
        while True:
            if self._in_string:
                at = self._string_end(at)
                if self._in_string:
                    self._at = at
                    return None
            match = (_OUTERMOST if self._depth == 1 else _STRUCTURE).search(buffer, at)
            if match is None:
                self._at = len(buffer)
                return None
            at, mark = match.end(), match.group()
            self._in_string = mark == b'"'
            self._depth += _STEPS.get(mark, 0)
            if mark == b"," or self._depth == 0:
                self._at = at
                return match.start()

    def _string_end(self, at: int) -> int:
        """Return where a string ends, or as far as it can be read."""
        match = _STRING.match(self._buffer, at)
        end = match.end() if match else at
        self._in_string = self._buffer[end : end + 1] != b'"'
        return end if self._in_string else end + 1

    def _take(self, end: int, item_end: int | None) -> StreamEvent:
        """Return what stands before an offset, with the item that ends at another."""
        raw = bytes(self._buffer[:end])
        item = None if item_end is None else raw[self._item : item_end].strip(_SPACE)
        oversized = self._oversized or len(raw) > self._max
        del self._buffer[:end]
        self._at, self._item = max(0, self._at - end), 0
        if item_end is not None:
            self._oversized = False
            self._items += 1
            self._missing |= item == b"" and not (self._ended and self._items == 1)
        if oversized:
            return StreamEvent(raw, oversized=True, last=self._ended)
        return StreamEvent(raw, data=item or None, last=self._ended)
