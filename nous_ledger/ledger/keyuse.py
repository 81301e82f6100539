"""Which keys this machine has given to which log.

A key that signs for two logs makes both worthless as evidence, so `init` looks
here first. The file holds public keys only:

    $XDG_STATE_HOME/nous-ledger/keys.json        (default ~/.local/state)
    {"version": 1, "keys": {"<public key>": {"log_id": …, "origin": …, "folder": …}}}

Spec:
    PROTOCOL.md KEY-2.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nous_ledger.ledger.errors import KeyFileError, StoreError
from nous_ledger.ledger.files import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    os_errors,
    read_private_file,
    replace_file,
)

VERSION: Final = 1
_MAX_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """The log that a key belongs to.

    Attributes:
        log_id: 64 hex digits.
        origin: name of the log.
        folder: where its ledger lay when it was made.
    """

    log_id: str
    origin: str
    folder: str


def default_path(environment: Mapping[str, str]) -> Path:
    """Return where this user's file lies.

    Args:
        environment: variables of the process.

    Raises:
        StoreError: store-unwritable, where there is no home.
    """
    state = environment.get("XDG_STATE_HOME", "")
    home = environment.get("HOME", "")
    if Path(state).is_absolute():  # a relative one is to be ignored
        return Path(state) / "nous-ledger" / "keys.json"
    if Path(home).is_absolute():
        return Path(home) / ".local" / "state" / "nous-ledger" / "keys.json"
    raise StoreError(
        "store-unwritable",
        "neither HOME nor XDG_STATE_HOME names a folder for the list of keys in use",
        hint="set HOME",
    )


def claim_keys(
    path: Path, public_keys: Sequence[bytes], use: KeyUse, *, again: bool = False
) -> None:
    """Write down that some keys belong to a log.

    Args:
        path: the file; made if it is not there.
        public_keys: the log's secp256k1 and Ed25519 keys.
        use: the log.
        again: whether keys may be the log's own already, as after a rotation that was
            cut short.

    Raises:
        KeyFileError: key-in-use, key-permissions, key-format.
        StoreError: store-unwritable, store-full.
    """
    with _locked(path):
        uses = _read(path)
        for key in public_keys:
            taken = uses.get(key.hex())
            if taken is not None and not (again and taken.log_id == use.log_id):
                raise KeyFileError(
                    "key-in-use",
                    f"the key {key.hex()} is in use by the log {taken.origin} in {taken.folder}",
                    hint="make the log with keys of its own; if that log never signed anything, "
                    f"take its keys out of {path}",
                    log_id=taken.log_id,
                )
        _write(path, uses | {key.hex(): use for key in public_keys})


def release_keys(path: Path, public_keys: Sequence[bytes], use: KeyUse) -> None:
    """Take back a claim after a log could not be made.

    Raises:
        KeyFileError: key-permissions, key-format.
        StoreError: store-unwritable, store-full.
    """
    with _locked(path):
        uses = _read(path)
        claimed = {key.hex() for key in public_keys}
        _write(path, {key: u for key, u in uses.items() if key not in claimed or u != use})


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file for this process alone; others wait."""
    with os_errors(path):
        path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[str, KeyUse]:
    try:
        data = read_private_file(path, _MAX_BYTES)
    except KeyFileError as error:
        if error.code == "key-missing":
            return {}
        raise
    try:
        document = json.loads(data)
        return {key: KeyUse(**use) for key, use in document["keys"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise KeyFileError(
            "key-format",
            f"{path} is not the list of keys in use on this machine",
            hint="repair it, or move it away: then keys used so far are no longer recognised",
        ) from error


def _write(path: Path, uses: Mapping[str, KeyUse]) -> None:
    keys = {
        key: {"log_id": use.log_id, "origin": use.origin, "folder": use.folder}
        for key, use in uses.items()
    }
    document = json.dumps({"version": VERSION, "keys": keys}, indent=1)
    replace_file(path, document.encode("utf-8") + b"\n")
