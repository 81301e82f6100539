"""Build the wheel and use it in a clean environment, as someone who installs it would.

Only the core dependencies are installed there, so what `verify` needs and what only the
gateway needs are told apart for real.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("nous_ledger", "sentinel")
COMMANDS = (
    ("nous-ledger", "--version"),
    ("nous-ledger", "verify", "--help"),
    ("nous-sentinel", "--version"),
    ("python", "-I", "-m", "sentinel", "--help"),
)
# Run by the clean environment's own interpreter.
IMPORTS = """
import importlib.util
import pathlib
import sys

import nous_ledger
import sentinel

inside = pathlib.Path(sys.prefix)
for package in (nous_ledger, sentinel):
    if not pathlib.Path(package.__file__).is_relative_to(inside):
        sys.exit(f"{package.__name__} was not imported from the wheel: {package.__file__}")
for name in ("aiohttp", "anthropic", "openai", "starlette", "uvicorn", "web3"):
    if importlib.util.find_spec(name) is not None:
        sys.exit(f"the core brings in {name}")
"""


class CheckFailedError(Exception):
    """The wheel, or what it does once installed, is not as promised."""


def _run(arguments: Sequence[str | Path], cwd: Path, *, expected: int = 0) -> str:
    """Return what the command printed; raise CheckFailedError for another exit code."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != expected:
        command = " ".join(map(str, arguments))
        message = f"{command}\nexit code {run.returncode}\n{run.stdout}{run.stderr}"
        raise CheckFailedError(message)
    return run.stdout


def _build(folder: Path) -> Path:
    """Return the path of a wheel freshly built from this checkout."""
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, ROOT], ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _expected_files() -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _check_contents(wheel: Path) -> None:
    """Raise CheckFailedError unless the wheel holds both packages, the licence and no more."""
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    code = names - metadata
    if code != _expected_files():
        message = f"files of the wheel that differ: {sorted(code ^ _expected_files())}"
        raise CheckFailedError(message)
    typed = {f"{package}/py.typed" for package in PACKAGES}
    if not typed <= code or not any(n.endswith("/licenses/LICENSE") for n in metadata):
        message = "the wheel lacks py.typed or its licence"
        raise CheckFailedError(message)


def _install(wheel: Path, folder: Path) -> Path:
    """Return the folder of commands of a new environment that holds the wheel and its needs."""
    versions = folder / "versions.txt"
    versions.write_text(
        _run([sys.executable, "-m", "pip", "freeze", "--exclude-editable"], folder),
        encoding="utf-8",
    )
    clean = folder / "venv"
    # Installing a pip there would take longer than all the rest: the one that is here can reach in.
    venv.create(clean, with_pip=False)
    pip: list[str | Path] = [sys.executable, "-I", "-m", "pip", "--python", clean]
    _run([*pip, "install", "--quiet", "--prefer-binary", "--constraint", versions, wheel], folder)
    return clean / "bin"


def _verify_vectors(commands: Path, folder: Path) -> None:
    """Raise CheckFailedError unless the installed command answers bundles as their vectors say."""
    vectors = json.loads((ROOT / "vectors" / "bundles.json").read_text(encoding="utf-8"))
    group = vectors["testGroups"][0]
    (folder / "trust.policy").write_text(group["policy"], encoding="utf-8")
    for code in (0, 1):
        case = next(case for case in group["tests"] if case["exitCode"] == code)
        (folder / "bundle").write_text(case["bundle"], encoding="utf-8")
        verify: list[str | Path] = [
            commands / "nous-ledger",
            "verify",
            "bundle",
            "--policy",
            "trust.policy",
        ]
        _run(verify, folder, expected=code)
        print(f"nous-ledger verify ({case['comment']}): exit code {code}")


def main() -> int:
    """Return 0 if the wheel is complete and works by itself, else 1."""
    with tempfile.TemporaryDirectory(prefix="nous-wheel-") as name:
        folder = Path(name)
        try:
            wheel = _build(folder / "dist")
            _check_contents(wheel)
            print(f"built {wheel.name}, {wheel.stat().st_size} bytes")
            commands = _install(wheel, folder)
            _run([commands / "python", "-I", "-c", IMPORTS], folder)
            for command, *arguments in COMMANDS:
                printed = _run([commands / command, *arguments], folder)
                print(f"{command} {' '.join(arguments)}: {printed.splitlines()[0]}")
            _verify_vectors(commands, folder)
        except CheckFailedError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
