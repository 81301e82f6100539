"""Fixtures of the tests that kill processes and let system calls fail."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Ledger
from tests.architecture.repository import ROOT
from tests.crash.lives import Place, now_ms
from tests.integration.ledger_drafts import ORIGIN, make_draft, make_intent

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the list of keys in use lies."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def own_state(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of keys in use must not be that of whoever runs the tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(state))


class Nursery:
    """Starts processes that use a ledger, and says how they ended."""

    def __init__(self, shim: Path, state: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if "COVERAGE" not in name},
                "LD_PRELOAD": str(shim),
                "PYTHONPATH": str(ROOT),
                "XDG_STATE_HOME": str(state),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def live(
        self, place: Place, *lives: dict[str, Any], kill: float | Path | None = None
    ) -> list[int]:
        """Let processes live, all at once, and return their exit codes.

        Args:
            place: of their ledger.
            lives: what each is to do.
            kill: seconds after which all of them are killed, or a file at whose sight.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        given = [{"base": str(place.base), "name": str(n)} | life for n, life in enumerate(lives)]
        job = {"lives": given, "kill": str(kill) if isinstance(kill, Path) else kill}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        codes: list[int] = json.loads(self._process.stdout.readline())
        errors = place.base / "errors"
        assert errors.read_text() == ""
        return codes

    def close(self) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory, state: Path) -> Iterator[Nursery]:
    if not sys.platform.startswith("linux"):
        pytest.skip("system calls are intercepted as Linux does it")
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler (cc) here, which the intercepted system calls need")
    shim = tmp_path_factory.mktemp("shim") / "shim.so"
    command = ["cc", "-O1", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", str(shim)]
    subprocess.run([*command, str(HERE / "shim.c"), "-ldl", "-lpthread"], check=True)
    made = Nursery(shim, state)
    yield made
    made.close()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, state: Path) -> Path:
    """A small ledger with receipts of several subjects and a call that was never heard of."""
    place = Place(base=tmp_path_factory.mktemp("template"))
    place.next_key(0).parent.mkdir()
    seed = random.Random(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(state))
        ledger = Ledger.create(place.folder, next_key_out=place.next_key(0), origin=ORIGIN)
    with ledger:
        ledger.append_many([make_draft(seed, time_ms=now_ms()) for _ in range(5)])
        ledger.begin_call(make_intent(seed, time_ms=now_ms()))
        ledger.head()
    return place.base


@pytest.fixture
def empty_place(tmp_path: Path) -> Place:
    """A place without a ledger."""
    (tmp_path / "offline").mkdir()
    return Place(base=tmp_path)


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Place:
    """A copy of the small ledger."""
    return copied(template, tmp_path)


def copied(template: Path, base: Path) -> Place:
    shutil.copytree(template, base, dirs_exist_ok=True)
    return Place(base=base)


def killed(codes: Sequence[int]) -> bool:
    return all(code == -9 for code in codes)
