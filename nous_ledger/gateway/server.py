"""Running a gateway: where it may listen, one per ledger, in front or in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import resource
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Literal, Self, cast

import uvicorn

from nous_ledger.gateway.app import AppConfig, Gateway
from nous_ledger.gateway.connection import make_connections
from nous_ledger.gateway.journal import close_open_calls
from nous_ledger.gateway.upstream import Limits
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.files import only_one
from nous_ledger.ledger.witness_quorum import compare_with_witnesses
from nous_ledger.ledger.witnesses import WitnessClient
from nous_ledger.protocol.errors import InputError, UnavailableError
from nous_ledger.protocol.policy import NO_QUORUM

_log: Final = logging.getLogger("nous_ledger.gateway")

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8787

_NO_NEWS: Final = (
    "ASGI callable returned without completing",
    '%s - "WebSocket %s"',
    "connection rejected",
    "connection closed",
)
_OBJECTS_UNTIL_COLLECTION: Final = 5_000
_GRACE_S: Final = 30
"""Seconds that calls in flight have to end by themselves at shutdown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """What a server shows who it is with, in PEM form."""

    certificates: Path
    key: Path

    def check(self) -> None:
        """Load both once.

        Raises:
            InputError: they cannot be read, do not belong together, or others can read
                the key.
        """
        try:
            mode = self.key.stat().st_mode
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # A key that is sealed would ask at the terminal.
            context.load_cert_chain(self.certificates, self.key, password=lambda: b"")
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                "input",
                f"{self.certificates} and {self.key} are not a certificate and its key",
                hint="name PEM files; the key without a passphrase",
            ) from error
        if mode & 0o077:
            raise InputError(
                "input",
                f"{self.key} can be reached by others than its owner",
                hint=f"run: chmod 600 {self.key}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """A gateway to run.

    Attributes:
        host: address to listen on; others than loopback only with tokens.
        port: port to listen on; 0 for any free one.
        app: what it serves and how.
        grace_s: seconds that calls in flight have to end by themselves at shutdown.
        tls: certificate chain and private key to listen with TLS, PEM files; None for
            plain HTTP.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    app: AppConfig = field(default_factory=AppConfig)
    grace_s: int = _GRACE_S
    tls: TlsFiles | None = None


def is_loopback(host: str) -> bool:
    """Return whether nobody outside this machine can reach an address."""
    with contextlib.suppress(ValueError):
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    return False


def check_host(host: str, *, guarded: bool) -> str:
    """Return the host if the gateway may listen on it.

    Args:
        host: `localhost` or an address.
        guarded: callers and operators are told apart from others by tokens.

    Raises:
        InputError: it is neither, or others can reach it and anybody could make calls.
    """
    if is_loopback(host):
        return host
    hint = (
        "listen on 127.0.0.1 or ::1 and let other machines come through a tunnel, or give"
        " --client-token-file and --operator-token-file"
    )
    if not guarded:
        raise InputError(
            "input",
            f"the gateway does not listen on {host!r} without client and operator tokens:"
            " whoever reached it could make calls and receipts",
            hint=hint,
        )
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise InputError(
            "input", f"the gateway does not listen on {host!r}: it is no address", hint=hint
        ) from None
    return host


@contextlib.contextmanager
def only_gateway(folder: Path) -> Iterator[None]:
    """Be the only gateway of a ledger.

    Calls that an earlier gateway left open are taken for interrupted at the start
    of the next one, which would be wrong while the earlier one still runs.

    Raises:
        StoreError: gateway-running; store-unwritable.
    """
    with only_one(folder):
        yield


def run_gateway(
    ledger: Ledger, config: GatewayConfig, *, ready: Callable[[str], None] | None = None
) -> int:
    """Serve until SIGINT or SIGTERM; calls in flight get their receipts first.

    Returns how many calls have no receipt and will get none: those of a gap, where the
    gateway fails open.

    Args:
        ledger: open for writing; it stays open.
        config: where to listen and what to serve.
        ready: called with the base URL once connections are accepted.

    Raises:
        InputError: the address may not or cannot be listened on, or an upstream is
            wrong.
        UnavailableError: another gateway serves this ledger.
        LedgerError: calls left open by an earlier run could not be closed.
    """
    host = check_host(config.host, guarded=config.app.guarded)
    if config.tls is not None:
        config.tls.check()
    elif not is_loopback(host):
        _log.warning("tokens, keys and content pass unencrypted: listening without TLS")
    app = Gateway(ledger, config.app)
    # What was loaded until now stays; and a call makes hundreds of objects, few of which
    # hang together in circles that only the collector can take apart.
    gc.freeze()
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION)
    with only_gateway(ledger.folder), _listen(host, config.port) as listener:
        _look_back(ledger, config.app)
        tell = (
            (lambda: None)
            if ready is None
            else partial(ready, _url(listener, tls=config.tls is not None))
        )
        server = _Server(app, config.grace_s, tell, tls=config.tls, limits=config.app.limits)
        server.run(sockets=[listener])
    return app.lost


