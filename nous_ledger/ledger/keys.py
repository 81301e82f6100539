"""The key file of a log, and the file of the key that will follow.

A JSON object, whose secrets are either plain hex or sealed under a passphrase. A key
that lies outside, in a hardware module say, is listed as such and has no secret here:

    {"version": 1, "kind": "log-keys", "origin": …, "log_id": …,
     "secp256k1": …, "ed25519": …,            public keys, for people and checks
     "external": ["secp256k1"],               only if there are such keys
     "secrets": {"secp256k1": …, "ed25519": …, "log_secret": …}}

    "sealed": {"kdf": "scrypt", "n": …, "r": …, "p": …, "salt": …,
               "cipher": "chacha20-poly1305", "nonce": …, "ciphertext": …}

Sealing authenticates the public part too. A file of kind "next-key" has the
secp256k1 key only; it lies outside the ledger folder until a rotation reveals it.

Spec:
    PROTOCOL.md, section "Keys".
"""

from __future__ import annotations

import json
import secrets
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from nous_ledger.ledger.errors import KeyFileError
from nous_ledger.ledger.files import read_private_file, write_new_file
from nous_ledger.ledger.signer import NO_SIGNERS, Signers
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.signer import DigestSigner, MessageSigner
from nous_ledger.protocol.signing import CURVE_ORDER, SigningKey
from nous_ledger.protocol.types import LogId

MAX_KEY_FILE_BYTES: Final = 16_384
VERSION: Final = 1
SCRYPT_N: Final = 1 << 17
"""Cost of sealing: 128 MiB and about half a second."""

_SCRYPT_R: Final = 8
_SCRYPT_P: Final = 1
_READABLE_N: Final = tuple(1 << bits for bits in range(10, 19))
_SALT_LENGTH: Final = 16
_NONCE_LENGTH: Final = 12
_KEYS: Final = ("secp256k1", "ed25519")
_LOG_SECRETS: Final = (*_KEYS, "log_secret")
_NEXT_SECRETS: Final = ("secp256k1",)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKeys:
    """The secrets of a log.

    Attributes:
        secp256k1: private key that signs records and heads, 32 bytes; or its signer.
        ed25519: seed of the key that signs heads for other tools, 32 bytes; or its
            signer.
        log_secret: what the pseudonyms of callers are made with, 32 bytes.
    """

    secp256k1: bytes | DigestSigner = field(repr=False)
    ed25519: bytes | MessageSigner = field(repr=False)
    log_secret: bytes = field(repr=False)

    def signing_key(self) -> DigestSigner:
        """Return the secp256k1 key.

        Raises:
            InputError: the secret is not a private key.
        """
        return digest_signer(self.secp256k1)

    def ed25519_key(self) -> MessageSigner:
        """Return the Ed25519 key.

        Raises:
            InputError: the seed is not 32 bytes.
        """
        return Ed25519Key(self.ed25519) if isinstance(self.ed25519, bytes) else self.ed25519

    def signers(self) -> Signers:
        """Return the signers of the keys that lie outside."""
        return Signers(
            secp256k1=None if isinstance(self.secp256k1, bytes) else self.secp256k1,
            ed25519=None if isinstance(self.ed25519, bytes) else self.ed25519,
        )

    def external(self) -> list[str]:
        """Return the names of the keys that lie outside."""
        return [name for name in _KEYS if not isinstance(getattr(self, name), bytes)]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOwner:
    """The log that a key file belongs to.

    Attributes:
        origin: name of the log.
        log_id: 32 bytes.
    """

    origin: str
    log_id: LogId


def generate_keys(signers: Signers = NO_SIGNERS) -> LogKeys:
    """Return fresh random keys, but for those that lie outside."""
    return LogKeys(
        secp256k1=signers.secp256k1 or generate_secp256k1(),
        ed25519=signers.ed25519 or secrets.token_bytes(32),
        log_secret=secrets.token_bytes(32),
    )


def digest_signer(key: bytes | DigestSigner) -> DigestSigner:
    """Return what signs with a secp256k1 key.

    Raises:
        InputError: the secret is not a private key.
    """
    return SigningKey(key) if isinstance(key, bytes) else key


def generate_secp256k1() -> bytes:
    """Return a fresh secp256k1 private key, 32 bytes."""
    return (1 + secrets.randbelow(CURVE_ORDER - 1)).to_bytes(32, "big")


