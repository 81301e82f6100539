"""What operators see and set: health, metrics, logs, gaps, TLS, the way out."""

import asyncio
import base64
import http.client
import json
import logging
import re
import sqlite3
import ssl
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nous_ledger.gateway.app import AppConfig, Gateway
from nous_ledger.gateway.gathering import Reply
from nous_ledger.gateway.journal import Journal
from nous_ledger.gateway.logs import JsonFormatter
from nous_ledger.gateway.server import GatewayThread, ServerThread, TlsFiles
from nous_ledger.gateway.tokens import hash_tokens
from nous_ledger.gateway.upstream import Egress, check_proxy, read_trust
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.errors import StoreError
from nous_ledger.protocol.errors import InputError
from tests.integration.gateway.certificates import make_certificates
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import (
    CHAT,
    KEY,
    MESSAGES,
    RawUpstream,
    Rig,
    Seen,
    answer,
    counts,
    says,
    status,
)
from tests.integration.gateway.wire import BODY, COUNTS

OPERATOR = "0perator-f3a9c27e51b84d06a17c"
ASK = {"model": "m"}
SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+')


def _samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not SAMPLE.fullmatch(line)] == []
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics_count_calls_and_name_nobody(start: StartRig) -> None:
    rig, upstream = start(says(answer(BODY)))
    rig.call(CHAT, ASK)
    rig.call(CHAT, ASK)
    rig.call(CHAT, ASK, headers={"origin": "https://evil.example"})
    upstream.__exit__()
    rig.call(MESSAGES, ASK)
    got = rig.get("/metrics")
    upstream.__enter__()
    assert got.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = got.body.decode()
    found = _samples(text)
    call = 'provider="custom",api="{}",status="{}",metering="{}"'
    expected = {
        f"nous_ledger_calls_total{{{call.format('openai.chat', 'complete', 'final')}}}": 2,
        "nous_ledger_calls_total{"
        + call.format("anthropic.messages", "upstream_unreachable", "none")
        + "}": 1,
        'nous_ledger_tokens_total{provider="custom",kind="input_unsplit"}': 18,
        'nous_ledger_tokens_total{provider="custom",kind="output_unsplit"}': 4,
        'nous_ledger_refused_requests_total{reason="cross_site"}': 1,
        "nous_ledger_fail_open_calls_total": 0,
        "nous_ledger_call_seconds_count": 3,
        "nous_ledger_write_seconds_count": 6,
        "nous_ledger_calls_in_flight": 0,
        "nous_ledger_ledger_writable": 1,
        "nous_ledger_leaf_count": 4,
    }
    assert {name: found.get(name) for name in expected} == expected
    for secret in (KEY, rig.receipts()[0].subject.hex(), "evil.example"):
        assert secret not in text


def test_operators_show_a_token_where_there_are_tokens(log: Ledger) -> None:
    config = AppConfig(operator_tokens=hash_tokens(OPERATOR.encode(), ""))
    with GatewayThread(log, config) as gateway, ExitStack() as exits:
        rig = Rig(log, gateway.url, exits)
        for path in ("/metrics", "/readyz"):
            for credential in ({}, {"authorization": "Bearer x"}, {"authorization": OPERATOR}):
                assert rig.get(path, **credential).status == 401
            assert rig.get(path, authorization=f"Bearer {OPERATOR}").status == 200
        assert rig.get("/healthz").status == 200


def test_ready_until_the_ledger_cannot_be_written(start: StartRig) -> None:
    rig, _ = start(says(answer(BODY)))
    assert json.loads(rig.get("/readyz").body) == {"ready": True, "reasons": []}
    rig.ledger._committer.close()  # type: ignore[union-attr]
    assert rig.call(CHAT, ASK).status == 503
    got = rig.get("/readyz")
    assert (got.status, json.loads(got.body)["reasons"]) == (503, ["ledger-unwritable"])
    assert _samples(rig.get("/metrics").body.decode())["nous_ledger_ledger_writable"] == 0


