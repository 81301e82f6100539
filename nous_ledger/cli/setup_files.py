"""Other programs' settings files, and the journal of what was changed in them.

A file is replaced whole, beside its place and then moved there, with its old
permissions; where it is a symbolic link, the file that the link names. A file that is
read-only, another user's, or no longer as it was looked at stays as it is. The journal
holds each file as it was before (which may include secrets, so it is private), and is
written before the file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from nous_ledger.cli.files import PRIVATE, PUBLIC, read_secret, write_new
from nous_ledger.cli.setup_edits import Edit
from nous_ledger.protocol.errors import FormatError, InputError, UnavailableError

MAX_BYTES: Final = 1024 * 1024
JOURNAL_NAME: Final = "setup.json"

_WRITABLE: Final = 0o222
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file that is to be changed, or was.

    Attributes:
        tool: for whom.
        path: the file, as its program names it.
        before: its bytes before; None if there was no such file.
        after: the SHA-256 of its bytes afterwards.
        edits: what was done, in order.
        folders: folders that were made for it, outermost first.
    """

    tool: str
    path: Path
    before: bytes | None
    after: bytes
    edits: tuple[Edit, ...]
    folders: tuple[Path, ...] = ()


def read_settings(path: Path) -> bytes | None:
    """Return a settings file's bytes, None if there is none.

    Raises:
        UnavailableError: unreachable: it cannot be read, is no plain file, or too long.
    """
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _unreachable("it is not a plain file")
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        if path.is_symlink():
            raise _unreachable("it is a link to a file that is not there") from None
        return None
    except OSError as error:
        raise _unreachable(f"it cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise _unreachable(f"it has more than {MAX_BYTES} bytes")
    return data


def decode_settings(data: bytes | None) -> str:
    """Return a settings file's text, line ends as they are; empty if there is none.

    Raises:
        FormatError: json-format, if it is not UTF-8.
    """
    try:
        return (data or b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("json-format", "it is not UTF-8") from error


def check_changeable(path: Path) -> None:
    """Refuse a file that its owner does not want changed, or that is somebody else's.

    Raises:
        UnavailableError: unreachable.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreachable(f"it cannot be reached: {error.strerror}") from error
    if not status.st_mode & _WRITABLE or not os.access(path, os.W_OK):
        raise _unreachable("it is read-only")
    if status.st_uid != os.geteuid():
        raise _unreachable("it belongs to another user")


def replace_settings(path: Path, before: bytes | None, after: bytes | None) -> None:
    """Write a settings file, or remove it; whole or not at all.

    Args:
        path: the file.
        before: what it must hold; None if it must not be there.
        after: what it is to hold; None to remove it.

    Raises:
        UnavailableError: unreachable: it changed meanwhile, or cannot be written.
    """
    check_changeable(path)
    if read_settings(path) != before:
        raise _unreachable("it was changed meanwhile")
    try:
        real = path.resolve()
        if after is None:
            real.unlink(missing_ok=True)
        else:
            _write(real, after)
    except OSError as error:
        raise _unreachable(f"it cannot be written: {error.strerror}") from error


def make_folders(path: Path) -> tuple[Path, ...]:
    """Make the folders around a file; return those that were not there, outermost first.

    Raises:
        UnavailableError: unreachable.
    """
    missing = [folder for folder in path.parents if not folder.exists()][::-1]
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unreachable(f"its folder cannot be made: {error.strerror}") from error
    return tuple(missing)


def remove_folders(folders: tuple[Path, ...]) -> None:
    """Remove folders that are empty."""
    for folder in reversed(folders):
        try:
            folder.rmdir()
        except OSError:
            return


def _write(real: Path, data: bytes) -> None:
    mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else None
    beside = real.with_name(f".{real.name[:200]}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(PUBLIC & ~_umask() if mode is None else mode)
        beside.replace(real)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


class Journal:
    """What was changed, oldest first; kept in the user's state folder."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read the journal; none there is an empty one.

        Raises:
            InputError: the environment names no home.
            KeyFileError: key-permissions, if others can read it.
            UnavailableError: unreachable, if it is not a journal of this version.
        """
        self.path = _state_folder(environment) / JOURNAL_NAME
        self.changes: list[Change] = []
        if self.path.exists():
            self.changes = _parse(read_secret(self.path))

    def add(self, change: Change) -> None:
        """Note a change that is about to be made."""
        self.changes.append(change)
        self._save()

    def drop(self, change: Change) -> None:
        """Forget a change that is taken back."""
        self.changes.remove(change)
        self._save()

    def _save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.changes:
            self.path.unlink(missing_ok=True)
            return
        entries = [_to_json(change) for change in self.changes]
        data = json.dumps({"version": _VERSION, "changes": entries}, indent=1)
        write_new(self.path, data.encode(), force=True, mode=PRIVATE)


def hash_of(data: bytes) -> bytes:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(data).digest()


def _state_folder(environment: Mapping[str, str]) -> Path:
    for variable, below in (("XDG_STATE_HOME", ""), ("HOME", ".local/state")):
        base = Path(environment.get(variable, ""))
        if base.is_absolute():  # a relative one is to be ignored
            return base / below / "nous-ledger"
    raise InputError("input", "HOME is not set", hint="set HOME")


def _to_json(change: Change) -> dict[str, Any]:
    before = change.before
    return {
        "tool": change.tool,
        "path": str(change.path),
        "before": None if before is None else base64.b64encode(before).decode(),
        "after": change.after.hex(),
        "edits": [asdict(edit) for edit in change.edits],
        "folders": list(map(str, change.folders)),
    }


def _parse(data: bytes) -> list[Change]:
    try:
        read = json.loads(data)
        if read["version"] != _VERSION:
            raise _unreachable("the journal is of another version of nous-ledger")
        return [_change(entry) for entry in read["changes"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnavailableError(
            "unreachable",
            "the journal of what setup changed cannot be read",
            hint="its file holds what was there before; take the changes back by hand",
        ) from error


def _change(entry: dict[str, Any]) -> Change:
    before = entry["before"]
    return Change(
        tool=entry["tool"],
        path=Path(entry["path"]),
        before=None if before is None else base64.b64decode(before, validate=True),
        after=bytes.fromhex(entry["after"]),
        edits=tuple(Edit(**{**edit, "path": tuple(edit["path"])}) for edit in entry["edits"]),
        folders=tuple(map(Path, entry["folders"])),
    )


def _unreachable(message: str) -> UnavailableError:
    return UnavailableError("unreachable", message)