def write_log_keys(path: Path, keys: LogKeys, owner: KeyOwner, passphrase: str | None) -> None:
    """Write the key file of a log where none stands, with mode 600.

    Args:
        path: the new file; its folder exists.
        keys: the secrets.
        owner: the log.
        passphrase: seals the secrets; None leaves them plain.

    Raises:
        InputError: the passphrase is empty.
        LedgerUseError: already-exists.
        StoreError: store-unwritable, store-full.
    """
    public = {
        "secp256k1": keys.signing_key().public_key.hex(),
        "ed25519": keys.ed25519_key().public_key.hex(),
    }
    external = keys.external()
    private = {name: getattr(keys, name) for name in _LOG_SECRETS if name not in external}
    outside = {"external": external} if external else {}
    _write(path, _head("log-keys", owner) | public | outside, private, passphrase)


def read_log_keys(path: Path, passphrase: str | None, signers: Signers = NO_SIGNERS) -> LogKeys:
    """Return the keys in the key file of a log.

    Args:
        path: the file; only its owner may reach it.
        passphrase: needed if the file is sealed, ignored otherwise.
        signers: of the keys that lie outside.

    Raises:
        KeyFileError: key-missing, key-permissions, key-format, key-passphrase;
            signer-missing; key-mismatch (the signer is of another key).
        StoreError: store-unwritable.
    """
    external = _external(path, _document(path, "log-keys"))
    names = tuple(name for name in _LOG_SECRETS if name not in external)
    document, private = _read(path, "log-keys", names, passphrase)
    outside = {name: _signer(path, document, name, signers) for name in external}
    keys = LogKeys(**private, **outside)
    try:
        public = (keys.signing_key().public_key.hex(), keys.ed25519_key().public_key.hex())
    except InputError as error:
        raise _damaged(path, "a secret in it is no private key") from error
    if public != (document.get("secp256k1"), document.get("ed25519")):
        raise _damaged(path, "its public keys do not belong to its secrets")
    return keys


def _external(path: Path, document: dict[str, object]) -> list[str]:
    names = document.get("external", [])
    if not isinstance(names, list) or not all(name in _KEYS for name in names):
        raise _damaged(path, "it does not say which keys lie outside")
    return names


def _signer(path: Path, document: dict[str, object], name: str, signers: Signers) -> Any:  # noqa: ANN401 - of the kind that the name says
    signer = getattr(signers, name)
    if signer is None:
        raise KeyFileError("signer-missing", f"the {name} key of {path} lies outside of it")
    if signer.public_key.hex() != document.get(name):
        raise KeyFileError(
            "key-mismatch",
            f"the signer has the {name} key {signer.public_key.hex()}, {path} names another",
            hint="name the key of this log to the module or service",
        )
    return signer


def read_public_keys(path: Path) -> tuple[bytes, bytes]:
    """Return the public keys, secp256k1 and Ed25519, that the key file of a log names.

    A sealed file needs no passphrase for this; they are checked when it is opened.

    Raises:
        KeyFileError: key-missing, key-permissions, key-format.
        StoreError: store-unwritable.
    """
    document = _document(path, "log-keys")
    return _hex(path, document, "secp256k1", 33), _hex(path, document, "ed25519", 32)


def is_sealed(path: Path) -> bool:
    """Return whether a key file is sealed under a passphrase.

    Raises:
        KeyFileError: key-missing, key-permissions, key-format.
        StoreError: store-unwritable.
    """
    return "sealed" in _parse(path, read_private_file(path, MAX_KEY_FILE_BYTES))


def write_next_key(path: Path, secret: bytes, owner: KeyOwner, passphrase: str | None) -> None:
    """Write the file of the key that a rotation will reveal, with mode 600.

    Raises:
        InputError: the passphrase is empty, or the secret is not a private key.
        LedgerUseError: already-exists.
        StoreError: store-unwritable, store-full.
    """
    public = {"secp256k1": SigningKey(secret).public_key.hex()}
    _write(path, _head("next-key", owner) | public, {"secp256k1": secret}, passphrase)


def read_next_key(path: Path, passphrase: str | None) -> bytes:
    """Return the private key in a next-key file, 32 bytes.

    Raises:
        KeyFileError: key-missing, key-permissions, key-format, key-passphrase.
        StoreError: store-unwritable.
    """
    document, private = _read(path, "next-key", _NEXT_SECRETS, passphrase)
    secret = private["secp256k1"]
    try:
        public = SigningKey(secret).public_key.hex()
    except InputError as error:
        raise _damaged(path, "its secret is no private key") from error
    if public != document.get("secp256k1"):
        raise _damaged(path, "its public key does not belong to its secret")
    return secret


def _head(kind: str, owner: KeyOwner) -> dict[str, object]:
    head: dict[str, object] = {"version": VERSION, "kind": kind, "origin": owner.origin}
    return head | {"log_id": owner.log_id.hex()}


