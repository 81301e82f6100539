"""Signed heads: a checkpoint under the two signature lines of its log.

    — <origin> <key id || Ed25519 over the note text>                      kind 0x01
    — <origin> <key id || timestamp u64 || epoch u32 || r 32 s 32 v 1>     kind 0xff

The second signs the EIP-712 struct of log id, epoch, leaf count, root and time.
Count and root stand in the note text only, so the two lines cannot disagree.

Spec:
    PROTOCOL.md, section "The head" (HEAD-1 to HEAD-8, HEAD-14 to HEAD-16).
"""

from __future__ import annotations

import struct
from typing import Final

from nous_ledger.protocol.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from nous_ledger.protocol.ed25519 import verify_ed25519
from nous_ledger.protocol.eip712 import head_digest
from nous_ledger.protocol.errors import HeadError, InputError, SignatureError
from nous_ledger.protocol.note import (
    Note,
    NoteSignature,
    find_signatures,
    format_note,
    parse_note,
)
from nous_ledger.protocol.signer import DigestSigner, MessageSigner
from nous_ledger.protocol.signing import check_signature_shape, verify_signature
from nous_ledger.protocol.types import MAX_UINT, Epoch, LogId, UnixSeconds
from nous_ledger.protocol.values import value
from nous_ledger.protocol.vkey import VerifierKey, ed25519_vkey, head_vkey

_PREFIX: Final = struct.Struct(">QI")
HEAD_PAYLOAD_LENGTH: Final = 77
"""Bytes of a 0xff line after the key id."""


@value
class HeadSignature:
    """What a 0xff line says and signs.

    Attributes:
        timestamp: seconds; when the head was signed, 0..2^53-1.
        epoch: key epoch of the signing key, 0..2^32-1.
        signature: r || s || v, 65 bytes.
    """

    timestamp: UnixSeconds
    epoch: Epoch
    signature: bytes


@value
class SignedHead:
    """A head whose two log signatures have been verified.

    Attributes:
        checkpoint: origin, leaf count and root.
        epoch: key epoch that signed it.
        timestamp: seconds; when it was signed.
    """

    checkpoint: Checkpoint
    epoch: Epoch
    timestamp: UnixSeconds


def encode_head_signature(signature: HeadSignature) -> bytes:
    """Return the 77 payload bytes of a 0xff line.

    Raises:
        InputError: timestamp or epoch out of range.
        SignatureError: malformed, high-s, bad-recovery-id.
    """
    check_signature_shape(signature.signature)
    if not (0 <= signature.timestamp <= MAX_UINT and 0 <= signature.epoch < 1 << 32):
        raise InputError("input", "the timestamp or epoch of a head is out of range")
    return _PREFIX.pack(signature.timestamp, signature.epoch) + signature.signature


def decode_head_signature(payload: bytes) -> HeadSignature:
    """Return what the payload of a 0xff line says; the signature is not checked.

    Spec:
        PROTOCOL.md HEAD-2.

    Args:
        payload: the bytes after the key id.

    Raises:
        SignatureError: malformed (not 77 bytes, or a timestamp above 2^53-1).
    """
    if len(payload) != HEAD_PAYLOAD_LENGTH:
        raise SignatureError("malformed", f"a 0xff line has 81 bytes, not {len(payload) + 4}")
    timestamp, epoch = _PREFIX.unpack_from(payload)
    if timestamp > MAX_UINT:
        raise SignatureError("malformed", "the head's time is above 2^53-1")
    return HeadSignature(timestamp=timestamp, epoch=epoch, signature=payload[_PREFIX.size :])


def verify_head_signature(
    checkpoint: Checkpoint, log_id: LogId, signature: HeadSignature, public_key: bytes
) -> HeadSignature:
    """Return the head signature after checking it with the key of its epoch.

    Spec:
        PROTOCOL.md HEAD-3.

    Args:
        checkpoint: the parsed note text that the line stands under.
        log_id: log id that the 0xff vkey pins, 32 bytes.
        signature: the decoded line.
        public_key: secp256k1 key of `signature.epoch`, compressed, 33 bytes.

    Raises:
        SignatureError: malformed, high-s, bad-recovery-id, mismatch.
    """
    digest = head_digest(
        log_id, signature.epoch, checkpoint.leaf_count, checkpoint.root, signature.timestamp
    )
    verify_signature(digest, signature.signature, public_key)
    return signature


