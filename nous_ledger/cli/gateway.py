"""`nous-ledger gateway`: run the metering gateway until it is told to stop."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nous_ledger.cli.files import open_ledger, read_secret
from nous_ledger.cli.options import PATH, json_option, ledger_option, passphrase_file_option
from nous_ledger.cli.terminal import printable, say, tell
from nous_ledger.cli.witnesses import read_witnesses, witnesses_options
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
        "  nous-ledger gateway --witnesses witnesses.policy\n"
        "  nous-ledger gateway --host 0.0.0.0 --client-token-file clients \\\n"
        "    --operator-token-file operators\n"
    ),
)
@ledger_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; others than loopback need client and operator tokens.",
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
    default="",
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
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the lines on stderr.",
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
    host: str,
    port: int,
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
    egress_proxy: str,
    ca_file: Path | None,
    fail_open: bool,
    log_format: str,
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
    try:
        from nous_ledger.gateway.app import AppConfig
        from nous_ledger.gateway.logs import log_to_stderr
        from nous_ledger.gateway.named_upstreams import (
            NamedUpstreams,
            parse_allowed,
            parse_network,
        )
        from nous_ledger.gateway.server import (
            GatewayConfig,
            TlsFiles,
            check_host,
            forbid_core_dumps,
            run_gateway,
        )
        from nous_ledger.gateway.upstream import Egress, check_proxy, read_trust
        from nous_ledger.ledger import RetentionKeeper
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "unreachable",
            f"the gateway needs {str(error.name).partition('.')[0]}, which is not installed",
            hint="pip install 'nous-ledger[gateway]'",
        ) from error

    policy, witnesses = read_witnesses(witnesses_file, insecure=insecure_witnesses)
    given = {"openai": openai_upstream, "anthropic": anthropic_upstream, **_named(upstreams)}
    app = AppConfig(
        upstreams={name: url for name, url in given.items() if url},
        auditor_tokens=_token_hashes(auditor_token_file, "an auditor token"),
        client_tokens=_token_hashes(client_token_file, "a client token"),
        operator_tokens=_token_hashes(operator_token_file, "an operator token"),
        hosts=frozenset(map(str.lower, hosts)),
        origins=frozenset(map(str.lower, origins)),
        witnesses=witnesses,
        witness_policy=policy,
        fail_open=fail_open,
        named=NamedUpstreams(
            map(parse_allowed, allowed_upstreams), map(parse_network, allowed_networks)
        ),
        egress=Egress(
            proxy=check_proxy(egress_proxy) if egress_proxy else "",
            trust=None if ca_file is None else read_trust(ca_file),
        ),
    )
    if (tls_cert is None) != (tls_key is None):
        raise InputError("input", "--tls-cert and --tls-key go together")
    tls = (
        None
        if tls_cert is None or tls_key is None
        else TlsFiles(certificates=tls_cert, key=tls_key)
    )
    config = GatewayConfig(host=check_host(host, guarded=app.guarded), port=port, app=app, tls=tls)
    forbid_core_dumps()
    log_to_stderr(log_format, printable)
    welcome = _to_json if as_json else _render
    with (
        open_ledger(named, passphrase_file) as ledger,
        contextlib.closing(
            RetentionKeeper(ledger, bodies_days=retain_bodies, usage_days=retain_usage)
        ) as keeper,
    ):

        def ready(url: str) -> None:
            keeper.start()
            say(welcome(ledger, url))

        run_gateway(ledger, config, ready=ready)
        missing = len(ledger.open_intents())
    if missing:
        raise UnavailableError(
            "unreachable",
            f"stopped, but {missing} calls have no receipt yet: it could not be written",
            hint="start the gateway again: it writes them first",
        )
    tell("stopped; every call has its receipt")


def _named(upstreams: tuple[str, ...]) -> dict[str, str]:
    """Return URLs by the name of their route.

    Raises:
        InputError: one is not of the form NAME=URL.
    """
    named = {}
    for given in upstreams:
        name, _, url = given.partition("=")
        if not name or not url:
            # The URL is not repeated: it may hold a password.
            raise InputError(
                "input",
                "--upstream takes NAME=URL",
                hint="for example --upstream vllm=http://127.0.0.1:8000",
            )
        named[name] = url
    return named


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


def _token_hashes(path: Path | None, kind: str) -> frozenset[bytes]:
    from nous_ledger.gateway.tokens import hash_tokens

    return frozenset() if path is None else hash_tokens(read_secret(path), kind)
