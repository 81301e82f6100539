"""A gateway between clients and an upstream that do whatever a test wants on the wire."""

import asyncio
import contextlib
import hashlib
import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.providers import ROUTES
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.gateway.upstream import Limits
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import KIND, STATUS

KEY = "sk-test-0123456789abcdefghijklmnop"
CHAT = "/openai/v1/chat/completions"
RESPONSES = "/openai/v1/responses"
MESSAGES = "/anthropic/v1/messages"


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it reached the upstream."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


Script = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


class RawUpstream:
    """Reads whole requests and lets a script write any bytes as the answer.

    After the script the connection is closed, as it then stands.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.seen: list[Seen] = []
        self.finished = threading.Event()
        self.url = ""

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,))
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self, started: threading.Event) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            started.set()
            await self._stop.wait()
            server.close()
            answers = asyncio.all_tasks() - {asyncio.current_task()}
            for task in answers:
                task.cancel()
            await asyncio.gather(*answers, return_exceptions=True)

        asyncio.run(serve())

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*gone):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip("\r\n").split("\r\n")
            method, target, _ = first.split(" ")
            pairs = [line.partition(": ") for line in lines]
            headers = [(name, value) for name, _, value in pairs]
            length = int({key.lower(): value for key, value in headers}.get("content-length", 0))
            request = Seen(method, target, headers, await reader.readexactly(length))
            self.seen.append(request)
            await self.script(request, writer)
            await writer.drain()
        self.finished.set()
        writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that the other side gets a reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def answer(
    body: bytes,
    *,
    status: int = 200,
    kind: str = "application/json",
    headers: tuple[str, ...] = (),
    length: int | None = None,
) -> bytes:
    """Return a response with a length."""
    lines = [
        f"HTTP/1.1 {status} Whatever",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
STREAM_END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def stream(*pieces: bytes) -> bytes:
    """Return a whole chunked event stream."""
    return STREAM_HEAD + b"".join(map(chunk, pieces)) + STREAM_END


def says(data: bytes) -> Script:
    """Return a script that writes these bytes and closes."""

    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return script


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as a client got it; `whole` is false if it broke off."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    whole: bool = True

    @property
    def id(self) -> bytes:
        return bytes.fromhex(self.headers["nous-receipt-id"].replace("-", ""))

    @property
    def opening(self) -> bytes:
        return bytes.fromhex(self.headers["nous-opening"])


@dataclass
class Rig:
    """A gateway over a ledger, with what a test needs to look at both."""

    ledger: Ledger
    url: str
    exits: contextlib.ExitStack = field(repr=False)

    def send(
        self,
        path: str,
        body: object = None,
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        credential: str | None = KEY,
    ) -> http.client.HTTPConnection:
        """Send a request and return the connection with the answer to come."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        fields = {"content-type": "application/json", **(headers or {})}
        if credential is not None:
            fields["authorization"] = f"Bearer {credential}"
        connection.request(method, path, data if method == "POST" else None, fields)
        return connection

    def call(self, path: str, body: object = None, **more: Any) -> Answer:
        """Make a call and read the answer as far as it goes."""
        with contextlib.closing(self.send(path, body, **more)) as connection:
            response = connection.getresponse()
            try:
                return Answer(response.status, response.headers, response.read())
            except http.client.IncompleteRead as error:
                return Answer(response.status, response.headers, error.partial, whole=False)

    def get(self, path: str, **headers: str) -> Answer:
        """Ask the read API, without a credential unless one is among the headers."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call(path, method="GET", headers=fields, credential=None)

    def receipts(self) -> list[Receipt]:
        """Return all receipts in the order of the log."""
        return [row.receipt for row in self.ledger.receipts() if row.receipt is not None]

    def only_receipt(self, *, wait_s: float = 10) -> Receipt:
        """Return the one receipt there must be in the end, once no call is open."""
        until = time.monotonic() + wait_s
        while time.monotonic() < until and (self.ledger.open_intents() or not self.receipts()):
            time.sleep(0.01)
        assert not self.ledger.open_intents()
        (receipt,) = self.receipts()
        return receipt

    def stop(self) -> None:
        """Shut the gateway down."""
        self.exits.close()


def counts(receipt: Receipt) -> dict[str, int | None]:
    """Return the reported counts of a receipt by kind."""
    return {KIND.name_of(bucket.kind): bucket.reported for bucket in receipt.usage or ()}


def status(receipt: Receipt) -> str:
    """Return the name of a receipt's status."""
    return STATUS.name_of(receipt.status)


@contextlib.contextmanager
def running_gateway(
    ledger: Ledger, upstream: str, *, recount: bool = True, **limits: Any
) -> Iterator[Rig]:
    """Run a gateway whose routes all go to one upstream."""
    config = AppConfig(
        upstreams=dict.fromkeys((*ROUTES, "custom-lab"), upstream),
        limits=Limits(**limits),
        auditor_tokens=frozenset({AUDITOR_HASH}),
        recount=recount,
    )
    with contextlib.ExitStack() as exits:
        thread = exits.enter_context(GatewayThread(ledger, config))
        yield Rig(ledger, thread.url, exits)


AUDITOR = "auditor-token-0123456789"
AUDITOR_HASH = hashlib.sha256(AUDITOR.encode()).digest()


@dataclass
class Bench:
    """One gateway for many calls, before an upstream whose answer each test sets."""

    rig: Rig
    upstream: RawUpstream

    def call(self, path: str, sent: bytes | Script, request: object) -> tuple[Answer, Receipt]:
        """Return the answer to a call and its receipt."""
        self.upstream.seen.clear()
        self.upstream.script = says(sent) if isinstance(sent, bytes) else sent
        got = self.rig.call(path, request)
        (receipt,) = [receipt for receipt in self.rig.receipts() if receipt.id == got.id]
        return got, receipt
