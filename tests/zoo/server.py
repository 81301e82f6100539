"""A web server on loopback that answers with whatever a site says, down to the bytes."""

import asyncio
import contextlib
import threading
from typing import Self

from tests.zoo.site import NOT_THERE, Reply, Request, Site

_GONE = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)


class ZooServer:
    """A server in a thread of its own, for as long as a `with` lasts.

    Attributes:
        site: what it shows now; may be another at any time.
        requests: what was asked for so far.
        url: where the log is.
        port: of the URL; the same again after a restart.
    """

    def __init__(self, site: Site = lambda _request: NOT_THERE, *, port: int = 0) -> None:
        self.site = site
        self.requests: list[Request] = []
        self.url = ""
        self.port = port

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,))
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def paths(self) -> list[str]:
        """Return what was asked for so far."""
        return [request.path for request in self.requests]

    def _run(self, started: threading.Event) -> None:
        asyncio.run(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        started.set()
        await self._stop.wait()
        server.close()
        open_ones = asyncio.all_tasks() - {asyncio.current_task()}
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_GONE):
            while await self._answer(reader, writer):
                await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection may be used again."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        path = first.split(" ")[1].lstrip("/")
        request = Request(len(self.requests), path, headers)
        self.requests.append(request)
        answer = self.site(request)
        if isinstance(answer, Reply):
            writer.write(message(answer))
            return True
        await answer(request, writer)
        return False


def message(reply: Reply) -> bytes:
    """Return the bytes of a well-formed answer."""
    lines = [f"HTTP/1.1 {reply.status} Whatever"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines.append(f"content-length: {len(reply.body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + reply.body
