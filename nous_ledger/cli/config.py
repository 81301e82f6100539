"""`nous-ledger config`: what a gateway would be told, and whether it could start with that."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nous_ledger.cli.gateway_config import config_option, load_settings, make_config
from nous_ledger.cli.options import json_option, show_help_of_group
from nous_ledger.cli.terminal import printable, say


@click.group(
    "config",
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger config check --config gateway.toml\n"
        "  nous-ledger config show --config gateway.toml\n"
    ),
)
@click.pass_context
def command(context: click.Context) -> None:
    """Check or show the configuration of the gateway: file, environment, defaults."""
    show_help_of_group(context)


@command.command(
    "check",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger config check --config gateway.toml\n"
        "  NOUS_LEDGER_LISTEN_PORT=9000 nous-ledger config check\n"
    ),
)
@config_option
@json_option
def check(*, config_file: Path | None, as_json: bool) -> None:
    """Say whether the gateway could start with this: all names known, all files readable.

    Neither the ledger nor a port is opened.
    """
    config = make_config(load_settings(config_file))
    shown = {"host": config.host, "port": config.port, "tls": config.tls is not None}
    if as_json:
        say(json.dumps({"good": True, **shown}))
        return
    scheme = "https" if config.tls else "http"
    say(f"good: the gateway would listen on {scheme}://{printable(config.host)}:{config.port}")


@command.command(
    "show",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger config show\n"
        "  nous-ledger config show --config gateway.toml --json\n"
    ),
)
@config_option
@json_option
def show(*, config_file: Path | None, as_json: bool) -> None:
    """Show every setting with where it comes from, as TOML; passwords are left out.

    Token files are named and not read.
    """
    settings = load_settings(config_file)
    from nous_ledger.gateway.settings import format_settings, shown_settings

    say(json.dumps(shown_settings(settings)) if as_json else format_settings(settings).rstrip())
