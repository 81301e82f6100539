"""`nous-sentinel witness` as its operator runs it."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from nous_ledger.protocol.policy import MAX_POLICY_BYTES
from nous_ledger.protocol.vkey import parse_vkey
from sentinel import cli
from tests.cli.harness import ROOT, Outcome, minimal_environment
from tests.integration.sentinel.forged_log import ForgedLog, history

LOG = ForgedLog()
PROGRAM = (sys.executable, "-m", "sentinel", "witness")


Call = Callable[..., Outcome]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run one command in this process."""

    def run(*arguments: object) -> Outcome:
        code = cli.run(["witness", *map(str, arguments)])
        out, err = capsys.readouterr()
        return Outcome(code=code, out=out, err=err)

    return run


def failed(outcome: Outcome, code: int, *texts: str) -> None:
    assert (outcome.code, outcome.out) == (code, ""), outcome
    assert "Traceback" not in outcome.err
    for text in texts:
        assert text in outcome.err, outcome


@pytest.fixture
def files(call: Call, tmp_path: Path) -> tuple[object, ...]:
    """The options that name key and state of a new witness."""
    options = ("--key", tmp_path / "w.key", "--state", tmp_path / "w.state")
    made = call("init", "--name", "witness.example/w1", *options, "--json")
    assert made.code == 0, made
    assert parse_vkey(made.json["vkey"]).kind == 4
    return options


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    path = tmp_path / "logs.policy"
    path.write_text(f"log {LOG.vkey}\nquorum none\n")
    return path


@contextlib.contextmanager
def serving(*options: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `witness serve` and give its address."""
    command = [*PROGRAM, "serve", "--listen", "127.0.0.1:0", *map(str, options)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=minimal_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        assert url, child.communicate(timeout=10)
        try:
            yield url, child
        finally:
            child.kill()


def post(url: str, body: bytes) -> bytes:
    with urlopen(Request(f"{url}/add-checkpoint", body), timeout=10) as answer:  # noqa: S310
        found: bytes = answer.read()
        return found


def test_from_init_to_status(
    call: Call, files: tuple[object, ...], logs: Path, tmp_path: Path
) -> None:
    """It starts, cosigns, stops at SIGTERM, remembers, and says that a log forked."""
    with serving(*files, "--logs", logs) as (url, child):
        assert post(url, LOG.request(history(5))).startswith("— witness.example/w1".encode())
        with pytest.raises(OSError, match="422"):
            post(url, LOG.request(history(5, fork_at=2), 5))
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=10)
        assert child.returncode == 0
    assert "it forked" in err
    status = call("status", *files, "--json")
    assert status.code == 1
    (log,) = status.json["logs"]
    assert (log["origin"], log["leaf_count"]) == (LOG.origin, 5)
    (fork,) = log["forks"]
    assert fork["refused"].encode() == LOG.head(history(5, fork_at=2))
    shown = call("status", *files)
    assert shown.code == 1
    assert "5 leaves" in shown.out
    assert "FORKED" in shown.out
    assert json.dumps(status.json).count("PRIVATE") == 0
    (tmp_path / "w.state").unlink()
    failed(call("serve", *files, "--logs", logs), 3, "witness-state-missing", "hint: ")


def test_what_it_refuses(call: Call, files: tuple[object, ...], logs: Path, tmp_path: Path) -> None:
    failed(call("init", "--name", "w", *files), 2, "exists")
    names = ("--key", tmp_path / "a", "--state", tmp_path / "b")
    failed(call("init", "--name", "a b", *names), 1, "vkey-format")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()
    failed(call("serve", *files, "--logs", tmp_path / "none"), 2)
    failed(call("serve", *files, "--logs", logs, "--listen", "nowhere"), 2, "HOST:PORT")
    (tmp_path / "pin").write_text(f"log {LOG.vkey}\nlog {LOG.pin}\n")
    failed(call("serve", *files, "--logs", tmp_path / "pin"), 3, "unpinned", "--proof")
    (tmp_path / "long").write_bytes(bytes(MAX_POLICY_BYTES + 1))
    failed(call("serve", *files, "--logs", tmp_path / "long"), 2, "policy-format")
    Path(str(files[1])).chmod(0o644)
    failed(call("status", *files), 3, "witness-key", "chmod 600")


def test_help_names_examples(call: Call) -> None:
    for arguments in ((), ("init",), ("serve",), ("status",)):
        shown = call(*arguments, "--help")
        assert shown.code == 0
        assert "Example" in shown.out
    assert call().code == 2
