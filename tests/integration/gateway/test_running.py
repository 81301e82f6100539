"""Starting, stopping and crashing: who may listen where, and what survives."""

import asyncio
import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import (
    GatewayConfig,
    GatewayThread,
    check_host,
    only_gateway,
    run_gateway,
)
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.errors import InputError, UnavailableError
from nous_ledger.protocol.hashing import commit_request, opening_hash
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import (
    CHAT,
    KEY,
    STREAM_HEAD,
    RawUpstream,
    Rig,
    Seen,
    answer,
    chunk,
    counts,
    running_gateway,
    says,
    status,
)
from tests.integration.gateway.wire import BODY, COUNTS, HELLO

RUN = """
import sys
from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayConfig, run_gateway
from nous_ledger.ledger import Ledger

folder, upstream = sys.argv[1:]
config = GatewayConfig(port=0, app=AppConfig(upstreams={"openai": upstream}), grace_s=1)
with Ledger.open(folder) as ledger:
    run_gateway(ledger, config, ready=lambda url: print(url, flush=True))
print("closed", flush=True)
"""


@contextmanager
def _process(folder: Path, upstream: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", RUN, str(folder), upstream]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        try:
            yield run, run.stdout.readline().strip()
        finally:
            run.kill()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "::1", "localhost"])
def test_loopback_is_allowed(host: str) -> None:
    assert check_host(host, guarded=False) == host


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "", "192.168.1.5", "example.com", "127.0.0.1.example.com", "localhost."],  # noqa: S104
)
def test_every_other_address_is_refused(log: Ledger, host: str) -> None:
    with pytest.raises(InputError) as caught:
        run_gateway(log, GatewayConfig(host=host, port=0))
    assert "tunnel" in caught.value.hint


def test_a_port_in_use_is_said_clearly(log: Ledger) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port}"):
            run_gateway(log, GatewayConfig(port=port))


def test_one_gateway_per_ledger(log: Ledger) -> None:
    with GatewayThread(log, AppConfig()), pytest.raises(UnavailableError, match="another gateway"):
        GatewayThread(log, AppConfig()).__enter__()
    with only_gateway(log.folder):  # free again
        pass


def test_unknown_routes_and_bad_upstreams_are_refused(log: Ledger) -> None:
    for upstreams in ({"nobody": "https://x.example"}, {"openai": "not a url"}, {"vllm": ""}):
        with pytest.raises(InputError):
            run_gateway(log, GatewayConfig(port=0, app=AppConfig(upstreams=upstreams)))


def test_a_killed_gateway_leaves_a_receipt_for_every_call(start: StartRig, folder: Path) -> None:
    """SIGKILL in mid-call: the next start makes the receipt, once (RCPT-12)."""

    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(HELLO))
        await writer.drain()
        await asyncio.sleep(30)

    rig, upstream = start(script)
    rig.stop()
    request = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    with _process(folder, upstream.url) as (run, url):
        crashed = Rig(rig.ledger, url, rig.exits)
        connection = crashed.send(CHAT, request)
        response = connection.getresponse()
        assert response.read(len(HELLO)) == HELLO
        run.send_signal(signal.SIGKILL)
        run.wait()
        connection.close()
    assert rig.receipts() == []
    assert len(rig.ledger.open_intents()) == 1
    for _ in range(2):  # the second start finds nothing left to do
        with GatewayThread(rig.ledger, AppConfig()) as again:
            receipt = rig.only_receipt()
            assert status(receipt) == "gateway_interrupted"
            opening = bytes.fromhex(response.headers["nous-opening"])
            assert receipt.request_commitment == commit_request(
                opening, json.dumps(request).encode()
            )
            # The caller keeps the right to read what became of its call.
            entry = rig.ledger.find_receipt(receipt.id)
            assert entry is not None
            assert entry.opening_hash == opening_hash(opening)
            reader = Rig(rig.ledger, again.url, rig.exits)
            path = f"/v1/receipts/{response.headers['nous-receipt-id']}"
            assert reader.get(path, nous_opening=opening.hex()).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_gateway_in_order(start: StartRig, folder: Path, number: int) -> None:
    rig, upstream = start(says(answer(BODY)))
    rig.stop()
    with _process(folder, upstream.url) as (run, url):
        assert Rig(rig.ledger, url, rig.exits).call(CHAT, {"model": "m"}).status == 200
        os.kill(run.pid, number)
        output, errors = run.communicate(timeout=20)
    assert (run.returncode, output, errors) == (0, "closed\n", "")
    assert status(rig.only_receipt()) == "complete"


@pytest.mark.parametrize("path", [CHAT, "/anthropic/v1/messages"])
def test_without_a_writable_ledger_nothing_is_forwarded(start: StartRig, path: str) -> None:
    rig, upstream = start(says(answer(BODY)))
    rig.ledger._committer.close()  # type: ignore[union-attr]
    got = rig.call(path, {"model": "m"})
    assert (got.status, got.headers["x-should-retry"]) == (503, "false")
    assert b"ledger cannot be written" in got.body
    assert got.headers["nous-receipt-id"] is None  # there is no receipt to look for
    assert upstream.seen == []
    assert rig.get("/healthz").status == 503


