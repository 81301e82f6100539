"""Rotation: the next key takes over, what was proved stays proved, no dead epoch signs."""

import json
import random
import stat
from functools import partial
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, LogKeys, StoreError
from nous_ledger.ledger.keyfiles import PENDING_NAME
from nous_ledger.ledger.keys import generate_secp256k1, is_sealed, read_log_keys, read_next_key
from nous_ledger.ledger.keyuse import KeyUse, claim_keys
from nous_ledger.ledger.signer import Signers
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.verify import verify_bundle
from tests.integration.ledger_audit import error_code, head_count, verified
from tests.integration.ledger_drafts import Clock, make_draft
from tests.integration.ledger_keys import Keys, good, head_epoch


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
        names = {path.name for path in folder.iterdir()}
        assert names <= {"ledger.db", "keys.json", "high-water"}
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
        """KEY-19: warned from epoch 56 on; epoch 63, the last, is kept for the close."""
        warned = {}
        with Ledger.create(folder, next_key_out=keys[0]) as ledger:
            for epoch in range(1, 63):
                changed = ledger.rotate(keys[epoch - 1], next_key_out=keys[epoch])
                warned[epoch] = bool(changed.notices)
            assert warned == {epoch: epoch >= 56 for epoch in range(1, 63)}
            refused = error_code(lambda: ledger.rotate(keys[62], next_key_out=keys[63]))
            assert refused == "last-epoch"
            assert not keys[63].exists()
            assert ledger.close_log(keys[62]).epoch == 63
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

    def test_places_of_the_next_key(self, rotating: Ledger, folder: Path, keys: Keys) -> None:
        """KEY-1."""
        inside = lambda: rotating.rotate(keys[0], next_key_out=folder / "next.key")  # noqa: E731
        over = lambda: rotating.rotate(keys[0], next_key_out=keys[0])  # noqa: E731
        nowhere = lambda: rotating.rotate(keys[0], next_key_out=keys.base / "a" / "b")  # noqa: E731
        found = [error_code(attempt) for attempt in (inside, over, nowhere)]
        assert found == ["input", "already-exists", "store-unwritable"]
        assert rotating.leaf_count() == 3

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

    def test_read_only(self, rotating: Ledger, folder: Path, keys: Keys) -> None:
        rotating.close()
        with Ledger.open(folder, read_only=True) as reader:
            attempt = lambda: reader.rotate(keys[0], next_key_out=keys[1])  # noqa: E731
            assert error_code(attempt) == "read-only"
            assert reader.key_history().epoch == 0


class TestNotices:
    """What does not stop a rotation, but is to be known."""

    def test_the_list_of_keys_in_use_cannot_be_written(
        self, rotating: Ledger, keys: Keys, key_list: Path
    ) -> None:
        key_list.write_bytes(b"no list")
        (notice,) = rotating.rotate(keys[0], next_key_out=keys[1]).notices
        assert "not noted as in use" in notice
        good(rotating, 3)

    def test_the_key_is_in_use_by_another_log(
        self, rotating: Ledger, keys: Keys, key_list: Path
    ) -> None:
        """KEY-2 is about `init`; a rotation must not be stopped by it."""
        public = SigningKey(read_next_key(keys[0], None)).public_key
        use = KeyUse(log_id="00" * 32, origin="other.example", folder="/elsewhere")
        claim_keys(key_list, [public], use)
        (notice,) = rotating.rotate(keys[0], next_key_out=keys[1]).notices
        assert "other.example" in notice

    def test_the_keys_cannot_be_put_in_their_place(
        self, rotating: Ledger, keys: Keys, seed: random.Random, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise StoreError("store-unwritable", "no permission")

        with monkeypatch.context() as patch:
            patch.setattr("nous_ledger.ledger.rotation.complete_change", fail)
            (notice,) = rotating.rotate(keys[0], next_key_out=keys[1]).notices
        assert PENDING_NAME in notice
        rotating.append_receipt(make_draft(seed))
        with Ledger.open(rotating.folder) as again:
            assert not (rotating.folder / PENDING_NAME).exists()
            again.append_receipt(make_draft(seed))

    def test_a_rotation_while_the_ledger_is_opened(
        self, rotating: Ledger, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The keys that are read may be newer than the log that was read before them."""
        waiting = [keys[0]]

        def read(path: Path, passphrase: str | None, signers: Signers) -> LogKeys:
            while waiting:
                rotating.rotate(waiting.pop(), next_key_out=keys[1])
            return read_log_keys(path, passphrase, signers)

        monkeypatch.setattr("nous_ledger.ledger.keyfiles.read_log_keys", read)
        with Ledger.open(rotating.folder) as again:
            assert again.key_history().epoch == 1
            good(again, 3)
