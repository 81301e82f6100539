"""A published folder behind plain nginx, with the configuration in docs/, is a whole log."""

import gzip
import http.client
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.architecture.repository import ROOT
from tests.integration.published_log import PublishedLog, published_log
from tests.integration.static_log import StaticLog

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
IMMUTABLE = "public, max-age=31536000, immutable"


class Served(NamedTuple):
    """An answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes


class Server:
    """nginx with a prefix of its own, on a port of loopback."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str, **headers: str) -> Served:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", f"/{path}", headers=headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Served(answer.status, found, answer.read())
        finally:
            connection.close()

    def fetch(self, path: str) -> bytes:
        answer = self.get(path)
        assert answer.status == 200, path
        return answer.body


@contextmanager
def nginx(base: Path, root: Path) -> Iterator[Server]:
    """Run the documented server block, only its port and root replaced."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    block = (ROOT / "docs" / "nginx.conf").read_text("utf-8")
    block, ports = re.subn(r"listen 127\.0\.0\.1:8080;", f"listen 127.0.0.1:{port};", block)
    block, roots = re.subn(r"root /srv/log;", f"root {root};", block)
    assert (ports, roots) == (1, 1)
    base.mkdir()
    paths = "".join(
        f"{name}_temp_path {base / name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = base / "nginx.conf"
    config.write_text(
        f"daemon off;\nmaster_process off;\nworker_processes 1;\npid {base / 'pid'};\n"
        f"error_log {base / 'error.log'};\nevents {{ worker_connections 64; }}\n"
        f"http {{\naccess_log off;\n{paths}{block}}}\n",
        "utf-8",
    )
    command = [str(NGINX), "-p", str(base), "-e", str(base / "error.log"), "-c", str(config)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            _wait(process, port, base / "error.log")
            yield Server(port)
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int, errors: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, errors.read_text("utf-8")
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("nginx does not answer")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishedLog]:
    base = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(base / "state"))
        with published_log(base) as made:
            made.grow(700)
            made.publish(all_bodies=False)
            yield made


@pytest.fixture(scope="module")
def server(log: PublishedLog) -> Iterator[Server]:
    with nginx(log.base / "nginx", log.target) as running:
        yield running


def test_a_reader_needs_nothing_else(log: PublishedLog, server: Server) -> None:
    """SERV-1 to SERV-5; both signatures, every leaf, the root, inclusion of random records."""
    found = StaticLog(server.fetch, log.ledger.policy_text(), log.public_key)
    assert found.count == 700
    records, bodies = found.check(random.Random(9))
    assert records == list(log.ledger.read_records(0, 700))
    assert [index for index, body in enumerate(bodies) if body] == [0]


@pytest.mark.parametrize(
    ("path", "kind", "cache"),
    [
        ("checkpoint", TEXT, "public, max-age=2"),
        ("trust.policy", TEXT, "no-cache"),
        ("tile/0/000", OCTETS, IMMUTABLE),
        ("tile/0/002.p/188", OCTETS, IMMUTABLE),
        ("tile/1/000.p/2", OCTETS, IMMUTABLE),
        ("tile/entries/001", OCTETS, IMMUTABLE),
        ("tile/bodies/001", OCTETS, "no-cache"),
        ("tile/bodies/002.p/188", OCTETS, "no-cache"),
    ],
)
def test_types_and_caching(
    log: PublishedLog, server: Server, path: str, kind: str, cache: str
) -> None:
    answer = server.get(path)
    assert (answer.status, answer.body) == (200, (log.target / path).read_bytes())
    assert answer.headers["content-type"] == kind
    assert answer.headers["cache-control"] == cache
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-content-type-options"] == "nosniff"
    etag = answer.headers["etag"]
    assert server.get(path, **{"If-None-Match": etag}).status == 304


def test_bundles_are_compressed_for_who_takes_it(log: PublishedLog, server: Server) -> None:
    answer = server.get("tile/entries/001", **{"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == (log.target / "tile/entries/001").read_bytes()


@pytest.mark.parametrize(
    "path", ["", "tile/0/003", "tile/0/", "tile/64/000", "ledger.db", ".x.unfinished", "tile/0/.x"]
)
def test_nothing_else_is_served(log: PublishedLog, server: Server, path: str) -> None:
    for name in (".x.unfinished", "tile/0/.x"):
        (log.target / name).write_bytes(b"x")
    answer = server.get(path)
    assert answer.status in (403, 404)
    assert "immutable" not in answer.headers.get("cache-control", "")
    for name in (".x.unfinished", "tile/0/.x"):
        (log.target / name).unlink()


def test_a_new_checkpoint_is_seen(log: PublishedLog, server: Server) -> None:
    log.grow(710)
    log.publish(all_bodies=False)
    found = StaticLog(server.fetch, log.ledger.policy_text(), log.public_key)
    assert found.count == 710
    found.check(random.Random(10))
