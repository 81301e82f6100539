"""A C2SP log client and witness that nobody here wrote, in an environment of their own.

They need a newer Python than this project does, so they run as programs. The environment
is made once, in the checkout's `.venv`, and kept.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NO_AUTHORITY

ROOT = Path(__file__).parents[3]
PACKAGES = ("aics-tlog==0.2.1", "aics-witness==0.1.0")
PROGRAM = Path(__file__).with_name("outside_program.py")
NEWEST_FIRST = ("3.13", "3.12")
INSTALL_S = 120
_ENVIRONMENT = ROOT / ".venv" / "outside-c2sp-1"
_ASK = "import sys, ensurepip, venv; print(sys.version_info >= (3, 12))"


def outside_python() -> Path:
    """Return the interpreter that has the packages; skip the test where there cannot be one."""
    python = _ENVIRONMENT / "bin" / "python"
    _ENVIRONMENT.parent.mkdir(exist_ok=True)
    with (_ENVIRONMENT.parent / "outside-c2sp.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers of one run want it at once
        if not (_ENVIRONMENT / "ready").exists():
            _make(python)
    return python


def outside(*arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the outside program, which ends with 0 if everything it was to check holds."""
    command = [str(outside_python()), str(PROGRAM), *map(str, arguments)]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=timeout, env=environment()
    )


def environment() -> dict[str, str]:
    """What such a program sees: nothing of this project."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/")}


def _make(python: Path) -> None:
    base = _interpreter()
    if base is None:
        pytest.skip("the outside packages need Python 3.12 or newer, and there is none here")
    shutil.rmtree(_ENVIRONMENT, ignore_errors=True)
    _run([base, "-m", "venv", str(_ENVIRONMENT)], "making an environment failed")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, *PACKAGES], "no package registry could be reached")
    (_ENVIRONMENT / "ready").touch()


def _run(command: list[str], otherwise: str) -> None:
    # Unlike the tests, pip asks others than this machine.
    keys = {name for name, value in os.environ.items() if value != NO_AUTHORITY}
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            env={name: os.environ[name] for name in keys},
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{otherwise}: not within {INSTALL_S} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        pytest.skip(f"{otherwise}: {lines[-1]}")


def _interpreter() -> str | None:
    """Return a Python that is new enough and can make environments."""
    names = [sys.executable, *(f"python{version}" for version in NEWEST_FIRST)]
    kept = Path.home() / ".pyenv" / "versions"
    for version in NEWEST_FIRST:
        names += sorted(map(str, kept.glob(f"{version}*/bin/python")), reverse=True)
    for name in names:
        found = shutil.which(name)
        if found is None:
            continue
        said = subprocess.run([found, "-c", _ASK], check=False, capture_output=True, text=True)
        if said.stdout.strip() == "True":
            return found
    return None
