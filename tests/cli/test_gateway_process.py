"""`nous-ledger gateway` as a process: it starts, takes calls, ends, and refuses what it must."""

import contextlib
import http.client
import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nous_ledger.cli.demo_upstream import DemoUpstream
from nous_ledger.gateway.server import only_gateway
from nous_ledger.ledger import Ledger
from tests.cli.harness import PROGRAM, ROOT, Call, Files, call_process
from tests.cli.sample import START_MS, make_draft

KEY = "sk-test-key-of-nobody"
REQUEST = json.dumps(
    {"model": "gpt-demo", "messages": [{"role": "user", "content": "What is a log?"}]}
).encode()


@pytest.fixture
def ledger(nous: Call, tmp_path: Path) -> Path:
    folder = tmp_path / "ledger"
    nous("init", "--ledger", folder, "--no-rotation").good()
    return folder


@contextlib.contextmanager
def gateway(*arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a gateway on a free port; give its base URL once it says so."""
    command = [*PROGRAM, "gateway", "--port", "0", "--json", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as child:
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            assert line, child.communicate(timeout=30)
            yield json.loads(line)["url"], child
        finally:
            child.kill()


def post(url: str, path: str, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response, data


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_call_through_a_gateway(
    nous: Call, ledger: Path, files: Files, stop: signal.Signals
) -> None:
    """One call, asked for while the gateway runs and after it ended: one receipt, one proof."""
    with DemoUpstream() as upstream:
        options = ("--ledger", ledger, "--openai-upstream", upstream.url)
        with gateway(*options) as (url, child):
            response, body = post(url, "/openai/v1/chat/completions", REQUEST)
            receipt_id = response.headers["nous-receipt-id"]
            files.opening.write_text(response.headers["nous-opening"], "ascii")
            opening = ("--opening", f"@{files.opening}")
            proved = nous("prove", receipt_id, "--url", url, *opening).good()
            policy = nous("policy", "fetch", url, "--yes").good()
            assert nous("head", "--url", url, "--json").good().json["leaf_count"] == 2
            child.send_signal(stop)
            out, err = child.communicate(timeout=30)
    assert response.status == 200
    assert (child.returncode, out) == (0, "")
    assert err.endswith("stopped; every call has its receipt\n")
    assert f"{receipt_id} custom api=openai.chat status=complete" in err
    assert KEY not in err
    files.proof.write_text(proved.out, "utf-8")
    files.policy.write_text(policy.out, "utf-8")
    files.request.write_bytes(REQUEST)
    files.response.write_bytes(body)
    nous(*files.check, *files.content, "--recount", "--require-accuracy").good()
    (row,) = nous("receipts", "list", "--ledger", ledger, "--json").good().json["receipts"]
    assert row["body"]["id"] == receipt_id
    everything = b"".join(path.read_bytes() for path in ledger.iterdir())
    assert KEY.encode() not in everything


def test_logs_as_json_and_no_core_dumps(ledger: Path) -> None:
    with DemoUpstream() as upstream:
        options = ("--ledger", ledger, "--openai-upstream", upstream.url, "--log-format", "json")
        with gateway(*options) as (url, child):
            response, _ = post(url, "/openai/v1/chat/completions", REQUEST)
            limits = Path(f"/proc/{child.pid}/limits")
            if limits.exists():  # Linux
                (line,) = [x for x in limits.read_text().splitlines() if "core file" in x]
                assert line.split()[4:6] == ["0", "0"]
            child.send_signal(signal.SIGTERM)
            _, err = child.communicate(timeout=30)
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    (shown,) = [line for line in lines if "receipt" in line]
    assert shown["receipt"] == response.headers["nous-receipt-id"]
    assert KEY not in err


def test_all_addresses_with_tokens(ledger: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.touch(0o600)
    tokens.write_text("f3a9c27e51b84d06a17c\n", "ascii")
    files = ("--client-token-file", tokens, "--operator-token-file", tokens)
    with DemoUpstream() as upstream:
        listen = ("--host", "0.0.0.0", "--openai-upstream", upstream.url)  # noqa: S104 - as asked
        with gateway("--ledger", ledger, *listen, *files) as (url, child):
            here = url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
            response, _ = post(here, "/openai/v1/chat/completions", REQUEST)
            assert response.status == 401
            child.send_signal(signal.SIGTERM)
            _, err = child.communicate(timeout=30)
    assert "listening without TLS" in err


def test_a_certificate_without_its_key(nous: Call, ledger: Path, tmp_path: Path) -> None:
    found = nous("gateway", "--ledger", ledger, "--port", 0, "--tls-cert", tmp_path / "c")
    found.failed(2, "--tls-cert and --tls-key go together")


def test_the_welcome(ledger: Path) -> None:
    command = [*PROGRAM, "gateway", "--port", "0", "--ledger", str(ledger)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(9)]
        child.terminate()
    url = lines[0].removeprefix("nous-ledger gateway on ").strip()
    assert url.startswith("http://127.0.0.1:")
    assert f"  export OPENAI_BASE_URL={url}/openai/v1\n" in lines
    assert f"  export ANTHROPIC_BASE_URL={url}/anthropic\n" in lines
    assert child.returncode == 0


def test_one_gateway_per_ledger(nous: Call, ledger: Path) -> None:
    with gateway("--ledger", ledger) as (url, child):
        found = nous("gateway", "--ledger", ledger, "--port", 0)
        found.failed(3, "another gateway serves the ledger", "hint: ")
        # Readers are not kept out, and the first one was not disturbed.
        assert nous("head", "--ledger", ledger, "--json").good().json["leaf_count"] == 1
        nous("head", "--url", url).good()
        child.terminate()
        assert child.wait(timeout=30) == 0
    with only_gateway(ledger):  # the way is free again
        pass


def test_calls_that_have_no_receipt_yet(
    nous: Call, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that could not write says so instead of "every call has its receipt"."""

    def run_gateway(opened: Ledger, *_: object, **__: object) -> None:
        opened.begin_call(make_draft(random.Random(), START_MS, status=7, metering=0, usage=None,
                                     provider_total=None, http_status=None))  # fmt: skip

    monkeypatch.setattr("nous_ledger.gateway.server.run_gateway", run_gateway)
    found = nous("gateway", "--ledger", ledger)
    found.failed(3, "1 calls have no receipt yet", "hint: start the gateway again")


def test_a_port_that_is_taken(nous: Call, ledger: Path) -> None:
    with DemoUpstream() as other:
        found = nous("gateway", "--ledger", ledger, "--port", urlsplit(other.url).port)
    found.failed(2, "cannot listen", "hint: name another port")


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104 - to be refused
        *("::", "192.0.2.1", "example.com", "", "127.0.0.1.example.com", "\x1b[2J"),
    ],
)
def test_the_gateway_stays_on_this_machine(nous: Call, tmp_path: Path, host: str) -> None:
    """Refused before the ledger is opened or a passphrase asked for."""
    found = nous("gateway", "--ledger", tmp_path / "missing", "--host", host)
    found.failed(2, "does not listen on", "hint: ")
    assert "\x1b" not in found.err