class ServerThread:
    """An ASGI application served on loopback by a thread, for as long as a `with` lasts.

    Attributes:
        url: its base URL, without a final slash.
    """

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - any ASGI callable
        *,
        grace_s: int = 2,
        tls: TlsFiles | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Prepare to serve an application on a free port."""
        self._app = app
        self._limits = limits
        self._tls = tls
        self._grace_s = grace_s
        self._exits = contextlib.ExitStack()
        self.url = ""

    def __enter__(self) -> Self:
        """Serve; returns when connections are accepted."""
        with contextlib.ExitStack() as exits:
            listener = exits.enter_context(_listen(DEFAULT_HOST, 0))
            started = threading.Event()
            # The standard library's loop: its connections can be watched by audit hooks.
            server = _Server(
                self._app,
                self._grace_s,
                started.set,
                loop="asyncio",
                tls=self._tls,
                limits=self._limits,
            )
            thread = threading.Thread(target=_run_and_tell, args=(server, listener, started))
            thread.start()
            exits.callback(thread.join)
            exits.callback(server.stop)
            started.wait()
            if not server.started:
                raise UnavailableError("unreachable", "the server did not start")
            self.url = _url(listener, tls=self._tls is not None)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Shut down and wait for the thread."""
        self._exits.close()


class GatewayThread(ServerThread):
    """A gateway served by a thread, on a free port of loopback."""

    def __init__(
        self, ledger: Ledger, app: AppConfig, *, grace_s: int = 2, tls: TlsFiles | None = None
    ) -> None:
        """Prepare to serve a ledger; it stays open."""
        super().__init__(Gateway(ledger, app), grace_s=grace_s, tls=tls, limits=app.limits)
        self._ledger = ledger
        self._config = app

    def __enter__(self) -> Self:
        """Serve as the only gateway of the ledger."""
        with contextlib.ExitStack() as exits:
            exits.enter_context(only_gateway(self._ledger.folder))
            _look_back(self._ledger, self._config)
            super().__enter__()
            exits.push(self._exits.pop_all())
            self._exits = exits.pop_all()
        return self


def _look_back(ledger: Ledger, config: AppConfig) -> None:
    """Settle what an earlier gateway left, unless the ledger is an older copy of itself.

    Raises:
        LedgerError: it may not be extended, or could not be.
    """
    if config.witness_policy is not None and config.witness_policy.quorum != NO_QUORUM:
        clients = [WitnessClient(ledger, witness) for witness in config.witnesses]
        compare_with_witnesses(ledger, config.witness_policy, clients)
    close_open_calls(ledger)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop what uvicorn says of answers that the gateway gave or left without an end on purpose.

    Lines on refused sessions hold the query, in which a key may stand.
    """
    return not str(record.msg).startswith(_NO_NEWS)


class _Server(uvicorn.Server):
    """uvicorn with the settings of a gateway, which says when it is ready."""

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - any ASGI callable
        grace_s: int,
        ready: Callable[[], object],
        *,
        loop: Literal["auto", "asyncio"] = "auto",
        tls: TlsFiles | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._ready = ready
        self._ending: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        super().__init__(
            uvicorn.Config(
                app,
                loop=loop,
                http=cast("type[asyncio.Protocol]", make_connections(limits or Limits())),
                lifespan="on",
                # A query may hold a key: it stands in access lines and in traces.
                access_log=False,
                log_level="info",
                log_config=None,
                # Who a peer is, no header of its own says.
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=grace_s,
                ssl_certfile=None if tls is None else str(tls.certificates),
                ssl_keyfile=None if tls is None else str(tls.key),
            )
        )
        logging.getLogger("uvicorn.access").disabled = True
        logging.getLogger("uvicorn.error").addFilter(_is_news)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        self._ready()

    async def main_loop(self) -> None:
        """Wait to be ended; uvicorn's own loop looks ten times a second whether it is to end."""
        ending = asyncio.Event()
        self._ending = (asyncio.get_running_loop(), ending)
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await ending.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End because of a signal."""
        super().handle_exit(sig, frame)
        self.stop()

    def stop(self) -> None:
        """End soon; may be called from any thread."""
        self.should_exit = True
        if self._ending is not None:
            loop, ending = self._ending
            with contextlib.suppress(RuntimeError):  # it has ended already
                loop.call_soon_threadsafe(ending.set)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on a signal by returning: the caller still has a ledger to close."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def _run_and_tell(server: _Server, listener: socket.socket, started: threading.Event) -> None:
    try:
        server.run(sockets=[listener])
    finally:
        started.set()


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:  # no delays
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise InputError(
                "input",
                f"the gateway cannot listen on {host} port {port}: {error.strerror}",
                hint="name another port with --port, or 0 for any free one",
            ) from error
        listener.listen(2048)
        yield listener


def _url(listener: socket.socket, *, tls: bool = False) -> str:
    host, port = listener.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def forbid_core_dumps() -> None:
    """See that a crash leaves no file with what was in memory: keys, credentials, content."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
