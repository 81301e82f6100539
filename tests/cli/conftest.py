"""Fixtures of the tests of the command line."""

from pathlib import Path

import pytest

from nous_ledger.cli.main import run
from tests.cli.harness import Call, Files, Outcome
from tests.cli.sample import OPENING, REQUEST, RESPONSE, Sample, make_sample


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for every test: nothing touches that of whoever runs them."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "NOUS_LEDGER_DIR", "NOUS_LEDGER_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def nowhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No program on the path, no variable of whoever runs the tests."""
    monkeypatch.setenv("PATH", str(home / "no-programs"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    for name in (
        *("SHELL", "ZDOTDIR", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME"),
        *("OPENCLAW_CONFIG_PATH", "OPENCLAW_STATE_DIR"),
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def nous(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the program in this process."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(code=code, out=printed.out, err=printed.err)

    return call


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The ledger; no test changes it."""
    base = tmp_path_factory.mktemp("sample")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(base / "state"))
        return make_sample(base / "ledger", base / "next.key")


@pytest.fixture
def files(tmp_path: Path, sample: Sample) -> Files:
    """The files of the known call, free to be altered."""
    made = Files(
        proof=tmp_path / "receipt.tlog-proof",
        policy=tmp_path / "trust.policy",
        opening=tmp_path / "opening.hex",
        request=tmp_path / "request.json",
        response=tmp_path / "response.json",
    )
    made.proof.write_bytes(sample.proof)
    made.policy.write_bytes(sample.policy)
    made.opening.write_text(f"{OPENING.hex()}\n", "ascii")
    made.request.write_bytes(REQUEST)
    made.response.write_bytes(RESPONSE)
    return made
