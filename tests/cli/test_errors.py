"""How the program ends: one line per error, the right code, no traceback."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nous_ledger.cli import main as main_module
from nous_ledger.cli.exits import exit_code_of
from nous_ledger.cli.main import cli
from nous_ledger.ledger import LEDGER_ERROR_CODES, KeyFileError, LedgerUseError, StoreContentError
from nous_ledger.protocol.errors import (
    ERROR_CODES,
    FormatError,
    InputError,
    ProofError,
    UnavailableError,
)
from tests.cli.harness import PROGRAM, ROOT, Call, Files, call_process
from tests.cli.sample import Sample


def test_every_error_code_says_what_it_means_and_what_to_do() -> None:
    for code, info in [*ERROR_CODES.items(), *LEDGER_ERROR_CODES.items()]:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
        for text in (info.meaning, info.hint):
            assert 8 <= len(text) <= 160, (code, text)
            assert text.isprintable(), (code, text)
            assert not text.endswith("."), (code, text)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("input", "x"), 2),
        (LedgerUseError("not-a-ledger", "x"), 2),
        (FormatError("policy-format", "x"), 2),
        (FormatError("not-a-bundle", "x"), 1),
        (ProofError("root-mismatch", "x"), 1),
        (StoreContentError("store-corrupt", "x"), 1),
        (UnavailableError("newer-version", "x"), 3),
        (KeyFileError("key-permissions", "x"), 3),
    ],
)
def test_exit_codes_of_errors(error: InputError, code: int) -> None:
    """VER-24: used wrongly, checked and wrong, could not check."""
    assert exit_code_of(error) == code


@pytest.mark.parametrize("group", [[], ["receipts"], ["policy"]], ids=["", "receipts", "policy"])
def test_no_command_shows_the_help(nous: Call, group: list[str]) -> None:
    found = nous(*group)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith(f"{' '.join(['Usage: nous-ledger', *group])} [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["--frob"],
        ["verify"],
        ["verify", "a", "b"],
        ["verify", "a"],
        ["verify", "a", "--policy"],
        ["verify", "a", "--policy", "b", "--frob"],
        ["receipts", "frob"],
        ["receipts", "show"],
        ["receipts", "list", "--since", "yesterday"],
        ["receipts", "list", "--csv", "--json"],
        ["policy", "fetch"],
        ["gateway", "--port", "70000"],
        ["gateway", "--port", "http"],
        ["init"],
        ["init", "--no-rotation", "--next-key-out", "x"],
        ["init", "--no-rotation", "--passphrase", "--passphrase-file", "x"],
        ["prove", "1", "--opening", "00" * 32],
        ["prove", "1", "--opening", "00" * 32, "--no-body", "--url", "http://127.0.0.1:9"],
        ["policy", "fetch", "http://127.0.0.1:9", "--yes", "--json"],
    ],
    ids=" ".join,
)
def test_wrong_use(nous: Call, arguments: list[str]) -> None:
    found = nous(*arguments).failed(2, "hint: nous-ledger")
    assert len(found.err.splitlines()) == 2


def test_a_command_that_was_nearly_right(nous: Call) -> None:
    nous("gatway").failed(2, "Did you mean 'gateway'?")
    assert "Did you mean" not in nous("xyzzy").err


def test_what_is_repeated_is_harmless_and_short(nous: Call) -> None:
    """Arguments come from scripts, and those from anywhere."""
    found = nous("--\x1b[31m\x07\r\nnous-ledger: error: fine").failed(2, "\\x1b[31m\\x07\\r\\n")
    assert "\x1b" not in found.err
    found = nous("x" * 100_000).failed(2)
    assert len(found.err) < 1000


def end_with(error: Exception, patch: pytest.MonkeyPatch) -> None:
    def invoke(_self: click.Group, _context: click.Context) -> None:
        raise error

    patch.setattr(type(cli), "invoke", invoke)


@pytest.mark.parametrize(
    "error",
    [
        RecursionError("too deep"),
        ZeroDivisionError("x"),
        AssertionError(),
        MemoryError(),
        KeyError("a\nb"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_fault_of_the_program_is_no_verdict(
    nous: Call, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An internal error is "could not check", never "wrong", and shows no traceback."""
    end_with(error, monkeypatch)
    nous("head").failed(3, f"internal error: {type(error).__name__}", "NOUS_LEDGER_DEBUG=1")


def test_a_traceback_on_request(nous: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    end_with(ZeroDivisionError("x"), monkeypatch)
    monkeypatch.setenv(main_module.DEBUG_VARIABLE, "1")
    found = nous("head")
    assert found.code == 3
    assert "Traceback" in found.err
    assert "internal error: ZeroDivisionError: x" in found.err


def test_what_the_system_refuses(nous: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    end_with(OSError(28, "No space left on device", "/x/\x1by"), monkeypatch)
    nous("head").failed(3, "/x/\\x1by: No space left on device", "hint: check path")
    end_with(OSError("odd"), monkeypatch)
    nous("head").failed(3, "OSError")


def start(*arguments: object, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def test_ctrl_c(files: Files, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with start("verify", pipe, "--policy", files.policy) as child, pipe.open("wb"):
        # The pipe opens when the program is about to read from it.
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, "")
    assert err.split() == ["nous-ledger:", "error:", "interrupted"]


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]], ids=["text", "json", "csv"])
def test_nobody_reads_the_result(sample: Sample, form: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with start("receipts", "list", "--ledger", sample.folder, *form, stdout=writer) as child:
        os.close(writer)
        _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (3, "")


def test_nobody_reads_the_help() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with start("verify", "--help", stdout=writer) as child:
        os.close(writer)
        _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (3, "")


def test_nobody_reads_anything(files: Files) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PROGRAM, "verify", "missing", "--policy", str(files.policy)]
    done = subprocess.run(command, stdout=writer, stderr=writer, cwd=ROOT, check=False)
    os.close(writer)
    assert done.returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_no_room_for_the_result(sample: Sample, form: str) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        found = call_process(
            *("receipts", "list", "--ledger", sample.folder, form),
            capture_output=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    found.failed(3, "No space left on device")


def test_closed_streams_are_no_trouble(files: Files) -> None:
    """Nothing that is opened later gets the number of a closed stream."""
    program = ("/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *PROGRAM)
    assert call_process(*files.check, program=program).code == 0
    assert call_process("verify", "-", "--policy", files.policy, program=program).code == 1


def test_names_that_are_no_text(tmp_path: Path, files: Files) -> None:
    """A file name is bytes; one that is not UTF-8 is shown spelled out."""
    name = os.fsdecode(bytes(tmp_path / "x") + b"\xff\x1b[2J")
    for variables in ({"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}):
        found = call_process(
            "verify", name, "--policy", files.policy, env=dict(os.environ) | variables
        )
        found.failed(2, "\\x1b[2J does not exist")
        assert "\x1b" not in found.err


def test_every_start_is_quick_to_refuse() -> None:
    """Wrong use is told without loading what the commands need."""
    code = (
        "import sys; from nous_ledger.cli.main import run; code = run(['frob']);"
        "print(*(m for m in sys.modules if m.startswith('nous_ledger.'))); sys.exit(code)"
    )
    found = call_process(program=(sys.executable, "-c", code))
    assert found.code == 2
    loaded = found.out.split()
    assert "nous_ledger.cli.main" in loaded
    assert not [m for m in loaded if m.startswith(("nous_ledger.gateway", "nous_ledger.ledger"))]
