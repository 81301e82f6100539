"""`nous-sentinel URL|DIR --policy FILE`: audit a log once, or watch it."""

from __future__ import annotations

import gc
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sentinel.cli_options import (
    CONTRACT,
    PATH,
    choose_origin,
    json_option,
    read_policy,
    read_secret,
    state_option,
)
from sentinel.sources import open_source
from sentinel.terminal import progress_bar, tell, warn

if TYPE_CHECKING:
    from sentinel.evm import AnchorContract
    from sentinel.peers import Peer
    from sentinel.state import State
    from sentinel.telling import Teller
    from sentinel.watch import Audit

LONG: Final = 10_000
"""Records left from which on a terminal gets a progress bar."""
_GARBAGE: Final = 100_000
"""Objects that are made before cycles among them are looked for."""
EXIT_CODES: Final = {"good": 0, "wrong": 1, "could-not-check": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wishes:
    """What was asked for on the command line."""

    address: str
    policy_file: Path | None
    origin: str | None
    state_file: Path | None
    watching: bool
    interval_s: float
    max_age_s: int | None
    bodies: str | None
    heads_only: bool
    auditor_token_file: Path | None
    peers: tuple[str, ...]
    anchor_rpc: tuple[str, ...]
    anchor_contract: bytes | None
    anchor_max_age_s: int | None
    require_counts: bool
    legacy: str | None
    legacy_key: Path | None
    metrics: str | None
    webhook: str | None
    webhook_secret_file: Path | None
    as_json: bool


@click.command(
    "audit",
    epilog=(
        "\b\nExamples:\n"
        "  nous-sentinel https://log.example/main --policy trust.policy\n"
        "  nous-sentinel /srv/log --policy trust.policy --bodies expected --json\n"
        "  nous-sentinel https://log.example/main --policy trust.policy --watch --interval 30\n"
        "  nous-sentinel http://127.0.0.1:8787 --policy trust.policy --auditor-token-file token\n"
        "\n"
        "Exit codes: 0 good, 1 checked and wrong (or found earlier and not acknowledged), 2 used "
        "wrongly, 3 could not check. SIGTERM and Ctrl-C end a watch cleanly; its exit code is that "
        "of the last round."
    ),
)
@click.argument("address", metavar="URL|DIR")
@click.option(
    "--policy",
    "policy_file",
    type=PATH,
    help="Trust policy with the log's vkeys (C2SP tlog-policy); never taken from the log itself.",
)
@click.option("--origin", help="Name of the log, where the policy lists several.")
@state_option
@click.option("--watch", "watching", is_flag=True, help="Look again and again.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two rounds of a watch, give or take a tenth; longer after failures.",
)
@click.option(
    "--max-age",
    "max_age_s",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="Oldest head that will do; an older one could not be checked.",
)
@click.option(
    "--bodies",
    type=click.Choice(["expected", "optional", "none"]),
    help="expected: each body must be there or its erasure announced; optional: those that are "
    "there are checked; none: none is read.  [default: expected with an auditor token, else "
    "optional]",
)
@click.option("--heads-only", is_flag=True, help="Check heads and their growth, and no record.")
@click.option(
    "--auditor-token-file",
    type=PATH,
    help="File with a token that gives the right to read bodies.",
)
@click.option(
    "--peer",
    "peers",
    metavar="URL",
    multiple=True,
    help="Monitoring prefix of another witness of the log, whose heads are to agree; repeatable.",
)
@click.option(
    "--anchor-rpc",
    metavar="URL",
    multiple=True,
    envvar="NOUS_SENTINEL_RPC",
    show_envvar=True,
    help="JSON-RPC server of the chain that the log is anchored on; repeatable, all have to agree. "
    "The variable keeps access keys out of the process list.",
)
@click.option(
    "--anchor-contract",
    type=CONTRACT,
    metavar="ADDRESS",
    help="Address of the anchor contract there.",
)
@click.option(
    "--anchor-max-age",
    "anchor_max_age_s",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="Longest time that newer records may wait for an anchor.",
)
@click.option(
    "--require-consistent-counts",
    "require_counts",
    is_flag=True,
    help="Let what streams of receipts say of providers decide the outcome too: 1 if one of them "
    "is not consistent, 3 if receipts could not be read.",
)
@click.option(
    "--legacy",
    type=click.Choice(["nous-v2"]),
    help="Audit a gateway of this earlier protocol at URL instead; needs no --policy.",
)
@click.option(
    "--legacy-key",
    type=PATH,
    help="File with that gateway's public key (JWK).  [default: the first one it shows]",
)
@click.option(
    "--metrics",
    metavar="HOST:PORT",
    help="Serve figures for Prometheus there while watching, for example 127.0.0.1:9464.",
)
@click.option("--webhook", metavar="URL", help="POST each new finding there, signed.")
@click.option(
    "--webhook-secret-file", type=PATH, help="File with the key of the webhook's signatures."
)
@json_option
def command(**given: Any) -> int:  # noqa: ANN401 - one for each option above
    """Audit the log at URL, or in the folder DIR that `nous-ledger publish` wrote.

    The first time, every record is read and checked: tree, signatures, key history,
    bodies, labels, subject chains, statements. What was found out is remembered, so later
    rounds read only what is new, and no log can take back what it once showed. An audit
    that was interrupted goes on where it was.
    """
    wishes = _Wishes(**given)
    if (wishes.webhook is None) != (wishes.webhook_secret_file is None):
        raise _usage("--webhook and --webhook-secret-file go together")
    if wishes.metrics is not None and not wishes.watching:
        raise _usage("--metrics is for a watch: add --watch")
    if wishes.require_counts and (wishes.heads_only or wishes.legacy is not None):
        raise _usage("--require-consistent-counts needs the records of a nous-ledger log")
    # An audit makes few cycles, and each look for them costs as much as ten records.
    gc.set_threshold(_GARBAGE)
    stopping = threading.Event()
    with ExitStack() as stack:
        state, audit, stop = _open(wishes, stack, stopping)
        teller = _teller(wishes, stack, state)
        if not wishes.watching:
            report = audit.round()
            teller(report)
            return EXIT_CODES[report.outcome.value]
        from sentinel.watch import watch  # noqa: PLC0415 - quick --help

        with _ending(stopping, stop):
            report = watch(
                audit,
                interval_s=wishes.interval_s,
                wait=stopping.wait,
                random=random.SystemRandom().random,
                tell=teller,
            )
    return EXIT_CODES[report.outcome.value]


def _open(
    wishes: _Wishes, stack: ExitStack, stopping: threading.Event
) -> tuple[State, Audit, Callable[[], None]]:
    """Return the state, what is to be audited, and what cuts its reading short."""
    from sentinel.log_audit import LogAudit  # noqa: PLC0415 - quick --help
    from sentinel.log_options import Bodies, Options  # noqa: PLC0415
    from sentinel.state import State  # noqa: PLC0415
    from sentinel.state_file import default_state  # noqa: PLC0415
    from sentinel.workers import processors  # noqa: PLC0415

    if wishes.legacy is not None:
        return _open_legacy(wishes, stack, stopping)
    if wishes.policy_file is None:
        raise _usage("Missing option '--policy'.")
    policy = read_policy(wishes.policy_file)
    origin = choose_origin(policy, wishes.origin)
    token = None if wishes.auditor_token_file is None else read_secret(wishes.auditor_token_file)
    source = stack.enter_context(open_source(wishes.address, auditor_token=token))
    state = stack.enter_context(State.held(wishes.state_file or default_state(origin)))
    options = Options(
        policy=policy,
        origin=origin,
        bodies=Bodies(wishes.bodies or ("expected" if token else "optional")),
        heads_only=wishes.heads_only,
        max_age_s=wishes.max_age_s,
        peers=_open_peers(wishes.peers, stack),
        anchors=_open_anchors(wishes),
        anchor_max_age_s=wishes.anchor_max_age_s,
        require_counts=wishes.require_counts,
        processes=processors(),
        progress=stack.enter_context(progress_bar("auditing", "records", at_least=LONG)),
        stopping=stopping.is_set,
    )
    return state, LogAudit(state, source, options), source.close


def _open_peers(urls: tuple[str, ...], stack: ExitStack) -> tuple[Peer, ...]:
    if not urls:
        return ()
    from sentinel.peers import MAX_PEERS, Peer  # noqa: PLC0415 - loads aiohttp

    if len(urls) > MAX_PEERS:
        raise _usage(f"at most {MAX_PEERS} peers")
    return tuple(stack.enter_context(Peer(url)) for url in urls)


def _open_anchors(wishes: _Wishes) -> AnchorContract | None:
    if wishes.anchor_contract is None:
        if wishes.anchor_max_age_s is not None:
            raise _usage("--anchor-max-age goes with --anchor-contract")
        return None
    if not wishes.anchor_rpc:
        raise _usage("--anchor-contract needs --anchor-rpc")
    from sentinel.evm import AnchorContract  # noqa: PLC0415 - quick --help

    return AnchorContract(wishes.anchor_rpc, wishes.anchor_contract)


def _open_legacy(
    wishes: _Wishes, stack: ExitStack, stopping: threading.Event
) -> tuple[State, Audit, Callable[[], None]]:
    from sentinel.cli_legacy import open_legacy  # noqa: PLC0415 - loads aiohttp

    watcher = open_legacy(
        stack,
        wishes.address,
        state_file=wishes.state_file,
        key_file=wishes.legacy_key,
        stopping=stopping,
    )
    return watcher.state, watcher, watcher.gateway.close


def _teller(wishes: _Wishes, stack: ExitStack, state: State) -> Teller:
    from sentinel.metrics import Metrics, serving  # noqa: PLC0415 - quick --help
    from sentinel.telling import Teller  # noqa: PLC0415
    from sentinel.webhook import Webhook  # noqa: PLC0415

    metrics = webhook = None
    if wishes.metrics is not None:
        metrics = Metrics()
        tell(f"metrics at {stack.enter_context(serving(wishes.metrics, metrics))}")
    if wishes.webhook is not None and wishes.webhook_secret_file is not None:
        secret = read_secret(wishes.webhook_secret_file)
        webhook = Webhook(wishes.webhook, secret, warn=warn)
    teller = Teller(
        state=state,
        as_json=wishes.as_json,
        briefly=wishes.watching,
        metrics=metrics,
        webhook=webhook,
    )
    stack.callback(teller.finish)
    return teller


@contextmanager
def _ending(stopping: threading.Event, stop: Callable[[], None]) -> Iterator[None]:
    """End the watch cleanly on SIGTERM and SIGINT; a second Ctrl-C interrupts it."""

    def end(number: int, _frame: object) -> None:
        stopping.set()
        # Closing waits for the source's own thread, which a signal handler must not.
        threading.Thread(target=stop, daemon=True).start()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _usage(message: str) -> click.UsageError:
    return click.UsageError(message, click.get_current_context())
