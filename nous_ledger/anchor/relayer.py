"""The key that pays for transactions: never the log's key, and never on a command line.

It lies in a keystore file of version 3, as wallets and nodes write it, sealed under a
passphrase; or in a wallet or service that has the two members of `Relayer`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

from nous_ledger.anchor.errors import AnchorUseError
from nous_ledger.ledger.errors import KeyFileError
from nous_ledger.ledger.files import read_private_file, write_new_file
from nous_ledger.ledger.keys import generate_secp256k1
from nous_ledger.protocol.errors import InputError

MAX_KEYSTORE_BYTES: Final = 65_536
SCRYPT_N: Final = 1 << 17
"""Cost of sealing: 128 MiB and about half a second."""

MAX_COST: Final = 1 << 22
"""Largest cost n x r of a keystore that is opened: 512 MiB of memory."""


class Relayer(Protocol):
    """Who signs and pays.

    Attributes:
        address: of the account that pays, 20 bytes.
    """

    @property
    def address(self) -> bytes:
        """Address of the account, 20 bytes."""
        ...  # pragma: no cover

    def sign(self, transaction: dict[str, Any]) -> bytes:
        """Return the signed transaction as nodes take it.

        Args:
            transaction: fields of EIP-1559 by their usual names, values as int or hex.
        """
        ...  # pragma: no cover


class KeystoreRelayer:
    """A relayer whose key was read from a keystore file."""

    def __init__(self, secret: bytes) -> None:
        """Take a private key, 32 bytes.

        Raises:
            AnchorUseError: extra-missing.
        """
        self._account: Any = account_library().Account.from_key(secret)

    def __repr__(self) -> str:
        """Show the address only."""
        return f"KeystoreRelayer({self._account.address})"

    @property
    def address(self) -> bytes:
        """Address of the account, 20 bytes."""
        return bytes.fromhex(self._account.address[2:])

    def sign(self, transaction: dict[str, Any]) -> bytes:
        """Return the signed transaction as nodes take it."""
        return bytes(self._account.sign_transaction(transaction).raw_transaction)


class AddressOnly:
    """An account of which only the address is known: enough to reckon, not to sign."""

    def __init__(self, address: bytes) -> None:
        """Take an address, 20 bytes."""
        self._address = address

    @property
    def address(self) -> bytes:
        """Address of the account, 20 bytes."""
        return self._address

    def sign(self, transaction: dict[str, Any]) -> bytes:
        """Sign nothing.

        Raises:
            InputError: always.
        """
        raise InputError("input", f"no key is at hand to sign nonce {transaction.get('nonce')}")


def read_keystore(path: Path, passphrase: str) -> KeystoreRelayer:
    """Return the relayer whose key lies in a keystore file.

    Args:
        path: the file; only its owner may reach it.
        passphrase: that it is sealed under.

    Raises:
        KeyFileError: key-missing, key-permissions, key-format, key-passphrase.
        AnchorUseError: extra-missing.
        StoreError: store-unwritable.
    """
    document = _document(path)
    library = account_library()
    try:
        secret = bytes(library.Account.decrypt(document, passphrase))
    except ValueError as error:
        if "MAC" in str(error):
            raise KeyFileError(
                "key-passphrase",
                f"{path} does not open: wrong passphrase, or the file was altered",
                hint="give the passphrase of the relayer's key, not that of the log's",
            ) from error
        raise _damaged(path) from error
    except (KeyError, TypeError, NotImplementedError, AssertionError) as error:
        raise _damaged(path) from error
    return KeystoreRelayer(secret)


def write_keystore(path: Path, passphrase: str, secret: bytes | None = None) -> bytes:
    """Write a new keystore file with mode 600 and return the address of its key.

    Args:
        path: the new file.
        passphrase: seals it; not empty.
        secret: the key, 32 bytes; None for a fresh one.

    Raises:
        InputError: the passphrase is empty.
        LedgerUseError: already-exists.
        StoreError: store-unwritable, store-full.
        AnchorUseError: extra-missing.
    """
    if not passphrase:
        raise InputError("input", "the passphrase is empty")
    account = account_library().Account
    key = secret or generate_secp256k1()
    document = account.encrypt(key, passphrase, kdf="scrypt", iterations=SCRYPT_N)
    write_new_file(path, json.dumps(document).encode("ascii") + b"\n")
    return KeystoreRelayer(key).address


def keystore_address(path: Path) -> bytes | None:
    """Return the address that a keystore file names, without opening it; None if it names none.

    Raises:
        KeyFileError: key-missing, key-permissions, key-format.
        StoreError: store-unwritable.
    """
    try:
        address = bytes.fromhex(str(_document(path).get("address", "")).removeprefix("0x"))
    except ValueError:
        return None
    return address if len(address) == 20 else None


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_private_file(path, MAX_KEYSTORE_BYTES))
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(document, dict):
        raise _damaged(path)
    crypto = document.get("crypto") or document.get("Crypto")
    parameters = crypto.get("kdfparams") if isinstance(crypto, dict) else None
    if not isinstance(parameters, dict):
        raise _damaged(path)
    # A file must not choose how much memory and time reading it takes.
    cost = (parameters.get("n", 1), parameters.get("r", 1), parameters.get("c", 1))
    if not all(type(part) is int for part in cost):
        raise _damaged(path)
    if cost[0] * cost[1] > MAX_COST or cost[2] > 1 << 24:
        raise KeyFileError("key-format", f"{path} is sealed at a cost that is not taken")
    return document


def _damaged(path: Path) -> KeyFileError:
    return KeyFileError(
        "key-format",
        f"{path} is no keystore file of version 3",
        hint="make one with `nous-ledger anchor new-relayer`, or export one from a wallet",
    )


def account_library() -> ModuleType:
    """Return eth_account, loaded without what it does to the rest of the process.

    One of the packages that it brings raises the recursion limit to 100,000. Under that,
    JSON that is nested deep enough ends the process where it should be refused.

    Raises:
        AnchorUseError: extra-missing.
    """
    limit = sys.getrecursionlimit()
    try:
        import eth_account  # noqa: PLC0415 - it takes long to load, and only writers need it
    except ImportError as error:
        raise AnchorUseError("extra-missing", "eth-account is not installed") from error
    finally:
        sys.setrecursionlimit(limit)
    return eth_account
