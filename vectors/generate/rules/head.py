"""Checkpoints, the two signature lines of a log, and cosignatures of witnesses."""

import re
from dataclasses import dataclass

from vectors.generate.rules import curve, eip712, note
from vectors.generate.rules.checks import MAX_UINT, reject, require
from vectors.generate.rules.primitives import check_origin, ed25519_sign, ed25519_verify, uint

DECIMAL = re.compile(r"0|[1-9][0-9]{0,15}")
HEAD_PAYLOAD = 8 + 4 + 65
COSIGNATURE_PAYLOAD = 8 + 64


@dataclass(frozen=True)
class Checkpoint:
    """The three lines."""

    origin: str
    count: int
    root: bytes


@dataclass(frozen=True)
class HeadLine:
    """What the 0xff line adds to the text."""

    timestamp: int
    epoch: int
    signature: bytes


def text_of(origin: str, count: int, root: bytes) -> str:
    """Return the note text of a head."""
    return f"{origin}\n{count}\n{note.b64(root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the three lines of a head, of which there are exactly three."""
    code = "checkpoint-format"
    lines = text.split("\n")
    require(len(lines) == 4 and lines[3] == "", code)
    origin, count, root = lines[:3]
    check_origin(origin, code)
    require(DECIMAL.fullmatch(count) and int(count) <= MAX_UINT, code)
    hashed = note.unb64(root, code)
    require(len(hashed) == 32, code)
    return Checkpoint(origin, int(count), hashed)


def ed25519_line(origin: str, seed: bytes, public: bytes, text: str) -> str:
    """Return the Ed25519 line of a log."""
    identifier = note.key_id(origin, bytes([note.ED25519]) + public)
    return note.line(origin, identifier, ed25519_sign(seed, text.encode()))


def head_line(secret: int, log: bytes, head: Checkpoint, epoch: int, timestamp: int) -> str:
    """Return the 0xff line of a log."""
    digest = eip712.head_digest(log, epoch, head.count, head.root, timestamp)
    payload = uint(timestamp, 8) + uint(epoch, 4) + curve.sign(secret, digest)
    return note.line(head.origin, head_key_id(head.origin, log), payload)


def head_key_id(origin: str, log: bytes) -> bytes:
    """Return the key id of the 0xff lines."""
    return note.key_id(origin, bytes([note.OTHER]) + note.HEAD_PREFIX + log)


def the_only_line(found: note.Note, name: str, identifier: bytes) -> note.Line:
    """Return the one line with this name and key id."""
    lines = [line for line in found.lines if (line.name, line.key_id) == (name, identifier)]
    require(lines, "missing-kind")
    require(len(lines) == 1, "duplicate-line")
    return lines[0]


def parse_head_line(payload: bytes) -> HeadLine:
    """Return the fields of a 0xff line; its signature is not looked at here."""
    require(len(payload) == HEAD_PAYLOAD, "malformed")
    timestamp = int.from_bytes(payload[:8], "big")
    require(timestamp <= MAX_UINT, "malformed")
    return HeadLine(timestamp, int.from_bytes(payload[8:12], "big"), payload[12:])


def verify_head_line(line: HeadLine, log: bytes, head: Checkpoint, key: bytes) -> None:
    """Refuse unless the epoch's key signed this head."""
    digest = eip712.head_digest(log, line.epoch, head.count, head.root, line.timestamp)
    curve.verify(digest, line.signature, key)


def cosigned_message(timestamp: int, text: str) -> bytes:
    """Return what a witness signs."""
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def cosignature_line(name: str, seed: bytes, public: bytes, timestamp: int, text: str) -> str:
    """Return a witness line."""
    identifier = note.key_id(name, bytes([note.COSIGNATURE]) + public)
    signature = ed25519_sign(seed, cosigned_message(timestamp, text))
    return note.line(name, identifier, uint(timestamp, 8) + signature)


def verify_cosignature(public: bytes, text: str, payload: bytes) -> int:
    """Return the time of a cosignature that verifies."""
    require(len(payload) == COSIGNATURE_PAYLOAD, "malformed")
    timestamp = int.from_bytes(payload[:8], "big")
    require(timestamp <= MAX_UINT, "malformed")
    ed25519_verify(public, cosigned_message(timestamp, text), payload[8:])
    return timestamp


def compare(
    trusted: tuple[int, bytes, int], seen: tuple[int, bytes, int], own_root: bytes | None
) -> str:
    """Classify a signed head (count, root, time) against the last trusted one.

    `own_root` is the trusted tree's root at the seen count, where that is not larger.
    """
    if seen[0] > trusted[0]:
        require(seen[2] >= trusted[2], "head-time")
        return "grew"
    require(seen[1] == own_root, "fork")
    if seen[0] == trusted[0]:
        return "unchanged"
    return reject("stale" if seen[2] <= trusted[2] else "rollback")


def check_late(logged_at: int, index: int, delay: int, count: int, timestamp: int) -> None:
    """Refuse a head that should have covered a record and does not."""
    require(count > index or timestamp <= logged_at // 1000 + delay, "late")
