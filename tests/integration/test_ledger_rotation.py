"""Rotation: the next key takes over, what was proved stays proved, no dead epoch signs."""

import json
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, LogKeys
from nous_ledger.ledger.files import read_private_file
from nous_ledger.ledger.keyfiles import PENDING_NAME
from nous_ledger.ledger.keys import generate_secp256k1, is_sealed, read_log_keys, read_next_key
from nous_ledger.protocol.head import decode_head_signature
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.verify import verify_bundle
from tests.architecture.repository import ROOT
from tests.integration.ledger_audit import error_code, head_count, verified
from tests.integration.ledger_drafts import ORIGIN, Clock, make_draft
from tests.integration.ledger_rotator import COMMITTED, POINTS
from tests.integration.test_ledger_concurrency import start_writer

ROTATOR = Path(__file__).with_name("ledger_rotator.py")


class Keys:
    """The files of the next keys, outside the ledger."""

    def __init__(self, base: Path) -> None:
        self.base = base
        base.mkdir()

    def __getitem__(self, number: int) -> Path:
        return self.base / f"next-{number}.key"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "offline")


@pytest.fixture
def rotating(folder: Path, keys: Keys, clock: Clock) -> Ledger:
    """A log of three leaves that can rotate."""
    seed = random.Random(5)
    ledger = Ledger.create(folder, next_key_out=keys[0], origin=ORIGIN, clock=clock)
    ledger.append_many([make_draft(seed), make_draft(seed)])
    ledger.head()
    return ledger


def head_epoch(note: bytes) -> int:
    return decode_head_signature(parse_note(note).signatures[1].payload).epoch


def good(ledger: Ledger, index: int) -> None:
    report = verified(ledger, ledger.prove(index))
    assert report.attribution.outcome is Outcome.ESTABLISHED, report
    assert report.inclusion.outcome is Outcome.ESTABLISHED, report


