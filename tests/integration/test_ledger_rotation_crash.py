"""Rotation among other processes, and ended on the way: no dead epoch signs."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, LogKeys, StoreError
from nous_ledger.ledger.keyfiles import PENDING_NAME
from nous_ledger.ledger.sqlite_store import SqliteStore
from nous_ledger.ledger.store import WriteTransaction
from nous_ledger.ledger.work import HeadWork
from nous_ledger.protocol.record import decode_record
from tests.architecture.repository import ROOT
from tests.integration.ledger_audit import error_code
from tests.integration.ledger_drafts import make_draft
from tests.integration.ledger_keys import Keys, good, head_epoch
from tests.integration.test_ledger_concurrency import start_writer

ROTATOR = Path(__file__).with_name("ledger_rotator.py")


class TestOtherProcesses:
    def test_another_writer_follows_or_fails_but_never_signs_in_a_dead_epoch(
        self, rotating: Ledger, folder: Path, keys: Keys, seed: random.Random
    ) -> None:
        with Ledger.open(folder) as other:
            rotating.rotate(keys[0], next_key_out=keys[1], new_ed25519=True)
            assert decode_record(other.append_receipt(make_draft(seed)).record).epoch == 1
            assert head_epoch(other.head()) == 1
            assert other.vkeys() == rotating.vkeys()
            good(other, 4)
        rotating.close()

    def test_with_sealed_keys_it_must_be_opened_again(
        self, folder: Path, keys: Keys, seed: random.Random, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("nous_ledger.ledger.keys.SCRYPT_N", 1 << 10)
        with (
            Ledger.create(folder, next_key_out=keys[0], passphrase="horse") as ledger,
            Ledger.open(folder, passphrase="horse") as other,
        ):
            ledger.rotate(keys[0], next_key_out=keys[1], passphrase="horse")
            ledger.append_receipt(make_draft(seed))
            append = lambda: other.append_receipt(make_draft(seed))  # noqa: E731
            assert [error_code(append), error_code(other.head)] == ["key-mismatch"] * 2
            assert other.leaf_count() == 3

    def test_keys_of_a_dead_epoch_sign_nothing(self, rotating: Ledger, keys: Keys) -> None:
        """REC-10: where records are signed, the epoch is compared once more."""
        stale = rotating._sequencer
        rotating.rotate(keys[0], next_key_out=keys[1])
        with rotating._store.write() as transaction:
            assert error_code(lambda: stale.run(transaction, [HeadWork()])) == "key-mismatch"

    def test_writers_in_other_processes_meanwhile(self, rotating: Ledger, keys: Keys) -> None:
        """Every record stands in the epoch in force at its index, whoever signed it."""
        running = [start_writer(rotating.folder, n, threads=2, calls=25) for n in (1, 2)]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for epoch in range(1, 6):
            rotating.rotate(keys[epoch - 1], next_key_out=keys[epoch])
        for process in running:
            output, _ = process.communicate(timeout=60)
            assert output.endswith(b"done\n")
            assert process.returncode == 0
        rotating.head()
        history = rotating.key_history()
        assert history.epoch == 5
        for index in range(rotating.leaf_count()):
            record = decode_record(rotating.entry(index).record)
            assert record.epoch == history.epoch_at(record.index)
            good(rotating, index)
        rotating.close()

    def test_threads_of_this_process_meanwhile(self, rotating: Ledger, keys: Keys) -> None:
        failures: list[Exception] = []

        def append(number: int) -> None:
            seed = random.Random(number)
            try:
                for _ in range(20):
                    rotating.append_receipt(make_draft(seed))
                    rotating.head()
            except Exception as error:  # noqa: BLE001 - the test shows it
                failures.append(error)

        threads = [threading.Thread(target=append, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for epoch in range(1, 4):
            rotating.rotate(keys[epoch - 1], next_key_out=keys[epoch])
        for thread in threads:
            thread.join()
        assert failures == []
        assert rotating.leaf_count() == 3 + 3 + 60
        for index in range(rotating.leaf_count()):
            good(rotating, index)
        rotating.close()

    def test_two_rotations_at_once(self, rotating: Ledger, folder: Path, keys: Keys) -> None:
        """One of them takes place; the other leaves nothing behind."""
        rotating.close()
        running = [start_rotation(folder, keys[0], keys[n], "to the end") for n in (1, 2)]
        codes = sorted(process.wait(timeout=60) != 0 for process in running)
        assert codes == [False, True]
        assert [keys[1].exists(), keys[2].exists()].count(True) == 1
        following = keys[1] if keys[1].exists() else keys[2]
        with Ledger.open(folder) as ledger:
            assert ledger.key_history().epoch == 1
            ledger.rotate(following, next_key_out=keys[3])
            good(ledger, 4)


def start_rotation(folder: Path, key: Path, out: Path, point: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, str(ROTATOR), str(folder), str(key), str(out), point],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )


class TestCrashes:
    def test_a_commit_that_failed_but_took_place(
        self, rotating: Ledger, keys: Keys, seed: random.Random, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the log says decides, not what the caller was told."""
        write, failures = SqliteStore.write, [StoreError("store-io", "the disk did not answer")]

        @contextlib.contextmanager
        def failing(store: SqliteStore) -> Iterator[WriteTransaction]:
            with write(store) as transaction:
                yield transaction
            if failures:
                raise failures.pop()

        monkeypatch.setattr(SqliteStore, "write", failing)
        attempt = partial(rotating.rotate, keys[0], next_key_out=keys[1])
        assert error_code(attempt) == "store-io"
        assert rotating.key_history().epoch == 1
        assert not (rotating.folder / PENDING_NAME).exists()
        assert decode_record(rotating.append_receipt(make_draft(seed)).record).epoch == 1
        assert rotating.rotate(keys[1], next_key_out=keys[2]).epoch == 2
        good(rotating, 1)

    def test_a_running_process_repairs_it_too(
        self, rotating: Ledger, folder: Path, keys: Keys, seed: random.Random
    ) -> None:
        killed = start_rotation(folder, keys[0], keys[1], "after the commit")
        assert killed.wait(timeout=60) == -9
        assert (folder / PENDING_NAME).exists()
        appended = rotating.append_receipt(make_draft(seed))
        assert decode_record(appended.record).epoch == 1
        assert not (folder / PENDING_NAME).exists()
        rotating.close()

    def test_a_torn_file_of_a_killed_process_is_removed(
        self, rotating: Ledger, folder: Path
    ) -> None:
        rotating.close()
        (folder / f".{PENDING_NAME}.0a1b2c3d").write_bytes(b'{"secrets": ')
        Ledger.open(folder).close()
        names = {path.name for path in folder.iterdir()}
        assert names == {"ledger.db", "keys.json", "high-water"}

    def test_keys_of_another_log_are_never_taken(
        self, rotating: Ledger, folder: Path, tmp_path: Path
    ) -> None:
        rotating.close()
        other = LogKeys(secp256k1=b"\1" * 32, ed25519=b"\2" * 32, log_secret=b"\3" * 32)
        Ledger.create(tmp_path / "other", next_key_out=None, keys=other).close()
        shutil.copy(tmp_path / "other" / "keys.json", folder / PENDING_NAME)
        with Ledger.open(folder) as ledger:
            good(ledger, 1)
        assert not (folder / PENDING_NAME).exists()
