"""Hashes, names and pseudonyms: appendix A of the design, read line by line."""

import hashlib
import hmac
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from vectors.generate.rules.checks import reject, require

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
ZEROS = bytes(32)
ORIGIN = re.compile(r"[a-z0-9](?:[a-z0-9._~/-]{0,253}[a-z0-9])?")


def sha256(data: bytes) -> bytes:
    """Return SHA-256(data)."""
    return hashlib.sha256(data).digest()


def tag(label: str) -> bytes:
    """Return a domain tag: ASCII and a zero byte."""
    return b"nous-ledger/1 " + label.encode("ascii") + b"\x00"


def uint(number: int, width: int) -> bytes:
    """Return a big-endian unsigned integer."""
    return number.to_bytes(width, "big")


def next_key_hash(key: bytes) -> bytes:
    """Return the commitment to the next secp256k1 key."""
    return sha256(tag("next-key") + key)


def log_id(origin: str, secp256k1: bytes, ed25519: bytes, next_hash: bytes) -> bytes:
    """Return the self-certifying name of a log."""
    name = origin.encode("ascii")
    return sha256(tag("log") + uint(len(name), 2) + name + secp256k1 + ed25519 + next_hash)


def subject(log_secret: bytes, kind: int, credential: bytes) -> bytes:
    """Return the pseudonym of a credential."""
    data = tag("subject") + bytes([kind]) + credential
    return hmac.new(log_secret, data, hashlib.sha256).digest()


def commitment(which: str, opening: bytes, body: bytes) -> bytes:
    """Return the commitment to a request, response or forwarded body."""
    return hmac.new(opening, tag(which) + body, hashlib.sha256).digest()


def opening_hash(opening: bytes) -> bytes:
    """Return what the gateway keeps of an opening."""
    return sha256(tag("opening") + opening)


def raw_usage_hash(values: list[bytes]) -> bytes:
    """Return the hash over usage values in arrival order."""
    return sha256(b"".join(uint(len(value), 4) + value for value in values))


def check_origin(origin: str, code: str) -> None:
    """Refuse an origin outside the grammar."""
    require(ORIGIN.fullmatch(origin), code)


def ed25519_public(seed: bytes) -> bytes:
    """Return the public key of a 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    """Return the 64-byte signature."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def ed25519_verify(key: bytes, message: bytes, signature: bytes) -> None:
    """Refuse a signature of wrong length, with S not below L, or that does not verify."""
    require(len(signature) == 64, "malformed")
    require(int.from_bytes(signature[32:], "little") < ED25519_ORDER, "malformed")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        reject("mismatch")
