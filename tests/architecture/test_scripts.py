"""The set-up scripts say what is missing, and trust only what is complete."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.repository import ROOT

BASH = shutil.which("bash") or "bash"
TOOLS = ("basename", "cat", "dirname", "mv", "rm", "sed", "sleep", "tail", "tee")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with the tools that the scripts use and no Python at all."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks to the scripts like a fresh checkout."""
    folder = tmp_path / "check out"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def _program(path: Path, body: str) -> None:
    path.write_text(f"#!{BASH}\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


def _lib(checkout: Path, programs: Path, commands: str) -> subprocess.CompletedProcess[str]:
    script = f'set -euo pipefail; . "{checkout}/scripts/lib.sh"; {commands}'
    return subprocess.run(
        [BASH, "-c", script],
        env={"PATH": str(programs), "HOME": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_python_at_all_is_said(checkout: Path, programs: Path) -> None:
    run = _lib(checkout, programs, "find_python")
    assert run.returncode == 1
    assert "error: no Python 3.11, 3.12 or 3.13 on the PATH.\n" in run.stderr
    assert "hint: on Debian 12 or Ubuntu 24.04: sudo apt-get install" in run.stderr


def test_another_python_is_named(checkout: Path, programs: Path) -> None:
    _program(programs / "python3", "cat >/dev/null; echo 3.9")
    run = _lib(checkout, programs, "find_python")
    assert run.returncode == 1
    assert "Found: python3 is Python 3.9; not supported." in run.stderr


def test_a_name_that_does_not_run_is_passed_over(checkout: Path, programs: Path) -> None:
    _program(programs / "python3.13", "echo 'python3.13: command not found' >&2; exit 127")
    (programs / "python3.12").symlink_to("nowhere")
    _program(programs / "python3.11", f'exec "{sys.executable}" "$@"')
    run = _lib(checkout, programs, 'find_python; printf "%s" "$FOUND"')
    assert (run.stdout, run.stderr) == ("python3.11", "")


def test_an_incomplete_python_names_its_package(checkout: Path, programs: Path) -> None:
    """Debian's python3 comes without ensurepip; python3.x-venv brings it."""
    (checkout / "ensurepip.py").write_text("raise ImportError\n", encoding="utf-8")
    _program(programs / "python3", f'PYTHONPATH="{checkout}" exec "{sys.executable}" "$@"')
    run = _lib(checkout, programs, "find_python")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert run.returncode == 1
    assert f"python3 (Python {version}) is here, but without: ensurepip" in run.stderr
    assert f"sudo apt-get install python{version}-venv" in run.stderr


def test_a_failed_set_up_leaves_no_lock(checkout: Path, programs: Path) -> None:
    run = _lib(checkout, programs, "ensure_env dev")
    assert run.returncode == 1
    assert not list(checkout.glob(".venv*"))


@pytest.fixture
def installed(checkout: Path) -> Path:
    """A .venv with a module named pip, its stamp written as after an installation."""
    make = [sys.executable, "-m", "venv", "--without-pip", str(checkout / ".venv")]
    subprocess.run(make, check=True)
    (packages,) = (checkout / ".venv").glob("lib/python*/site-packages")
    (packages / "pip.py").touch()  # Real pip takes seconds to install and is never run here.
    run = _lib(checkout, Path(os.environ["PATH"]), 'fingerprint dev >"$VENV/.installed-dev"')
    assert run.returncode == 0, run.stderr
    return checkout


def _ready(checkout: Path, extra: str = "dev") -> bool:
    return _lib(checkout, Path(os.environ["PATH"]), f"holds_extra {extra}").returncode == 0


def test_a_complete_environment_is_used_as_it_is(installed: Path) -> None:
    assert _ready(installed)
    assert _ready(installed, "demo")  # dev contains demo


@pytest.mark.parametrize("name", ["pyproject.toml", "scripts/constraints.txt"])
def test_changed_requirements_are_installed_again(installed: Path, name: str) -> None:
    with (installed / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert not _ready(installed)


def test_an_environment_that_moved_is_made_again(installed: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    installed.rename(moved)
    assert not _ready(moved)


def test_a_broken_environment_is_made_again(installed: Path) -> None:
    (installed / ".venv/bin/python").unlink()
    assert not _ready(installed)


def test_a_cut_off_installation_is_not_trusted(installed: Path) -> None:
    """The lock of a process that no longer lives means that it was killed at work."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (installed / ".venv.lock").write_text(f"{gone.pid}\n", encoding="utf-8")
    run = _lib(installed, Path(os.environ["PATH"]), 'take_lock; cat "$LOCK"; echo $$')
    assert "making .venv anew" in run.stderr
    holder, this = run.stdout.split()
    assert holder == this
    assert not (installed / ".venv").exists()


def test_a_live_set_up_is_waited_for(installed: Path) -> None:
    lock = installed / ".venv.lock"
    lock.write_text(f"{os.getpid()}\n", encoding="utf-8")
    commands = f'(sleep 2; rm "{lock}") & ensure_env dev'
    run = _lib(installed, Path(os.environ["PATH"]), commands)
    assert run.returncode == 0
    assert "waiting for another set-up of this checkout" in run.stderr
    assert (installed / ".venv/pyvenv.cfg").exists()


def test_an_unknown_benchmark_is_a_usage_error() -> None:
    run = subprocess.run(
        [ROOT / "scripts/bench", "nonsense"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert 'no benchmark named "nonsense"' in run.stderr
    assert "NAME is one of:" in run.stderr