class TestRotation:
    def test_records_of_every_epoch_verify_under_the_newest_head(
        self, rotating: Ledger, keys: Keys, seed: random.Random, clock: Clock
    ) -> None:
        """KEY-19 to KEY-22, KEY-28, HEAD-7: old and new receipts, one policy."""
        policy = rotating.policy_text()
        old_proof = rotating.prove(1)
        for epoch in (1, 2, 3):
            clock.now_ms += 1000
            changed = rotating.rotate(keys[epoch - 1], next_key_out=keys[epoch])
            assert (changed.epoch, changed.notices) == (epoch, ())
            assert changed.index == rotating.leaf_count() - 1
            assert head_epoch(rotating.latest_head()) == epoch, "the rotation signs a head"
            assert head_count(rotating.latest_head()) == rotating.leaf_count()
            appended = rotating.append_receipt(make_draft(seed, time_ms=clock.now_ms))
            assert decode_record(appended.record).epoch == epoch
        for index in range(rotating.leaf_count()):
            good(rotating, index)
        assert rotating.policy_text() == policy, "the Ed25519 key stays"
        report = verify_bundle(old_proof, parse_policy(policy))
        assert report.attribution.outcome is Outcome.ESTABLISHED
        rotating.close()

    def test_the_files_hold_the_keys_of_the_new_epoch(
        self, rotating: Ledger, folder: Path, keys: Keys
    ) -> None:
        before = read_log_keys(folder / "keys.json", None)
        rotating.rotate(keys[0], next_key_out=keys[1])
        rotating.close()
        after = read_log_keys(folder / "keys.json", None)
        assert after.secp256k1 == read_next_key(keys[0], None)
        assert (after.ed25519, after.log_secret) == (before.ed25519, before.log_secret)
        assert read_next_key(keys[1], None) != after.secp256k1
        assert {path.name for path in folder.iterdir()} <= {"ledger.db", "keys.json"}
        assert stat.S_IMODE((folder / "keys.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(keys[1].stat().st_mode) == 0o600
        with Ledger.open(folder) as again:
            good(again, 0)

    def test_a_new_ed25519_key_outdates_the_old_policy(
        self, rotating: Ledger, keys: Keys, key_list: Path
    ) -> None:
        """HEAD-17."""
        old = rotating.policy_text()
        with Ledger.open(rotating.folder, read_only=True) as reader:
            changed = rotating.rotate(keys[0], next_key_out=keys[1], new_ed25519=True)
            assert reader.policy_text() == rotating.policy_text() != old
            assert reader.vkeys() == rotating.vkeys()
        report = verify_bundle(rotating.prove(1), parse_policy(old))
        assert {answer.code for _, answer in report.answers()} >= {"policy-outdated"}
        good(rotating, 1)
        uses = json.loads(key_list.read_bytes())["keys"]
        assert {changed.secp256k1.hex(), changed.ed25519.hex()} <= uses.keys()
        rotating.close()

    @pytest.mark.parametrize("reason", ["suspected", "compromised"])
    def test_a_suspect_range_could_not_be_checked(
        self, rotating: Ledger, keys: Keys, reason: str
    ) -> None:
        """KEY-29."""
        rotating.rotate(keys[0], next_key_out=keys[1], reason=reason, suspect_from=2)
        report = verified(rotating, rotating.prove(2))
        assert (report.attribution.outcome, report.attribution.code) == (
            Outcome.COULD_NOT_CHECK,
            "suspect",
        )
        assert report.inclusion.outcome is Outcome.ESTABLISHED
        for index in (0, 1, 3):
            good(rotating, index)
        rotating.close()

    def test_each_file_is_sealed_as_the_one_before_it(
        self, folder: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("nous_ledger.ledger.keys.SCRYPT_N", 1 << 10)
        with Ledger.create(folder, next_key_out=keys[0], passphrase="horse") as ledger:
            assert error_code(lambda: ledger.rotate(keys[0], next_key_out=keys[1])) == (
                "key-passphrase"
            )
            assert not keys[1].exists()
            ledger.rotate(keys[0], next_key_out=keys[1], passphrase="horse")
            secret = read_next_key(keys[1], "horse")
            ledger.rotate(secret, next_key_out=keys[2], passphrase="horse")
        assert is_sealed(folder / "keys.json")
        assert is_sealed(keys[1])
        assert is_sealed(keys[2])
        assert error_code(lambda: Ledger.open(folder)) == "key-passphrase"
        with Ledger.open(folder, passphrase="horse") as ledger:
            good(ledger, 2)

    def test_the_key_itself_instead_of_its_file(self, rotating: Ledger, keys: Keys) -> None:
        rotating.rotate(read_next_key(keys[0], None), next_key_out=keys[1])
        good(rotating, 3)
        rotating.close()

    def test_a_lost_key_file_is_replaced_by_the_next_key_alone(
        self, rotating: Ledger, folder: Path, keys: Keys, seed: random.Random
    ) -> None:
        rotating.close()
        recover = partial(Ledger.recover, folder, keys[0], next_key_out=keys[1])
        assert error_code(recover) == "already-exists"
        assert not keys[1].exists()
        (folder / "keys.json").unlink()
        assert error_code(lambda: Ledger.open(folder)) == "key-missing"
        ledger, changed = recover()
        with ledger:
            assert changed.epoch == 1
            ledger.append_receipt(make_draft(seed))
            for index in range(ledger.leaf_count()):
                good(ledger, index)

    def test_the_last_epochs(self, folder: Path, keys: Keys) -> None:
        """KEY-19: warned from epoch 56 on, refused above 63."""
        warned = {}
        with Ledger.create(folder, next_key_out=keys[0]) as ledger:
            for epoch in range(1, 64):
                changed = ledger.rotate(keys[epoch - 1], next_key_out=keys[epoch])
                warned[epoch] = bool(changed.notices)
            assert warned == {epoch: epoch >= 56 for epoch in range(1, 64)}
            refused = error_code(lambda: ledger.rotate(keys[63], next_key_out=keys[64]))
            assert refused == "last-epoch"
            assert not keys[64].exists()
            good(ledger, 0)
            good(ledger, 63)


class TestRefusals:
    def test_the_stolen_current_key_cannot_rotate(
        self, rotating: Ledger, folder: Path, keys: Keys
    ) -> None:
        """KEY-20."""
        stolen = read_log_keys(folder / "keys.json", None).secp256k1
        for wrong in (stolen, generate_secp256k1()):
            attempt = partial(rotating.rotate, wrong, next_key_out=keys[1])
            assert error_code(attempt) == "key-mismatch"
        assert (rotating.leaf_count(), keys[1].exists()) == (3, False)
        rotating.rotate(keys[0], next_key_out=keys[1])
        again = lambda: rotating.rotate(keys[0], next_key_out=keys[2])  # noqa: E731
        assert error_code(again) == "key-mismatch", "a key is revealed once"
        rotating.close()

    def test_a_log_without_a_next_key(self, ledger: Ledger, keys: Keys) -> None:
        attempt = lambda: ledger.rotate(generate_secp256k1(), next_key_out=keys[1])  # noqa: E731
        assert error_code(attempt) == "cannot-rotate"
        assert ledger.leaf_count() == 1

    @pytest.mark.parametrize(
        ("reason", "suspect_from", "code"),
        [
            ("compromised", None, "input"),
            ("scheduled", 1, "input"),
            ("lost", 1, "input"),
            ("closed", None, "field-conflict"),
            ("nonsense", None, "input"),
            ("suspected", 99, "index-order"),
        ],
    )
    def test_reasons_that_do_not_fit(
        self, rotating: Ledger, keys: Keys, reason: str, suspect_from: int | None, code: str
    ) -> None:
        """BODY-12, BODY-13."""
        with pytest.raises(Exception, match=r".") as caught:
            rotating.rotate(keys[0], next_key_out=keys[1], reason=reason, suspect_from=suspect_from)
        assert getattr(caught.value, "code", "") == code
        assert not keys[1].exists()
        assert not (rotating.folder / PENDING_NAME).exists()
        good(rotating, 1)
        rotating.rotate(keys[0], next_key_out=keys[1])
        rotating.close()

    def test_places_of_the_next_key(self, rotating: Ledger, folder: Path, keys: Keys) -> None:
        """KEY-1."""
        inside = lambda: rotating.rotate(keys[0], next_key_out=folder / "next.key")  # noqa: E731
        over = lambda: rotating.rotate(keys[0], next_key_out=keys[0])  # noqa: E731
        nowhere = lambda: rotating.rotate(keys[0], next_key_out=keys.base / "a" / "b")  # noqa: E731
        found = [error_code(attempt) for attempt in (inside, over, nowhere)]
        assert found == ["input", "already-exists", "store-unwritable"]
        assert rotating.leaf_count() == 3
        rotating.close()

    def test_a_failed_transaction_leaves_nothing(
        self, rotating: Ledger, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("nous_ledger.ledger.keychange.renew_head", fail)
            with pytest.raises(OSError, match="space"):
                rotating.rotate(keys[0], next_key_out=keys[1])
        assert not keys[1].exists()
        assert not (rotating.folder / PENDING_NAME).exists()
        rotating.rotate(keys[0], next_key_out=keys[1])
        good(rotating, 3)
        rotating.close()

    def test_read_only(self, rotating: Ledger, folder: Path, keys: Keys) -> None:
        rotating.close()
        with Ledger.open(folder, read_only=True) as reader:
            attempt = lambda: reader.rotate(keys[0], next_key_out=keys[1])  # noqa: E731
            assert error_code(attempt) == "read-only"
            assert reader.key_history().epoch == 0


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
        running = [start_rotation(folder, keys[0], keys[n], "never") for n in (1, 2)]
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
    @pytest.mark.parametrize("point", POINTS)
    def test_killed_on_the_way(
        self, rotating: Ledger, folder: Path, keys: Keys, seed: random.Random, point: str
    ) -> None:
        """The ledger opens, in one epoch or the other, with the keys of that epoch alone."""
        rotating.close()
        assert start_rotation(folder, keys[0], keys[1], point).wait(timeout=60) == -9
        taken = point in COMMITTED
        with Ledger.open(folder) as ledger:
            assert ledger.key_history().epoch == int(taken)
            assert not [path for path in folder.iterdir() if "next" in path.name]
            ledger.append_receipt(make_draft(seed))
            for index in range(ledger.leaf_count()):
                good(ledger, index)
            if taken:
                ledger.rotate(keys[1], next_key_out=keys[2])
            else:
                revealed = read_next_key(keys[0], None)
                assert revealed.hex().encode() not in read_private_file(
                    folder / "keys.json", 10_000
                )
                ledger.rotate(keys[0], next_key_out=keys[2])
            good(ledger, ledger.leaf_count() - 1)

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
        assert {path.name for path in folder.iterdir()} == {"ledger.db", "keys.json"}

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
