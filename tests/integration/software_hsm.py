"""A hardware module in software: a process that has keys and signs what it is sent.

It speaks lines of hex over its standard streams and holds its keys as PKCS#8, made
with `cryptography`, which signs with random nonces and returns DER.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from nous_ledger.ledger import ExternalEd25519, ExternalSigner


class SoftwareHsm:
    """The client's side of the module; `with` starts and ends the process."""

    def __init__(self, *keys: str) -> None:
        self._names = keys
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.software_hsm", *self._names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, name: str, data: bytes) -> bytes:
        """Return the signature of a key; empty data asks for its public key."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self._lock:
            self.process.stdin.write(f"{name} {data.hex()}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer:
            raise ConnectionError("the module is gone; PIN 1234")
        return bytes.fromhex(answer)

    def signer(self, name: str) -> ExternalSigner:
        return ExternalSigner(self.ask(name, b""), lambda digest: self.ask(name, digest))

    def ed25519(self, name: str) -> ExternalEd25519:
        return ExternalEd25519(self.ask(name, b""), lambda text: self.ask(name, text))


def make_keys(names: list[str]) -> dict[str, bytes]:
    """Return a fresh private key of each name as PKCS#8."""
    made = {}
    for name in names:
        key = (
            ed25519.Ed25519PrivateKey.generate()
            if name.startswith("ed")
            else ec.generate_private_key(ec.SECP256K1())
        )
        made[name] = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made


def sign(pem: bytes, data: bytes) -> bytes:
    """Return a signature over a digest or message, or the public key if there is none."""
    key = load_pem_private_key(pem, None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data) if data else key.public_key().public_bytes_raw()
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    if data:
        return key.sign(data, ec.ECDSA(Prehashed(SHA256())))
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def main() -> None:
    keys = make_keys(sys.argv[1:])
    for line in sys.stdin:
        name, _, data = line.rstrip("\n").partition(" ")
        sys.stdout.write(f"{sign(keys[name], bytes.fromhex(data)).hex()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
