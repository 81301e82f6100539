"""Content that a gateway keeps is what its receipts commit to, however a call ends."""

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import pytest

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.recording import ContentFolder
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.gateway.upstream import Limits
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.hashing import commit_forwarded, commit_request, commit_response
from nous_ledger.protocol.receipt import Receipt
from tests.integration.gateway.rig import (
    CHAT,
    STREAM_HEAD,
    Answer,
    RawUpstream,
    Rig,
    Script,
    Seen,
    answer,
    chunk,
    reset,
    says,
    stream,
)

ASK = {"model": "m", "messages": []}
BODY = json.dumps({"model": "m", "choices": [], "usage": None}, indent=1).encode() * 3
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"

Start = Callable[..., tuple[Rig, RawUpstream]]


@pytest.fixture
def kept(tmp_path: Path) -> ContentFolder:
    return ContentFolder(tmp_path / "kept")


@pytest.fixture
def start_keeping(log: Ledger, kept: ContentFolder) -> Iterator[Start]:
    """Start a gateway that keeps content, before an upstream that follows a script."""
    with ExitStack() as exits:

        def start(script: Script, **limits: int) -> tuple[Rig, RawUpstream]:
            upstream = exits.enter_context(RawUpstream(script))
            config = AppConfig(
                upstreams={"openai": upstream.url}, limits=Limits(**limits), recorder=kept
            )
            url = exits.enter_context(GatewayThread(log, config)).url
            return Rig(log, url, exits), upstream

        yield start


def content(kept: ContentFolder, receipt: Receipt) -> tuple[bytes, dict[str, bytes]]:
    """Return a call's opening and the bodies that were kept."""
    folder = kept.folder / str(UUID(bytes=receipt.id))
    opening = bytes.fromhex((folder / "opening.hex").read_text())
    return opening, {path.stem: path.read_bytes() for path in folder.glob("*.body")}


def check(kept: ContentFolder, receipt: Receipt) -> dict[str, bytes]:
    """Compare what was kept with what the receipt commits to, and return it."""
    opening, bodies = content(kept, receipt)
    for commit, name, commitment in (
        (commit_request, "request", receipt.request_commitment),
        (commit_forwarded, "forwarded", receipt.forwarded_commitment),
        (commit_response, "response", receipt.response_commitment),
    ):
        if commitment is not None:
            assert commit(opening, bodies[name]) == commitment, name
        else:
            assert name != "forwarded" or name not in bodies
    assert kept.failures == 0
    return bodies


async def breaks_off(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(EVENT) + chunk(EVENT[:20]))
    await writer.drain()
    await asyncio.sleep(0.1)
    reset(writer)


@pytest.mark.parametrize(
    ("script", "streams", "response"),
    [
        (says(answer(BODY)), False, BODY),
        (says(answer(gzip.compress(BODY), headers=("Content-Encoding: gzip",))), False, BODY),
        (says(answer(b"", status=500)), False, b""),
        (says(stream(EVENT, EVENT + USAGE, DONE)), True, EVENT * 2 + DONE),
        (says(stream(*(EVENT[i : i + 1] for i in range(len(EVENT))), DONE)), True, EVENT + DONE),
        (breaks_off, True, EVENT),
    ],
    ids=["whole", "gzip", "empty", "stream", "single bytes", "broken"],
)
def test_what_is_kept_is_what_is_committed_to(
    start_keeping: Start, kept: ContentFolder, script: Script, streams: bool, response: bytes
) -> None:
    rig, upstream = start_keeping(script)
    request = {**ASK, "stream": True} if streams else ASK
    got = rig.call(CHAT, request, headers={"accept-encoding": "gzip"})
    bodies = check(kept, rig.only_receipt())
    assert bodies["request"] == json.dumps(request).encode()
    assert bodies.get("forwarded") == (upstream.seen[0].body if streams else None)
    assert bodies["response"].startswith(response)
    assert content(kept, rig.only_receipt())[0] == got.opening


def test_answers_of_the_gateway_itself(start_keeping: Start, kept: ContentFolder) -> None:
    rig, upstream = start_keeping(says(b""), max_request_bytes=1_000)
    got = rig.call(CHAT, ASK)
    assert (got.status, len(upstream.seen)) == (502, 1)
    assert check(kept, rig.only_receipt())["response"] == got.body
    large: Answer = rig.call(CHAT, b"x" * 2_000)
    assert large.status == 413
    (receipt,) = [receipt for receipt in rig.receipts() if receipt.id == large.id]
    assert set(check(kept, receipt)) == {"response"}


def test_a_client_that_hangs_up(start_keeping: Start, kept: ContentFolder) -> None:
    """What it may have got is kept; nothing is said of how much that was."""

    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(EVENT))
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.write(chunk(EVENT) + chunk(DONE) + b"0\r\n\r\n")

    rig, _ = start_keeping(script)
    connection = rig.send(CHAT, {**ASK, "stream": True})
    assert connection.getresponse().read1(10)
    connection.close()
    receipt = rig.only_receipt()
    assert receipt.response_commitment is None
    assert (EVENT * 2 + DONE).startswith(check(kept, receipt)["response"])


def test_a_call_that_is_not_forwarded(start_keeping: Start, kept: ContentFolder) -> None:
    """It has no receipt; what was kept of it is closed all the same."""
    rig, _ = start_keeping(says(answer(BODY)))
    rig.ledger._committer.close()  # type: ignore[union-attr]
    assert rig.call(CHAT, ASK).status == 503
    (folder,) = kept.folder.iterdir()
    assert (folder / "response.body").read_bytes() == b""


def test_without_a_recorder_nothing_is_kept(rig: Rig, tmp_path: Path) -> None:
    assert rig.call(CHAT, {**ASK, "model": "gpt-demo"}).status == 200
    assert not (tmp_path / "kept").exists()
