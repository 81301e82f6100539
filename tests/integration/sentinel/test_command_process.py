"""`nous-sentinel` as a process: watches, signals, terminals and pipes."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sentinel.cli import run
from tests.architecture.repository import ROOT
from tests.integration.published_log import PublishedLog
from tests.integration.sentinel.command_rig import Call, refused, spoil, watching
from tests.integration.sentinel.test_watching import receiver


def test_a_second_sentinel_on_one_state(call: Call, log: PublishedLog, tmp_path: Path) -> None:
    with watching(log, tmp_path) as child:
        child.readline()
        refused(call(log.target, "--policy", "policy", "--state", "memory"), 3, "state-busy")
        spoilt = call("acknowledge", 1, "--by", "ana", "--reason", "x", "--state", "memory")
        assert spoilt.code == 0  # a notice may be acknowledged as well, beside a watch


def test_a_watch_sees_what_is_new_and_ends_when_told(log: PublishedLog, tmp_path: Path) -> None:
    with watching(log, tmp_path) as child:
        assert child.readline()["audited"] == 20
        log.grow(30)
        log.publish()
        while child.readline()["audited"] != 30:
            pass
        assert child.end(signal.SIGTERM) == (0, "")
    with watching(log, tmp_path, interval="3600") as child:  # it goes on, and waits for nothing
        assert (child.readline()["new"], child.end(signal.SIGINT)) == (0, (0, ""))


def test_a_watch_tells_a_webhook_and_prometheus(
    call: Call, log: PublishedLog, tmp_path: Path
) -> None:
    """The webhook once for each finding, whoever looks next."""
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_text("webhook-secret\n")
    spoil(log)
    with receiver() as (url, got):
        hook = ("--webhook", url, "--webhook-secret-file", str(tmp_path / "secret"))
        with watching(log, tmp_path, "--metrics", "127.0.0.1:0", *hook) as child:
            assert child.readline()["open_findings"] == 1
            child.readline()
            code, err = child.end(signal.SIGTERM)
        assert code == 1
        assert re.fullmatch(r"metrics at http://127\.0\.0\.1:\d+/metrics\n", err)
        assert call(log.target, "--policy", "policy", "--state", "memory", *hook).code == 1
    assert [json.loads(body)["code"] for _, body in got] == ["root-mismatch"]
    assert "webhook-secret" not in f"{got}"


def test_a_progress_bar_on_a_terminal(same: PublishedLog, tmp_path: Path) -> None:
    main, side = pty.openpty()
    program = "import sentinel.cli_audit as a; a.LONG = 5; from sentinel.cli import main; main()"
    words = [
        str(same.target),
        "--policy",
        str(same.base / "policy"),
        "--state",
        str(tmp_path / "s"),
    ]
    with subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.PIPE,
        stderr=side,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm"},
    ) as child:
        os.close(side)
        shown = b""
        try:
            while piece := os.read(main, 4096):
                shown += piece
        except OSError:  # how Linux says that the other side is closed
            pass
        assert child.wait(30) == 0
    os.close(main)
    assert b"auditing" in shown
    assert b"records/s" in shown


def test_what_nobody_reads_any_more(same: PublishedLog, tmp_path: Path) -> None:
    """A closed pipe is no finding."""
    read, write = os.pipe()
    os.close(read)
    words = [
        str(same.target),
        "--policy",
        str(same.base / "policy"),
        "--state",
        str(tmp_path / "s"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "sentinel", *words],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (3, b"")


def test_a_first_audit_that_is_interrupted_goes_on(log: PublishedLog, tmp_path: Path) -> None:
    """Ctrl-C during one look: 130, and nothing is lost."""
    program = (
        "import os, signal, sys; import sentinel.fetching as f; from sentinel.cli import main\n"
        "from sentinel.sources import TileSource; old = TileSource.entries\n"
        "def entries(self, index, width):\n"
        "    os.kill(os.getpid(), signal.SIGINT); return old(self, index, width)\n"
        "TileSource.entries = entries; signal.signal(2, signal.default_int_handler); main()"
    )
    words = [str(log.target), "--policy", str(tmp_path / "policy"), "--state", str(tmp_path / "s")]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert "interrupted" in done.stderr
    started = time.monotonic()
    assert run([*words, "--json"]) == 0
    assert time.monotonic() - started < 30


@pytest.mark.usefixtures("unmeasured")
def test_help_is_quick() -> None:
    """It loads neither a client library nor the machinery of an audit."""
    code = "import sys; from sentinel.cli import run; run(['--help']); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    assert loaded.isdisjoint({"aiohttp", "asyncio", "multiprocessing", "sentinel.log_audit"})
