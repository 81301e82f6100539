"""A program whose client writes receipts: for the tests of the transport hooks."""

import asyncio
import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nous_ledger.embed.writer import ReceiptWriter
from tests.integration.embedding import (
    REQUEST,
)
from tests.integration.gateway.rig import (
    RawUpstream,
    Script,
)

CHAT = "/v1/chat/completions"


@dataclass
class Program:
    """A program with one client, of either library, for threads or for tasks."""

    library: str
    is_async: bool

    def run(self, writer: ReceiptWriter, url: str, *, read: int | None = None, **more: Any) -> Any:
        """Make a call and return its body, or what was read of it; None stands for all."""
        if self.is_async:
            return asyncio.run(self._in_a_task(writer, url, read, **more))
        hook, library = self._modules()
        with (
            library.Client(transport=hook.Transport(writer), timeout=5) as client,
            client.stream(more.pop("method", "POST"), url, **_options(more)) as response,
        ):
            if read is None:
                return response.read()
            pieces = response.iter_raw()
            return [next(pieces) for _ in range(read)]

    async def _in_a_task(
        self, writer: ReceiptWriter, url: str, read: int | None, **more: Any
    ) -> Any:
        hook, library = self._modules()
        async with (
            library.AsyncClient(transport=hook.AsyncTransport(writer), timeout=5) as client,
            client.stream(more.pop("method", "POST"), url, **_options(more)) as response,
        ):
            if read is None:
                return await response.aread()
            pieces = response.aiter_raw()
            return [await anext(pieces) for _ in range(read)]

    def _modules(self) -> tuple[Any, Any]:
        hook = importlib.import_module(f"nous_ledger.embed.on_{self.library}")
        return hook, importlib.import_module(self.library)

    @property
    def error(self) -> type[Exception]:
        """What both libraries raise, whatever went wrong on the way."""
        error: type[Exception] = importlib.import_module(self.library).TransportError
        return error


def _options(more: dict[str, Any]) -> dict[str, Any]:
    headers = {"authorization": "Bearer sk-made-up"}
    return {"content": REQUEST, "headers": headers, **more}


@contextlib.contextmanager
def upstream(script: Script) -> Iterator[str]:
    with RawUpstream(script) as running:
        yield running.url
