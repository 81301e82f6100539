"""Making a log: private files, one use of each key, and nothing left of a failure."""

import json
import random
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.keys import read_log_keys
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.hashing import ZERO_HASH, next_key_hash
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.signing import SigningKey
from tests.integration.ledger_audit import error_code, head_count, verified
from tests.integration.ledger_drafts import ORIGIN, Clock, make_draft


class TestCreation:
    def test_a_new_log_has_its_genesis_and_a_head(
        self, tmp_path: Path, folder: Path, clock: Clock
    ) -> None:
        next_key = tmp_path / "offline" / "next.json"
        next_key.parent.mkdir()
        with Ledger.create(
            folder,
            next_key_out=next_key,
            origin=ORIGIN,
            max_merge_delay_s=7,
            heartbeat_s=70,
            clock=clock,
        ) as ledger:
            assert (ledger.leaf_count(), head_count(ledger.latest_head())) == (1, 1)
            assert (ledger.max_merge_delay_s, ledger.heartbeat_s) == (7, 70)
            assert ledger.head_interval_s == 3.5
            assert ledger.notices == ()
            genesis = decode_body(0, ledger.entry(0).body)
            report = verified(ledger, ledger.prove(0))
        assert isinstance(genesis, KeyEvent)
        secret = bytes.fromhex(json.loads(next_key.read_bytes())["secrets"]["secp256k1"])
        assert genesis.next_hash == next_key_hash(SigningKey(secret).public_key)
        assert (genesis.origin, genesis.max_merge_delay_s, genesis.heartbeat_s) == (ORIGIN, 7, 70)
        assert report.attribution.outcome is Outcome.ESTABLISHED
        assert report.inclusion.outcome is Outcome.ESTABLISHED

    def test_its_files_are_private(self, ledger: Ledger, folder: Path) -> None:
        ledger.head()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert {"ledger.db", "ledger.db-wal", "keys.json"} <= modes.keys()
        assert set(modes.values()) == {0o600}

    def test_a_log_that_cannot_rotate_says_so(self, ledger: Ledger) -> None:
        """KEY-1."""
        genesis = decode_body(0, ledger.entry(0).body)
        assert isinstance(genesis, KeyEvent)
        assert genesis.next_hash == ZERO_HASH

    def test_without_a_name_the_origin_is_random(self, tmp_path: Path) -> None:
        """ID-4."""
        origins = set()
        for name in ("a", "b"):
            with Ledger.create(tmp_path / name, next_key_out=None) as ledger:
                origins.add(ledger.origin)
        assert len(origins) == 2
        assert all(re.fullmatch(r"nous\.invalid/[0-9a-f]{32}", origin) for origin in origins)

    def test_an_empty_folder_becomes_private(self, folder: Path) -> None:
        folder.mkdir(mode=0o755)
        Ledger.create(folder, next_key_out=None).close()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_an_open_folder_with_files_is_refused(self, folder: Path) -> None:
        folder.mkdir(mode=0o755)
        (folder / "notes.txt").touch()
        with pytest.raises(LedgerError) as caught:
            Ledger.create(folder, next_key_out=None)
        assert caught.value.code == "key-permissions"
        assert caught.value.hint == f"run: chmod 700 {folder}"

    @pytest.mark.parametrize("name", ["ledger.db", "keys.json"])
    def test_what_is_there_is_never_overwritten(self, folder: Path, name: str) -> None:
        folder.mkdir(mode=0o700)
        (folder / name).write_bytes(b"mine")
        assert error_code(lambda: Ledger.create(folder, next_key_out=None)) == "already-exists"
        assert [path.read_bytes() for path in folder.iterdir()] == [b"mine"]

    def test_a_file_in_place_of_the_folder_is_refused(self, folder: Path) -> None:
        folder.touch()
        assert error_code(lambda: Ledger.create(folder, next_key_out=None)) == "already-exists"

    @pytest.mark.parametrize("place", ["ledger/next.json", "ledger/sub/../next.json"])
    def test_the_next_key_never_lies_in_the_folder(self, tmp_path: Path, place: str) -> None:
        """KEY-1: who takes the folder must not get the next key with it."""
        create = lambda: Ledger.create(tmp_path / "ledger", next_key_out=tmp_path / place)  # noqa: E731
        assert error_code(create) == "input"
        assert not (tmp_path / "ledger").exists()

    def test_an_existing_next_key_is_never_overwritten(self, tmp_path: Path, folder: Path) -> None:
        place = tmp_path / "next.json"
        place.write_bytes(b"mine")
        assert error_code(lambda: Ledger.create(folder, next_key_out=place)) == "already-exists"
        assert place.read_bytes() == b"mine"

    def test_a_failure_leaves_nothing_behind(
        self, tmp_path: Path, folder: Path, key_list: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nowhere = tmp_path / "absent" / "next.json"
        assert error_code(lambda: Ledger.create(folder, next_key_out=nowhere)) == "store-unwritable"
        assert list(folder.iterdir()) == []
        assert json.loads(key_list.read_bytes())["keys"] == {}
        # The last step fails too: the name of the database is taken by a folder.
        monkeypatch.setattr("nous_ledger.ledger.creation.DATABASE_NAME", "absent/ledger.db")
        place = tmp_path / "next.json"
        assert error_code(lambda: Ledger.create(folder, next_key_out=place)) == "store-unwritable"
        assert list(folder.iterdir()) == []
        assert not place.exists()
        assert json.loads(key_list.read_bytes())["keys"] == {}

    @pytest.mark.parametrize(
        "changes",
        [
            {"origin": "Upper.example.com"},
            {"origin": "-x"},
            {"origin": "a" * 256},
            {"max_merge_delay_s": 0},
            {"heartbeat_s": -1},
            {"heartbeat_s": 2**53},
            {"passphrase": ""},
        ],
    )
    def test_impossible_wishes_are_refused(self, folder: Path, changes: dict[str, Any]) -> None:
        assert error_code(lambda: Ledger.create(folder, next_key_out=None, **changes)) == "input"
        assert not (folder / "keys.json").exists()

    def test_the_keys_of_another_log_are_refused(self, tmp_path: Path, ledger: Ledger) -> None:
        """KEY-2: one key never signs for two logs."""
        keys = read_log_keys(ledger.folder / "keys.json", None)
        other = tmp_path / "other"
        create = lambda: Ledger.create(other, next_key_out=None, keys=keys)  # noqa: E731
        assert error_code(create) == "key-in-use"
        assert list(other.iterdir()) == []

    def test_without_a_home_fresh_keys_get_a_notice(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("XDG_STATE_HOME")
        monkeypatch.delenv("HOME", raising=False)
        with Ledger.create(folder, next_key_out=None) as ledger:
            assert len(ledger.notices) == 1
            assert "HOME" in ledger.notices[0]

    def test_without_a_home_given_keys_are_refused(
        self, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = read_log_keys(ledger.folder / "keys.json", None)
        monkeypatch.delenv("XDG_STATE_HOME")
        monkeypatch.delenv("HOME", raising=False)
        create = lambda: Ledger.create(tmp_path / "x", next_key_out=None, keys=keys)  # noqa: E731
        assert error_code(create) == "store-unwritable"

    def test_sealed_keys_need_their_passphrase(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("nous_ledger.ledger.keys.SCRYPT_N", 1 << 10)
        Ledger.create(folder, next_key_out=None, passphrase="correct horse").close()
        assert error_code(lambda: Ledger.open(folder)) == "key-passphrase"
        assert error_code(lambda: Ledger.open(folder, passphrase="wrong")) == "key-passphrase"
        with Ledger.open(folder, passphrase="correct horse") as ledger:
            ledger.append_receipt(make_draft(random.Random(1)))
        with Ledger.open(folder, read_only=True) as ledger:
            assert ledger.leaf_count() == 2


@pytest.mark.parametrize("place", ["no/such/folder/mark", "taken"])
def test_a_place_for_the_high_water_file_that_cannot_be_used(
    folder: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "taken").write_bytes(b"something")
    with pytest.raises(LedgerError) as found:
        Ledger.create(folder, next_key_out=tmp_path / "next", high_water=tmp_path / place)
    assert found.value.code in ("store-unwritable", "already-exists")
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "next").exists()
    assert (tmp_path / "taken").read_bytes() == b"something"
    Ledger.create(folder, next_key_out=tmp_path / "next").close()
