"""`nous-sentinel witness`: cosign the heads of logs, as a C2SP witness."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.protocol.bundle import MAX_BUNDLE_BYTES
from nous_ledger.protocol.errors import FormatError, InputError, UnavailableError
from nous_ledger.protocol.policy import MAX_POLICY_BYTES
from nous_ledger.protocol.vkey import format_vkey
from sentinel.terminal import PROGRAM, format_time, plural, printable, say, tell, warn

if TYPE_CHECKING:
    from sentinel.witness_http import WitnessServer
    from sentinel.witness_store import Cosigned, WitnessStore

EXIT_USAGE: Final = 2
EXIT_FORKED: Final = 1

_FILE: Final = click.Path(path_type=Path, dir_okay=False, readable=False)
_json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead."
)
_key_option: Final = click.option(
    "--key", "key_file", type=_FILE, required=True, help="The witness's key file."
)
_state_option: Final = click.option(
    "--state", "state_file", type=_FILE, required=True, help="What the witness remembers."
)


@click.group(
    "witness",
    invoke_without_command=True,
    epilog=(
        "\b\nExamples:\n"
        "  nous-sentinel witness init --name witness.example/w1 --key w1.key --state w1.state\n"
        "  nous-sentinel witness serve --key w1.key --state w1.state --logs logs.policy\n"
        "  nous-sentinel witness status --key w1.key --state w1.state\n"
    ),
)
@click.pass_context
def command(context: click.Context) -> None:
    """Cosign the heads of logs, as a C2SP witness: each extends the one before, or is refused."""
    if context.invoked_subcommand is None:
        tell(context.get_help())
        context.exit(EXIT_USAGE)


@command.command(
    "init",
    epilog=(
        "\b\nExample:\n"
        "  nous-sentinel witness init --name witness.example/w1 --key w1.key --state w1.state\n"
    ),
)
@click.option(
    "--name", required=True, help="Key name of the witness: best a URL of yours, without https://."
)
@_key_option
@_state_option
@_json_option
def init(name: str, key_file: Path, state_file: Path, *, as_json: bool) -> None:
    """Make the key and the state of a new witness, and print its vkey for those who trust it."""
    from sentinel.witness_key import create_key, make_key  # noqa: PLC0415 - quick --help
    from sentinel.witness_store import WitnessStore  # noqa: PLC0415

    for path in (key_file, state_file):
        if path.exists():
            raise InputError(
                "input", f"{path} exists", hint="nothing of a witness is replaced; choose new names"
            )
    seed = secrets.token_bytes(32)
    vkey = format_vkey(make_key(name, seed).vkey)
    WitnessStore.create(state_file, vkey)
    create_key(key_file, name, seed)
    say(json.dumps({"vkey": vkey}) if as_json else vkey)
    tell("Keep the key file secret, and never put an older copy of the state in its place.")


@command.command(
    "serve",
    epilog=(
        "\b\nExamples:\n"
        "  nous-sentinel witness serve --key w1.key --state w1.state --logs logs.policy\n"
        "  nous-sentinel witness serve --key w1.key --state w1.state --logs trust.policy \\\n"
        "    --proof genesis.tlog-proof --listen 127.0.0.1:7380\n"
    ),
)
@_key_option
@_state_option
@click.option(
    "--logs",
    "--policy",
    "logs_file",
    type=_FILE,
    required=True,
    help="File with a line `log VKEY` for each key of each log; a trust policy serves too.",
)
@click.option(
    "--proof",
    "proofs",
    type=_FILE,
    multiple=True,
    help="Any proof file of a log whose 0xff vkey is listed: it carries the key events.",
)
@click.option(
    "--listen",
    default="127.0.0.1:7380",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to listen; port 0: any free one.",
)
def serve(
    key_file: Path, state_file: Path, logs_file: Path, proofs: tuple[Path, ...], listen: str
) -> None:
    """Cosign every head that extends the one cosigned last, until told to stop.

    The first line on stdout is the address. Put a web server with TLS in front of it to be
    reached from elsewhere.
    """
    from sentinel.witness import Witness  # noqa: PLC0415 - quick --help
    from sentinel.witness_http import WitnessServer, parse_listen  # noqa: PLC0415
    from sentinel.witness_key import load_key  # noqa: PLC0415
    from sentinel.witness_logs import parse_logs  # noqa: PLC0415
    from sentinel.witness_store import WitnessStore  # noqa: PLC0415

    host, port = parse_listen(listen)
    key = load_key(key_file)
    bundles = [_read(path, MAX_BUNDLE_BYTES, "not-a-bundle") for path in proofs]
    logs = parse_logs(_read(logs_file, MAX_POLICY_BYTES, "policy-format"), bundles)
    with WitnessStore.open(state_file, format_vkey(key.vkey)) as store:
        witness = Witness(key, logs, store, clock=time.time, tell=warn)
        asyncio.run(_serve(WitnessServer(witness), host, port, _announcer(host, len(logs))))


@command.command(
    "status",
    epilog=("\b\nExample:\n  nous-sentinel witness status --key w1.key --state w1.state --json\n"),
)
@_key_option
@_state_option
@_json_option
@click.pass_context
def status(context: click.Context, key_file: Path, state_file: Path, *, as_json: bool) -> None:
    """Show what was cosigned last of each log, and logs that forked: exit code 1."""
    from sentinel.witness_key import load_key  # noqa: PLC0415 - quick --help
    from sentinel.witness_store import WitnessStore  # noqa: PLC0415

    vkey = format_vkey(load_key(key_file).vkey)
    with WitnessStore.open(state_file, vkey) as store:
        logs = [_standing(store, seen) for seen in store.all_latest()]
    if as_json:
        say(json.dumps({"vkey": vkey, "logs": logs}))
    else:
        say(vkey)
        for log in logs:
            _print_log(log)
    if any(log["forks"] for log in logs):
        context.exit(EXIT_FORKED)


async def _serve(server: WitnessServer, host: str, port: int, ready: Callable[[int], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await server.serve(host, port, ready=ready, stopped=stopped)


def _standing(store: WitnessStore, seen: Cosigned) -> dict[str, Any]:
    return {
        "origin": seen.checkpoint.origin,
        "leaf_count": seen.checkpoint.leaf_count,
        "root": seen.checkpoint.root.hex(),
        "cosigned_at": seen.cosigned_at,
        "forks": [
            {
                "leaf_count": fork.checkpoint.leaf_count,
                "seen_at": fork.seen_at,
                "cosigned": fork.cosigned.decode(),
                "refused": fork.note.decode(),
            }
            for fork in store.forks(seen.checkpoint.origin)
        ],
    }


def _print_log(log: dict[str, Any]) -> None:
    count, at = plural(log["leaf_count"], "leaf").replace("leafs", "leaves"), log["cosigned_at"]
    say(f"{printable(log['origin'])}  {count}  {log['root']}  {format_time(at)}")
    for fork in log["forks"]:
        when = format_time(fork["seen_at"])
        say(f"  FORKED: another head of {fork['leaf_count']} leaves came at {when}; see --json")


def _announcer(host: str, logs: int) -> Callable[[int], None]:
    def announce(port: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        say(f"http://{shown}:{port}")
        tell(f"{PROGRAM}: cosigning {plural(logs, 'log')}; end with Ctrl-C")

    return announce


def _read(path: Path, limit: int, code: str) -> bytes:
    """Return a file of at most `limit` bytes.

    Raises:
        InputError: it does not exist or is no file.
        UnavailableError: unreachable.
        FormatError: `code`, if it is longer.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError("input", f"{path}: {error.strerror}", hint="check the path") from error
    except OSError as error:
        raise UnavailableError("unreachable", f"{path}: {error.strerror}") from error
    if len(data) > limit:
        raise FormatError(code, f"{path} has more than {limit} bytes")
    return data
