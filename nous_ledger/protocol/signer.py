"""What signs for a log: an object that holds a key, in this process or outside of it.

`SigningKey` and `Ed25519Key` are two such objects; an adapter to a hardware module
or a key service is another. Whoever signs for a log calls them from several threads.
"""

from __future__ import annotations

from typing import Protocol


class DigestSigner(Protocol):
    """Signs digests with a secp256k1 key.

    Attributes:
        public_key: compressed public key, 33 bytes.
    """

    @property
    def public_key(self) -> bytes:
        """The compressed public key, 33 bytes."""

    def sign(self, digest: bytes, /) -> bytes:
        """Return r || s || v over a digest of 32 bytes: s <= n/2, v in {0, 1}."""


class MessageSigner(Protocol):
    """Signs messages with an Ed25519 key.

    Attributes:
        public_key: 32 bytes.
    """

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""

    def sign(self, message: bytes, /) -> bytes:
        """Return the 64 bytes of a signature over a message."""
