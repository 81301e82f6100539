"""Witness cosignatures, version 1: Ed25519 over a time and a checkpoint.

A witness that cosigns says: at this time, the largest tree of this log that I
have seen has this root. The signed message is

    cosignature/v1
    time 1679315147
    <the note text>

Spec:
    PROTOCOL.md, section "Cosignatures" (COSIG-1, COSIG-2); C2SP tlog-cosignature.
"""

from __future__ import annotations

from typing import Final

from nous_ledger.protocol.ed25519 import Ed25519Key, verify_ed25519
from nous_ledger.protocol.errors import FormatError, InputError, SignatureError
from nous_ledger.protocol.note import NoteSignature
from nous_ledger.protocol.types import MAX_UINT, UnixSeconds
from nous_ledger.protocol.vkey import KIND_COSIGNATURE, VerifierKey, cosigner_vkey

COSIGNATURE_PAYLOAD_LENGTH: Final = 72
"""Bytes of a cosignature line after the key id: time u64, signature 64."""


def cosign(name: str, key: Ed25519Key, text: str, timestamp: UnixSeconds) -> NoteSignature:
    """Return the cosignature line of a witness.

    Spec:
        PROTOCOL.md COSIG-1, COSIG-2.

    Args:
        name: key name of the witness.
        key: its Ed25519 key; never a key that also signs heads.
        text: the checkpoint's note text with its final newline.
        timestamp: seconds, 0..2^53-1.

    Raises:
        FormatError: vkey-format, if the name cannot be a key name.
        InputError: timestamp out of range.
    """
    if not 0 <= timestamp <= MAX_UINT:
        raise InputError("input", f"a time of {timestamp} is outside 0..2^53-1")
    vkey = cosigner_vkey(name, key.public_key)
    payload = timestamp.to_bytes(8, "big") + key.sign(cosigned_message(text, timestamp))
    return NoteSignature(name=name, key_id=vkey.key_id, payload=payload)


def verify_cosignature(key: VerifierKey, text: str, signature: NoteSignature) -> UnixSeconds:
    """Return the time of a cosignature after checking it.

    Spec:
        PROTOCOL.md COSIG-1, COSIG-2.

    Args:
        key: the witness's key, kind 0x04.
        text: the checkpoint's note text with its final newline.
        signature: a line of that key.

    Raises:
        FormatError: vkey-format, if the key makes no such cosignatures.
        SignatureError: malformed (not 72 bytes, or a time above 2^53-1), mismatch.
    """
    if key.kind != KIND_COSIGNATURE:
        raise FormatError("vkey-format", f"a key of kind {key.kind:#04x} is not a cosigner key")
    payload = signature.payload
    if len(payload) != COSIGNATURE_PAYLOAD_LENGTH:
        raise SignatureError("malformed", f"a cosignature has 76 bytes, not {len(payload) + 4}")
    timestamp = UnixSeconds(int.from_bytes(payload[:8], "big"))
    if timestamp > MAX_UINT:
        raise SignatureError("malformed", "the cosignature's time is above 2^53-1")
    verify_ed25519(key.material, cosigned_message(text, timestamp), payload[8:])
    return timestamp


def cosigned_message(text: str, timestamp: UnixSeconds) -> bytes:
    """Return the bytes that a witness signs."""
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()
