"""AWS event-stream messages, made from their definition."""

import json
import struct
import zlib


def header(name: str, value: str) -> bytes:
    text = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text


def framed(headers: bytes, payload: bytes) -> bytes:
    """Return one message around ready-made headers."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def message(name: str, payload: object, kind: str = "event") -> bytes:
    """Return one message as Bedrock sends it; bytes stand for themselves."""
    fields = {
        f":{kind}-type": name,
        ":content-type": "application/json",
        ":message-type": kind,
    }
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return framed(b"".join(header(*field) for field in fields.items()), data)
