"""Answers that are no answers: what a hostile server writes on a connection, byte by byte."""

import asyncio
import gzip
import zlib
from typing import Final

from tests.zoo.site import Request, Script

_OK: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n"
_CHUNK: Final = b"\0" * 65_536
BOMB_BYTES: Final = 1 << 30
"""What a bomb becomes."""


def raw(data: bytes) -> Script:
    """Return a script that writes these bytes and hangs up."""

    async def write(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return write


def headed(body: bytes, *headers: str, length: int | None = None, status: str = "200 OK") -> bytes:
    """Return an answer with further header lines, its length being what the caller says."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if length is None or length >= 0:
        lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def hang_up(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """Close the connection without a word."""


async def silence(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.sleep(3600)


async def endless_body(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Send zeros for as long as somebody takes them, with no length."""
    writer.write(_OK + b"\r\n")
    while True:
        writer.write(_CHUNK)
        await writer.drain()


async def endless_chunks(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Send chunks for as long as somebody takes them."""
    writer.write(_OK + b"transfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + _CHUNK + b"\r\n")
        await writer.drain()


async def endless_headers(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Send header lines for as long as somebody takes them."""
    writer.write(_OK)
    number = 0
    while True:
        writer.write(b"x-%d: %s\r\n" % (number, b"y" * 64))
        number += 1
        await writer.drain()


async def one_endless_header(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Send one header line that never ends."""
    writer.write(_OK + b"x: ")
    while True:
        writer.write(b"y" * 4096)
        await writer.drain()


async def endless_interim_answers(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Send 100 Continue for as long as somebody takes it."""
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0)


def dripping(pause_s: float) -> Script:
    """Return a script that sends a body byte by byte, never silent for long, never at its end."""

    async def write(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(_OK + b"\r\n")
        while True:
            writer.write(b"\0")
            await writer.drain()
            await asyncio.sleep(pause_s)

    return write


def dripping_headers(pause_s: float) -> Script:
    """Return a script that sends a header byte by byte and never comes to its end."""

    async def write(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(_OK + b"x-slow: ")
        while True:
            writer.write(b"y")
            await writer.drain()
            await asyncio.sleep(pause_s)

    return write


def bomb() -> bytes:
    """Return a small gzip stream that becomes a gigabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    block = bytes(1 << 20)
    start = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the same block is packed into the same bytes, as often as one likes.
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + again * ((BOMB_BYTES >> 20) - 1) + packer.flush()


def packed(data: bytes) -> bytes:
    """Return some bytes as gzip."""
    return gzip.compress(data)