def test_failing_open_counts_the_calls_and_logs_the_gap(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls pass while another process holds the database; their receipts come later."""
    monkeypatch.setattr("nous_ledger.ledger.database.BUSY_TIMEOUT_S", 0.2)
    with ExitStack() as exits:
        log = exits.enter_context(Ledger.create(folder, next_key_out=None))
        upstream = exits.enter_context(RawUpstream(says(answer(BODY))))
        config = AppConfig(upstreams={"openai": upstream.url}, fail_open=True)
        gateway = exits.enter_context(GatewayThread(log, config))
        rig = Rig(log, gateway.url, exits)
        lock = exits.enter_context(closing(sqlite3.connect(folder / "ledger.db")))
        lock.execute("BEGIN IMMEDIATE")
        got = [rig.call(CHAT, ASK) for _ in range(2)]
        assert [answer.status for answer in got] == [200, 200]
        assert len(upstream.seen) == 2
        health = rig.get("/healthz")
        assert health.status == 200
        shown = json.loads(health.body)
        assert (shown["status"], shown["gap"]["calls"], shown["gap"]["until"]) == ("gap", 2, "")
        assert shown["gap"]["receipts_waiting"] == 2
        found = _samples(rig.get("/metrics").body.decode())
        assert found["nous_ledger_fail_open_calls_total"] == 2
        assert found["nous_ledger_receipts_waiting"] == 2
        assert rig.receipts() == []
        lock.rollback()
        until = time.monotonic() + 10
        while len(rig.receipts()) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        assert [(status(r), counts(r)) for r in rig.receipts()] == [("complete", COUNTS)] * 2
        assert {r.id for r in rig.receipts()} == {answer.id for answer in got}
        shown = json.loads(rig.get("/healthz").body)
        assert (shown["status"], shown["gap"]["lost"]) == ("ok", 0)
        assert shown["gap"]["until"]
    assert "a gap begins" in caplog.text
    assert "a gap ends: 2 calls passed" in caplog.text


async def test_what_can_never_be_written_is_counted_as_lost(log: Ledger, start: StartRig) -> None:
    rig, _ = start(says(answer(BODY)))
    await asyncio.to_thread(rig.call, CHAT, ASK)
    (receipt,) = rig.receipts()
    journal = Journal(log, fail_open=True)
    raw = log.read_raw_usage(1)
    assert raw is not None
    await journal.settle(receipt, b"\0" * 32, raw)  # type: ignore[arg-type]  # logged already
    assert (journal.metrics.lost, journal.waiting) == (1, 0)
    await journal.close()


def test_what_passed_in_a_gap_that_lasts_to_the_end_is_said_to_be_lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nous_ledger.ledger.database.BUSY_TIMEOUT_S", 0.1)
    with ExitStack() as exits:
        log = exits.enter_context(Ledger.create(folder, next_key_out=None))
        upstream = exits.enter_context(RawUpstream(says(answer(BODY))))
        config = AppConfig(upstreams={"openai": upstream.url}, fail_open=True)
        app = Gateway(log, config)
        server = exits.enter_context(ServerThread(app))
        rig = Rig(log, server.url, exits)
        lock = exits.enter_context(closing(sqlite3.connect(folder / "ledger.db")))
        assert (rig.call(CHAT, ASK).status, app.lost) == (200, 0)
        lock.execute("BEGIN IMMEDIATE")
        assert rig.call(CHAT, ASK).status == 200
        server.__exit__(None, None, None)
        assert app.lost == 1
        lock.rollback()
        assert len(rig.receipts()) == 1


@pytest.mark.parametrize("outcome", [None, StoreError("store-io", "the disk is full")])
async def test_who_waits_for_a_write_may_be_cancelled_but_not_the_write(
    outcome: StoreError | None,
) -> None:
    reply = Reply(asyncio.get_running_loop())
    task = asyncio.create_task(reply.wait())
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()
    reply.settle(outcome)
    with pytest.raises(asyncio.CancelledError if outcome is None else StoreError):
        await task


def test_logs_for_machines_hold_no_secret(
    start: StartRig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rig, _ = start(says(answer(BODY)))
    got = rig.call(f"{CHAT}?key=sk-in-the-query-123", {"model": "m\nx"})
    rig.call(CHAT, ASK, headers={"origin": f"https://{KEY}.example"})
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert all("\n" not in line and line.isascii() for line in lines)
    shown = [json.loads(line) for line in lines]
    (line,) = [line for line in shown if line.get("receipt") == got.headers["nous-receipt-id"]]
    assert (line["status"], line["metering"], line["http"]) == ("complete", "final", 200)
    assert line["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    text = "".join(lines)
    for secret in (KEY, "sk-in-the-query-123", got.headers["nous-opening"]):
        assert secret not in text


def test_a_fault_is_logged_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    try:
        int("x")
    except ValueError:
        logging.getLogger("nous_ledger").exception("a fault")
    shown = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert (shown["message"], "ValueError" in shown["traceback"]) == ("a fault", True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TlsFiles]:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_tls_on_both_sides_with_an_authority_of_ones_own(
    log: Ledger, certificates: tuple[Path, TlsFiles]
) -> None:
    ca_file, tls = certificates
    seen: list[Seen] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificates, tls.key)
    started, stop = threading.Event(), threading.Event()
    port: list[int] = []

    async def serve() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(Seen("POST", head.split(b" ")[1].decode(), [], b""))
            writer.write(answer(BODY))
            await writer.drain()

        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
        port.append(server.sockets[0].getsockname()[1])
        started.set()
        await asyncio.to_thread(stop.wait)
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait()
    url = f"https://127.0.0.1:{port[0]}"
    trusted = ssl.create_default_context(cafile=str(ca_file))
    try:
        for egress, expected in ((Egress(), 502), (Egress(trust=read_trust(ca_file)), 200)):
            config = AppConfig(upstreams={"openai": url}, egress=egress)
            with GatewayThread(log, config, tls=tls) as gateway:
                assert gateway.url.startswith("https://")
                netloc = urlsplit(gateway.url).netloc
                with closing(http.client.HTTPSConnection(netloc, context=trusted)) as connection:
                    connection.request("POST", CHAT, b"{}")
                    assert connection.getresponse().status == expected
    finally:
        stop.set()
        thread.join()
    assert [request.target for request in seen] == ["/v1/chat/completions"]


def test_certificates_that_are_none(tmp_path: Path, certificates: tuple[Path, TlsFiles]) -> None:
    ca_file, tls = certificates
    with pytest.raises(InputError, match="not a certificate and its key"):
        TlsFiles(certificates=ca_file, key=tls.key).check()
    with pytest.raises(InputError, match="not a certificate and its key"):
        TlsFiles(certificates=tls.certificates, key=tmp_path / "missing").check()
    open_key = tmp_path / "key.pem"
    open_key.write_bytes(tls.key.read_bytes())
    open_key.chmod(0o644)
    with pytest.raises(InputError, match="others than its owner"):
        TlsFiles(certificates=tls.certificates, key=open_key).check()
    with pytest.raises(InputError, match="no certificates"):
        read_trust(tls.key)


def test_calls_go_through_the_egress_proxy(log: Ledger) -> None:
    with ExitStack() as exits:
        proxy = exits.enter_context(RawUpstream(says(answer(BODY))))
        through = proxy.url.replace("//", "//name:pass-word@")
        config = AppConfig(
            upstreams={"custom-lab": "http://models.example.com:8000"},
            egress=Egress(proxy=check_proxy(through)),
        )
        assert "pass-word" not in repr(config)
        gateway = exits.enter_context(GatewayThread(log, config))
        rig = Rig(log, gateway.url, exits)
        got = rig.call("/custom-lab/v1/chat/completions", ASK)
        assert (got.status, got.body) == (200, BODY)
        (seen,) = proxy.seen
        assert seen.target == "http://models.example.com:8000/v1/chat/completions"
        sign = base64.b64encode(b"name:pass-word").decode()
        assert seen.values("proxy-authorization") == [f"Basic {sign}"]
        assert rig.only_receipt().upstream == "models.example.com:8000"


@pytest.mark.parametrize("url", ["x", "socks5://h:1", "http://", "http://h:1/path", "http://h:x"])
def test_what_is_no_proxy(url: str) -> None:
    with pytest.raises(InputError, match="an egress proxy is"):
        check_proxy(url)
