"""A witness that is killed at any moment: what it cosigned, it remembers."""

import contextlib
import http.client
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from nous_ledger.protocol.vkey import format_vkey
from sentinel.witness_key import create_key
from sentinel.witness_store import WitnessStore
from tests.cli.harness import ROOT, minimal_environment
from tests.integration.sentinel.forged_log import ForgedLog, history

LOG = ForgedLog()
KILLS, KILLS_FULL = 2, 25


def ask(url: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    with contextlib.closing(connection):
        connection.request("POST", "/add-checkpoint", body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_killed_while_it_cosigns(tmp_path: Path, unmeasured: None, *, full: bool) -> None:
    """WIT-11: an answer that was sent is never forgotten, so no second history gets through."""
    key = create_key(tmp_path / "key", "witness.example/w1", bytes(range(32)))
    WitnessStore.create(tmp_path / "state", format_vkey(key.vkey))
    (tmp_path / "logs").write_text(f"log {LOG.vkey}\n")
    options = ("--key", "key", "--state", "state", "--logs", "logs", "--listen", "127.0.0.1:0")
    command = [sys.executable, "-m", "sentinel", "witness", "serve", *options]
    draw, cosigned = random.Random(3), 0
    for _ in range(KILLS_FULL if full else KILLS):
        with subprocess.Popen(
            command,
            cwd=tmp_path,
            env=minimal_environment(PYTHONPATH=str(ROOT)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as child:
            assert child.stdout is not None
            url = child.stdout.readline().strip()
            status, size = ask(url, LOG.request(history(1)))
            assert status == (409 if cosigned else 200)
            assert cosigned == 0 or int(size) >= cosigned, "it forgot what it had cosigned"
            cosigned = int(size) if cosigned else 1
            assert ask(url, LOG.request(history(cosigned + 1, fork_at=0), cosigned))[0] == 422
            killing = threading.Timer(draw.uniform(0.0, 0.1), child.kill)
            killing.start()
            with contextlib.suppress(OSError, http.client.HTTPException):
                while time.monotonic():
                    status, _ = ask(url, LOG.request(history(cosigned + 1), cosigned))
                    assert status == 200
                    cosigned += 1
            killing.join()
            child.wait(10)
    assert cosigned > 1