def _write(
    path: Path, public: dict[str, object], private: dict[str, bytes], passphrase: str | None
) -> None:
    if passphrase is None:
        secret: dict[str, object] = {
            "secrets": {name: value.hex() for name, value in private.items()}
        }
    else:
        secret = {"sealed": _seal(b"".join(private.values()), public, passphrase)}
    document = json.dumps(public | secret, indent=1)
    write_new_file(path, document.encode("ascii") + b"\n")


def _read(
    path: Path, kind: str, names: tuple[str, ...], passphrase: str | None
) -> tuple[dict[str, object], dict[str, bytes]]:
    document = _document(path, kind)
    sealed, plain = document.pop("sealed", None), document.pop("secrets", None)
    if isinstance(sealed, dict) and plain is None:
        if passphrase is None:
            raise KeyFileError("key-passphrase", f"{path} is sealed: it needs its passphrase")
        joined = _unseal(path, sealed, document, passphrase)
        if len(joined) != 32 * len(names):
            raise _damaged(path, "its secrets have the wrong length")
        return document, {name: joined[32 * i : 32 * i + 32] for i, name in enumerate(names)}
    if not isinstance(plain, dict) or sealed is not None or set(plain) != set(names):
        raise _damaged(path, "it does not hold exactly its secrets")
    return document, {name: _hex(path, plain, name, 32) for name in names}


def _document(path: Path, kind: str) -> dict[str, object]:
    document = _parse(path, read_private_file(path, MAX_KEY_FILE_BYTES))
    if document.get("version") != VERSION or document.get("kind") != kind:
        raise _damaged(path, f"it is not a {kind} file of version {VERSION}")
    return document


def _parse(path: Path, data: bytes) -> dict[str, object]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "it is not JSON") from error
    if not isinstance(document, dict):
        raise _damaged(path, "it is not a JSON object")
    return document


def _seal(secret: bytes, public: dict[str, object], passphrase: str) -> dict[str, object]:
    salt, nonce = secrets.token_bytes(_SALT_LENGTH), secrets.token_bytes(_NONCE_LENGTH)
    key = _derive(passphrase, salt, SCRYPT_N)
    ciphertext = ChaCha20Poly1305(key).encrypt(nonce, secret, _associated(public))
    return {
        "kdf": "scrypt",
        "n": SCRYPT_N,
        "r": _SCRYPT_R,
        "p": _SCRYPT_P,
        "salt": salt.hex(),
        "cipher": "chacha20-poly1305",
        "nonce": nonce.hex(),
        "ciphertext": ciphertext.hex(),
    }


def _unseal(
    path: Path, sealed: dict[str, object], public: dict[str, object], passphrase: str
) -> bytes:
    algorithms = (sealed.get("kdf"), sealed.get("r"), sealed.get("p"), sealed.get("cipher"))
    cost = sealed.get("n")
    # A file must not choose how much memory and time reading it takes: n is bounded.
    if algorithms != ("scrypt", _SCRYPT_R, _SCRYPT_P, "chacha20-poly1305"):
        raise _damaged(path, "it is sealed in a way that this version does not know")
    if not isinstance(cost, int) or cost not in _READABLE_N:
        raise _damaged(path, "the cost n of its sealing is not a power of two in 2^10..2^18")
    salt = _hex(path, sealed, "salt", _SALT_LENGTH)
    nonce = _hex(path, sealed, "nonce", _NONCE_LENGTH)
    ciphertext = _hex(path, sealed, "ciphertext")
    try:
        cipher = ChaCha20Poly1305(_derive(passphrase, salt, cost))
        return cipher.decrypt(nonce, ciphertext, _associated(public))
    except InvalidTag as error:
        raise KeyFileError(
            "key-passphrase", f"{path} does not open: wrong passphrase, or the file was altered"
        ) from error


def _derive(passphrase: str, salt: bytes, cost: int) -> bytes:
    # The same passphrase may be typed in composed or decomposed characters.
    typed = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")
    if not typed:
        raise InputError("input", "the passphrase is empty")
    return Scrypt(salt=salt, length=32, n=cost, r=_SCRYPT_R, p=_SCRYPT_P).derive(typed)


def _associated(public: dict[str, object]) -> bytes:
    return json.dumps(public, sort_keys=True, separators=(",", ":")).encode("ascii")


def _hex(path: Path, part: dict[str, object], name: str, length: int | None = None) -> bytes:
    value = part.get(name)
    try:
        data = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        data = b""
    if not data or (length is not None and len(data) != length):
        raise _damaged(path, f"{name} is not {'' if length is None else f'{length} bytes of '}hex")
    return data


def _damaged(path: Path, reason: str) -> KeyFileError:
    return KeyFileError("key-format", f"{path} is not a usable key file: {reason}")
