"""What all streams have in common: bytes that arrive in any pieces, cut into events.

    sse           server-sent events: text, an event ends with an empty line
    jsonlines     one JSON value per line
    jsonarray     one JSON array, which grows item by item
    eventstream   AWS event streams: binary frames with checksums

Every byte that goes into a parser comes out in some event's `raw`, in order. What
is read does not depend on where the pieces were cut, the time it takes is linear,
and what is kept is at most one event: a longer one comes out in fragments without
data, so memory stays bounded and no byte is lost.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""Longest event whose data is read; one holds a whole answer of the Responses API."""


class StreamEvent(NamedTuple):
    """One event, or a fragment of one that is too long to be read.

    Attributes:
        raw: its bytes in the stream, with what separates it from the next one.
        name: what kind of event the framing says it is, empty if it does not say.
        data: what it says, None if it says nothing.
        oversized: this is a fragment of an event longer than the bound.
        damaged: this cannot be read: a checksum or a length is wrong.
        failed: the framing says that this is an error.
        last: the framing says that nothing follows.
    """

    raw: bytes
    name: bytes = b""
    data: bytes | None = None
    oversized: bool = False
    damaged: bool = False
    failed: bool = False
    last: bool = False


class StreamParser(Protocol):
    """Cuts one stream into events.

    Attributes:
        whole: nothing between the events is missing or wrong; of use after `close`.
    """

    @property
    def whole(self) -> bool:
        """See above."""

    def feed(self, piece: bytes) -> list[StreamEvent]:
        """Take the next bytes of the stream and return the events they complete."""

    def close(self) -> list[StreamEvent]:
        """Return what is left at the end of the stream."""
