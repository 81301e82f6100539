"""Signatures: recoverable secp256k1 for records and heads.

This is the only module that touches the library of this curve. libsecp256k1
accepts high-s signatures when it recovers a key, so every path here checks the
shape of a signature first: r and s in 1..n-1, s <= n/2, recovery id 0 or 1.

Spec:
    PROTOCOL.md, section "Signatures".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, TypeAlias

from coincurve import PrivateKey, PublicKey
from coincurve.context import GLOBAL_CONTEXT, ffi, lib  # type: ignore[attr-defined]

from nous_ledger.protocol.errors import InputError, SignatureError
from nous_ledger.protocol.hashing import keccak256

SIGNATURE_LENGTH: Final = 65
CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER: Final = CURVE_ORDER // 2

_ORDER_BYTES: Final = CURVE_ORDER.to_bytes(32, "big")
_HALF_BYTES: Final = HALF_ORDER.to_bytes(32, "big")
_ZERO: Final = bytes(32)

_CONTEXT: Final = GLOBAL_CONTEXT.ctx
_SIGNATURE_BUFFER: Final = ffi.typeof("secp256k1_ecdsa_recoverable_signature *")
_KEY_BUFFER: Final = ffi.typeof("secp256k1_pubkey *")
_KEYS_BUFFER: Final = ffi.typeof("secp256k1_pubkey *[]")
_COMPRESSED_BUFFER: Final = ffi.typeof("unsigned char [33]")
_SIZE_BUFFER: Final = ffi.typeof("size_t *")
_COMPACT_BUFFER: Final = ffi.typeof("unsigned char [65]")
_NUMBER_BUFFER: Final = ffi.typeof("int *")

Point: TypeAlias = Any
"""A point of the curve as the library holds it; None, where it is allowed, for infinity."""


class SigningKey:
    """A secp256k1 private key that signs 32-byte digests.

    Attributes:
        public_key: compressed public key, 33 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        """Load a private key.

        Args:
            secret: 32 bytes, a number in 1..n-1.

        Raises:
            InputError: the secret is not a private key.
        """
        if len(secret) != 32 or not 1 <= int.from_bytes(secret, "big") < CURVE_ORDER:
            raise InputError("input", "a secp256k1 private key is 32 bytes in 1..n-1")
        self._key = PrivateKey(secret)
        self.public_key: bytes = self._key.public_key.format(compressed=True)

    def __repr__(self) -> str:
        """Show the public key only: the secret must never reach a log."""
        return f"SigningKey(public_key={self.public_key.hex()})"

    def secret(self) -> bytes:
        """Return the private key, 32 bytes, for another process of its owner."""
        return bytes(self._key.secret)

    def sign(self, digest: bytes) -> bytes:
        """Return r || s || v over a digest, deterministic by RFC 6979.

        Args:
            digest: 32 bytes.

        Returns:
            65 bytes: r 32, s 32 (s <= n/2), v in {0, 1}.

        Raises:
            InputError: the digest is not 32 bytes.
        """
        signature = self.sign_once(digest)
        counter = 0
        while signature[64] > 1:  # r >= n, about once in 2**128: sign again with extra data
            counter += 1
            signature = self.sign_once(digest, counter)
        return signature

    def sign_once(self, digest: bytes, counter: int = 0) -> bytes:
        """Return one RFC 6979 signature, whose recovery id may be 2 or 3.

        Args:
            digest: 32 bytes.
            counter: 0 for plain RFC 6979; from 1 on its 32 big-endian bytes are
                the extra data of the K update.

        Returns:
            65 bytes: r, s (s <= n/2), recovery id 0..3.

        Raises:
            InputError: the digest is not 32 bytes.
        """
        if len(digest) != 32:
            raise InputError("input", f"a digest has 32 bytes, not {len(digest)}")
        # The library's own method makes four calls and objects more than these of its C functions.
        nonce, extra = ffi.NULL, ffi.NULL
        if counter:
            nonce = lib.secp256k1_nonce_function_rfc6979
            extra = ffi.new("unsigned char [32]", counter.to_bytes(32, "big"))
        made, signature = ffi.new(_SIGNATURE_BUFFER), ffi.new(_COMPACT_BUFFER)
        recovery_id = ffi.new(_NUMBER_BUFFER)
        key = self._key.secret
        signed = lib.secp256k1_ecdsa_sign_recoverable(_CONTEXT, made, digest, key, nonce, extra)
        assert signed, "only a key or nonce out of range cannot sign"  # noqa: S101
        lib.secp256k1_ecdsa_recoverable_signature_serialize_compact(
            _CONTEXT, signature, recovery_id, made
        )
        signature[64] = recovery_id[0]
        return bytes(ffi.buffer(signature))


def check_signature_shape(signature: bytes) -> bytes:
    """Return the signature if it is well formed and not malleable.

    Raises:
        SignatureError: malformed (not 65 bytes, r or s not in 1..n-1), high-s
            (s > n/2), bad-recovery-id (v not 0 or 1); in this order.
    """
    if len(signature) != SIGNATURE_LENGTH:
        raise SignatureError("malformed", f"a signature has 65 bytes, not {len(signature)}")
    r, s = signature[:32], signature[32:64]
    if not (_ZERO < r < _ORDER_BYTES and _ZERO < s < _ORDER_BYTES):
        raise SignatureError("malformed", "r or s is outside 1..n-1")
    if s > _HALF_BYTES:
        raise SignatureError("high-s", "s is larger than n/2")
    if signature[64] > 1:
        raise SignatureError("bad-recovery-id", f"the recovery id is {signature[64]}, not 0 or 1")
    return signature


