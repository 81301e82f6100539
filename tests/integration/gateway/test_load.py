"""Two hundred streams at once, of which clients and the upstream leave some at random.

A real upstream program, a real gateway process. Whatever happens to a call, it has one
receipt, with what the upstream said of its usage; and the gateway's memory does not grow.
By default ten seconds, with `--full` a minute and as many calls as it takes to see that
memory, once it has filled the database's cache, stays as it is.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from urllib.parse import urlsplit

from nous_ledger.ledger import Ledger
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import METERING, STATUS
from tests.cli.harness import PROGRAM, ROOT
from tests.integration.gateway.load_upstream import usage
from tests.integration.gateway.rig import CHAT, KEY, counts, reset

_log = logging.getLogger(__name__)

STREAMS = 200
PACE_S = 0.4
MAX_GROWTH_MB = 6
"""In the last half of ten seconds, in which the cache is still being filled."""
FILLED_AFTER = 9_000
"""Calls that fill the database's cache of 6 MiB."""
MEASURED_CALLS = 4_000
MAX_GROWTH_PER_CALL = 500
"""Bytes; it takes half a kilobyte that each call leaves behind to fail."""
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass
class Load:
    """What clients did and saw.

    Attributes:
        sent: names of the models of all requests that were sent in full.
        ids: receipt ids that responses named, by model.
        whole: models of streams that a client got to their end.
        rss_mb: memory of the gateway, each half second, after how many calls.
        over: no more calls are to be made.
        now: streams that are open.
        most: streams that were open at once.
    """

    address: tuple[str, int]
    seed: random.Random = field(default_factory=lambda: random.Random(11))
    sent: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    rss_mb: list[tuple[int, float]] = field(default_factory=list)
    over: bool = False
    now: int = 0
    most: int = 0

    def request(self) -> tuple[str, bytes]:
        """Return the next model, and a request for it."""
        fate = self.seed.choices(["whole", "cut", "reset"], [8, 1, 1])[0]
        model = f"load-{len(self.sent)}-{self.seed.randint(2, 6)}-{fate}"
        self.sent.append(model)
        asked = {"stream_options": {"include_usage": True}} if self.seed.random() < 0.5 else {}
        call = {"model": model, "stream": True, **asked}
        body = json.dumps({**call, "messages": [{"role": "user", "content": "?" * 500}]}).encode()
        head = (
            f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {KEY}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return model, head.encode() + body

    async def keep_calling(self) -> None:
        """Make one call after the other."""
        while not self.over:
            reader, writer = await asyncio.open_connection(*self.address)
            self.now += 1
            self.most = max(self.most, self.now)
            # How long this client stays: most longer than any stream takes.
            patience = self.seed.choice([0, 0.05, 0.6, 1.2, 30, 30, 30, 30])
            try:
                async with asyncio.timeout(patience or 30):
                    await self._call(reader, writer, leaves=patience == 0)
            except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                self.now -= 1
                if self.seed.random() < 0.3:
                    reset(writer)
                writer.close()

    async def _call(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, leaves: bool
    ) -> None:
        model, request = self.request()
        writer.write(request)
        await writer.drain()
        if leaves:
            return
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        assert head.startswith("HTTP/1.1 200 ")
        self.ids[model] = head.partition("nous-receipt-id: ")[2].partition("\r\n")[0]
        await reader.readuntil(b"data: [DONE]\n\n")
        await reader.readuntil(b"0\r\n\r\n")
        self.whole.add(model)

    async def run(self, seconds: float, pid: int, *, calls: int = 0) -> None:
        """Keep so many streams open, and look at the gateway's memory.

        Args:
            seconds: how long; up to three times as long if there are too few calls by then.
            pid: the gateway.
            calls: how many there must be.
        """
        began = time.monotonic()
        callers = asyncio.gather(*(self.keep_calling() for _ in range(STREAMS)))
        while not self.over:
            await asyncio.sleep(0.5)
            self.rss_mb.append((len(self.sent), _rss_mb(pid)))
            done = (time.monotonic() - began) / seconds
            self.over = done >= (1 if len(self.sent) >= calls else 3)
        await callers

    def growth_per_call(self) -> float:
        """Return the bytes by which each call made the gateway grow once its cache was full."""
        since = [(calls, mb * 1e6) for calls, mb in self.rss_mb if calls > FILLED_AFTER]
        assert len(self.sent) > FILLED_AFTER + MEASURED_CALLS
        return linear_regression(*zip(*since, strict=True)).slope


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE_MB


@contextlib.contextmanager
def _process(*command: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a program; give the first line that it prints. What it logs is nobody's concern."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as child:
        try:
            assert child.stdout is not None
            yield child.stdout.readline().strip(), child
        finally:
            child.kill()


def test_no_receipt_is_lost_or_doubled(folder: Path, tmp_path: Path, full: bool) -> None:
    Ledger.create(folder, next_key_out=None).close()
    seen = tmp_path / "seen"
    upstream = (sys.executable, "-m", "tests.integration.gateway.load_upstream")
    gateway = (*PROGRAM, "gateway", "--port", "0", "--json", "--ledger", str(folder))
    with (
        _process(*upstream, str(seen), str(PACE_S)) as (url, _),
        _process(*gateway, "--upstream", f"openai={url}") as (line, child),
    ):
        parts = urlsplit(json.loads(line)["url"])
        assert parts.hostname is not None
        assert parts.port is not None
        load = Load((parts.hostname, parts.port))
        wanted = FILLED_AFTER + MEASURED_CALLS + 1 if full else 0
        asyncio.run(load.run(60 if full else 10, child.pid, calls=wanted))
        child.send_signal(signal.SIGTERM)  # reads on what clients left, then ends
        assert child.wait(timeout=60) == 0
    assert load.most > STREAMS * 0.9
    with Ledger.open(folder, read_only=True) as ledger:
        assert not ledger.open_intents()
        receipts = [row.receipt for row in ledger.receipts() if row.receipt is not None]
    by_model = {str(receipt.model_requested): receipt for receipt in receipts}
    assert len(receipts) == len(by_model)
    forwarded = Counter(seen.read_text("ascii").split())
    assert max(forwarded.values()) == 1
    assert set(forwarded) <= set(by_model) <= set(load.sent)
    for model, receipt_id in load.ids.items():
        assert by_model[model].id.hex() == receipt_id.replace("-", "")
    for model in forwarded:
        _check(by_model[model], model, whole=model in load.whole)
    statuses = Counter(STATUS.name_of(receipt.status) for receipt in receipts)
    assert set(statuses) >= {"complete", "client_aborted", "upstream_reset"}
    _log.info("%s receipts: %s; %s at once", len(receipts), dict(statuses), load.most)
    memory = [mb for _, mb in load.rss_mb]
    _log.info("memory of the gateway, each half second: %s", [round(mb) for mb in memory])
    if full:
        growth = load.growth_per_call()
        _log.info("it grew by %.0f bytes a call in the end", growth)
        assert growth < MAX_GROWTH_PER_CALL
    half = len(memory) // 2  # until then it fills its pools
    assert max(memory[half:]) - memory[half] < MAX_GROWTH_MB


def _check(receipt: Receipt, model: str, *, whole: bool) -> None:
    """Check that a receipt says what the upstream did."""
    _, number, events, fate = model.split("-")
    status, metering = STATUS.name_of(receipt.status), METERING.name_of(receipt.metering)
    if fate != "whole":
        assert (status, metering) in {("upstream_reset", "none"), ("client_aborted", "none")}
        return
    # A client that left does not cost the usage: the upstream was read to its end.
    assert (status, metering) == ("complete" if whole else status, "final")
    assert status in ("complete", "client_aborted")
    told = usage(int(number), int(events))
    assert receipt.provider_total == told["total_tokens"]
    assert counts(receipt) == {
        "input_unsplit": told["prompt_tokens"],
        "output_unsplit": told["completion_tokens"],
    }
