"""The 120-byte signed record."""

from dataclasses import dataclass

from vectors.generate.rules import curve
from vectors.generate.rules.checks import MAX_UINT, require
from vectors.generate.rules.primitives import sha256, tag, uint


@dataclass(frozen=True)
class Record:
    """A decoded record; `raw` are its 120 bytes."""

    raw: bytes
    version: int
    type: int
    epoch: int
    index: int
    logged_at: int
    body_hash: bytes
    signature: bytes

    @property
    def leaf(self) -> bytes:
        """Return the leaf hash."""
        return sha256(b"\x00" + self.raw)


def header(kind: int, epoch: int, index: int, logged_at: int, body_hash: bytes) -> bytes:
    """Return the 55 signed bytes."""
    return (
        b"\x01" + uint(kind, 2) + uint(epoch, 4) + uint(index, 8) + uint(logged_at, 8) + body_hash
    )


def digest(log: bytes, signed: bytes) -> bytes:
    """Return what the log's key signs."""
    return sha256(tag("entry") + log + signed)


def make(secret: int, log: bytes, signed: bytes) -> bytes:
    """Return the 120 bytes."""
    return signed + curve.sign(secret, digest(log, signed))


def decode(raw: bytes) -> Record:
    """Return the fields; the signature is not looked at here."""
    require(len(raw) == 120, "record-length")
    require(raw[0] >= 1, "record-version")
    require(raw[0] == 1, "newer-version")
    index, logged_at = int.from_bytes(raw[7:15], "big"), int.from_bytes(raw[15:23], "big")
    require(index <= MAX_UINT and logged_at <= MAX_UINT, "record-range")
    return Record(
        raw=raw,
        version=raw[0],
        type=int.from_bytes(raw[1:3], "big"),
        epoch=int.from_bytes(raw[3:7], "big"),
        index=index,
        logged_at=logged_at,
        body_hash=raw[23:55],
        signature=raw[55:120],
    )


def verify(record: Record, log: bytes, key: bytes) -> None:
    """Refuse unless `key` signed this record for this log."""
    curve.verify(digest(log, record.raw[:55]), record.signature, key)
