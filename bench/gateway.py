"""What the gateway costs beside a bare pass-through on the same stack, in one run, in turns.

Both are processes of uvicorn and the aiohttp client before one upstream. The gateway's
CPU time holds all that belongs to a call: the durable intent, metering, commitments, the
signed and durable receipt. 32 connections make calls; CPU time and memory are those of the
whole process, its threads, and the processes that it started.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from bench._gateway_sides import PACE_S
from bench._harness import Comparison, Figure, Timed, compare_rates, run

CONNECTIONS: Final = 32
CALLS: Final = 640
STREAMS: Final = 96
CALLS_IN_ALL: Final = 10_000
MAX_RSS_MB: Final = 90
KEY: Final = "sk-bench-0123456789abcdef"
_NO_LITELLM: Final = "no program litellm is on the path; with what it needs it takes 742 MB"
_PAD: Final = "What is an append-only log? " * 20


def _request(kind: str) -> bytes:
    members = {"plain": "", "stream": '"stream": true, ', "paced": '"stream": true, '}[kind]
    question = f"paced: {_PAD}" if kind == "paced" else _PAD
    body = (
        f'{{"model": "gpt-bench", {members}"stream_options": {{"include_usage": true}}, '
        f'"user": "user", "messages": [{{"role": "user", "content": "{question}"}}]}}'
    ).encode()
    if kind == "plain":
        body = body.replace(b'"stream_options": {"include_usage": true}, ', b"")
    head = (
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"authorization: Bearer {KEY}\r\ncontent-type: application/json\r\n"
        "accept: application/json\r\naccept-encoding: gzip, deflate\r\nuser-agent: bench/1\r\n"
        "x-stainless-lang: python\r\nx-stainless-runtime: CPython\r\n"
        f"connection: keep-alive\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


REQUESTS: Final = {kind: _request(kind) for kind in ("plain", "stream", "paced")}


@dataclass
class Side:
    """A process that is measured."""

    process: subprocess.Popen[str]
    url: str

    def address(self) -> tuple[str, int]:
        """Return where it listens."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def request(self, kind: str) -> bytes:
        """Return the request of a kind of call."""
        return REQUESTS[kind]

    def cpu_seconds(self) -> float:
        """Return the CPU time that the process and what it started have used until now."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        own = int(self.process.stdout.readline()) / 1e9
        ticks = sum(sum(map(int, fields[11:13])) for _, fields in self._children())
        return own + ticks / os.sysconf("SC_CLK_TCK")

    def rss_mb(self, *, alone: bool = False) -> float:
        """Return the memory that all of these hold now, or the process alone."""
        pids = [self.process.pid, *(pid for pid, _ in self._children() if not alone)]
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) for pid in pids)
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _children(self) -> list[tuple[int, list[str]]]:
        """Return the process ids and `stat` fields, from the state on, of its children."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
                if int(fields[1]) == self.process.pid:
                    found.append((int(stat.parent.name), fields))
        return found


@contextlib.contextmanager
def _side(role: str, *arguments: str) -> Iterator[Side]:
    command = [sys.executable, "-m", "bench._gateway_sides", role, *arguments]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get("BENCH_STDERR") else subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, f"the {role} did not start"
            yield Side(process, url)
        finally:
            process.kill()


class _Connection:
    """One keep-alive connection; reads just enough of HTTP to find the end of a response."""

    @classmethod
    async def open(cls, side: Side) -> Self:
        self = cls()
        self.side = side
        self.reader, self.writer = await asyncio.open_connection(*side.address(), limit=1 << 22)
        return self

    side: Side
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def call(self, kind: str) -> None:
        """Make a call and read its response to the end."""
        self.writer.write(self.side.request(kind))
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200 "), head
        if b"chunked" in head:
            body = await self.reader.readuntil(b"\r\n0\r\n\r\n")
            assert body.count(b"data: ") >= 20
            return
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert b"usage" in await self.reader.readexactly(length)

    async def pace(self) -> tuple[float, list[float]]:
        """Return when the first byte of a paced stream came, and when each event did."""
        started = time.perf_counter()
        self.writer.write(self.side.request("paced"))
        await self.reader.readuntil(b"\r\n\r\n")
        first: float | None = None
        events: list[float] = []
        rest = b""
        while not rest.endswith(b"0\r\n\r\n"):
            data = await self.reader.read(65_536)
            now = time.perf_counter() - started
            first = now if first is None else first
            events += [now] * data.count(b"data: ")
            rest = (rest + data)[-16:]
        assert first is not None
        return first, events[:20]


def _load(side: Side, kind: str, count: int) -> None:
    async def work(left: list[int]) -> None:
        connection = await _Connection.open(side)
        while left[0] > 0:
            left[0] -= 1
            await connection.call(kind)
        connection.writer.close()

    async def all_of_it() -> None:
        left = [count]
        await asyncio.gather(*(work(left) for _ in range(CONNECTIONS)))

    asyncio.run(all_of_it())


def _cpu(side: Side, kind: str, count: int) -> Timed:
    def measure() -> tuple[int, float]:
        before = side.cpu_seconds()
        _load(side, kind, count)
        return count, side.cpu_seconds() - before

    return measure


def _counted(measure: Timed, counter: list[int]) -> Timed:
    def counted() -> tuple[int, float]:
        units, took = measure()
        counter[0] += units
        return units, took

    return counted


