"""Verifier keys: the one-line text form in which keys are published and pinned.

    <name>+<key id, 8 lower-case hex>+<base64(kind || material)>

    key id = SHA-256(name || 0x0A || kind || material)[:4]

Keys of kinds that version 1 does not know are kept, so that a policy may list
them; they are unsupported, and their key ids are not checked.

Spec:
    PROTOCOL.md, section "parse_vkey" (VKEY-1 to VKEY-4); C2SP signed-note.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.note import KEY_ID_LENGTH, KEY_NAME
from nous_ledger.protocol.textform import format_base64, parse_base64
from nous_ledger.protocol.types import LogId

KIND_ED25519: Final = 0x01
"""Ed25519 over the note text; material: 32-byte public key."""
KIND_COSIGNATURE: Final = 0x04
"""Ed25519 cosignature/v1 of a witness; material: 32-byte public key."""
KIND_MLDSA44: Final = 0x06
"""ML-DSA-44 cosignature; listed in policies, never counted in version 1."""
KIND_HEAD: Final = 0xFF
"""EIP-712 head of this protocol; material: `HEAD_PREFIX` and the log id."""

HEAD_PREFIX: Final = b"nous-ledger/1 head\x00"
MAX_VKEY_CHARACTERS: Final = 65_536

_MATERIAL_LENGTHS: Final = {KIND_ED25519: 32, KIND_COSIGNATURE: 32, KIND_MLDSA44: 1312}
_VKEY: Final = re.compile(rf"({KEY_NAME.pattern})\+([0-9a-f]{{8}})\+([A-Za-z0-9+/]+={{0,2}})")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key under a name; of a known kind, the key id always belongs to both.

    Attributes:
        name: key name; a log's is its origin.
        key_id: 4 bytes.
        kind: signature type, one byte; kinds that version 1 does not know are kept.
        material: public key or identity, as the kind defines.
    """

    name: str
    key_id: bytes
    kind: int
    material: bytes

    def __post_init__(self) -> None:
        """Refuse a key that could not be written as a vkey."""
        expected = compute_key_id(self.name, self.kind, self.material)
        if len(self.key_id) != KEY_ID_LENGTH:
            raise _wrong(f"a key id has 4 bytes, not {len(self.key_id)}")
        if not self.material:
            raise _wrong("it has no key material")
        length = self._material_length()
        if length is None:
            return  # other kinds make their key ids in other ways
        if len(self.material) != length:
            raise _wrong(f"a key of kind {self.kind:#04x} has {length} bytes of material")
        if self.key_id != expected:
            raise FormatError(
                "vkey-key-id",
                f"the key id of {self.name} is {expected.hex()}, not {self.key_id.hex()}",
                computed=expected.hex(),
            )

    @property
    def log_id(self) -> LogId | None:
        """The log id that a head key pins; None for every other key."""
        if self.kind != KIND_HEAD or not self.material.startswith(HEAD_PREFIX):
            return None
        return LogId(self.material[len(HEAD_PREFIX) :])

    def _material_length(self) -> int | None:
        """Return the bytes that a known kind has; None for a kind that is not known."""
        if self.kind == KIND_HEAD and self.material.startswith(HEAD_PREFIX):
            return len(HEAD_PREFIX) + 32
        return _MATERIAL_LENGTHS.get(self.kind)


def compute_key_id(name: str, kind: int, material: bytes) -> bytes:
    """Return the 4 bytes that name a key among others of its name.

    Spec:
        PROTOCOL.md VKEY-3.

    Args:
        name: key name.
        kind: signature type, 0..255.
        material: what follows the kind in the vkey.

    Raises:
        FormatError: vkey-format, if name or kind cannot stand in a vkey.
    """
    if not KEY_NAME.fullmatch(name):
        raise _wrong("the name is empty or has a space, a plus or a control character")
    if not 0 <= kind <= 0xFF:
        raise _wrong(f"kind {kind} is not one byte")
    prefix = name.encode("utf-8") + b"\n" + bytes([kind])
    return sha256(prefix + material).digest()[:KEY_ID_LENGTH]


def parse_vkey(text: str) -> VerifierKey:
    """Return the key in a vkey line.

    Spec:
        PROTOCOL.md VKEY-1 to VKEY-3.

    Raises:
        FormatError: vkey-format, or vkey-key-id if the key id is not that of
            this name and key (kinds 0x01, 0x04, 0x06 and 0xff of this protocol).
    """
    match = _VKEY.fullmatch(text) if len(text) <= MAX_VKEY_CHARACTERS else None
    raw = parse_base64(match[3]) if match else None
    if not match or not raw:
        raise _wrong("it is not `<name>+<8 hex>+<base64>`")
    return VerifierKey(name=match[1], key_id=bytes.fromhex(match[2]), kind=raw[0], material=raw[1:])


def format_vkey(key: VerifierKey) -> str:
    """Return the one-line text of a key."""
    encoded = format_base64(bytes([key.kind]) + key.material)
    return f"{key.name}+{key.key_id.hex()}+{encoded}"


@lru_cache(maxsize=256)
def make_vkey(name: str, kind: int, material: bytes) -> VerifierKey:
    """Return a key with the key id that belongs to it.

    Raises:
        FormatError: vkey-format.
    """
    return _made(name, kind, material)


@lru_cache(maxsize=256)
def _made(name: str, kind: int, material: bytes) -> VerifierKey:
    # A log's keys are asked for again with every one of its heads.
    key_id = compute_key_id(name, kind, material)
    return VerifierKey(name=name, key_id=key_id, kind=kind, material=material)


def ed25519_vkey(name: str, public_key: bytes) -> VerifierKey:
    """Return the key of a log's Ed25519 line.

    Args:
        name: the log's origin.
        public_key: 32 bytes.

    Raises:
        FormatError: vkey-format.
    """
    return make_vkey(name, KIND_ED25519, public_key)


def head_vkey(origin: str, log_id: LogId) -> VerifierKey:
    """Return the key of a log's 0xff line, which pins its log id and survives rotation.

    Spec:
        PROTOCOL.md VKEY-4.

    Args:
        origin: the log's origin.
        log_id: 32 bytes.

    Raises:
        FormatError: vkey-format.
    """
    return make_vkey(origin, KIND_HEAD, HEAD_PREFIX + log_id)


def cosigner_vkey(name: str, public_key: bytes) -> VerifierKey:
    """Return the key of a witness that makes Ed25519 cosignatures.

    Args:
        name: the witness's key name.
        public_key: 32 bytes.

    Raises:
        FormatError: vkey-format.
    """
    return make_vkey(name, KIND_COSIGNATURE, public_key)


def _wrong(reason: str) -> FormatError:
    return FormatError("vkey-format", f"not a verifier key: {reason}")
