"""The key of the epoch after the one that is being begun.

Spec:
    PROTOCOL.md KEY-1, ID-2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from nous_ledger.ledger.keys import generate_secp256k1
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.signing import SigningKey, is_curve_point


@dataclass(frozen=True, slots=True, kw_only=True)
class NextKeyPair:
    """The key of the epoch after, as far as it is at hand.

    Attributes:
        public_key: 33 bytes.
        secret: 32 bytes; empty if the key lies elsewhere.
        place: file that it is to be written to; None if the key lies elsewhere.
    """

    public_key: bytes
    secret: bytes = field(default=b"", repr=False)
    place: Path | None = None

    @classmethod
    def of(cls, out: Path | str | bytes | None) -> Self | None:
        """Return a fresh key for a file, or the one of a public key; None for none.

        Raises:
            InputError: the public key is no compressed point of the curve.
        """
        if out is None:
            return None
        if isinstance(out, bytes):
            if not is_curve_point(out):
                raise InputError("input", "the next public key is a compressed point, 33 bytes")
            return cls(public_key=out)
        secret = generate_secp256k1()
        return cls(public_key=SigningKey(secret).public_key, secret=secret, place=Path(out))
