"""Ed25519 signatures: of heads, beside those of secp256k1, and of witnesses.

Spec:
    PROTOCOL.md, section "Heads".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from nous_ledger.protocol.errors import InputError, SignatureError

ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493


class Ed25519Key:
    """An Ed25519 private key.

    Attributes:
        public_key: 32 bytes.
    """

    def __init__(self, seed: bytes) -> None:
        """Load a private key from its 32-byte seed.

        Raises:
            InputError: the seed is not 32 bytes.
        """
        if len(seed) != 32:
            raise InputError("input", f"an Ed25519 seed has 32 bytes, not {len(seed)}")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key: bytes = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        """Show the public key only: the seed must never reach a log."""
        return f"Ed25519Key(public_key={self.public_key.hex()})"

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature over a message."""
        return self._key.sign(message)


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bytes:
    """Return the public key after checking its signature over a message.

    Verification is cofactorless and S must be below the group order.

    Args:
        public_key: 32 bytes.
        message: the signed bytes.
        signature: R || S, 64 bytes.

    Raises:
        SignatureError: malformed (not 64 bytes, or S >= L), mismatch.
    """
    if len(signature) != 64:
        raise SignatureError(
            "malformed", f"an Ed25519 signature has 64 bytes, not {len(signature)}"
        )
    if signature[63] >= 0x10 and int.from_bytes(signature[32:], "little") >= ED25519_ORDER:
        raise SignatureError("malformed", "S is not below the group order")
    try:
        _ed25519_key(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise SignatureError("mismatch", "the Ed25519 signature does not verify") from error
    return public_key


@lru_cache(maxsize=256)
def _ed25519_key(public_key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public_key)
