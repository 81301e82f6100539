"""`verify` needs no network, no ledger, no home and no programs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nous_ledger
from tests.cli.harness import PROGRAM, ROOT, Files, call_process, minimal_environment

# Runs the program while it notes which files it opens, and ends it at the first socket.
WATCHED = """
import json, os, sys

opened = []

def watch(event, arguments):
    if event.startswith("socket.") or event in ("os.fork", "os.exec", "subprocess.Popen"):
        os.write(2, f"the program asked for {event}".encode())
        os._exit(99)
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        opened.append(os.fsdecode(arguments[0]))

from nous_ledger.cli.main import run
from nous_ledger.cli.terminal import prepare_streams

sys.addaudithook(watch)
prepare_streams()
code = run()
sys.stderr.write(json.dumps(opened))
sys.exit(code)
"""


def arguments(files: Files) -> list[object]:
    return [*files.check, *files.content, "--recount", "--require-accuracy", "--json"]


def test_nothing_but_the_files_is_opened(files: Files) -> None:
    found = call_process(
        *arguments(files), program=(sys.executable, "-c", WATCHED), env=minimal_environment()
    )
    assert found.code == 0, found
    assert json.loads(found.out)["accuracy"]["outcome"] == "established"
    code = (Path(nous_ledger.__file__).parent, Path(sys.prefix), Path(sys.base_prefix))
    opened = {Path(path).resolve() for path in json.loads(found.err)}
    data = {path for path in opened if not any(path.is_relative_to(root) for root in code)}
    assert data == {
        path.resolve()
        for path in (files.proof, files.policy, files.opening, files.request, files.response)
    }


def test_the_watch_sees_sockets() -> None:
    """The guard of the test above works: a command that asks a gateway is ended."""
    found = call_process(
        *("head", "--url", "http://127.0.0.1:9"),
        program=(sys.executable, "-c", WATCHED),
        env=minimal_environment(),
    )
    assert (found.code, found.out) == (99, "")
    assert "socket." in found.err


def test_without_any_network(files: Files) -> None:
    """In a network namespace of its own there is not even loopback."""
    unshare = shutil.which("unshare")
    alone = [unshare or "unshare", "--user", "--map-root-user", "--net"]
    if unshare is None or subprocess.run([*alone, "true"], check=False).returncode != 0:
        pytest.skip("this machine makes no network namespaces")
    found = call_process(*arguments(files), program=(*alone, *PROGRAM), env=minimal_environment())
    assert found.code == 0, found


def test_in_an_empty_folder_that_cannot_be_written(files: Files, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir(0o500)
    found = call_process(
        *arguments(files),
        cwd=empty,
        env=minimal_environment(HOME=str(tmp_path / "nobody"), XDG_DATA_HOME="", LC_ALL="C"),
    )
    assert found.code == 0, found
    assert list(empty.iterdir()) == []


def test_a_ledger_command_without_a_home_says_what_to_do() -> None:
    for home in ({}, {"HOME": ""}, {"HOME": "relative"}):
        found = call_process("receipts", "list", env=minimal_environment(**home), cwd=ROOT)
        found.failed(2, "neither HOME nor XDG_DATA_HOME", "--ledger")
