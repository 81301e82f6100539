"""Entry point of `nous-ledger`: finds the command, renders errors, sets the exit code.

Exit codes: 0 good, 1 checked and wrong, 2 used wrongly, 3 could not check or
could not be done now.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

import click

from nous_ledger import __version__
from nous_ledger.cli.exits import EXIT_UNAVAILABLE, EXIT_USAGE, exit_code_of
from nous_ledger.protocol.errors import LedgerError

COMMANDS: Final[dict[str, str]] = {
    "init": "Create a ledger: keys, genesis, first head.",
    "gateway": "Run the metering gateway in front of LLM providers.",
    "receipts": "List and show receipts.",
    "prove": "Write a receipt's proof into one file.",
    "verify": "Check a proof offline: four answers.",
    "head": "Show the newest signed head.",
    "policy": "Show, export or fetch a trust policy.",
    "demo": "Run the whole path on this machine in seconds.",
}


class _LazyGroup(click.Group):
    """Imports a command only when it is used, so that every start is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"nous_ledger.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        "Exit codes: 0 good, 1 checked and wrong, 2 used wrongly, 3 could not check.\n\n"
        "Try it: nous-ledger demo"
    ),
)
@click.version_option(__version__, prog_name="nous-ledger")
def cli() -> None:
    """Signed receipts for LLM calls, in a log that anyone can verify offline."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command and leave with its exit code; no error shows a traceback."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Return the exit code of one call of `nous-ledger`."""
    try:
        result = cli.main(args=arguments, prog_name="nous-ledger", standalone_mode=False)
    except click.exceptions.Abort:
        return _fail("interrupted", "", 130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return EXIT_USAGE
    except click.ClickException as error:
        return _fail(error.format_message(), _usage_hint(error), EXIT_USAGE)
    except LedgerError as error:
        return _fail(f"{error.message} [{error.code}]", error.hint, exit_code_of(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_UNAVAILABLE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        text = error.strerror or type(error).__name__
        return _fail(f"{where}{text}", "check path, permissions and space", EXIT_UNAVAILABLE)
    return result if isinstance(result, int) else 0


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help" if context else "nous-ledger --help"


def _fail(message: str, hint: str, code: int) -> int:
    click.echo(f"nous-ledger: error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    return code


if __name__ == "__main__":
    main()
