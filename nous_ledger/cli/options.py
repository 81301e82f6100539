"""Options and arguments that several commands have."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from nous_ledger.cli.exits import EXIT_USAGE
from nous_ledger.cli.terminal import tell
from nous_ledger.protocol.errors import InputError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class FilePath(click.Path):
    """A path, or `-` where the command says so; never the empty text of an unset variable."""

    def __init__(self) -> None:
        """Make a type whose values are `pathlib.Path`."""
        # Whether a file can be read shows when it is read: that is no fault of the usage.
        super().__init__(path_type=Path, readable=False)

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


class Moment(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.5 on
    """A time: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 30m, 12h, 7d."""

    name = "TIME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return Unix milliseconds."""
        if isinstance(value, int):
            return value
        text = str(value)
        try:
            if text[-1:] in _UNITS and text[:-1].isascii() and text[:-1].isdigit():
                age = int(text[:-1]) * _UNITS[text[-1]]
                return int((datetime.now(UTC).timestamp() - age) * 1000)
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return int(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            self.fail(
                f"{text!r} is no time: try 2026-01-31, 2026-01-31T12:00:00Z or 7d", param, ctx
            )


PATH: Final = FilePath()


def ledger_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add --ledger, the folder of the ledger; None for the default, which is looked up late."""
    return click.option(
        "--ledger",
        "named",
        type=PATH,
        envvar="NOUS_LEDGER_DIR",
        show_envvar=True,
        help="Folder of the ledger.  [default: nous-ledger in $XDG_DATA_HOME or ~/.local/share]",
    )(function)


def ledger_folder(named: Path | None) -> Path:
    """Return the folder of the ledger: the one that was named, or the default.

    Raises:
        InputError: none was named and the environment names no home.
    """
    if named is not None:
        return named
    for variable, below in (("XDG_DATA_HOME", ""), ("HOME", ".local/share")):
        base = Path(os.environ.get(variable, ""))
        if base.is_absolute():  # a relative one is to be ignored
            return base / below / "nous-ledger"
    raise InputError(
        "input", "neither HOME nor XDG_DATA_HOME is set", hint="name the folder with --ledger"
    )


def show_help_of_group(context: click.Context) -> None:
    """End a call that names a group and none of its commands: its help, on stderr, as an error."""
    if context.invoked_subcommand is None:
        tell(context.get_help())
        context.exit(EXIT_USAGE)


json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead."
)
output_option: Final = click.option(
    "-o", "--output", type=PATH, help="File to write; - for stdout.  [default: -]"
)
force_option: Final = click.option("--force", is_flag=True, help="Replace the file.")
passphrase_file_option: Final = click.option(
    "--passphrase-file",
    type=PATH,
    help="File with the passphrase of the keys, readable by you alone.",
)