def test_a_receipt_that_cannot_be_written_yet_is_written_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else holds the database for longer than the ledger waits for it."""
    monkeypatch.setattr("nous_ledger.ledger.database.BUSY_TIMEOUT_S", 0.3)
    with ExitStack() as exits:
        log = exits.enter_context(Ledger.create(folder, next_key_out=None))
        lock = exits.enter_context(
            closing(sqlite3.connect(folder / "ledger.db", check_same_thread=False))
        )

        async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
            lock.execute("BEGIN IMMEDIATE")
            writer.write(answer(BODY))

        upstream = exits.enter_context(RawUpstream(script))
        rig = exits.enter_context(running_gateway(log, upstream.url))
        got = rig.call(CHAT, {"model": "m"})
        assert got.body == BODY  # the call has happened; its answer is not withheld
        assert rig.receipts() == []
        assert rig.get("/healthz").status == 503
        assert rig.call(CHAT, {"model": "m"}).status == 503
        lock.rollback()
        receipt = rig.only_receipt()
        assert (status(receipt), counts(receipt)) == ("complete", COUNTS)
        assert receipt.id == got.id
        assert rig.get("/healthz").status == 200
        assert len(upstream.seen) == 1


def test_no_credential_and_no_opening_is_written_anywhere(
    start: StartRig, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """COMM-3: search all that was written, logged and said for the secrets that passed by."""
    caplog.set_level(0)
    rig, upstream = start(says(answer(BODY)))
    secrets = [KEY, "sk-in-the-query-0123456789", "sk-in-a-header-0123456789"]
    got = [
        rig.call(CHAT, {"model": "m"}),
        rig.call(f"{CHAT}?key={secrets[1]}", {"model": "m"}, credential=None),
        rig.call(CHAT, {"model": "m"}, headers={"x-api-key": secrets[2]}, credential=None),
        rig.call("/openai/v1/files?key=" + secrets[1], method="GET", credential=None),
        rig.call(CHAT, b"not json"),
    ]
    upstream.__exit__()
    got.append(rig.call(CHAT, {"model": "m"}))  # unreachable
    path = f"/v1/receipts/{got[0].headers['nous-receipt-id']}"
    said = [
        rig.get(path, authorization=f"Bearer {KEY}").body,
        rig.get(path + "/proof", nous_opening=got[0].opening.hex()).body,
        rig.get(path, authorization="Bearer sk-wrong").body,
        rig.get("/healthz").body,
        rig.get("/readyz").body,
        rig.get("/metrics").body,
    ]
    upstream.__enter__()
    openings = [answer.opening for answer in got]
    assert len(rig.receipts()) == len(set(openings)) == 6
    rig.stop()
    written = b"\0".join(p.read_bytes() for p in folder.iterdir() if p.is_file())
    written += b"\0".join([*said, *(a.body for a in got), caplog.text.encode()])
    assert bytes(rig.ledger.log_id) in written
    assert "metering" in caplog.text
    for secret in secrets:
        assert secret.encode() not in written
    for opening in openings:
        assert opening not in written
        assert opening.hex().encode() not in written


def test_what_is_started_is_answered_quickly(start: StartRig) -> None:
    """Nothing on the way of a call waits for a poll or a timer."""
    rig, _ = start(says(answer(BODY)))
    rig.call(CHAT, {"model": "m"})
    started = time.monotonic()
    for _ in range(20):
        rig.call(CHAT, {"model": "m"})
    assert time.monotonic() - started < 4


def test_a_call_that_has_no_response_head_yet_is_answered_at_shutdown(start: StartRig) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    rig, upstream = start(script)
    with closing(rig.send(CHAT, {"model": "m"})) as connection:
        while not upstream.seen:
            time.sleep(0.01)
        rig.stop()
        response = connection.getresponse()
        assert response.status == 503
        assert json.loads(response.read())["error"]["code"] == "gateway_shutting_down"
    receipt = rig.only_receipt()
    assert status(receipt) == "gateway_interrupted"
    assert receipt.id.hex() == response.headers["nous-receipt-id"].replace("-", "")


def test_a_realtime_session_is_refused(start: StartRig, caplog: pytest.LogCaptureFixture) -> None:
    """426 sends a client to HTTP at once; a key in the query reaches no log."""
    rig, upstream = start(says(answer(BODY)))
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    headers = {**upgrade, "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
    with caplog.at_level(logging.INFO):
        refused = rig.call(f"/openai/v1/realtime?key={KEY}", method="GET", headers=headers)
    assert refused.status == 426
    assert "not metered" in json.loads(refused.body)["error"]["message"]
    assert KEY not in caplog.text
    assert "handshake" not in caplog.text
    assert upstream.seen == []
    assert rig.receipts() == []