def normalise_recovery_id(signature: bytes) -> bytes:
    """Return a signature of other software with its recovery id 27 or 28 as 0 or 1.

    Wallets write the id so; what is stored and sent here is 0 or 1 only. Every
    other byte stays as it is, and is judged when the signature is verified.

    Spec:
        PROTOCOL.md KEY-5.
    """
    if len(signature) == SIGNATURE_LENGTH and signature[64] in (27, 28):
        return signature[:64] + bytes([signature[64] - 27])
    return signature


def recover(digest: bytes, signature: bytes) -> bytes:
    """Return the compressed public key (33 bytes) that made a signature.

    Args:
        digest: 32 bytes.
        signature: r || s || v, 65 bytes.

    Raises:
        InputError: the digest is not 32 bytes.
        SignatureError: malformed, high-s, bad-recovery-id; mismatch if no key
            could have made this signature.
    """
    key = _recovered(digest, signature)
    compressed, size = ffi.new(_COMPRESSED_BUFFER), ffi.new(_SIZE_BUFFER, 33)
    lib.secp256k1_ec_pubkey_serialize(_CONTEXT, compressed, size, key, lib.SECP256K1_EC_COMPRESSED)
    return bytes(ffi.buffer(compressed))


def _recovered(digest: bytes, signature: bytes) -> Any:  # noqa: ANN401 - a value of the library
    if len(digest) != 32:
        raise InputError("input", f"a digest has 32 bytes, not {len(digest)}")
    check_signature_shape(signature)
    # The library's own method makes three objects more than these calls of its C functions.
    parsed, key = ffi.new(_SIGNATURE_BUFFER), ffi.new(_KEY_BUFFER)
    lib.secp256k1_ecdsa_recoverable_signature_parse_compact(
        _CONTEXT, parsed, signature, signature[64]
    )
    if not lib.secp256k1_ecdsa_recover(_CONTEXT, key, parsed, digest):
        raise SignatureError("mismatch", "no key could have made this signature")
    return key


def verify_signature(digest: bytes, signature: bytes, public_key: bytes) -> bytes:
    """Return the public key after checking that it made the signature.

    Recovering exactly this key implies that ordinary ECDSA verification succeeds.

    Args:
        digest: 32 bytes.
        signature: r || s || v, 65 bytes.
        public_key: expected key, compressed, 33 bytes.

    Raises:
        SignatureError: malformed, high-s, bad-recovery-id or mismatch.
    """
    key = _recovered(digest, signature)
    expected = _parsed(public_key)  # to compare keys takes less time than to write one down
    if expected is None or lib.secp256k1_ec_pubkey_cmp(_CONTEXT, key, expected):
        raise SignatureError("mismatch", "the signature was made by another key or over other data")
    return public_key


def nonce_point(signature: bytes) -> Point:
    """Return the point R that a signature names by abscissa and parity.

    Args:
        signature: r || s || v, 65 bytes.

    Raises:
        SignatureError: malformed, high-s, bad-recovery-id; mismatch if the curve has
            no such point.
    """
    check_signature_shape(signature)
    point = ffi.new(_KEY_BUFFER)
    compressed = (b"\x03" if signature[64] else b"\x02") + signature[:32]
    if not lib.secp256k1_ec_pubkey_parse(_CONTEXT, point, compressed, 33):
        raise SignatureError("mismatch", "no key could have made this signature")
    return point


def key_point(public_key: bytes) -> Point | None:
    """Return the point that 33 bytes are; None if they are none."""
    return _parsed(public_key)


def add_points(points: Iterable[Point | None]) -> Point | None:
    """Return the sum of some points, each of which may be infinity; None is infinity."""
    finite = [point for point in points if point is not None]
    total = ffi.new(_KEY_BUFFER)
    # The library adds one point or more, and refuses a sum that is infinity.
    added = finite and lib.secp256k1_ec_pubkey_combine(
        _CONTEXT, total, ffi.new(_KEYS_BUFFER, finite), len(finite)
    )
    return total if added else None


def multiply_point(point: Point, number: int) -> Point | None:
    """Return a multiple of a point; None is infinity.

    Args:
        point: one of the curve, not infinity.
        number: 0..n-1.
    """
    product = ffi.new(_KEY_BUFFER, point[0])
    # The library refuses 0, the only number here of which the product is infinity.
    made = lib.secp256k1_ec_pubkey_tweak_mul(_CONTEXT, product, number.to_bytes(32, "big"))
    return product if made else None


def same_point(one: Point | None, other: Point | None) -> bool:
    """Return whether two points are the same; None is infinity."""
    if one is None or other is None:
        return one is other
    return not lib.secp256k1_ec_pubkey_cmp(_CONTEXT, one, other)


def is_curve_point(public_key: bytes) -> bool:
    """Return whether 33 bytes are a compressed point of secp256k1."""
    return _parsed(public_key) is not None


@lru_cache(maxsize=256)
def _parsed(public_key: bytes) -> Any:  # noqa: ANN401 - a value of the library
    if len(public_key) != 33 or public_key[0] not in (2, 3):
        return None
    try:
        return PublicKey(public_key).public_key
    except ValueError:
        return None


def address_of(public_key: bytes) -> bytes:
    """Return the 20-byte Ethereum address of a compressed public key.

    Raises:
        InputError: the bytes are not a point of the curve.
    """
    return keccak256(b"".join(point_of(public_key)))[12:]


def point_of(public_key: bytes) -> tuple[bytes, bytes]:
    """Return the coordinates x and y, 32 bytes each, of a compressed public key.

    Raises:
        InputError: the bytes are not a point of the curve.
    """
    if not is_curve_point(public_key):
        raise InputError("input", "the public key is not a compressed point of secp256k1")
    point = PublicKey(public_key).format(compressed=False)
    return point[1:33], point[33:]
