"""How calls through the transport hooks of httpx and httpx2 end.

The table says what a receipt shows of each ending; that there is exactly one and that
no call stays open is part of every one.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.embed.writer import ReceiptWriter
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.hashing import commit_response
from nous_ledger.protocol.registries import METERING
from tests.integration.embed_program import CHAT, Program, upstream
from tests.integration.embedding import (
    A_STREAM,
    EVENTS,
    HALF_A_STREAM,
    WHOLE,
    Heard,
    nobody_listens,
    only_receipt,
)
from tests.integration.gateway.rig import (
    STREAM_END,
    STREAM_HEAD,
    RawUpstream,
    Script,
    answer,
    chunk,
    reset,
    says,
    status,
)


@pytest.fixture(params=["httpx", "httpx2", "httpx async", "httpx2 async"])
def program(request: pytest.FixtureRequest) -> Program:
    library, _, kind = request.param.partition(" ")
    return Program(library, bool(kind))


@pytest.fixture
def log(folder: Path) -> Iterator[Ledger]:
    with Ledger.create(folder, next_key_out=None) as made:
        yield made


async def _resets_in_the_middle(_: object, writer: asyncio.StreamWriter) -> None:
    writer.write(HALF_A_STREAM)
    await writer.drain()
    await asyncio.sleep(0.1)
    reset(writer)


async def _resets_at_once(_: object, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def _falls_silent(_: object, writer: asyncio.StreamWriter) -> None:
    writer.write(HALF_A_STREAM)
    await writer.drain()
    await asyncio.sleep(2)


async def _says_nothing(_: object, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(2)


async def _ends_without_its_transfer(_: object, writer: asyncio.StreamWriter) -> None:
    writer.write(A_STREAM.removesuffix(STREAM_END))
    await writer.drain()
    await asyncio.sleep(0.1)
    reset(writer)


FAILED = b'data: {"error":{"message":"no","type":"server_error"}}\n\n'
# What the upstream does, how it ends for the program (True: it raises), what the receipt says.
ENDINGS: list[Any] = [
    pytest.param(_resets_in_the_middle, True, ("upstream_reset", 200, "none"), id="reset"),
    pytest.param(_resets_at_once, True, ("upstream_unreachable", None, "none"), id="no head"),
    pytest.param(_falls_silent, True, ("timeout", 200, "none"), id="silent"),
    pytest.param(_says_nothing, True, ("timeout", None, "none"), id="no answer in time"),
    pytest.param(
        _ends_without_its_transfer, True, ("complete", 200, "final"), id="reset after its end"
    ),
    pytest.param(
        says(answer(b'{"error":{"message":"slow down"}}', status=429)),
        False,
        ("upstream_error", 429, "none"),
        id="refused",
    ),
    pytest.param(
        says(STREAM_HEAD + chunk(FAILED) + STREAM_END),
        False,
        ("upstream_error", 200, "none"),
        id="error event",
    ),
    pytest.param(
        says(HALF_A_STREAM + STREAM_END), False, ("upstream_reset", 200, "none"), id="cut"
    ),
    pytest.param(
        says(answer(WHOLE.replace(b'"stop"', b'"length"'))),
        False,
        ("incomplete", 200, "final"),
        id="incomplete",
    ),
    pytest.param(says(answer(b"not JSON")), False, ("complete", 200, "none"), id="unreadable"),
    pytest.param(
        says(answer(WHOLE, length=len(WHOLE) + 1)),
        True,
        ("upstream_reset", 200, "final"),
        id="short",
    ),
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("script", "raises", "expected"), ENDINGS)
def test_endings(
    log: Ledger,
    program: Program,
    script: Script,
    raises: bool,
    expected: tuple[str, int | None, str],
) -> None:
    with upstream(script) as url:
        writer = ReceiptWriter(log, upstreams={"openai": url})
        outcome = pytest.raises(program.error) if raises else contextlib.nullcontext()
        with outcome:
            program.run(writer, url + CHAT, timeout=0.5)
    receipt = only_receipt(log)
    assert (status(receipt), receipt.http_status, METERING.name_of(receipt.metering)) == expected
    assert (receipt.response_commitment is None) == (receipt.http_status is None)


def test_nobody_there(log: Ledger, program: Program) -> None:
    url = nobody_listens()
    with pytest.raises(program.error):
        program.run(ReceiptWriter(log, upstreams={"openai": url}), url + CHAT)
    assert status(only_receipt(log)) == "upstream_unreachable"


def test_closed_early(log: Ledger, program: Program) -> None:
    heard = Heard()
    with upstream(_falls_silent) as url:
        writer = ReceiptWriter(log, upstreams={"openai": url}, on_receipt=heard)
        got = program.run(writer, url + CHAT, read=1)
    receipt = only_receipt(log)
    assert status(receipt) == "client_aborted"
    assert receipt.response_commitment == commit_response(heard.openings[0], b"".join(got))


def test_closed_before_a_byte_was_read(log: Ledger, program: Program) -> None:
    with upstream(says(A_STREAM)) as url:
        program.run(ReceiptWriter(log, upstreams={"openai": url}), url + CHAT, read=0)
    assert status(only_receipt(log)) == "client_aborted"


def test_closed_after_the_last_event(log: Ledger, program: Program) -> None:
    async def script(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(b"".join(EVENTS)))
        await writer.drain()
        await asyncio.sleep(1)

    with upstream(script) as url:
        program.run(ReceiptWriter(log, upstreams={"openai": url}), url + CHAT, read=1)
    receipt = only_receipt(log)
    assert (status(receipt), receipt.provider_total) == ("complete", 9)


@pytest.mark.parametrize("script", [_falls_silent, _says_nothing])
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_a_cancelled_task(log: Ledger, library: str, script: Script) -> None:
    with upstream(script) as url:
        writer = ReceiptWriter(log, upstreams={"openai": url})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await Program(library, is_async=True)._in_a_task(writer, url + CHAT, None)
    assert status(only_receipt(log)) == "client_aborted"


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_a_task_cancelled_before_its_request_went_out(log: Ledger, library: str) -> None:
    with RawUpstream(says(A_STREAM)) as running:
        writer = ReceiptWriter(log, upstreams={"openai": running.url})
        task = asyncio.create_task(
            Program(library, is_async=True)._in_a_task(writer, running.url + CHAT, None)
        )
        while not (writer._open or task.done()):  # noqa: ASYNC110 - nothing tells of it but this
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert running.seen == []
    assert (status(only_receipt(log)), writer._open) == ("client_aborted", {})
