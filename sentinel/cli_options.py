"""Options and arguments that several commands have."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import click

from nous_ledger.protocol.errors import InputError, UnavailableError
from nous_ledger.protocol.policy import MAX_POLICY_BYTES, Policy, parse_policy
from sentinel.errors import SentinelUseError
from sentinel.state import LogRow, State
from sentinel.state_file import SUFFIX, state_folder

MAX_SECRET_BYTES: Final = 4_096
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class FilePath(click.Path):
    """A path; never the empty text of an unset variable."""

    def __init__(self) -> None:
        """Make a type whose values are `pathlib.Path`."""
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Return the path."""
        text = os.fspath(value)
        if not text or "\0" in text:
            self.fail("a path cannot be empty", param, ctx)
        return super().convert(value, param, ctx)


PATH: Final = FilePath()


class ContractAddress(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.5 on
    """An address on a chain: 0x and 40 hex digits, in any case."""

    name = "ADDRESS"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        """Return 20 bytes."""
        if isinstance(value, bytes):
            return value
        text = str(value)
        try:
            found = bytes.fromhex(text.removeprefix("0x"))
        except ValueError:
            found = b""
        if not text.startswith("0x") or len(found) != 20 or len(text) != 42:
            self.fail(f"{text[:80]!r} is not 0x and 40 hex digits", param, ctx)
        return found


CONTRACT: Final = ContractAddress()

json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line instead."
)
state_option: Final = click.option(
    "--state",
    "state_file",
    type=PATH,
    help="File of what is remembered.  [default: one for each log, in nous-sentinel in "
    "$XDG_STATE_HOME or ~/.local/state]",
)


def read_policy(path: Path) -> Policy:
    """Return the policy in a file.

    Raises:
        InputError: there is no such file.
        FormatError: policy-format.
        UnavailableError: unreachable, it cannot be read.
    """
    return parse_policy(read_file(path, MAX_POLICY_BYTES + 1))


def read_file(path: Path, limit: int) -> bytes:
    """Return at most `limit` bytes of a file.

    Raises:
        InputError: there is no such file, or it is a folder.
        UnavailableError: unreachable, it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError("input", f"{path} does not exist", hint="check the path") from error
    except IsADirectoryError as error:
        raise InputError("input", f"{path} is a folder", hint="name a file") from error
    except OSError as error:
        raise UnavailableError("unreachable", f"{path}: {error.strerror}") from error


def read_secret(path: Path) -> str:
    """Return the secret in a file that nobody but its owner can read.

    Raises:
        InputError: the file is missing, open to others, empty, or holds more than one line.
        UnavailableError: unreachable, it cannot be read.
    """
    data = read_file(path, MAX_SECRET_BYTES)
    if path.stat().st_mode & _OTHERS:
        raise InputError(
            "input",
            f"others than its owner can reach {path}",
            hint=f"take their permissions: chmod 600 {path}",
        )
    text = data.decode("latin-1").strip()
    if not text or not text.isascii() or not text.isprintable():
        raise InputError(
            "input",
            f"{path} holds no secret of printable letters in one line",
            hint="write the secret alone into the file",
        )
    return text


def choose_origin(policy: Policy, origin: str | None) -> str:
    """Return the name of the log that is meant: the one the policy lists, or the one named.

    Raises:
        InputError: several are listed and none was named, or the policy lists none.
    """
    listed = sorted({log.vkey.name for log in policy.logs})
    if origin is not None:
        return origin
    if len(listed) == 1:
        return listed[0]
    what = f"lists {len(listed)} logs" if listed else "lists no log"
    raise InputError("input", f"the policy {what}", hint="name the log with --origin")


@contextmanager
def remembered_states(state_file: Path | None) -> Iterator[tuple[State, ...]]:
    """Give the named state, or all that lie where states lie by default.

    Raises:
        InputError: there is no such file.
        StateError: it could not be read.
    """
    if state_file is None:
        folder = state_folder()
        files = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    elif state_file.is_file():
        files = [state_file]
    else:
        raise InputError("input", f"{state_file} does not exist", hint="check the path")
    with ExitStack() as stack:
        yield tuple(stack.enter_context(State(path)) for path in files)


def logs_of(states: tuple[State, ...], origin: str | None) -> list[tuple[State, LogRow]]:
    """Return all logs that are remembered, or those of a name.

    Raises:
        SentinelUseError: no-such-log.
    """
    found = [
        (state, row) for state in states for row in state.logs() if origin in (None, row.origin)
    ]
    if not found and origin is not None:
        raise SentinelUseError("no-such-log", f"nothing is remembered of {origin}")
    return found


def one_state(states: tuple[State, ...], origin: str | None) -> tuple[State, dict[int, str]]:
    """Return the one state that is meant, and the names of its logs by their numbers.

    Raises:
        SentinelUseError: no-such-log, there are several or none.
    """
    found = {id(state): state for state, _ in logs_of(states, origin)}
    if len(found) != 1:
        what = "several logs are" if found else "no log is"
        raise SentinelUseError(
            "no-such-log",
            f"{what} remembered",
            hint="name one with --origin or --state; `nous-sentinel status` lists them",
        )
    (state,) = found.values()
    return state, {row.number: row.origin for row in state.logs()}
