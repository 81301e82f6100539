"""One POST to a witness over HTTP: bounded in bytes and in time, without redirects.

A timer cuts the connection when the time is over, so an answer that arrives a byte
at a time holds nobody up longer than one that never comes.

Spec:
    PROTOCOL.md WIT-5, WIT-6.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

from nous_ledger import __version__
from nous_ledger.ledger.witness_wire import MAX_ANSWER_BYTES
from nous_ledger.protocol.errors import InputError, UnavailableError

TIMEOUT_S: Final = 10.0
"""Seconds that a whole exchange may take."""

_SUFFIX: Final = "/add-checkpoint"
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a witness answered.

    Attributes:
        status: HTTP status.
        content_type: value of that header; may be empty.
        body: at most 64 KiB.
    """

    status: int
    content_type: str
    body: bytes


class Post(Protocol):
    """Sends requests to one witness."""

    def __call__(self, body: bytes) -> Answer:
        """Return the answer to a request.

        Raises:
            UnavailableError: unreachable (no whole answer came in time and size).
        """

    def close(self) -> None:
        """Cut a request short; every later one fails."""


class HttpPost:
    """Posts checkpoints to one witness, on a connection of their own each."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """Name a witness.

        Args:
            url: its submission prefix, as `check_url` returns it.
            timeout_s: seconds that a whole exchange may take.
        """
        self._parts = urlsplit(url)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._closed = False
        self._expired = False

    def __call__(self, body: bytes) -> Answer:
        """Return the answer to a request.

        Raises:
            UnavailableError: unreachable.
        """
        try:
            with self._connected() as connection:
                answer = self._exchange(connection, body)
            if self._expired:  # where no length was given, a cut looks like the end
                raise TimeoutError
            return answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnavailableError(
                "unreachable",
                f"no answer: {self._reason(error)}",
                hint="check the witness's address, and that it runs",
            ) from error

    def _reason(self, error: Exception) -> str:
        """Say why nothing came, in words of this machine and none of the witness's."""
        if self._expired or isinstance(error, TimeoutError):
            return f"not within {self._timeout_s:g} s"
        reason = error.strerror if isinstance(error, OSError) else None
        return reason or type(error).__name__

    def close(self) -> None:
        """Cut a request short; every later one fails."""
        with self._lock:
            self._closed = True
        self._cut()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[http.client.HTTPConnection]:
        host, port = self._parts.hostname or "", self._parts.port or _PORTS[self._parts.scheme]
        self._expired = False
        timer = threading.Timer(self._timeout_s, self._expire)
        timer.daemon = True
        connection = http.client.HTTPConnection(host, port)
        raw = socket.create_connection((host, port), timeout=self._timeout_s)
        try:
            timer.start()
            self._hold(raw)
            if self._parts.scheme == "https":
                context = ssl.create_default_context()
                raw = context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
                self._hold(raw)
                raw.do_handshake()
            connection.sock = raw
            yield connection
        finally:
            timer.cancel()
            with self._lock:
                self._socket = None
            connection.close()
            raw.close()

    def _exchange(self, connection: http.client.HTTPConnection, body: bytes) -> Answer:
        headers = {
            "content-type": "text/plain; charset=utf-8",
            "user-agent": f"nous-ledger/{__version__}",
            "connection": "close",
        }
        path = self._parts.path.rstrip("/") + _SUFFIX
        connection.request("POST", path, body, headers)
        with connection.getresponse() as answer:
            data = answer.read(MAX_ANSWER_BYTES + 1)
            if len(data) > MAX_ANSWER_BYTES:
                raise UnavailableError("unreachable", f"more than {MAX_ANSWER_BYTES} bytes came")
            if answer.length:
                raise UnavailableError("unreachable", "the answer ended early")
            kind = answer.headers.get("content-type", "")
            return Answer(status=answer.status, content_type=kind, body=data)

    def _hold(self, connected: socket.socket) -> None:
        with self._lock:
            if self._closed:
                raise ConnectionAbortedError("closed")
            self._socket = connected

    def _expire(self) -> None:
        self._expired = True
        self._cut()

    def _cut(self) -> None:
        with self._lock:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    # Not SSLSocket's own: that would pull the rug from under the reader.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def check_url(url: bytes, *, insecure: bool = False) -> str:
    """Return the submission prefix of a witness if it may be used.

    Spec:
        PROTOCOL.md WIT-6.

    Args:
        url: https, or http to this machine.
        insecure: take http to other machines too.

    Raises:
        InputError: it is not of that form.
    """
    with contextlib.suppress(ValueError):
        text = url.decode("ascii")
        parts = urlsplit(text)
        plain = "@" not in parts.netloc and not parts.query and not parts.fragment
        if plain and parts.hostname and parts.port != 0 and _is_private(parts, insecure=insecure):
            return text.rstrip("/")
    # The address is not repeated where it is refused: it may hold a password.
    raise InputError(
        "input",
        "the address of a witness is an https URL without credentials or query, or http to"
        " this machine",
        hint="for example https://witness.example/prefix",
    )


def _is_private(parts: SplitResult, *, insecure: bool) -> bool:
    """Return whether nobody between here and there can change what is said."""
    if parts.scheme != "http" or insecure:
        return parts.scheme in _PORTS
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    return parts.hostname == "localhost"
