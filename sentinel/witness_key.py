"""The key file of a witness: one line, readable by its owner alone.

    PRIVATE+KEY+<name>+<key id, 8 hex digits>+<base64 of 0x04 ‖ 32-byte seed>

The form of signed notes' private keys; the key id is that of the witness's vkey.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.textform import format_base64, parse_base64
from nous_ledger.protocol.vkey import KIND_COSIGNATURE, VerifierKey, cosigner_vkey, format_vkey
from sentinel.errors import WitnessError

_PREFIX: Final = "PRIVATE+KEY+"
_MAX_BYTES: Final = 4096
_FOR_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey:
    """Who a witness is.

    Attributes:
        name: its key name.
        key: what it signs with.
    """

    name: str
    key: Ed25519Key = field(repr=False)

    @property
    def vkey(self) -> VerifierKey:
        """The key by which others know the witness."""
        return cosigner_vkey(self.name, self.key.public_key)


def make_key(name: str, seed: bytes) -> WitnessKey:
    """Return the key of a witness.

    Args:
        name: key name, best a schema-less URL.
        seed: 32 random bytes.

    Raises:
        FormatError: vkey-format (the name cannot be a key name).
        InputError: input (the seed is not 32 bytes).
    """
    made = WitnessKey(name=name, key=Ed25519Key(seed))
    cosigner_vkey(name, made.key.public_key)
    return made


def create_key(path: Path, name: str, seed: bytes) -> WitnessKey:
    """Write the key file of a new witness with mode 600, where none stands.

    Args:
        path: the new file; its folder exists.
        name: key name, best a schema-less URL.
        seed: 32 random bytes.

    Raises:
        FormatError: vkey-format (the name cannot be a key name).
        InputError: input (a file stands there, or the seed is not 32 bytes).
        WitnessError: witness-key (it could not be written).
    """
    made = make_key(name, seed)
    encoded = format_base64(bytes([KIND_COSIGNATURE]) + seed)
    line = f"{_PREFIX}{name}+{made.vkey.key_id.hex()}+{encoded}\n"
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(descriptor)
    except FileExistsError as error:
        raise InputError(
            "input", f"{path} exists", hint="a key is never replaced; name another file"
        ) from error
    except OSError as error:
        raise _unusable(path, error.strerror or "it could not be written") from error
    return made


def load_key(path: Path) -> WitnessKey:
    """Return the key in a file.

    Raises:
        InputError: the file does not exist.
        WitnessError: witness-key (unreadable, readable by others, or no key file).
    """
    try:
        # Without blocking: a pipe that nobody writes to is no key file either.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_BYTES + 1) if stat.S_ISREG(mode) else b""
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError("input", f"{path} does not exist", hint="check the path") from error
    except OSError as error:
        raise _unusable(path, error.strerror or "it could not be read") from error
    if mode & _FOR_OTHERS:
        raise _unusable(path, "others can read it", hint=f"chmod 600 {path}")
    key = _parse(data)
    if key is None:
        raise _unusable(path, "it is no key file of a witness")
    return key


def _parse(data: bytes) -> WitnessKey | None:
    text = data.decode("utf-8", "replace")
    if len(data) > _MAX_BYTES or not text.startswith(_PREFIX) or not text.endswith("\n"):
        return None
    name, _, rest = text[len(_PREFIX) : -1].partition("+")
    raw = parse_base64(rest[9:]) or b""
    if raw[:1] != bytes([KIND_COSIGNATURE]) or len(raw) != 33:
        return None
    key = WitnessKey(name=name, key=Ed25519Key(raw[1:]))
    public = format_vkey(key.vkey)
    # The key id is computed from name and key: a file of which a part was lost shows.
    return key if rest[:9] == public[len(name) + 1 : len(name) + 10] else None


def _unusable(path: Path, why: str, *, hint: str = "") -> WitnessError:
    return WitnessError("witness-key", f"the key file {path} cannot be used: {why}", hint=hint)
