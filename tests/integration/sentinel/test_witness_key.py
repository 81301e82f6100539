"""The key file of a witness."""

import os
from pathlib import Path

import pytest

from nous_ledger.protocol.errors import LedgerError
from sentinel.witness_key import create_key, load_key, make_key

KEY = make_key("witness.example/w1", bytes(range(32)))


class TestKeyFiles:
    def test_written_for_its_owner_alone_and_read_back(self, tmp_path: Path) -> None:
        path = tmp_path / "w.key"
        made = create_key(path, "witness.example/w1", bytes(range(32)))
        assert path.stat().st_mode & 0o777 == 0o600
        assert load_key(path).vkey == made.vkey == KEY.vkey
        assert bytes(range(32)).hex() not in repr(made)

    def test_never_replaced(self, tmp_path: Path) -> None:
        create_key(tmp_path / "w.key", "w1", bytes(32))
        with pytest.raises(LedgerError) as caught:
            create_key(tmp_path / "w.key", "w1", bytes(32))
        assert caught.value.code == "input"

    @pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "\udc00"])
    def test_a_name_that_cannot_be_one(self, name: str) -> None:
        with pytest.raises(LedgerError) as caught:
            make_key(name, bytes(32))
        assert caught.value.code == "vkey-format"

    def test_readable_by_others_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "w.key"
        create_key(path, "w1", bytes(32))
        path.chmod(0o640)
        with pytest.raises(LedgerError) as caught:
            load_key(path)
        assert caught.value.code == "witness-key"
        assert str(path) in caught.value.hint

    def test_damage_shows(self, tmp_path: Path) -> None:
        path = tmp_path / "w.key"
        create_key(path, "w1", bytes(32))
        whole = path.read_bytes()
        changed = [whole[:at] + b"Z" + whole[at + 1 :] for at in range(12, len(whole))]
        for data in (b"", b"\xff" * 40, whole[:-1], whole + whole, bytes(5000), *changed):
            path.write_bytes(data)
            with pytest.raises(LedgerError) as caught:
                load_key(path)
            assert caught.value.code == "witness-key"

    def test_no_file_and_no_ordinary_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        codes = {tmp_path / "none": "input", tmp_path: "witness-key"}
        for path, code in {**codes, tmp_path / "pipe": "witness-key"}.items():
            with pytest.raises(LedgerError) as caught:
                load_key(path)
            assert caught.value.code == code
