"""From options, environment and file to the configuration of a gateway.

Whatever is named is read and checked here, before a ledger is opened.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nous_ledger.cli.files import read_bounded, read_secret
from nous_ledger.cli.options import PATH
from nous_ledger.cli.witnesses import read_witnesses
from nous_ledger.protocol.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from nous_ledger.gateway.server import GatewayConfig, TlsFiles
    from nous_ledger.gateway.settings import Settings
    from nous_ledger.reconcile.tokenizers import TokenizerTable

_OTHERS = 0o077


def config_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add --config."""
    return click.option(
        "--config",
        "config_file",
        type=PATH,
        envvar="NOUS_LEDGER_CONFIG",
        show_envvar=True,
        help="Configuration in TOML; see docs/gateway.md. Options come first.",
    )(function)


def load_settings(
    config_file: Path | None,
    options: Mapping[str, object] | None = None,
    upstreams: Mapping[str, str] | None = None,
) -> Settings:
    """Return what file, environment and options set.

    Raises:
        InputError: as `read_settings`; or the file holds a password and others can read it.
        UnavailableError: the file cannot be read; or a package is not installed.
    """
    try:
        from nous_ledger.gateway.settings import MAX_FILE_BYTES, read_settings
    except ModuleNotFoundError as error:
        raise not_installed(error) from error

    text, folder = "", Path()
    if config_file is not None:
        data = read_bounded(config_file, MAX_FILE_BYTES, "input")
        folder = config_file.parent
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise InputError("input", f"{config_file} is not UTF-8") from error
    settings = read_settings(
        text=text,
        folder=folder,
        environment=os.environ,
        options=options or {},
        upstreams=upstreams or {},
    )
    _check_privacy(settings, config_file)
    return settings


def _check_privacy(settings: Settings, config_file: Path | None) -> None:
    holds = settings.sources["egress.proxy"] == "file" and "@" in settings["egress.proxy"]
    if holds and config_file is not None and config_file.stat().st_mode & _OTHERS:
        raise InputError(
            "input",
            f"{config_file} holds a password, and others than its owner can reach it",
            hint=f"run: chmod 600 {config_file}",
        )


def make_config(settings: Settings) -> GatewayConfig:
    """Return the configuration of a gateway; every file that it names is read.

    Raises:
        LedgerError: whatever is wrong with one of the settings.
    """
    try:
        from nous_ledger.gateway.app import AppConfig, upstreams_of
        from nous_ledger.gateway.bounds import read_ceilings
        from nous_ledger.gateway.named_upstreams import (
            NamedUpstreams,
            parse_allowed,
            parse_network,
        )
        from nous_ledger.gateway.server import GatewayConfig, check_host
        from nous_ledger.gateway.upstream import Egress, Limits, check_proxy, read_trust
    except ModuleNotFoundError as error:
        raise not_installed(error) from error

    policy, witnesses = read_witnesses(
        settings["witnesses.policy_file"], insecure=settings["witnesses.insecure"]
    )
    proxy, ca_file = settings["egress.proxy"], settings["egress.ca_file"]
    limits = {name: settings[f"limits.{name}"] for name in Limits.__dataclass_fields__}
    upstreams_of(settings.upstreams)
    app = AppConfig(
        upstreams=settings.upstreams,
        limits=Limits(**limits),
        auditor_tokens=_token_hashes(settings["tokens.auditor_file"], "an auditor token"),
        client_tokens=_token_hashes(settings["tokens.client_file"], "a client token"),
        operator_tokens=_token_hashes(settings["tokens.operator_file"], "an operator token"),
        hosts=frozenset(map(str.lower, settings["listen.allow_hosts"])),
        origins=frozenset(map(str.lower, settings["listen.allow_origins"])),
        witnesses=witnesses,
        witness_policy=policy,
        fail_open=settings["ledger.fail_open"],
        unmetered=settings["calls.unmetered"] == "pass",
        recount=settings["calls.recount"] == "on",
        decode_ceilings=read_ceilings(settings["calls.decode_ceilings"]),
        tokenizers=read_tokenizers(settings["calls.tokenizers_file"]),
        publish_usage=settings["ledger.publish_usage"],
        named=NamedUpstreams(
            map(parse_allowed, settings["named_upstreams.allow"]),
            map(parse_network, settings["named_upstreams.networks"]),
        ),
        egress=Egress(
            proxy="" if proxy is None else check_proxy(proxy),
            trust=None if ca_file is None else read_trust(ca_file),
        ),
    )
    app.check()
    return GatewayConfig(
        host=check_host(settings["listen.host"], guarded=app.guarded),
        port=settings["listen.port"],
        app=app,
        grace_s=settings["limits.shutdown_s"],
        tls=_tls(settings),
    )


def read_tokenizers(path: Path | None) -> TokenizerTable | None:
    """Return the table of tokenizers with an operator's before it; None without one.

    Raises:
        InputError: the file does not exist, or something in it is wrong.
    """
    if path is None:
        return None
    from nous_ledger.reconcile.tokenizers import MAX_TABLE_BYTES, extended_table

    return extended_table(read_bounded(path, MAX_TABLE_BYTES, "input"), path.parent)


def not_installed(error: ModuleNotFoundError) -> UnavailableError:
    """Return the error for a package that the gateway needs and that is not there."""
    return UnavailableError(
        "unreachable",
        f"the gateway needs {str(error.name).partition('.')[0]}, which is not installed",
        hint="pip install 'nous-ledger[gateway]'",
    )


def _tls(settings: Settings) -> TlsFiles | None:
    from nous_ledger.gateway.server import TlsFiles

    certificates, key = settings["listen.tls_cert"], settings["listen.tls_key"]
    if (certificates is None) != (key is None):
        raise InputError(
            "input", "--tls-cert and --tls-key go together, as listen.tls_cert and tls_key"
        )
    if certificates is None:
        return None
    files = TlsFiles(certificates=certificates, key=key)
    files.check()
    return files


def _token_hashes(path: Path | None, kind: str) -> frozenset[bytes]:
    from nous_ledger.gateway.tokens import hash_tokens

    return frozenset() if path is None else hash_tokens(read_secret(path), kind)


def named_upstreams(given: tuple[str, ...]) -> dict[str, str]:
    """Return URLs by the name of their route, of options NAME=URL.

    Raises:
        InputError: one is not of that form.
    """
    named: dict[str, Any] = {}
    for text in given:
        name, _, url = text.partition("=")
        if not name or not url:
            # The URL is not repeated: it may hold a password.
            raise InputError(
                "input",
                "--upstream takes NAME=URL",
                hint="for example --upstream vllm=http://127.0.0.1:8000",
            )
        named[name] = url
    return named
