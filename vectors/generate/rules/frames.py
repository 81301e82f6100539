"""How a streamed response falls into events: the four framings of bytes/1."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from vectors.generate.rules.checks import require
from vectors.generate.rules.visible import NOT_APPLICABLE, Raw, read_json

GEMINI, CONVERSE, OLLAMA = 8, 9, (11, 12)
LINE_END = re.compile(rb"\r\n|\r|\n")
VALUE_LENGTHS = (0, 0, 1, 2, 4, 8, None, None, 8, 16)  # by the type of a header
STRING = 7


@dataclass(frozen=True)
class Event:
    """An event, and what its framing calls it."""

    name: str
    value: Raw


def cut(api: int, response: bytes) -> list[Event]:
    """Return the events of a response."""
    if api == CONVERSE:
        return list(messages(response))
    if api in OLLAMA:
        found = [line for line in response.split(b"\n") if line.strip(b" \t\r")]
        return [Event("", read_json(line)) for line in found]
    start = response.lstrip(b" \t\r\n")[:1] if api == GEMINI else b""
    if start in (b"[", b"{") and start:
        whole = read_json(response)
        return [Event("", item) for item in (whole.items() if start == b"[" else [whole])]
    return [Event("", value) for value in server_sent(response)]


def server_sent(response: bytes) -> Iterator[Raw]:
    """Yield the JSON of every server-sent event; `[DONE]` is none."""
    lines: list[bytes] = []
    for line in [*LINE_END.split(response.removeprefix(b"\xef\xbb\xbf")), b""]:
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
        elif not line and lines:
            data = b"\n".join(lines)
            lines = []
            if data.strip(b" \t\n\r\v\f") != b"[DONE]":
                yield read_json(data)


def messages(response: bytes) -> Iterator[Event]:
    """Yield the events of an event stream."""
    while response:
        require(len(response) >= 12, NOT_APPLICABLE)
        total, size, check = (int.from_bytes(response[at : at + 4], "big") for at in (0, 4, 8))
        require(check == zlib.crc32(response[:8]), NOT_APPLICABLE)
        require(size + 16 <= total <= len(response), NOT_APPLICABLE)
        message, response = response[:total], response[total:]
        last = int.from_bytes(message[-4:], "big")
        require(last == zlib.crc32(message[:-4]), NOT_APPLICABLE)
        names = dict(headers(message[12 : 12 + size]))
        require(names.get(b":message-type", b"event") == b"event", NOT_APPLICABLE)
        if payload := message[12 + size : -4]:
            yield Event(names.get(b":event-type", b"").decode("latin-1"), read_json(payload))


def headers(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and value of each header that is a string."""
    while data:
        length, data = data[0], data[1:]
        require(len(data) > length, NOT_APPLICABLE)
        name, kind, data = data[:length], data[length], data[length + 1 :]
        require(kind < len(VALUE_LENGTHS), NOT_APPLICABLE)
        size = VALUE_LENGTHS[kind]
        if size is None:
            require(len(data) >= 2, NOT_APPLICABLE)
            size, data = int.from_bytes(data[:2], "big"), data[2:]
        require(len(data) >= size, NOT_APPLICABLE)
        if kind == STRING:
            yield name, data[:size]
        data = data[size:]
