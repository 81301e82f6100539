"""Software that nobody here wrote reads our log; its witness and ours serve each other's clients.

It is `aics-tlog` and `aics-witness`, which implement C2SP tlog-tiles, tlog-checkpoint,
tlog-cosignature and tlog-witness by code of their own.
"""

import contextlib
import json
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.publish import publish
from nous_ledger.ledger.witnesses import WitnessClient, WitnessState, parse_witnesses
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.record import leaf_hash
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.verify import verify_bundle
from sentinel.peers import Peer
from sentinel.witness_key import make_key
from tests.integration.ledger_drafts import ORIGIN, make_draft
from tests.integration.old_copies import copy_folder
from tests.integration.sentinel.outside import environment, outside, outside_python
from tests.integration.sentinel.witness_thread import WitnessThread

KEY = make_key("witness.example/w1", bytes(range(32)))
SIZES = (1, 2, 3, 255, 256, 257, 600)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Ledger]:
    """A log by the real clock: the outside client takes no old cosignature."""
    with Ledger.create(tmp_path / "log", next_key_out=None, origin=ORIGIN) as made:
        made.head()
        yield made


def grow(log: Ledger, to: int, seed: random.Random) -> bytes:
    missing = to - log.leaf_count()
    log.append_many([make_draft(seed, time_ms=int(time.time() * 1000)) for _ in range(missing)])
    return log.head()


def publish_log(tmp_path: Path, name: str = "log") -> Path:
    target = tmp_path / f"{name}-public"
    publish(tmp_path / name, target, all_bodies=True, verify=False)
    return target


def done(run: subprocess.CompletedProcess[str]) -> Any:
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def root_of(note: bytes) -> str:
    return parse_checkpoint(parse_note(note).text).root.hex()


def test_it_accepts_our_heads_tiles_records_and_proofs(
    log: Ledger, tmp_path: Path, seed: random.Random, *, full: bool
) -> None:
    """SERV-1 to SERV-4, HEAD-16, PROOF-5, PROOF-11: at edges of tiles."""
    outside_python()
    heads: dict[int, bytes] = {1: log.latest_head()}
    vkey = log.vkeys()[0]
    for size in SIZES[1:]:
        heads[size] = grow(log, size, seed)
        if full or size == 600:
            checked = done(outside("check", publish_log(tmp_path), vkey, ORIGIN))
            assert checked["size"] == size
            assert checked["bundles"] == -(-size // 256)
    roots = {size: root_of(head) for size, head in heads.items()}
    bundles = [parse_bundle(log.prove(index)) for index in (0, 1, 254, 255, 256, 599)]
    cases = {
        "inclusion": [
            [
                leaf_hash(found.record).hex(),
                found.index,
                600,
                [node.hex() for node in found.path],
                roots[600],
            ]
            for found in bundles
        ],
        "consistency": [
            [old, roots[old], new, roots[new], [n.hex() for n in log.prove_consistency(old, new)]]
            for new in SIZES
            for old in SIZES
            if old <= new
        ],
    }
    (tmp_path / "proofs.json").write_text(json.dumps(cases))
    assert done(outside("proofs", tmp_path / "proofs.json")) == {
        "inclusion": 6,
        "consistency": 28,
    }


def test_its_client_feeds_our_witness(log: Ledger, tmp_path: Path, seed: random.Random) -> None:
    """WIT-8 to WIT-11: first contact, growth, a forgotten size, a fork, and a quorum it counts."""
    outside_python()
    logs = f"log {log.vkeys()[0]}\n".encode()
    with WitnessThread(tmp_path / "w1", KEY, logs, time.time) as server:

        def feed(name: str = "log", state: str = "state.json") -> Any:
            public = publish_log(tmp_path, name)
            return done(outside("feed", public, server.url, server.vkey, tmp_path / state))

        grow(log, 5, seed)
        assert feed()["size"] == 5
        copy_folder(tmp_path / "log", tmp_path / "copy")
        grow(log, 300, seed)
        told = feed(state="fresh.json")
        assert told["size"] == 300, "its size was named by a 409"
        (tmp_path / "note").write_text(told["note"])
        assert done(outside("quorum", tmp_path / "note", log.vkeys()[0], server.vkey)) == {
            "ok": True,
            "error": None,
        }
        with Ledger.open(tmp_path / "copy") as copy:
            grow(copy, 301, seed)
            assert feed("copy", "copy.json") == {"rejected": 422}


@contextlib.contextmanager
def outside_witness(folder: Path, log: Ledger) -> Iterator[tuple[str, str]]:
    """Run the outside witness for a log, and give its vkey and address."""
    program = [str(outside_python()), "-m", "aics_witness"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder.mkdir()
    config = ["--config", str(folder / "witness.json")]

    def run(*arguments: str) -> str:
        return subprocess.run(
            [*program, *arguments], check=True, capture_output=True, text=True, env=environment()
        ).stdout

    init = run("init", *config, "--name", "outside.example/w", "--listen", f"127.0.0.1:{port}")
    vkey = next(word for word in init.split() if word.startswith("outside.example/w+"))
    run("add-log", *config, "--origin", ORIGIN, "--vkey", log.vkeys()[0])
    with subprocess.Popen(
        [*program, "serve", *config], stderr=subprocess.PIPE, text=True, env=environment()
    ) as child:
        try:
            _wait_for(port, child)
            yield vkey, f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            child.communicate(timeout=10)


def _wait_for(port: int, child: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 15
    while time.monotonic() < until and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail("the outside witness did not start")


def test_its_witness_serves_our_client_and_is_a_peer(
    log: Ledger, tmp_path: Path, seed: random.Random
) -> None:
    """WIT-1 to WIT-3, WIT-15, POL-15: cosigned by theirs and by ours, a quorum of two."""
    logs = f"log {log.vkeys()[0]}\n".encode()
    with (
        outside_witness(tmp_path / "outside", log) as (vkey, url),
        WitnessThread(tmp_path / "w1", KEY, logs, time.time) as ours,
    ):
        lines = f"witness theirs {vkey} {url}\n{ours.line('ours')}".encode()
        clients = [WitnessClient(log, one) for one in parse_witnesses(lines)[1]]
        for size in (1, 4, 300):
            head = grow(log, size, seed)
            states = [client.ask(head).state for client in clients]
            assert states == [WitnessState.COSIGNED] * 2
        own = "".join(f"log {key}\n" for key in log.vkeys()).encode()
        policy = parse_policy(own + lines + b"group both 2 theirs ours\nquorum both\n")
        report = verify_bundle(log.prove(299), policy)
        assert report.log_view.outcome is Outcome.ESTABLISHED, report
        with Peer(url) as peer:
            note = parse_note(peer.latest(ORIGIN))
        assert note.text == parse_note(log.latest_head()).text
