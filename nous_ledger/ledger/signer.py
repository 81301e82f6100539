"""Keys that lie outside of this process: in a hardware module, or with a key service.

Such signers return what their makers found handy: DER or r and s, s of any size, no
recovery id or one of several kinds. `ExternalSigner` makes of it the one form that
the log has, checks it with the public key, and says clearly what went wrong
otherwise. A failure is raised before anything is stored, so it leaves no trace.

Spec:
    PROTOCOL.md, section "Signatures" (KEY-5 to KEY-9).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from nous_ledger.ledger.errors import SignerError
from nous_ledger.protocol.ed25519 import verify_ed25519
from nous_ledger.protocol.errors import InputError, SignatureError
from nous_ledger.protocol.signer import DigestSigner, MessageSigner
from nous_ledger.protocol.signing import CURVE_ORDER, HALF_ORDER, is_curve_point, verify_signature

DEFAULT_TIMEOUT_S: Final = 10.0
MAX_SIGNATURE_BYTES: Final = 72
"""Most bytes of a DER signature of this curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """The signers of those keys of a log that do not lie in its key file.

    Attributes:
        secp256k1: signs records, heads and key events; None if that key is in the file.
        ed25519: signs heads for other tools; None if that key is in the file.
    """

    secp256k1: DigestSigner | None = None
    ed25519: MessageSigner | None = None


NO_SIGNERS: Final = Signers()


class ExternalSigner:
    """A secp256k1 key outside of this process.

    Attributes:
        public_key: compressed public key, 33 bytes.
    """

    def __init__(
        self,
        public_key: bytes,
        sign_digest: Callable[[bytes], bytes],
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        parallel: int = 1,
    ) -> None:
        """Take an external key.

        Args:
            public_key: the key, compressed (33 bytes) or not (65 bytes).
            sign_digest: gets the 32 bytes to sign as they are, not to be hashed again;
                returns DER, r || s (64 bytes), or r || s || v (65 bytes, any v).
            timeout_s: seconds after which a signature is given up, above 0; the ledger
                is locked meanwhile.
            parallel: how many threads may call at once, from 1.

        Raises:
            InputError: the public key is no point of the curve, or a number is out of
                range.
        """
        self.public_key: Final = _compressed(public_key)
        self._call = _Call(sign_digest, timeout_s, parallel)

    def __repr__(self) -> str:
        """Show the public key only."""
        return f"ExternalSigner(public_key={self.public_key.hex()})"

    def sign(self, digest: bytes) -> bytes:
        """Return r || s || v over a digest, as the log has it.

        Args:
            digest: 32 bytes.

        Raises:
            InputError: the digest is not 32 bytes.
            SignerError: signer-failed, signer-timeout, signer-malformed, signer-mismatch.
        """
        if len(digest) != 32:
            raise InputError("input", f"a digest has 32 bytes, not {len(digest)}")
        made = self._call(digest)
        candidates = list(_candidates(made))
        if not candidates:
            raise SignerError("signer-malformed", f"the signer returned {_shown(made)}")
        for r, s in candidates:
            for recovery_id in (0, 1):
                signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([recovery_id])
                try:
                    verify_signature(digest, signature, self.public_key)
                except SignatureError:
                    continue
                return signature
        raise SignerError(
            "signer-mismatch",
            f"what the signer returned is no signature of {self.public_key.hex()} over the digest",
        )