@pytest.mark.parametrize("url", ["ftp://x", "http://", "x", "https://user:hunter2@api.openai.com"])
def test_upstreams_that_are_none(nous: Call, ledger: Path, url: str) -> None:
    found = nous("gateway", "--ledger", ledger, "--port", 0, "--openai-upstream", url)
    found.failed(2, "an upstream is an http or https URL")
    assert "hunter2" not in found.err


@pytest.mark.parametrize("text", ["", "\n\n", "short", "long-enough-a-token\nshort\n"])
def test_auditor_tokens(nous: Call, ledger: Path, tmp_path: Path, text: str) -> None:
    tokens = tmp_path / "tokens"
    tokens.touch(0o600)
    tokens.write_text(text, "ascii")
    arguments = ("gateway", "--ledger", ledger, "--port", 0, "--auditor-token-file", tokens)
    nous(*arguments).failed(2, "an auditor token has at least 16 characters")
    tokens.write_text("a-token-that-is-long-enough\n", "ascii")
    tokens.chmod(0o644)
    nous(*arguments).failed(3, "[key-permissions]")
    nous(*arguments[:-1], tmp_path / "missing").failed(2, "does not exist")


WITHOUT = """
import sys
for name in {names!r}:
    sys.modules[name] = None
from nous_ledger.cli.main import main
main()
"""


def without(*names: str) -> tuple[str, ...]:
    """Return how to run the program where some packages are not installed."""
    return (sys.executable, "-c", WITHOUT.format(names=names))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("gateway", "aiohttp"),
        ("gateway", "starlette"),
        ("gateway", "uvicorn"),
        ("demo", "anthropic"),
    ],
)
def test_what_is_not_installed_is_named(command: str, name: str) -> None:
    found = call_process(command, program=without(name))
    found.failed(3, f"needs {name}, which is not installed", "pip install 'nous-ledger[")


def test_verify_needs_none_of_them(files: Files) -> None:
    program = without("aiohttp", "starlette", "uvicorn", "openai", "anthropic", "httpx")
    arguments = (*files.check, *files.content, "--recount")
    assert call_process(*arguments, program=program).code == 0


def test_any_route_can_be_given_an_upstream(ledger: Path) -> None:
    with DemoUpstream() as upstream:
        options = ("--ledger", ledger, "--upstream", f"custom-lab={upstream.url}")
        with gateway(*options, "--upstream", f"vllm={upstream.url}") as (url, _):
            for route in ("custom-lab", "vllm"):
                response, data = post(url, f"/{route}/v1/chat/completions", REQUEST)
                assert (response.status, json.loads(data)["object"]) == (200, "chat.completion")
            assert post(url, "/bedrock/model/m/converse", REQUEST)[0].status == 404
    with Ledger.open(ledger, read_only=True) as log:
        receipts = [row.receipt for row in log.receipts() if row.receipt is not None]
    assert [(receipt.provider, receipt.api) for receipt in receipts] == [("custom", 1)] * 2


@pytest.mark.parametrize("given", ["vllm", "=http://h", "vllm=", "nobody=http://u:secret@h"])
def test_an_upstream_without_a_route_is_refused(nous: Call, ledger: Path, given: str) -> None:
    found = nous("gateway", "--ledger", ledger, "--port", 0, "--upstream", given)
    assert found.code == 2
    assert "secret" not in found.err
