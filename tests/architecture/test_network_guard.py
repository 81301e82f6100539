"""The guard in conftest.py refuses what leaves this machine and lets loopback through."""

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# TEST-NET-1 of RFC 5737: routed nowhere, should the guard ever fail.
ELSEWHERE = ("192.0.2.1", 9)
CONFTEST = Path(__file__).parents[1] / "conftest.py"
SWALLOWS = """
import contextlib
import socket

def test_swallows():
    with contextlib.suppress(Exception):
        socket.getaddrinfo("nous.invalid", 443)
"""


def _connect() -> None:
    with socket.socket() as client:
        client.connect(ELSEWHERE)


def _send_datagram() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"x", ELSEWHERE)


def _look_up() -> None:
    socket.getaddrinfo("nous.invalid", 443)


def _connect_asynchronously() -> None:
    asyncio.run(asyncio.open_connection("192.0.2.1", 9))


@pytest.mark.parametrize("attempt", [_connect, _send_datagram, _look_up, _connect_asynchronously])
def test_leaving_this_machine_is_refused(
    attempt: Callable[[], None], refused_connections: list[str]
) -> None:
    with pytest.raises(RuntimeError, match="tests reach this machine only"):
        attempt()
    assert len(refused_connections) == 1
    refused_connections.clear()


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("localhost", port)) as client:
            client.sendall(b"x")
            peer, _ = server.accept()
            with peer:
                assert peer.recv(1) == b"x"


def test_a_swallowed_attempt_still_fails_the_test(tmp_path: Path) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_swallows.py").write_text(SWALLOWS, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed, 1 error" in run.stdout
    assert "tests reach this machine only" in run.stdout
