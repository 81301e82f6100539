"""Asking a gateway: what is believed, and what only shows that nothing could be read (SERV-8)."""

import json
import socket
from pathlib import Path

import pytest

from nous_ledger.cli import web
from nous_ledger.cli.web import fetch
from nous_ledger.protocol.errors import InputError, LedgerError, UnavailableError
from tests.cli.answering import Answering, http_answer
from tests.cli.harness import Call
from tests.cli.sample import OPENING, Sample

PATH = "/checkpoint"
NASTY = "\x1b]0;owned\x07 \u202e"


def refusal(url: str, headers: dict[str, str] | None = None, limit: int = 100) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        fetch(url, PATH, limit, headers)
    return caught.value


def test_a_body_within_the_limit() -> None:
    with Answering(http_answer(b"x" * 100)) as server:
        assert fetch(server.url, PATH, 100) == b"x" * 100
        assert fetch(f"{server.url}/", PATH, 100) == b"x" * 100
    assert server.requests[0].startswith(b"GET /checkpoint HTTP/1.1\r\n")
    assert server.requests[1].startswith(b"GET /checkpoint HTTP/1.1\r\n")


def test_a_gateway_below_a_path() -> None:
    with Answering(http_answer(b"x")) as server:
        fetch(f"{server.url}/logs/a/", PATH, 100)
    assert server.requests[0].startswith(b"GET /logs/a/checkpoint HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (http_answer(b"x" * 101), "more than 100 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "early"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
            "could not be read",
        ),
        (b"", "could not be read"),
        (b"\x16\x03\x01", "could not be read"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", "could not be read"),
        (http_answer(b"", "302 Found", "Location: http://127.0.0.1:9/"), "answered 302"),
        (http_answer(b"", "307 Moved", "Location: file:///etc/passwd"), "answered 307"),
        (http_answer(b"", "204 No Content"), "answered 204"),
        (http_answer(b"", "500 Oops"), "answered 500: Oops"),
        (http_answer(b"<h1>no</h1>", "404 Not Found"), "answered 404: <h1>no</h1>"),
        (http_answer(b'{"error": {"message": "gone"}}', "404 Not Found"), "answered 404: gone"),
        (http_answer(b'{"error": "odd"}', "403 No"), 'answered 403: {"error": "odd"}'),
        (http_answer(b"[" * 4000, "500 x"), "answered 500: [["),
    ],
)
def test_answers_that_are_none(answer: bytes, text: str) -> None:
    with Answering(answer) as server:
        error = refusal(server.url)
    assert isinstance(error, UnavailableError)
    assert error.code == "unreachable"
    assert text in error.message
    assert len(error.message) < 400


def test_error_texts_do_not_reach_the_terminal(nous: Call) -> None:
    body = json.dumps({"error": {"message": NASTY}}).encode()
    for answer in (
        http_answer(body, "403 Forbidden"),
        http_answer(NASTY.encode(), "403 Forbidden"),
        http_answer(b"", "403 \x1b]0;owned\x07"),
    ):
        with Answering(answer) as server:
            found = nous("head", "--url", server.url).failed(3, "answered 403", "owned")
        assert found.err.replace("\n", "").isprintable()


def test_silence_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "IDLE_SECONDS", 0.2)
    with Answering(b"HTTP/1.1 200 OK\r\n", hold=True) as server:
        assert "timed out" in refusal(server.url).message
    with Answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", hold=True) as server:
        assert "timed out" in refusal(server.url).message


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = refusal(f"http://127.0.0.1:{port}")
    assert "Connection refused" in error.message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8787",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://127.0.0.1:x",
        "http://127.0.0.1:70000",
        "http://127.0.0.1:0",
        "http://user:hunter2@127.0.0.1",
        "http://127.0.0.1/?key=hunter2",
        "http://127.0.0.1/#hunter2",
    ],
)
def test_what_is_no_address(url: str) -> None:
    """The message does not repeat it: it may hold a password."""
    error = refusal(url)
    assert isinstance(error, InputError)
    assert "hunter2" not in error.message + error.hint


def test_an_opening_stays_on_this_machine_or_goes_encrypted() -> None:
    """Whoever sees it can read the call's body and test guesses of its content."""
    secret = {"nous-opening": OPENING.hex()}
    for host in ("192.0.2.1", "gateway.example.com", "[2001:db8::1]", "127.0.0.1.example.com"):
        error = refusal(f"http://{host}", secret)
        assert isinstance(error, InputError)
        assert OPENING.hex() not in error.message + error.hint


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_no_proxy_learns_of_what_stays_here(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Answering(http_answer(b"proxy")) as proxy, Answering(http_answer(b"own")) as server:
        monkeypatch.setenv(name, proxy.url)
        assert fetch(server.url, PATH, 100, {"nous-opening": OPENING.hex()}) == b"own"
    assert proxy.requests == []


@pytest.mark.parametrize("command", [["head"], ["prove", "1"], ["policy", "fetch"]], ids=" ".join)
@pytest.mark.parametrize(
    "body", [b"", b"<html>hello</html>", b"\xff" * 50, b"log x\nquorum none\n"]
)
def test_what_answers_is_no_gateway(
    nous: Call, tmp_path: Path, command: list[str], body: bytes
) -> None:
    """That proves nothing about any log: could not check, never wrong."""
    output = tmp_path / "file"
    with Answering(http_answer(body)) as server:
        words = (
            [*command, server.url] if command[0] == "policy" else [*command, "--url", server.url]
        )
        found = nous(*words, *(["-o", output] if command[0] != "head" else []))
    found.failed(3, "[unreachable]", "base URL of a nous-ledger gateway")
    assert not output.exists()


def test_a_proof_of_another_record_is_not_taken(nous: Call, sample: Sample, tmp_path: Path) -> None:
    output = tmp_path / "file"
    with Answering(http_answer(sample.proof)) as server:
        for name in (2, "00000000-0000-7000-8000-000000000000"):
            found = nous("prove", name, "--url", server.url, "-o", output)
            found.failed(3, "another record, index 1")
        assert not output.exists()
        for own in (1, sample.receipt_id):
            nous("prove", own, "--url", server.url, "-o", output, "--force").good()
    assert output.read_bytes() == sample.proof


def test_a_newer_proof_is_reported_as_such(nous: Call, sample: Sample) -> None:
    newer = sample.proof.replace(b"@v1", b"@v2", 1)
    with Answering(http_answer(newer)) as server:
        nous("prove", 1, "--url", server.url).failed(3, "[newer-version]")
