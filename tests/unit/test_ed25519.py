"""Ed25519 signatures: pure, with S below the group order, verified without the cofactor."""

import hashlib
from typing import Final

import pytest

from nous_ledger.protocol.ed25519 import ED25519_ORDER, Ed25519Key, verify_ed25519
from tests.refusals import code_of

# RFC 8032, section 7.1, tests 1 to 3.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_the_known_ed25519_signatures(seed: str, public: str, message: str, signature: str) -> None:
    key = Ed25519Key(bytes.fromhex(seed))
    assert key.public_key.hex() == public
    signed = key.sign(bytes.fromhex(message))
    assert signed.hex() == signature
    assert verify_ed25519(key.public_key, bytes.fromhex(message), signed) == key.public_key


ED25519: Final = Ed25519Key(b"\x33" * 32)
MESSAGE: Final = b"a head"
SIGNED: Final = ED25519.sign(MESSAGE)


def with_scalar(number: int) -> bytes:
    return SIGNED[:32] + number.to_bytes(32, "little")


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        SIGNED[:-1],
        SIGNED + b"\x00",
        with_scalar(ED25519_ORDER),
        with_scalar(ED25519_ORDER + int.from_bytes(SIGNED[32:], "little")),
        with_scalar(2**256 - 1),
    ],
)
def test_ill_formed_ed25519_signatures(signature: bytes) -> None:
    """Another length, or S not below the group order (KEY-11)."""
    assert code_of(verify_ed25519, ED25519.public_key, MESSAGE, signature) == "malformed"


@pytest.mark.parametrize(
    ("public", "message", "signature"),
    [
        (ED25519.public_key, MESSAGE + b"!", SIGNED),
        (ED25519.public_key, MESSAGE, with_scalar(ED25519_ORDER - 1)),
        (ED25519.public_key, MESSAGE, with_scalar(0)),
        (ED25519.public_key, MESSAGE, bytes(32) + SIGNED[32:]),
        (Ed25519Key(b"\x34" * 32).public_key, MESSAGE, SIGNED),
        (b"\x02" + bytes(31), MESSAGE, SIGNED),  # no point of the curve
        (ED25519.public_key[:-1], MESSAGE, SIGNED),
    ],
)
def test_other_ed25519_signatures(public: bytes, message: bytes, signature: bytes) -> None:
    """KEY-12."""
    assert code_of(verify_ed25519, public, message, signature) == "mismatch"


def clamped_scalar(seed: bytes) -> int:
    """Return the scalar of which a seed's public key is the multiple of B (RFC 8032, 5.1.5)."""
    number = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    return number & ~7 & ~(1 << 255) | 1 << 254


def plus_torsion(point: bytes) -> bytes:
    """Return the encoding of a point plus (0, -1), the point of order 2: both coordinates turn."""
    number = int.from_bytes(point, "little")
    y = (2**255 - 19) - (number & ~(1 << 255))
    return (y | (~number & 1 << 255)).to_bytes(32, "little")


def test_ed25519_is_verified_without_the_cofactor() -> None:
    """[S]B - [k]A must be R itself, not R plus a point of small order (KEY-12)."""
    nonce_seed = b"\x35" * 32
    commitment = Ed25519Key(nonce_seed).public_key

    def sign(point: bytes) -> bytes:
        hashed = hashlib.sha512(point + ED25519.public_key + MESSAGE).digest()
        k = int.from_bytes(hashed, "little")
        s = (clamped_scalar(nonce_seed) + k * clamped_scalar(b"\x33" * 32)) % ED25519_ORDER
        return point + s.to_bytes(32, "little")

    assert verify_ed25519(ED25519.public_key, MESSAGE, sign(commitment)) == ED25519.public_key
    # Multiplied by the cofactor 8 both sides of this one would be equal.
    twisted = sign(plus_torsion(commitment))
    assert code_of(verify_ed25519, ED25519.public_key, MESSAGE, twisted) == "mismatch"


@pytest.mark.parametrize(
    "number",
    [1, 1 | 1 << 255, 2**255 - 19 + 1, (2**255 - 19 + 1) | 1 << 255],
    ids=["canonical", "the sign of x = 0", "y above p", "both"],
)
def test_every_spelling_of_a_key(number: int) -> None:
    """The point (0, 1), of which every multiple is nothing, in all its forms (KEY-30)."""
    neutral = number.to_bytes(32, "little")
    nonce_seed = b"\x35" * 32
    scalar = clamped_scalar(nonce_seed) % ED25519_ORDER
    signature = Ed25519Key(nonce_seed).public_key + scalar.to_bytes(32, "little")
    assert verify_ed25519(neutral, MESSAGE, signature) == neutral
    assert code_of(verify_ed25519, neutral, MESSAGE, SIGNED) == "mismatch"
