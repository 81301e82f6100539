"""Events of a stream that differ from the one before in nothing but a piece of text.

Nearly every event of a stream is such a one: a word more of the answer. Once one was
read in full, the next ones are only compared with it: what stands before, between and
after the texts must be the same bytes, and the texts plain (no escape, no quote, valid
UTF-8). Then reading such an event in full would add the length of its text to what was
visible, and change nothing else, so that is all that is done.

Anything else is read in full, and what is learned is taken from the newest such event.
"""

from __future__ import annotations

import re
from typing import Final

MAX_BYTES: Final = 64 * 1024
"""Longest event that is compared; longer ones are read in full."""
_AT_ONCE: Final = 16 * 1024  # most bytes of which the texts are taken in one step

_PLAIN: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_PADDING: Final = re.compile(rb'"obfuscation"[ \t]*:[ \t]*"')
_KEYS: Final = {key: re.compile(rb'"%s"[ \t]*:[ \t]*"' % key) for key in (b"content", b"text")}


class Repeats:
    """Compares events with the newest that was read in full."""

    def __init__(self) -> None:
        """Start with nothing to compare with."""
        self._parts: tuple[bytes, ...] = ()
        self._between = b""  # what stands between two events' last and first texts

    def forget(self) -> None:
        """Compare no event until another was learned."""
        self._parts = ()

    def learn(self, raw: bytes, key: bytes, value: str) -> None:
        """Take an event to compare the next ones with, if it is one that can be.

        Args:
            raw: the event with the blank line after it.
            key: the member whose text may differ; `content` or `text`.
            value: that text. Reading the event again with another text must change
                nothing but how much text was seen.
        """
        self._parts = ()
        # Without escapes every quote in it is the beginning or the end of a string.
        if b"\\" in raw or b"\r" in raw or len(raw) > MAX_BYTES or not raw.endswith(b"\n\n"):
            return
        if not raw.startswith((b"data:", b"event:")) or raw.count(b'"%s"' % key) != 1:
            return
        if (found := _KEYS[key].search(raw)) is None:
            return
        parts = [raw[: found.end()]]
        end = raw.index(b'"', found.end())
        if raw[found.end() : end] != value.encode("utf-8", "surrogatepass"):
            return
        if padding := _PADDING.search(raw, end):
            parts.append(raw[end : padding.end()])
            end = raw.index(b'"', padding.end())
        self._parts = (*parts, raw[end:])
        self._between = raw[end:] + parts[0]

    def skip(self, piece: bytes, start: int, texts: list[bytes] | None = None) -> tuple[int, int]:
        """Return where such events end, and how many bytes of text they bring.

        Args:
            piece: bytes of the stream.
            start: where in it the first event begins.
            texts: gets the text itself, in one or more pieces, if it is wanted.
        """
        parts = self._parts
        if not parts or not piece.startswith(parts[0], start):
            return start, 0
        # Nearly always all that is there, up to the last event that ends like those.
        begin = start + len(parts[0])
        end = piece.rfind(parts[-1], begin, start + _AT_ONCE)
        if end >= 0:
            text = self._text(piece[begin:end])
            if text is not None:
                if texts is not None:
                    texts.append(text)
                return end + len(parts[-1]), len(text)
        return self._skip_each(piece, start, texts)

    def _text(self, inner: bytes) -> bytes | None:
        """Return the text of events in a row, None unless `_skip_each` takes every one.

        Every part but the first begins with a quote, and a plain text holds none, so
        texts that are plain are cut where they end.

        Args:
            inner: the events, from the first text to the end of the last.
        """
        found = inner.split(self._between)
        beside = b""
        if len(self._parts) > 2:
            halves = [event.partition(self._parts[1]) for event in found]
            found = [half[0] for half in halves]
            beside = b"".join([half[2] if half[1] else b'"' for half in halves])
        text = b"".join(found)
        if _PLAIN.fullmatch(text + beside) is None:
            return None
        return text if inner.isascii() or _is_utf8(inner) else None

    def _skip_each(self, piece: bytes, start: int, texts: list[bytes] | None) -> tuple[int, int]:
        """Do as `skip`, event by event."""
        first, *others = self._parts
        done, text = start, 0
        while piece.startswith(first, done):
            at = done + len(first)
            length, begin = -1, at
            for other in others:
                plain = _PLAIN.match(piece, at)
                end = at if plain is None else plain.end()
                if not piece.startswith(other, end) or not _is_utf8(piece[at:end]):
                    return done, text
                length = end - at if length < 0 else length
                at = end + len(other)
            if at - done > MAX_BYTES:
                break
            if texts is not None:
                texts.append(piece[begin : begin + length])
            done, text = at, text + length
        return done, text


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
