"""`nous-ledger gateway`: run the metering gateway until it is told to stop."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nous_ledger.cli.files import open_ledger
from nous_ledger.cli.gateway_config import (
    config_option,
    load_settings,
    make_config,
    named_upstreams,
)
from nous_ledger.cli.options import PATH, json_option, ledger_option, passphrase_file_option
from nous_ledger.cli.terminal import printable, say, tell
from nous_ledger.cli.witnesses import witnesses_options
from nous_ledger.protocol.errors import UnavailableError

if TYPE_CHECKING:
    from nous_ledger.ledger import Ledger


@click.command(
    "gateway",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger gateway\n"
        "  ANTHROPIC_BASE_URL=http://127.0.0.1:8787/anthropic claude\n"
        "  OPENAI_BASE_URL=http://127.0.0.1:8787/openai/v1 python my_program.py\n"
        "  nous-ledger gateway --config gateway.toml\n"
        "  nous-ledger gateway --witnesses witnesses.policy\n"
        "  nous-ledger gateway --host 0.0.0.0 --client-token-file clients \\\n"
        "    --operator-token-file operators\n"
    ),
)
@ledger_option
@config_option
@click.option(
    "--host",
    default=None,
    help="Address to listen on; others than loopback need client and operator tokens.  "
    "[default: 127.0.0.1]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=None,
    help="0: any free one.  [default: 8787]",
)
@click.option("--openai-upstream", default="", metavar="URL", help="Where /openai/ goes.")
@click.option("--anthropic-upstream", default="", metavar="URL", help="Where /anthropic/ goes.")
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="NAME=URL",
    help="Where /NAME/ goes, as bedrock=URL, vllm=URL or custom-NAME=URL; see docs/providers.md.",
)
@click.option(
    "--auditor-token-file",
    type=PATH,
    help="File with one token per line, readable by you alone; each may read every body.",
)
@click.option(
    "--client-token-file",
    type=PATH,
    help="As above; callers must show one in the header nous-client-token.",
)
@click.option(
    "--operator-token-file",
    type=PATH,
    help="As above; each may see how the gateway does: /metrics and /readyz.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of this site make calls, as https://app.example.com.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Answer under this name too, as for a tunnel. Beside it: localhost and addresses.",
)
@click.option(
    "--allow-upstream",
    "allowed_upstreams",
    multiple=True,
    metavar="HOST",
    help="Let callers of /custom/ name it in x-nous-upstream: [http://]HOST[:PORT] or *.HOST.",
)
@click.option(
    "--allow-network",
    "allowed_networks",
    multiple=True,
    metavar="CIDR",
    help="Let such upstreams lie in this network, beside public addresses.",
)
@click.option("--tls-cert", type=PATH, help="Certificate chain in PEM form, to listen with TLS.")
@click.option("--tls-key", type=PATH, help="Its private key, readable by you alone.")
@click.option(
    "--egress-proxy",
    metavar="URL",
    help="Reach upstreams through this proxy. With a password: in the configuration file.",
)
@click.option("--ca-file", type=PATH, help="Believe these authorities too, in PEM form.")
@click.option(
    "--fail-open",
    is_flag=True,
    help="Forward calls even if the ledger cannot be written; the gap is counted and logged.",
)
@click.option(
    "--recount",
    type=click.Choice(["on", "off"]),
    default=None,
    help="Count answers again where a tokenizer is known and installed.  [default: on]",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default=None,
    help="Form of the lines on stderr.  [default: text]",
)
@click.option(
    "--publish-usage",
    is_flag=True,
    help="Let everybody see what each pseudonym used, on the routes under /api/.",
)
@witnesses_options
@click.option(
    "--retain-bodies",
    type=click.IntRange(1, 36_500),
    metavar="DAYS",
    help="Erase bodies of receipts after so many days, every hour; see `retention`.",
)
@click.option(
    "--retain-usage",
    type=click.IntRange(1, 36_500),
    metavar="DAYS",
    help="Erase the provider's raw usage after so many days.",
)
@passphrase_file_option
@json_option
def command(
    *,
    named: Path | None,
    config_file: Path | None,
    host: str | None,
    port: int | None,
    openai_upstream: str,
    anthropic_upstream: str,
    upstreams: tuple[str, ...],
    auditor_token_file: Path | None,
    client_token_file: Path | None,
    operator_token_file: Path | None,
    origins: tuple[str, ...],
    hosts: tuple[str, ...],
    allowed_upstreams: tuple[str, ...],
    allowed_networks: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    egress_proxy: str | None,
    ca_file: Path | None,
    fail_open: bool,
    recount: str | None,
    log_format: str | None,
    publish_usage: bool,
    witnesses_file: Path | None,
    insecure_witnesses: bool,
    retain_bodies: int | None,
    retain_usage: int | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Forward calls to LLM providers and put one signed receipt per call into the ledger.

    Paths under /openai/, /anthropic/ and the names of further providers are forwarded;
    everything else is the read API. API keys pass through and are never stored or logged. Ctrl-C or
    SIGTERM ends it; calls in flight get their receipts first.

    Heads are signed as often as the log promised. With --witnesses each witness is
    asked to cosign them; how it answers is logged, and stops nothing.
    """
    options = {
        "ledger.folder": named,
        "ledger.passphrase_file": passphrase_file,
        "ledger.fail_open": fail_open,
        "ledger.publish_usage": publish_usage,
        "ledger.retain_bodies_days": retain_bodies,
        "ledger.retain_usage_days": retain_usage,
        "listen.host": host,
        "listen.port": port,
        "listen.tls_cert": tls_cert,
        "listen.tls_key": tls_key,
        "listen.allow_hosts": hosts,
        "listen.allow_origins": origins,
        "tokens.client_file": client_token_file,
        "tokens.operator_file": operator_token_file,
        "tokens.auditor_file": auditor_token_file,
        "named_upstreams.allow": allowed_upstreams,
        "named_upstreams.networks": allowed_networks,
        "egress.proxy": egress_proxy,
        "egress.ca_file": ca_file,
        "witnesses.policy_file": witnesses_file,
        "witnesses.insecure": insecure_witnesses,
        "calls.recount": recount,
        "log.format": log_format,
    }
    given = {"openai": openai_upstream, "anthropic": anthropic_upstream}
    settings = load_settings(config_file, options, {**given, **named_upstreams(upstreams)})
    config = make_config(settings)

    from nous_ledger.gateway.logs import log_to_stderr
    from nous_ledger.gateway.server import forbid_core_dumps, run_gateway
    from nous_ledger.ledger import RetentionKeeper

    forbid_core_dumps()
    log_to_stderr(settings["log.format"], printable)
    welcome = _to_json if as_json else _render
    with (
        open_ledger(settings["ledger.folder"], settings["ledger.passphrase_file"]) as ledger,
        contextlib.closing(
            RetentionKeeper(
                ledger,
                bodies_days=settings["ledger.retain_bodies_days"],
                usage_days=settings["ledger.retain_usage_days"],
            )
        ) as keeper,
    ):

        def ready(url: str) -> None:
            keeper.start()
            say(welcome(ledger, url))

        lost = run_gateway(ledger, config, ready=ready)
        missing = len(ledger.open_intents())
    if missing:
        raise UnavailableError(
            "unreachable",
            f"stopped, but {missing} calls have no receipt yet: it could not be written",
            hint="start the gateway again: it writes them first",
        )
    if lost:
        raise UnavailableError(
            "unreachable",
            f"stopped; {lost} calls of a gap, in which nothing could be written, have no receipt",
            hint="the log lines name them",
        )
    tell("stopped; every call has its receipt")


def _to_json(ledger: Ledger, url: str) -> str:
    shown = {
        "url": url,
        "origin": ledger.origin,
        "log_id": ledger.log_id.hex(),
        "ledger": str(ledger.folder),
    }
    return json.dumps(shown)


def _render(ledger: Ledger, url: str) -> str:
    return "\n".join(
        (
            f"nous-ledger gateway on {url}",
            f"  log      {ledger.origin}",
            f"  log id   {ledger.log_id.hex()}",
            f"  ledger   {printable(ledger.folder)}",
            "",
            f"  export OPENAI_BASE_URL={url}/openai/v1",
            f"  export ANTHROPIC_BASE_URL={url}/anthropic",
            "",
            "Stop with Ctrl-C; calls in flight get their receipts first.",
        )
    )
