"""What tests of the sentinel's command share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel.cli import run
from tests.integration.published_log import PublishedLog
from tests.integration.sentinel.command_rig import Call, Called, log_of_now


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PublishedLog]:
    """A log of now, as a folder, with its policy beside it."""
    with log_of_now(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishedLog]:
    """Such a log, which nobody changes."""
    with log_of_now(tmp_path_factory.mktemp("log")) as made:
        yield made


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Call:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "states"))
    monkeypatch.chdir(tmp_path)

    def do(*words: object) -> Called:
        capsys.readouterr()
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        return Called(code, captured.out, captured.err)

    return do
