"""What importing the packages loads, seen in a fresh interpreter."""

import subprocess
import sys

import pytest

# Measuring coverage would load modules of its own.
pytestmark = pytest.mark.usefixtures("unmeasured")

SHELL_LIBRARIES = ("aiohttp", "anyio", "asyncio", "click", "http", "sqlite3", "starlette", "web3")
SHELLS = ("anchor", "cli", "embed", "gateway", "ledger", "reconcile")


def _loaded_by(statement: str) -> frozenset[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return frozenset(run.stdout.split())


@pytest.mark.parametrize("package", ["nous_ledger", "sentinel"])
def test_importing_the_package_loads_no_shell(package: str) -> None:
    loaded = _loaded_by(f"import {package}")
    assert package in loaded
    assert loaded.isdisjoint(SHELL_LIBRARIES)
    assert loaded.isdisjoint(f"nous_ledger.{shell}" for shell in SHELLS)


def test_importing_nous_ledger_loads_the_core() -> None:
    assert "nous_ledger.protocol" in _loaded_by("import nous_ledger")


def test_the_commands_load_no_gateway_before_it_is_asked_for() -> None:
    """`nous-ledger verify` works where only the core dependencies are installed."""
    assert _loaded_by("import nous_ledger.cli.main").isdisjoint(
        {"aiohttp", "anthropic", "openai", "starlette", "uvicorn", "web3"}
    )


def test_what_is_embedded_loads_no_server_and_no_client_library() -> None:
    loaded = _loaded_by("import nous_ledger.embed.transport, nous_ledger.embed.asgi")
    assert "nous_ledger.embed.writer" in loaded
    assert loaded.isdisjoint({"aiohttp", "click", "httpx", "httpx2", "multidict", "starlette"})
    for library, other in (("httpx", "httpx2"), ("httpx2", "httpx")):
        loaded = _loaded_by(f"import nous_ledger.embed.on_{library}")
        assert library in loaded
        assert other not in loaded
