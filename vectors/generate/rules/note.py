"""Signed notes and verifier keys, as C2SP signed-note describes them, read strictly."""

import base64
import binascii
import re
from dataclasses import dataclass

from vectors.generate.rules.checks import reject, require
from vectors.generate.rules.primitives import sha256, tag

ED25519, COSIGNATURE, ML_DSA_COSIGNATURE, OTHER = 0x01, 0x04, 0x06, 0xFF
HEAD_PREFIX = tag("head")
MAX_NOTE = 128 * 1024
MAX_LINES = 64
KEY_ID = re.compile(r"[0-9a-f]{8}")
DASH = "\N{EM DASH} "


@dataclass(frozen=True)
class Line:
    """One signature line; `payload` follows the key id."""

    name: str
    key_id: bytes
    payload: bytes


@dataclass(frozen=True)
class Note:
    """A parsed note; `text` includes its final newline."""

    text: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class VerifierKey:
    """A parsed vkey; `material` follows the type byte."""

    name: str
    key_id: bytes
    type: int
    material: bytes

    @property
    def log_id(self) -> bytes | None:
        """Return the log id that a head key carries."""
        ours = self.type == OTHER and self.material.startswith(HEAD_PREFIX)
        return self.material[len(HEAD_PREFIX) :] if ours else None


def b64(data: bytes) -> str:
    """Return padded standard base64."""
    return base64.b64encode(data).decode("ascii")


def unb64(text: str, code: str) -> bytes:
    """Return the bytes of canonical base64."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        reject(code)
    require(b64(data) == text, code)
    return data


def check_name(name: str, code: str) -> None:
    """Refuse a key name that is empty or holds a space, a plus or a control character."""
    require(name and "+" not in name, code)
    require(not any(char.isspace() or ord(char) < 0x20 for char in name), code)
    require(not any("\ud800" <= char <= "\udfff" for char in name), code)


def key_id(name: str, material: bytes) -> bytes:
    """Return the first four bytes of the hash; `material` begins with the type byte."""
    return sha256(name.encode() + b"\n" + material)[:4]


def vkey(name: str, kind: int, material: bytes) -> str:
    """Return the text of a verifier key."""
    full = bytes([kind]) + material
    return f"{name}+{key_id(name, full).hex()}+{b64(full)}"


def head_vkey(origin: str, log_id: bytes) -> str:
    """Return the verifier key of the secp256k1 head lines of a log."""
    return vkey(origin, OTHER, HEAD_PREFIX + log_id)


def parse_vkey(text: str) -> VerifierKey:
    """Return the parts of a verifier key."""
    parts = text.split("+", 2)
    require(len(parts) == 3, "vkey-format")
    name, identifier, encoded = parts
    check_name(name, "vkey-format")
    require(KEY_ID.fullmatch(identifier), "vkey-format")
    full = unb64(encoded, "vkey-format")
    require(len(full) > 1, "vkey-format")
    kind, material = full[0], full[1:]
    lengths = {ED25519: 32, COSIGNATURE: 32, ML_DSA_COSIGNATURE: 1312}
    ours = kind == OTHER and material.startswith(HEAD_PREFIX)
    expected = len(HEAD_PREFIX) + 32 if ours else lengths.get(kind)
    require(expected in (None, len(material)), "vkey-format")
    if expected is not None:
        require(key_id(name, full).hex() == identifier, "vkey-key-id")
    return VerifierKey(name, bytes.fromhex(identifier), kind, material)


def line(name: str, identifier: bytes, payload: bytes) -> str:
    """Return a signature line with its newline."""
    return f"{DASH}{name} {b64(identifier + payload)}\n"


def parse(raw: bytes) -> Note:
    """Return the text and the signature lines of a note."""
    code = "note-format"
    require(len(raw) <= MAX_NOTE, code)
    try:
        whole = raw.decode("utf-8")
    except UnicodeDecodeError:
        reject(code)
    require(not any(ord(char) < 0x20 and char != "\n" for char in whole), code)
    cut = whole.rfind("\n\n")
    require(cut >= 0 and whole.endswith("\n"), code)
    text, block = whole[: cut + 1], whole[cut + 2 :]
    require(block, code)
    rows = block[:-1].split("\n")
    require(len(rows) <= MAX_LINES, code)
    return Note(text, tuple(_parse_line(row) for row in rows))


def _parse_line(row: str) -> Line:
    """Return the parts of one signature line."""
    code = "note-format"
    require(row.startswith(DASH), code)
    parts = row[len(DASH) :].split(" ")
    require(len(parts) == 2, code)
    check_name(parts[0], code)
    data = unb64(parts[1], code)
    require(len(data) >= 5, code)
    return Line(parts[0], data[:4], data[4:])
