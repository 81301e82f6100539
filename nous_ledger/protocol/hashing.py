"""Hashes of the protocol: tagged SHA-256, commitments, pseudonyms, Keccak-256.

Every hash that the protocol makes of its own data starts with an ASCII tag and
a zero byte, so that bytes hashed for one purpose can never serve another.

Spec:
    PROTOCOL.md, sections "Conventions" and "Identity and keys".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any, Final

import sha3

from nous_ledger.protocol.checkpoint import is_origin
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.types import Hash32, LogId, SubjectId

HASH_LENGTH: Final = 32
OPENING_LENGTH: Final = 32
ZERO_HASH: Final = Hash32(bytes(32))
MAX_USAGE_VALUES: Final = 16
MAX_USAGE_BYTES: Final = 65_536

_sha256: Final[Callable[[bytes], Any]] = hashlib.sha256

_TAG_NEXT_KEY: Final = b"nous-ledger/1 next-key\x00"
_TAG_LOG: Final = b"nous-ledger/1 log\x00"
_TAG_SUBJECT: Final = b"nous-ledger/1 subject\x00"
_TAG_OPENING: Final = b"nous-ledger/1 opening\x00"
_TAG_REQUEST: Final = b"nous-ledger/1 request\x00"
_TAG_RESPONSE: Final = b"nous-ledger/1 response\x00"
_TAG_FORWARDED: Final = b"nous-ledger/1 forwarded\x00"


def sha256(data: bytes) -> Hash32:
    """Return SHA-256 of the data."""
    digest: Hash32 = _sha256(data).digest()
    return digest


def keccak256(data: bytes) -> Hash32:
    """Return Keccak-256 of the data, the hash of Ethereum (not SHA3-256)."""
    return Hash32(sha3.keccak_256(data).digest())


def next_key_hash(public_key: bytes) -> Hash32:
    """Return the commitment to the next secp256k1 key of a log.

    Spec:
        PROTOCOL.md ID-2.

    Args:
        public_key: compressed secp256k1 point, 33 bytes.

    Raises:
        InputError: the key is not 33 bytes.
    """
    return sha256(_TAG_NEXT_KEY + _sized(public_key, 33, "public key"))


def compute_log_id(origin: str, key: bytes, ed25519: bytes, next_hash: bytes) -> LogId:
    """Return the self-certifying identity of a log.

    Spec:
        PROTOCOL.md ID-1, ID-3.

    Args:
        origin: name of the log, 1..255 bytes of `[a-z0-9._~/-]`.
        key: first secp256k1 key, compressed, 33 bytes.
        ed25519: first Ed25519 key, 32 bytes.
        next_hash: commitment to the next secp256k1 key, 32 bytes; zeros = cannot rotate.

    Raises:
        InputError: the origin is none, or a key or hash has the wrong length.
    """
    if not is_origin(origin):
        raise InputError("input", f"{origin[:80]!r} is not an origin")
    name = origin.encode("ascii")
    return LogId(
        sha256(
            _TAG_LOG
            + len(name).to_bytes(2, "big")
            + name
            + _sized(key, 33, "secp256k1 key")
            + _sized(ed25519, 32, "Ed25519 key")
            + _sized(next_hash, 32, "next_hash")
        )
    )


def subject_id(log_secret: bytes, kind: int, credential: bytes) -> SubjectId:
    """Return the pseudonym of a caller: HMAC of its credential under the log's secret.

    Args:
        log_secret: secret of the log, 32 bytes.
        kind: what the credential is, 1..7 (PROTOCOL.md, section "Subjects").
        credential: the credential's bytes; empty for kind 6.

    Raises:
        InputError: the secret is not 32 bytes or the kind is not in 1..255.
    """
    if not 1 <= kind <= 255:
        raise InputError("input", f"subject kind {kind} is outside 1..255")
    secret = _sized(log_secret, 32, "log secret")
    return SubjectId(hmac.digest(secret, _TAG_SUBJECT + bytes([kind]) + credential, "sha256"))


def opening_hash(opening: bytes) -> Hash32:
    """Return what a gateway keeps of an opening, to grant read access later.

    Args:
        opening: per-call secret, 32 bytes.

    Raises:
        InputError: the opening is not 32 bytes.
    """
    return sha256(_TAG_OPENING + _sized(opening, OPENING_LENGTH, "opening"))


def commit_request(opening: bytes, body: bytes) -> Hash32:
    """Return the commitment to a request body as the client sent it."""
    return _commit(_TAG_REQUEST, opening, body)


def commit_response(opening: bytes, body: bytes) -> Hash32:
    """Return the commitment to a response body as the client received it."""
    return _commit(_TAG_RESPONSE, opening, body)


def commit_forwarded(opening: bytes, body: bytes) -> Hash32:
    """Return the commitment to a request body as the gateway forwarded it."""
    return _commit(_TAG_FORWARDED, opening, body)


class RunningCommitment:
    """A commitment built while the body streams past, in constant memory."""

    __slots__ = ("_mac",)

    def __init__(self, tag: str, opening: bytes) -> None:
        """Start a commitment.

        Args:
            tag: "request", "response" or "forwarded".
            opening: per-call secret, 32 bytes.

        Raises:
            InputError: unknown tag, or an opening that is not 32 bytes.
        """
        tags = {"request": _TAG_REQUEST, "response": _TAG_RESPONSE, "forwarded": _TAG_FORWARDED}
        if tag not in tags:
            raise InputError("input", f"no commitment is tagged {tag!r}")
        key = _sized(opening, OPENING_LENGTH, "opening")
        self._mac = hmac.new(key, tags[tag], "sha256")

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._mac.update(chunk)

    def digest(self) -> Hash32:
        """Return the commitment to all bytes so far."""
        return Hash32(self._mac.digest())


def raw_usage_hash(values: Sequence[bytes]) -> Hash32 | None:
    """Return the hash over usage values as they stood on the wire.

    Spec:
        PROTOCOL.md, section "Usage".

    Args:
        values: exact JSON bytes of each usage value, in arrival order.

    Returns:
        The hash, or None when there is no value or more than the limits allow
        (16 values, 65,536 bytes together).
    """
    if not 1 <= len(values) <= MAX_USAGE_VALUES or sum(map(len, values)) > MAX_USAGE_BYTES:
        return None
    return sha256(b"".join([len(value).to_bytes(4, "big") + value for value in values]))


def _commit(tag: bytes, opening: bytes, body: bytes) -> Hash32:
    key = _sized(opening, OPENING_LENGTH, "opening")
    mac = hmac.new(key, tag, "sha256")
    mac.update(body)
    return Hash32(mac.digest())


def _sized(value: bytes, length: int, name: str) -> bytes:
    if len(value) != length:
        raise InputError("input", f"{name} has {length} bytes, not {len(value)}")
    return value