class ExternalEd25519:
    """An Ed25519 key outside of this process.

    Attributes:
        public_key: 32 bytes.
    """

    def __init__(
        self,
        public_key: bytes,
        sign_message: Callable[[bytes], bytes],
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        parallel: int = 1,
    ) -> None:
        """Take an external key.

        Args:
            public_key: 32 bytes.
            sign_message: gets the whole message; returns the 64 bytes of PureEdDSA.
            timeout_s: as for `ExternalSigner`.
            parallel: as for `ExternalSigner`.

        Raises:
            InputError: the public key is not 32 bytes, or a number is out of range.
        """
        if len(public_key) != 32:
            raise InputError("input", f"an Ed25519 key has 32 bytes, not {len(public_key)}")
        self.public_key: Final = bytes(public_key)
        self._call = _Call(sign_message, timeout_s, parallel)

    def __repr__(self) -> str:
        """Show the public key only."""
        return f"ExternalEd25519(public_key={self.public_key.hex()})"

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of a signature over a message.

        Raises:
            SignerError: signer-failed, signer-timeout, signer-malformed, signer-mismatch.
        """
        made = self._call(message)
        if not isinstance(made, bytes) or len(made) != 64:
            raise SignerError("signer-malformed", f"the signer returned {_shown(made)}")
        try:
            verify_ed25519(self.public_key, message, made)
        except SignatureError as error:
            raise SignerError(
                "signer-mismatch",
                f"what the signer returned is no signature of {self.public_key.hex()}",
            ) from error
        return made


class _Call:
    """Calls what signs, from a bounded number of threads and for a bounded time."""

    def __init__(self, sign: Callable[[bytes], bytes], timeout_s: float, parallel: int) -> None:
        if timeout_s <= 0 or parallel < 1:
            raise InputError("input", "a signer needs time, and at least one thread to be called")
        self._sign = sign
        self._timeout_s = timeout_s
        self._free = threading.Semaphore(parallel)

    def __call__(self, data: bytes) -> object:
        if not self._free.acquire(timeout=self._timeout_s):
            raise self._late("is still busy with what it was given before")
        answer = _Answer()
        # A thread of its own: a module that hangs must hang neither the ledger nor the exit.
        thread = threading.Thread(target=self._run, args=(data, answer), daemon=True)
        thread.start()
        thread.join(self._timeout_s)
        if not answer.there:
            raise self._late("did not answer")
        if answer.error is not None:
            # What the module says may hold a secret, so the message has its kind only.
            kind = type(answer.error).__name__
            raise SignerError("signer-failed", f"the signer raised {kind}") from answer.error
        return answer.value

    def _run(self, data: bytes, answer: _Answer) -> None:
        try:
            answer.value = self._sign(data)
        except BaseException as error:  # noqa: BLE001 - a foreign module may raise anything
            answer.error = error
        finally:
            answer.there = True
            self._free.release()

    def _late(self, what: str) -> SignerError:
        return SignerError("signer-timeout", f"the signer {what} within {self._timeout_s:g} s")


class _Answer:
    value: object = None
    error: BaseException | None = None
    there: bool = False


def _candidates(made: object) -> Iterator[tuple[int, int]]:
    """Yield the r and s, 1 <= s <= n/2, that some bytes may stand for.

    64 or 65 bytes can be DER too; only the public key tells which was meant.
    """
    if not isinstance(made, bytes):
        return
    found = [_read_der(made)]
    if len(made) in (64, 65):
        found.append((int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big")))
    for pair in found:
        if pair is not None and all(1 <= number < CURVE_ORDER for number in pair):
            r, s = pair
            yield r, CURVE_ORDER - s if s > HALF_ORDER else s


def _read_der(data: bytes) -> tuple[int, int] | None:
    """Return the two numbers of a DER sequence; None if it is not exactly that."""
    if not 8 <= len(data) <= MAX_SIGNATURE_BYTES or data[0] != 0x30 or data[1] != len(data) - 2:
        return None
    numbers: list[int] = []
    rest = data[2:]
    for _ in range(2):
        if len(rest) < 3 or rest[0] != 0x02 or not 1 <= rest[1] <= min(33, len(rest) - 2):
            return None
        content, rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
        padded = len(content) > 1 and content[0] == 0 and content[1] < 0x80
        if content[0] >= 0x80 or padded:  # negative, or longer than it need be
            return None
        numbers.append(int.from_bytes(content, "big"))
    return None if rest else (numbers[0], numbers[1])


def _compressed(public_key: bytes) -> bytes:
    if len(public_key) == 65 and public_key[0] == 4:
        x, y = public_key[1:33], public_key[33:]
        compressed = bytes([2 + (y[-1] & 1)]) + x
        if is_curve_point(compressed) and _on_curve(x, y):
            return compressed
    elif is_curve_point(bytes(public_key)):
        return bytes(public_key)
    raise InputError("input", "the public key of a signer is a point of secp256k1, 33 or 65 bytes")


def _on_curve(x: bytes, y: bytes) -> bool:
    prime = 2**256 - 2**32 - 977
    left, right = int.from_bytes(y, "big"), int.from_bytes(x, "big")
    return pow(left, 2, prime) == (pow(right, 3, prime) + 7) % prime


def _shown(made: object) -> str:
    if isinstance(made, bytes):
        return f"{len(made)} bytes that are no signature"
    return f"a {type(made).__name__}, not bytes"
