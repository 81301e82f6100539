"""`nous-ledger gateway`: run the metering gateway until it is told to stop."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nous_ledger.cli.files import ledger_option, open_ledger, read_bounded
from nous_ledger.protocol.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from nous_ledger.ledger import Ledger


@click.command(
    "gateway",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger gateway\n"
        "  ANTHROPIC_BASE_URL=http://127.0.0.1:8787/anthropic claude\n"
        "  OPENAI_BASE_URL=http://127.0.0.1:8787/openai/v1 python my_program.py\n"
    ),
)
@ledger_option
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8787,
    show_default=True,
    help="0: any free one.",
)
@click.option("--openai-upstream", default="", metavar="URL", help="Where /openai/ goes.")
@click.option("--anthropic-upstream", default="", metavar="URL", help="Where /anthropic/ goes.")
@click.option(
    "--auditor-token-file",
    type=click.Path(path_type=Path),
    help="File with one token per line; each may read every body.",
)
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Passphrase of the keys.")
def command(  # noqa: PLR0913 - one parameter per option
    *,
    folder: Path,
    host: str,
    port: int,
    openai_upstream: str,
    anthropic_upstream: str,
    auditor_token_file: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Forward calls to LLM providers and put one signed receipt per call into the ledger.

    Paths under /openai/ and /anthropic/ are forwarded; everything else is the
    read API. API keys pass through and are never stored or logged.
    """
    try:
        from nous_ledger.gateway.app import AppConfig  # noqa: PLC0415 - needs the extra
        from nous_ledger.gateway.server import GatewayConfig, run_gateway  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "unreachable",
            f"the gateway needs {error.name}, which is not installed",
            hint="pip install 'nous-ledger[gateway]'",
        ) from error

    given = {"openai": openai_upstream, "anthropic": anthropic_upstream}
    config = GatewayConfig(
        host=host,
        port=port,
        app=AppConfig(
            upstreams={name: url for name, url in given.items() if url},
            auditor_tokens=_token_hashes(auditor_token_file),
        ),
    )
    with open_ledger(folder, passphrase_file) as ledger:
        run_gateway(ledger, config, ready=lambda url: click.echo(_welcome(ledger, url)))
    click.echo("stopped; every call has its receipt", err=True)


def _welcome(ledger: Ledger, url: str) -> str:
    return "\n".join(
        (
            f"nous-ledger gateway on {url}",
            f"  log      {ledger.origin}",
            f"  log id   {ledger.log_id.hex()}",
            f"  ledger   {ledger.folder}",
            "",
            f"  export OPENAI_BASE_URL={url}/openai/v1",
            f"  export ANTHROPIC_BASE_URL={url}/anthropic",
            "",
            "Stop with Ctrl-C; calls in flight get their receipts first.",
        )
    )


def _token_hashes(path: Path | None) -> frozenset[bytes]:
    if path is None:
        return frozenset()
    lines = read_bounded(path, 64 * 1024, "json-format").split(b"\n")
    tokens = [line.strip() for line in lines if line.strip()]
    if any(len(token) < 16 for token in tokens):
        raise InputError(
            "input", "an auditor token is shorter than 16 characters", hint="use a random one"
        )
    return frozenset(hashlib.sha256(token).digest() for token in tokens)
