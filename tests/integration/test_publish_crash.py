"""Publishing that ends in the middle of something: the folder stays a readable log."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.ledger.publish import publish
from tests.architecture.repository import ROOT
from tests.integration.published_log import PublishedLog, published_log
from tests.integration.static_log import StaticLog, from_folder


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PublishedLog]:
    with published_log(tmp_path) as made:
        yield made


class CrashError(BaseException):
    """The machine stops here."""


@pytest.mark.parametrize("call", ["link", "fsync"])
def test_interrupted_at_every_step(
    log: PublishedLog, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Whatever was done so far, the folder is a readable log, and the next run completes it."""
    real = getattr(os, call)
    log.grow(260)
    log.publish()
    log.grow(530)
    for stop in range(200):
        left = [stop]

        def crash(*arguments: object, left: list[int] = left) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise CrashError
            return real(*arguments)

        target = log.base / f"copy{stop}"
        shutil.copytree(log.target, target)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, crash)
            try:
                publish(log.folder, target, all_bodies=True)
            except CrashError:
                pass
            else:
                assert stop >= 5
                return
        found = StaticLog(from_folder(target), log.ledger.policy_text(), log.public_key)
        assert found.count in (260, 530)
        found.check(log.seed)
        publish(log.folder, target, all_bodies=True)
        done = StaticLog(from_folder(target), log.ledger.policy_text(), log.public_key)
        assert done.count == 530
        done.check(log.seed)
        shutil.rmtree(target)
    pytest.fail("the work never ended")


def test_killed_at_random(log: PublishedLog, full: bool) -> None:
    program = (
        "import sys; from nous_ledger.ledger.publish import publish; print(flush=True)\n"
        "publish(sys.argv[1], sys.argv[2], all_bodies=True); print(flush=True)"
    )
    kills = 200 if full else 4
    log.grow(20)
    log.publish()
    count, took = 20, 0.2
    while kills:
        count += 300
        log.grow(count)
        command = [sys.executable, "-c", program, str(log.folder), str(log.target)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            started = time.monotonic()
            time.sleep(log.seed.uniform(0, took))
            process.send_signal(signal.SIGKILL)
            if process.stdout.readline():  # it was faster: wait for a shorter time from now on
                took = min(took, time.monotonic() - started)
            else:
                kills -= 1
        published = log.read()
        assert published.count <= count
        published.check(log.seed)
    log.publish()
    log.check(count)
    assert not [path for path in log.paths() if path.endswith(".unfinished")]


def test_what_a_crash_left_is_removed(log: PublishedLog) -> None:
    log.grow(20)
    log.publish()
    for folder in (".", "tile/0", "tile/bodies/000.p"):
        (log.target / folder / ".8de92f8d4c72b71e.unfinished").write_bytes(b"half")
    (log.target / "ours.unfinished").write_bytes(b"not of this program")
    log.grow(30)
    log.publish()
    assert [path for path in log.paths() if "unfinished" in path] == ["ours.unfinished"]
