"""The sentinel as a process of its own before bombs, endless answers and spoiled folders."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.repository import ROOT
from tests.zoo.folders import SPOILED, Spoil, write_folder
from tests.zoo.forger import Forger
from tests.zoo.process import run_sentinel
from tests.zoo.reader import Reader
from tests.zoo.server import ZooServer
from tests.zoo.site import Reply, Request, Script, view_of
from tests.zoo.table import ALL
from tests.zoo.wire import silence

HEAVY = ("gzip-bomb", "endless-body", "endless-chunks", "oversized-body", "endless-headers")
PEAK_BYTES = 100 << 20
LIMIT_S = 15.0


@pytest.fixture
def server() -> Iterator[ZooServer]:
    with ZooServer() as running:
        yield running


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.usefixtures("unmeasured")
def test_bombs_take_no_memory(server: ZooServer, tmp_path: Path, full: bool) -> None:
    """The peak is that of the whole process, its interpreter and libraries included."""
    for name in HEAVY if full else HEAVY[:1]:
        reader = Reader(tmp_path, name=name)
        for expected in ALL[name].play(int(time.time())):
            server.site = expected.site
            if expected.exit == 0:
                assert reader.look(server.url).exit == 0
                continue
            ended = run_sentinel(reader.arguments(server.url), tmp_path)
            assert (ended.exit, ended.err) == (expected.exit, ""), ended
            assert 0 < ended.peak_bytes < PEAK_BYTES
            assert ended.seconds < LIMIT_S


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_folder_could_not_be_checked(spoil: Spoil, tmp_path: Path) -> None:
    log, reader, folder = Forger(int(time.time()) - 100).grow(5), Reader(tmp_path), tmp_path / "log"
    write_folder(log, folder)
    spoil(folder)
    look = reader.look(str(folder))
    assert (look.exit, len(look.codes)) == (3, 1), look
    assert next(iter(look.codes)).startswith("source/")


def test_a_first_pass_that_was_killed_is_begun_again(server: ZooServer, tmp_path: Path) -> None:
    """SIGKILL while records are read; the next call finds a state that it can go on with."""
    log, reader = Forger(int(time.time()) - 100).grow(800), Reader(tmp_path)
    good = view_of(log)
    last = threading.Event()

    def stuck(request: Request) -> Reply | Script:
        if request.path.startswith("tile/entries/003"):
            last.set()
            return silence
        return good(request)

    server.site = stuck
    command = [sys.executable, "-m", "sentinel", *reader.arguments(server.url)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        assert last.wait(20)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    server.site = good
    look = reader.look(server.url)
    assert (look.exit, look.codes, look.report["audited"]) == (0, frozenset(), 801)


def test_a_watch_goes_on_through_everything_and_ends_when_told(
    server: ZooServer, tmp_path: Path
) -> None:
    """One process sees a good log, an outage, and a fork, and is ended by SIGTERM."""
    reader = Reader(tmp_path)
    rounds = [
        expected.site
        for name in ("outage", "fork-that-heals")
        for expected in ALL[name].play(int(time.time()))
    ]
    command = [sys.executable, "-m", "sentinel", *reader.arguments(server.url)]
    server.site = rounds[0]
    with subprocess.Popen(
        [*command, "--watch", "--interval", "0.1"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        seen = []
        for site in (rounds[0], rounds[1], *rounds[3:]):
            server.site = site
            seen.append(_next_rounds(process.stdout, 2))
        os.kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=10)
    assert seen == ["good", "could-not-check", "good", "wrong", "wrong"]
    assert process.returncode == 1


def _next_rounds(lines: Iterator[str], count: int) -> str:
    """Return the outcome of the last of some rounds."""
    outcome = ""
    while count:
        line = json.loads(next(lines))
        if line["type"] == "round":
            outcome, count = line["outcome"], count - 1
    return outcome
