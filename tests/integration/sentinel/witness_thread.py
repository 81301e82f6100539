"""The real witness server on loopback, in a thread of the test."""

import asyncio
import threading
from pathlib import Path
from typing import Self

from nous_ledger.protocol.vkey import format_vkey
from sentinel.witness import Clock, Witness
from sentinel.witness_http import WitnessServer
from sentinel.witness_key import WitnessKey
from sentinel.witness_logs import parse_logs
from sentinel.witness_store import WitnessStore


class WitnessThread:
    """Serves a new witness for as long as a `with` lasts.

    Attributes:
        url: its submission and monitoring prefix.
        vkey: its key.
        told: what it told its operator.
    """

    def __init__(
        self,
        state: Path,
        key: WitnessKey,
        logs: bytes,
        clock: Clock,
        *,
        proofs: tuple[bytes, ...] = (),
        read_s: float = 10.0,
    ) -> None:
        self.vkey = format_vkey(key.vkey)
        self.told: list[str] = []
        if not state.exists():
            WitnessStore.create(state, self.vkey)
        self._store = WitnessStore.open(state, self.vkey)
        witness = Witness(
            key, parse_logs(logs, proofs), self._store, clock=clock, tell=self.told.append
        )
        self._server = WitnessServer(witness, read_s=read_s)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._store.close()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", int(self.url.rpartition(":")[2])

    def line(self, name: str) -> str:
        """The `witness` line of this witness in a policy."""
        return f"witness {name} {self.vkey} {self.url}\n"

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        await self._server.serve("127.0.0.1", 0, ready=self._announce, stopped=self._stopped)

    def _announce(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._ready.set()
