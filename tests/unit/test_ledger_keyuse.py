"""Which keys this machine has given to which log (KEY-2)."""

import json
import stat
import threading
from pathlib import Path

import pytest

from nous_ledger.ledger.errors import KeyFileError, StoreError
from nous_ledger.ledger.keyuse import KeyUse, claim_keys, default_path, release_keys

MAIN = KeyUse(log_id="aa" * 32, origin="ledger.example.com/main", folder="/srv/main")
OTHER = KeyUse(log_id="bb" * 32, origin="ledger.example.com/other", folder="/srv/other")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "nous-ledger" / "keys.json"


def test_a_key_in_use_is_refused_and_its_log_named(path: Path) -> None:
    claim_keys(path, [b"k1", b"e1"], MAIN)
    with pytest.raises(KeyFileError, match=r"ledger\.example\.com/main in /srv/main") as caught:
        claim_keys(path, [b"k2", b"e1"], OTHER)
    assert caught.value.code == "key-in-use"
    assert str(path) in caught.value.hint
    claim_keys(path, [b"k2", b"e2"], OTHER)  # the refused claim left nothing behind


def test_even_the_same_log_does_not_get_its_key_twice(path: Path) -> None:
    claim_keys(path, [b"k1"], MAIN)
    with pytest.raises(KeyFileError):
        claim_keys(path, [b"k1"], MAIN)


def test_a_claim_is_taken_back_by_who_made_it_only(path: Path) -> None:
    claim_keys(path, [b"k1"], MAIN)
    release_keys(path, [b"k1"], OTHER)
    with pytest.raises(KeyFileError):
        claim_keys(path, [b"k1"], OTHER)
    release_keys(path, [b"k1"], MAIN)
    claim_keys(path, [b"k1"], OTHER)


def test_the_file_is_private(path: Path) -> None:
    claim_keys(path, [b"k1"], MAIN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="mode 644"):
        claim_keys(path, [b"k2"], MAIN)


def test_claims_at_once_are_all_kept(path: Path) -> None:
    threads = [
        threading.Thread(target=claim_keys, args=(path, [b"key %d" % n], MAIN)) for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(path.read_bytes())["keys"]) == 12


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"keys": []}', '{"version": 1, "keys": {"aa": {}}}', "{" * 5000, "null"],
)
def test_a_damaged_file_is_kept_and_reported(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_text(text, encoding="ascii")
    path.chmod(0o600)
    with pytest.raises(KeyFileError) as caught:
        claim_keys(path, [b"k1"], MAIN)
    assert caught.value.code == "key-format"
    assert path.read_text(encoding="ascii") == text


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file/keys.json", "file/below/keys.json"):
        with pytest.raises(StoreError) as caught:
            claim_keys(tmp_path / place, [b"k1"], MAIN)
        assert caught.value.code == "store-unwritable"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/nous-ledger/keys.json"),
        ({"XDG_STATE_HOME": "", "HOME": "/h"}, "/h/.local/state/nous-ledger/keys.json"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/nous-ledger/keys.json"),
    ],
)
def test_the_place_follows_the_environment(environment: dict[str, str], expected: str) -> None:
    assert default_path(environment) == Path(expected)


@pytest.mark.parametrize("environment", [{}, {"HOME": ""}, {"HOME": "relative"}])
def test_without_a_home_there_is_no_place(environment: dict[str, str]) -> None:
    with pytest.raises(StoreError, match="HOME"):
        default_path(environment)
