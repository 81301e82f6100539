"""Heads that others hold are compared with the database when it is opened."""

import http.server
import random
import shutil
import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.guard import GuardSettings, write_settings
from nous_ledger.ledger.publish import publish
from nous_ledger.ledger.seen import look_elsewhere
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.head import sign_head
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, UnixSeconds
from tests.integration.ledger_drafts import ORIGIN, START_MS, Clock, make_draft
from tests.integration.ledger_keys import Keys
from tests.integration.old_copies import code_of, copy_folder


class TestElsewhere:
    @pytest.fixture
    def published(self, tmp_path: Path, ledger: Ledger, seed: random.Random) -> Path:
        """A published head of 3 leaves, beside a database of 2 whose mark agrees with it."""
        ledger.append_receipt(make_draft(seed))
        folder, copy = ledger.folder, tmp_path / "copy"
        copy_folder(folder, copy)
        ledger.append_receipt(make_draft(seed))
        ledger.head()
        publish(folder, tmp_path / "published", all_bodies=False)
        ledger.close()
        shutil.rmtree(folder)
        shutil.move(copy, folder)
        return tmp_path / "published"

    def test_a_published_head_that_is_ahead(
        self, published: Path, folder: Path, seed: random.Random
    ) -> None:
        with Ledger.open(folder) as unaware:
            assert unaware.refusal is None
        with Ledger.open(folder, sources=[str(published)]) as told:
            assert code_of(lambda: told.append_receipt(make_draft(seed))) == "store-behind"
            assert told.leaf_count() == 2

    def test_over_http(self, published: Path, folder: Path) -> None:
        with serving(published) as url:
            with Ledger.open(folder, sources=[f"{url}/checkpoint"]) as told:
                assert code_of(told.head) == "store-behind"
            with Ledger.open(folder, sources=[f"{url}/nothing"]) as told:
                assert told.refusal is None
                assert "could not compare" in told.notices[0]
        with Ledger.open(folder, sources=[f"{url}/checkpoint"]) as told:
            assert told.refusal is None, "unreachable is no alarm"
            assert "could not compare" in told.notices[0]

    def test_a_source_that_never_answers(self, folder: Path, ledger: Ledger) -> None:
        del folder
        with socket_that_is_silent() as url:
            seen = look_elsewhere(ledger._store, [url], wait_s=0.2)
        assert seen.heads == ()
        assert "no answer" in seen.notices[0] or "timed out" in seen.notices[0]

    @pytest.mark.parametrize("content", [b"", b"\0" * 100, b"x" * 1_000_000, b"a\nb\n\n"])
    def test_what_is_no_head(self, tmp_path: Path, ledger: Ledger, content: bytes) -> None:
        (tmp_path / "checkpoint").write_bytes(content)
        seen = look_elsewhere(ledger._store, [str(tmp_path)])
        assert (len(seen.heads), len(seen.notices)) == (0, 1)

    def test_a_head_of_another_log_says_nothing(
        self, tmp_path: Path, ledger: Ledger, seed: random.Random
    ) -> None:
        """Also if it bears the same name."""
        with Ledger.create(
            tmp_path / "b", next_key_out=None, origin=ORIGIN, clock=Clock()
        ) as other:
            other.append_many([make_draft(seed) for _ in range(5)])
            other.head()
            (tmp_path / "checkpoint").write_bytes(other.latest_head())
        seen = look_elsewhere(ledger._store, [str(tmp_path / "checkpoint")])
        assert seen.fault is None
        assert len(seen.notices) == 1

    @pytest.mark.parametrize("epoch", [0, 1, 7])
    def test_a_forged_head_says_nothing(self, tmp_path: Path, rotating: Ledger, epoch: int) -> None:
        """Right name, log id and form, whatever epoch it claims, but not this log's keys."""
        forged = sign_head(
            Checkpoint(origin=ORIGIN, leaf_count=LeafCount(99), root=Hash32(b"\1" * 32)),
            log_id=rotating.log_id,
            epoch=Epoch(epoch),
            timestamp=UnixSeconds(START_MS // 1000),
            key=SigningKey(b"\5" * 32),
            ed25519=Ed25519Key(b"\5" * 32),
        )
        (tmp_path / "checkpoint").write_bytes(forged)
        seen = look_elsewhere(rotating._store, [str(tmp_path)])
        assert (seen.heads, len(seen.notices)) == ((), 1)

    def test_another_root(
        self, tmp_path: Path, folder: Path, ledger: Ledger, seed: random.Random
    ) -> None:
        copy_folder(folder, tmp_path / "b")
        with Ledger.open(tmp_path / "b") as other:
            other.append_receipt(make_draft(seed))
            (tmp_path / "checkpoint").write_bytes(other.head())
        ledger.append_many([make_draft(seed), make_draft(seed)])
        ledger.close()
        with Ledger.open(folder, sources=[str(tmp_path)]) as told:
            assert code_of(told.head) == "store-forked"

    def test_heads_of_keys_that_the_old_database_does_not_know(
        self, tmp_path: Path, rotating: Ledger, keys: Keys, folder: Path
    ) -> None:
        """The next epoch by its committed key, a later one by the Ed25519 key if it was kept."""
        copy_folder(folder, tmp_path / "copy")
        found = []
        for number in range(3):
            rotating.rotate(keys[number], next_key_out=keys[number + 1], new_ed25519=number == 2)
            (tmp_path / "checkpoint").write_bytes(rotating.latest_head())
            with Ledger.open(tmp_path / "copy", sources=[str(tmp_path)]) as old:
                code = "" if old.refusal is None else old.refusal.code
                found.append((code, old.notices[0][:17]))
        told = ("store-behind", "nothing can be si")
        assert found == [told, told, ("", "could not compare")]

    def test_sources_are_remembered(self, published: Path, folder: Path) -> None:
        write_settings(folder, GuardSettings(sources=(str(published),)))
        with Ledger.open(folder) as told:
            assert code_of(told.head) == "store-behind"

    @pytest.mark.parametrize("source", ["", "ftp://x/y", "http://a:b@c/d", "http://"])
    def test_what_is_no_source(self, ledger: Ledger, folder: Path, source: str) -> None:
        ledger.close()
        with pytest.raises(InputError):
            Ledger.open(folder, sources=[source])

    def test_what_a_witness_says(self, ledger: Ledger, seed: random.Random) -> None:
        """Of a head beyond the newest stored one: it was signed, and the database lacks it."""
        ledger.note_seen(1, "the witness w.example")
        assert ledger.append_receipt(make_draft(seed)).index == 1
        ledger.note_seen(2, "the witness w.example")
        assert code_of(lambda: ledger.append_receipt(make_draft(seed))) == "store-behind"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serving(folder: Path) -> "_Serving":
    return _Serving(partial(_Quiet, directory=str(folder)))


class _Serving:
    def __init__(self, handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def socket_that_is_silent() -> "_Silent":
    return _Silent()


class _Silent:
    def __enter__(self) -> str:
        self._socket = socket.create_server(("127.0.0.1", 0))
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/checkpoint"

    def __exit__(self, *_: object) -> None:
        self._socket.close()
