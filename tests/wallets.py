"""A wallet that signs bindings with a curve, Keccak and EIP-712 that are not the product's."""

from dataclasses import dataclass

from vectors.generate.actors import curve_address
from vectors.generate.rules import curve, eip712

ZERO = bytes(20)


@dataclass(frozen=True, slots=True)
class Wallet:
    """An externally owned account."""

    secret: int

    @property
    def address(self) -> bytes:
        return curve_address(curve.public_point(curve.SECP256K1, self.secret))

    def sign(
        self, log_id: bytes, subject: bytes, nonce: int, deadline: int, wallet: bytes | None = None
    ) -> bytes:
        """Return the signature as wallets write it, with 27 or 28 at its end."""
        bound = self.address if wallet is None else wallet
        digest = eip712.binding_digest(log_id, subject, bound, nonce, deadline)
        signature = curve.sign(self.secret, digest)
        return signature[:64] + bytes([signature[64] + 27])


ALICE = Wallet(0xA11CE)
BOB = Wallet(0xB0B)


def high_s(signature: bytes) -> bytes:
    """Return the other form of a signature, which the same key would have made too."""
    s = curve.SECP256K1.n - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])