def verify_text_signature(text: str, key: VerifierKey, signature: NoteSignature) -> NoteSignature:
    """Return an Ed25519 line (kind 0x01) after checking it over the note text.

    Spec:
        PROTOCOL.md HEAD-5, HEAD-6.

    Args:
        text: the note text with its final newline.
        key: an Ed25519 key of the line's name and key id.
        signature: the line.

    Raises:
        SignatureError: malformed, mismatch.
    """
    verify_ed25519(key.material, text.encode("utf-8"), signature.payload)
    return signature


def only_line(note: Note, key: VerifierKey) -> NoteSignature:
    """Return the one line of a log's key; the line is not verified.

    Spec:
        PROTOCOL.md HEAD-4, HEAD-5.

    Raises:
        HeadError: missing-kind, duplicate-line.
    """
    lines = find_signatures(note, key.name, key.key_id)
    if not lines:
        raise HeadError("missing-kind", f"the log's line of kind {key.kind:#04x} is missing")
    if len(lines) > 1:
        raise HeadError(
            "duplicate-line", f"{len(lines)} lines of the log's key of kind {key.kind:#04x}"
        )
    return lines[0]


def verify_head(
    data: bytes, *, origin: str, log_id: LogId, epoch: Epoch, public_key: bytes, ed25519: bytes
) -> SignedHead:
    """Return what a head says after checking both lines with the keys of its epoch.

    For callers that know the log's keys: its owner, or a reader that has verified
    the key history up to the head's leaf count.

    Spec:
        PROTOCOL.md HEAD-1 to HEAD-5, HEAD-7, HEAD-14.

    Args:
        data: the note.
        origin: origin of the log.
        log_id: 32 bytes.
        epoch: key epoch over the head's leaves.
        public_key: secp256k1 key of the epoch, compressed, 33 bytes.
        ed25519: Ed25519 key of the epoch, 32 bytes.

    Raises:
        FormatError: note-format, checkpoint-format.
        HeadError: head-origin, missing-kind, duplicate-line, head-epoch.
        SignatureError: malformed, high-s, bad-recovery-id, mismatch.
    """
    note = parse_note(data)
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != origin:
        raise HeadError("head-origin", f"the head is of {checkpoint.origin}, not of {origin}")
    line = only_line(note, head_vkey(origin, log_id))
    signature = decode_head_signature(line.payload)
    if signature.epoch != epoch:
        raise HeadError("head-epoch", f"the head is of epoch {signature.epoch}, not {epoch}")
    verify_head_signature(checkpoint, log_id, signature, public_key)
    text_key = ed25519_vkey(origin, ed25519)
    verify_text_signature(note.text, text_key, only_line(note, text_key))
    return SignedHead(checkpoint=checkpoint, epoch=epoch, timestamp=signature.timestamp)


def sign_head(
    checkpoint: Checkpoint,
    *,
    log_id: LogId,
    epoch: Epoch,
    timestamp: UnixSeconds,
    key: DigestSigner,
    ed25519: MessageSigner,
) -> bytes:
    """Return the note of a head with both signature lines of the log.

    Spec:
        PROTOCOL.md HEAD-15, HEAD-16.

    Args:
        checkpoint: origin, leaf count and root; must never contradict an earlier head.
        log_id: 32 bytes.
        epoch: key epoch over these leaves.
        timestamp: seconds; never before that of an earlier head.
        key: secp256k1 key of the epoch.
        ed25519: Ed25519 key of the epoch.

    Returns:
        The note: the Ed25519 line first, then the 0xff line.

    Raises:
        FormatError: checkpoint-format.
        InputError: log id, timestamp or epoch out of range.
    """
    text = format_checkpoint(checkpoint)
    if len(log_id) != 32 or not (0 <= timestamp <= MAX_UINT and 0 <= epoch < 1 << 32):
        raise InputError("input", "the log id, timestamp or epoch of a head is out of range")
    digest = head_digest(log_id, epoch, checkpoint.leaf_count, checkpoint.root, timestamp)
    signed = HeadSignature(timestamp=timestamp, epoch=epoch, signature=key.sign(digest))
    text_key = ed25519_vkey(checkpoint.origin, ed25519.public_key)
    lines = (
        _line(text_key, ed25519.sign(text.encode("utf-8"))),
        _line(head_vkey(checkpoint.origin, log_id), encode_head_signature(signed)),
    )
    return format_note(Note(text=text, signatures=lines))


def _line(key: VerifierKey, payload: bytes) -> NoteSignature:
    return NoteSignature(name=key.name, key_id=key.key_id, payload=payload)