def _paced(sides: Sequence[Side], seconds: float) -> list[Figure]:
    """Return the first byte and the events of a paced stream, one stream at a time."""
    first: list[list[float]] = [[], []]
    events: list[list[float]] = [[], []]

    async def measure() -> None:
        connections = [await _Connection.open(side) for side in sides]
        ends = time.monotonic() + seconds
        while time.monotonic() < ends or len(first[0]) < 5:
            order = (0, 1) if len(first[0]) % 2 else (1, 0)
            for number in order:
                at, all_at = await connections[number].pace()
                first[number].append(at)
                gaps = [b - a for a, b in pairwise(all_at)]
                events[number] += gaps
        for connection in connections:
            connection.writer.close()

    asyncio.run(measure())
    return [
        Comparison(
            candidate=statistics.median(values[0]), baseline=statistics.median(values[1])
        ).time(name, at_most=1.3, unit="ms")
        for name, values in (
            ("first_byte_after_200_ms", first),
            (f"between_events_paced_by_{round(PACE_S * 1000)}_ms", events),
        )
    ]


def _compared(
    side: Side, bare: Side, seconds: float, made: list[int], *, rounds_of: tuple[int, int]
) -> list[Figure]:
    """Return what calls, streams, first bytes and events cost beside a bare pass-through.

    Args:
        side: what is measured.
        bare: what it is measured against.
        seconds: how long to measure.
        made: the calls that were made of the first are added to its one number.
        rounds_of: how many calls, and streams, a round has.
    """
    figures = []
    names = {"plain": "cpu_per_call", "stream": "cpu_per_stream_of_203_events"}
    for kind, count, of_bare in zip(names, rounds_of, (CALLS, STREAMS), strict=True):
        costs = compare_rates(
            _counted(_cpu(side, kind, count), made), _cpu(bare, kind, of_bare), seconds=seconds / 3
        )
        figures.append(costs.time(names[kind], at_most=2.0))
    return [*figures, *_paced((side, bare), seconds / 3)]


def measure(seconds: float) -> list[Figure]:
    """Return the figures."""
    share = seconds * 3 / 4
    with tempfile.TemporaryDirectory(prefix="nous-ledger-bench-") as folder, _sides(folder) as both:
        gateway, bare = both
        made = [0]
        figures = _compared(gateway, bare, share, made, rounds_of=(CALLS, STREAMS))
        _load(gateway, "plain", max(0, CALLS_IN_ALL - made[0]))
        rss, alone = gateway.rss_mb(), gateway.rss_mb(alone=True)
    memory = Figure(
        name="rss_after_10000_calls",
        value=rss,
        unit="MB",
        bound=f"<= {MAX_RSS_MB}",
        holds=rss <= MAX_RSS_MB,
    )
    first = Figure(name="rss_of_the_first_process_alone", value=alone, unit="MB")
    return [*figures, memory, first, *_figures_of_litellm(share)]


def _figures_of_litellm(seconds: float) -> list[Figure]:
    """Return the same numbers of LiteLLM's proxy, if its program is on the path."""
    program = shutil.which("litellm")
    if program is None:
        return [Figure(name="litellm_cpu_per_call", value=None, unit="us", reason=_NO_LITELLM)]
    with (
        _side("upstream") as upstream,
        _side("bare", upstream.url) as bare,
        _litellm(program, upstream.url) as litellm,
    ):
        figures = _compared(litellm, bare, seconds, [0], rounds_of=(CONNECTIONS, CONNECTIONS))
        memory = Figure(name="rss", value=litellm.rss_mb(), unit="MB")
    return [
        replace(figure, name=f"litellm_{figure.name}", bound="", holds=None)
        for figure in (*figures, memory)
    ]


class _Foreign(Side):
    """A program that does not tell its CPU time; the kernel does."""

    def request(self, kind: str) -> bytes:
        """Return the request of a kind of call, by its path and without a coding."""
        request = REQUESTS[kind].replace(b" /openai/v1/", b" /v1/", 1)
        return request.replace(b"gzip, deflate", b"identity", 1)

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process and what it started, in steps of 10 ms."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text("utf-8", "replace")
        own = stat.rpartition(")")[2].split()
        every = [own, *(fields for _, fields in self._children())]
        ticks = sum(sum(map(int, fields[11:13])) for fields in every)
        return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _litellm(program: str, upstream: str) -> Iterator[Side]:
    """Run LiteLLM's proxy as its manual says, without telemetry and with logs off."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = (program, "--model", "openai/gpt-bench", "--api_base", f"{upstream}/v1")
    settings = {
        "LITELLM_MASTER_KEY": KEY,
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPENAI_API_KEY": KEY,
    }
    with subprocess.Popen(
        (*command, "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **settings},
    ) as process:
        try:
            _wait_for(port)
            yield _Foreign(process, url)
        finally:
            process.kill()


def _wait_for(port: int) -> None:
    """Return once somebody listens; LiteLLM takes up to a minute to start."""
    until = time.monotonic() + 120
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        assert time.monotonic() < until, "LiteLLM's proxy did not start"
        time.sleep(0.2)


@contextlib.contextmanager
def _sides(folder: str) -> Iterator[tuple[Side, Side]]:
    with (
        _side("upstream") as upstream,
        _side("gateway", f"{folder}/ledger", upstream.url) as gateway,
        _side("bare", upstream.url) as bare,
    ):
        yield gateway, bare


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="nous-ledger-bench-") as state:
        os.environ["XDG_STATE_HOME"] = state  # this log's keys are nobody else's business
        sys.exit(run(measure))
