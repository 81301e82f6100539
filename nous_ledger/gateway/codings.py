"""Content codings: which of them the gateway can take off, and taking them off.

Bodies pass through as they came. A copy is decoded, because usage is read from
the plain body and commitments are over it: two clients that got one answer
compressed and plain hold the same bytes.

To be sure that it can read the answer, the gateway narrows `Accept-Encoding` to
the codings below; this is one of the two documented changes to a request.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

MAX_DECODED_BYTES: Final = 256 * 1024 * 1024
"""Longest decoded body; a longer one is forwarded but neither read nor committed to."""

_PIECE_BYTES: Final = 256 * 1024
_AUTODETECT: Final = zlib.MAX_WBITS | 32  # gzip or zlib, told apart by their first bytes
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_GZIP_NAMES: Final = frozenset({"gzip", "x-gzip"})
DECODABLE: Final = _GZIP_NAMES | {"deflate"}
_ACCEPTABLE: Final = DECODABLE | {"identity"}


@lru_cache(maxsize=64)
def narrow_accept_encoding(value: str | None) -> str:
    """Return what may be left of a client's Accept-Encoding.

    >>> narrow_accept_encoding("br;q=1.0, gzip;q=0.8, *;q=0.1")
    'gzip;q=0.8'
    >>> narrow_accept_encoding(None)
    'identity'
    """
    kept = [
        item.strip()
        for item in (value or "").split(",")
        if item.partition(";")[0].strip().lower() in _ACCEPTABLE
    ]
    return ", ".join(kept) or "identity"


def parse_codings(value: str | None) -> tuple[str, ...]:
    """Return the codings of a Content-Encoding, outermost first; identity is none."""
    if not value:
        return ()
    names = [item.strip().lower() for item in value.split(",")]
    return tuple(name for name in reversed(names) if name not in ("", "identity"))


class Decoder:
    """Takes the content codings off one body, piece by piece, within bounds.

    After a failure (an unknown coding, damaged data, a body longer than the
    bound: `too_long`) `failed` is true and nothing more comes out.

    Attributes:
        identity: there are no codings.
        left: bytes that may still come out.
    """

    def __init__(self, content_encoding: str | None, max_bytes: int = MAX_DECODED_BYTES) -> None:
        """Start a body.

        Args:
            content_encoding: value of its Content-Encoding header, if any.
            max_bytes: longest decoded body.
        """
        codings = parse_codings(content_encoding) if content_encoding else ()
        self.failed = bool(codings) and (len(codings) > 1 or codings[0] not in DECODABLE)
        self.too_long = False
        self.identity = not codings
        self.left = max_bytes
        self._deflate = codings == ("deflate",)
        self._inflater: zlib._Decompress | None = None
        self._ended = False

    def passes(self, length: int) -> bool:
        """Take bytes that are as they came, and return whether they are within the bound."""
        if not self.identity or self.failed or length > self.left:
            return False
        self.left -= length
        return True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded pieces that the next bytes of the body complete."""
        for piece in self._decode(data):
            self.left -= len(piece)
            if self.left < 0:
                self.failed = self.too_long = True
                return
            yield piece

    def _decode(self, data: bytes) -> Iterator[bytes]:
        if self.identity:
            if data:
                yield data
            return
        full = False
        while (data or full) and not self.failed and not self._ended:
            try:
                piece, data = self._inflate(data)
            except zlib.error:
                self.failed = True
                return
            # A full piece may have more behind it although no input is left.
            full = len(piece) == _PIECE_BYTES
            if piece:
                yield piece

    def _inflate(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the next decoded piece and the bytes that are still to be decoded."""
        if self._inflater is None:
            raw = self._deflate and data[:1] and data[0] & 0x0F != 8  # no zlib header
            self._inflater = zlib.decompressobj(_RAW_DEFLATE if raw else _AUTODETECT)
        inflater = self._inflater
        piece = inflater.decompress(data, _PIECE_BYTES)
        if not inflater.eof:
            return piece, inflater.unconsumed_tail
        # A gzip body may have several members; after a deflate body nothing follows.
        self._inflater = None
        self._ended = self._deflate
        return piece, inflater.unused_data


def decode_body(
    body: bytes, content_encoding: str | None, max_bytes: int = MAX_DECODED_BYTES
) -> bytes | None:
    """Return a whole body without its content codings.

    None if they cannot be taken off, or if what comes out is longer than the bound.
    """
    decoder = Decoder(content_encoding, max_bytes)
    decoded = b"".join(decoder.feed(body))
    return None if decoder.failed else decoded
