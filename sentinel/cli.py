"""Entry point of `nous-sentinel`: finds the command, renders errors, sets the exit code.

A first word that is no command's name is the address of a log to audit; names of
commands win over folders of that name (write `./status` for such a folder).

Exit codes: 0 good, 1 checked and wrong, 2 used wrongly, 3 could not check; 130 after
Ctrl-C. Results go to stdout, everything else to stderr. No input shows a traceback.

Spec:
    PROTOCOL.md, section "Sentinel and witness"; VER-22, VER-24.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from nous_ledger.protocol.errors import InputError, LedgerError, UnavailableError
from sentinel.terminal import (
    PROGRAM,
    colour,
    finish_streams,
    prepare_streams,
    printable,
    silence,
    tell,
)

EXIT_GOOD: Final = 0
EXIT_WRONG: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNAVAILABLE: Final = 3
EXIT_INTERRUPTED: Final = 130
"""After Ctrl-C, as shells have it: 128 + SIGINT."""

DEFAULT: Final = "audit"
COMMANDS: Final[dict[str, str]] = {
    "audit": "Audit a log once, or watch it; the name may be left out.",
    "status": "Say how every remembered log stands.",
    "history": "List everything that was ever found.",
    "evidence": "List, show, export and verify evidence of misbehaviour.",
    "acknowledge": "Record that somebody has dealt with a finding.",
    "witness": "Cosign heads of logs, as a C2SP witness.",
}
DEBUG_VARIABLE: Final = "NOUS_LEDGER_DEBUG"
_OF_THE_GROUP: Final = frozenset({"-h", "--help", "--version"})


class _UnreadError(Exception):
    """Nobody reads the output any more."""


class _Commands(click.Group):
    """Imports a command only when it is used; without a name it is an audit."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the default command before what is no command's name."""
        if args and args[0] not in COMMANDS and args[0] not in _OF_THE_GROUP:
            _refuse_misspelling(ctx, args)
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        """Parse; a pipe that broke meanwhile does not get click's exit code, which is 1."""
        with _broken_pipes():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; broken pipes as above."""
        with _broken_pipes():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"sentinel.cli_{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _refuse_misspelling(ctx: click.Context, args: list[str]) -> None:
    """Refuse a lone word that is nearly a command's name and no folder."""
    word = args[0]
    meant = difflib.get_close_matches(word, COMMANDS, n=1)
    if meant and not Path(word).exists():
        raise click.UsageError(f"{word!r} is no folder. Did you mean {meant[0]!r}?", ctx)


@contextlib.contextmanager
def _broken_pipes() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _UnreadError from error


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    subcommand_metavar="URL|DIR --policy FILE | COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        "\b\nExamples:\n"
        "  nous-sentinel https://log.example/main --policy trust.policy\n"
        "  nous-sentinel /srv/log --policy trust.policy --json\n"
        "  nous-sentinel https://log.example/main --policy trust.policy --watch\n"
        "  nous-sentinel audit --help\n"
        "  nous-sentinel status\n"
        '  nous-sentinel acknowledge 7 --by ana --reason "operator restored a backup"\n'
        "\n"
        "Exit codes: 0 good, 1 checked and wrong (or found earlier and not acknowledged), 2 used "
        "wrongly, 3 could not check. Results go to stdout, everything else to stderr."
    ),
)
@click.version_option(version("nous-ledger"), prog_name=PROGRAM)
@click.pass_context
def cli(context: click.Context) -> None:
    """Follow a nous-ledger log, check all of it, and never forget what it said before."""
    context.color = colour()
    if context.invoked_subcommand is None:
        tell(context.get_help())
        context.exit(EXIT_USAGE)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and leave with its exit code."""
    prepare_streams()
    code = run(arguments)
    if not finish_streams() and code == EXIT_GOOD:
        code = EXIT_UNAVAILABLE
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Return the exit code of one call of `nous-sentinel`."""
    try:
        result = cli.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except _UnreadError:
        silence(sys.stdout)
        return EXIT_UNAVAILABLE
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets one line
        return _report(error)
    return result if isinstance(result, int) else EXIT_GOOD


def exit_code_of(error: LedgerError) -> int:
    """Return what a command leaves with when this error ends it.

    Spec:
        PROTOCOL.md VER-24.
    """
    if isinstance(error, InputError) or error.code == "policy-format":
        return EXIT_USAGE
    return EXIT_UNAVAILABLE if isinstance(error, UnavailableError) else EXIT_WRONG


def _report(error: Exception) -> int:
    """Say on stderr what ended the command, and return its exit code."""
    match error:
        case click.exceptions.Abort():
            return _fail("interrupted", "", EXIT_INTERRUPTED)
        case click.ClickException():
            message = " ".join(error.format_message().split())  # click lists choices on lines
            return _fail(message, _usage_hint(error), EXIT_USAGE)
        case LedgerError():
            return _fail(f"{error.message} [{error.code}]", error.hint, exit_code_of(error))
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            text = error.strerror or type(error).__name__
            return _fail(f"{where}{text}", "check path, permissions and space", EXIT_UNAVAILABLE)
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    hint = f"run it again with {DEBUG_VARIABLE}=1 and report what it prints"
    return _fail(f"internal error: {type(error).__name__}: {error}", hint, EXIT_UNAVAILABLE)


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help" if context else f"{PROGRAM} --help"


def _fail(message: str, hint: str, code: int) -> int:
    tell(f"{PROGRAM}: error: {printable(message)}")
    if hint:
        tell(f"hint: {printable(hint)}")
    return code
