"""Entry point of `nous-ledger`: finds the command, renders errors, sets the exit code.

Exit codes: 0 good, 1 checked and wrong, 2 used wrongly, 3 could not check or
could not be done now; 130 after Ctrl-C. Results go to stdout, everything else to
stderr. No input makes it show a traceback.

Spec:
    PROTOCOL.md VER-22 to VER-24.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Final

import click

from nous_ledger import __version__
from nous_ledger.cli.exits import (
    EXIT_GOOD,
    EXIT_INTERRUPTED,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    exit_code_of,
)
from nous_ledger.cli.options import show_help_of_group
from nous_ledger.cli.terminal import (
    colour,
    finish_streams,
    prepare_streams,
    printable,
    silence,
    tell,
)
from nous_ledger.protocol.errors import LedgerError

COMMANDS: Final[dict[str, str]] = {
    "init": "Create a ledger: keys, genesis, first head.",
    "gateway": "Run the metering gateway in front of LLM providers.",
    "run": "Run one command through a gateway of its own, and say what it used.",
    "service": "Run the gateway in the background, as a systemd user service.",
    "setup": "Point the tools on this machine at a gateway, or take that back.",
    "config": "Check or show the configuration of the gateway.",
    "receipts": "List and show receipts.",
    "prove": "Write a receipt's proof into one file.",
    "verify": "Check a proof offline: four answers.",
    "head": "Show the newest signed head.",
    "publish": "Write the log as files for any web server.",
    "audit": "Test streams of receipts for tokens beyond a re-count.",
    "reconcile": "Hold receipts against usage reports, invoices and prices.",
    "fsck": "Check a whole ledger: compute everything again.",
    "backup": "Copy a ledger while a gateway writes to it.",
    "restore": "Make a ledger from a backup.",
    "high-water": "See that no older copy of the database is extended.",
    "key": "Show, rotate or revoke the log's key.",
    "anchor": "Anchor the log's heads on Base or another EVM chain.",
    "close": "End a log for good.",
    "redact": "Erase the bodies of receipts, and log that.",
    "retention": "Erase bodies and raw usage that are older than they are to be kept.",
    "policy": "Show, export or fetch a trust policy.",
    "demo": "Run the whole path on this machine in seconds.",
}
DEBUG_VARIABLE: Final = "NOUS_LEDGER_DEBUG"
MAX_MESSAGE: Final = 600
"""Most characters of an error line: what it repeats may be of any length."""


class _UnreadError(Exception):
    """Nobody reads the output any more."""


class _LazyGroup(click.Group):
    """Imports a command only when it is used, so that every start is quick."""

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
        module = importlib.import_module(f"nous_ledger.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for one that does not exist, name what may have been meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            meant = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not meant:
                raise
            raise click.UsageError(f"{error.message} Did you mean {meant[0]!r}?", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@contextlib.contextmanager
def _broken_pipes() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _UnreadError from error


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger demo\n"
        "  nous-ledger init --next-key-out /media/usb/next.key\n"
        "  nous-ledger gateway\n"
        "  nous-ledger setup --dry-run\n"
        "  nous-ledger run -- claude\n"
        "  nous-ledger verify receipt.tlog-proof --policy trust.policy\n"
        "\n"
        "Exit codes: 0 good, 1 checked and wrong, 2 used wrongly, 3 could not check or could not "
        "be done now. Results go to stdout, everything else to stderr."
    ),
)
@click.version_option(__version__, prog_name="nous-ledger")
@click.pass_context
def cli(context: click.Context) -> None:
    """Signed receipts for LLM calls, in a log that anyone can verify offline."""
    context.color = colour()
    show_help_of_group(context)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and leave with its exit code; no error shows a traceback."""
    prepare_streams()
    code = run(arguments)
    if not finish_streams() and code == EXIT_GOOD:
        code = EXIT_UNAVAILABLE
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Return the exit code of one call of `nous-ledger`."""
    try:
        result = cli.main(args=arguments, prog_name="nous-ledger", standalone_mode=False)
    except _UnreadError:
        silence(sys.stdout)
        return EXIT_UNAVAILABLE
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets one line
        return _report(error)
    return result if isinstance(result, int) else EXIT_GOOD


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
    return f"{context.command_path} --help" if context else "nous-ledger --help"


def _fail(message: str, hint: str, code: int) -> int:
    shown = printable(message)
    if len(shown) > MAX_MESSAGE:
        shown = f"{shown[:MAX_MESSAGE]}…"
    tell(f"nous-ledger: error: {shown}")
    if hint:
        tell(f"hint: {printable(hint)}")
    return code


if __name__ == "__main__":
    main()
