"""Key files: private, whole, sealed if asked for, and never overwritten."""

import json
import random
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import keys as keys_module
from nous_ledger.ledger.errors import KeyFileError, LedgerUseError, StoreError
from nous_ledger.ledger.keys import (
    KeyOwner,
    LogKeys,
    generate_keys,
    generate_secp256k1,
    read_log_keys,
    read_next_key,
    write_log_keys,
    write_next_key,
)
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.types import LogId

OWNER = KeyOwner(origin="ledger.example.com/main", log_id=LogId(bytes(range(32))))
SECRET = b"\x11" * 32
KEYS = LogKeys(secp256k1=SECRET, ed25519=b"\x33" * 32, log_secret=b"\x44" * 32)


@pytest.fixture(autouse=True)
def cheap_sealing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "SCRYPT_N", 1 << 10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def _code(work: Callable[[], object]) -> str:
    with pytest.raises((KeyFileError, LedgerUseError, StoreError, InputError)) as caught:
        work()
    assert caught.value.hint
    return caught.value.code


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document), encoding="ascii")


@pytest.mark.parametrize("passphrase", [None, "correct horse", "gr\u00fc\u00df", "\udcff raw"])
def test_keys_come_back(path: Path, passphrase: str | None) -> None:
    write_log_keys(path, KEYS, OWNER, passphrase)
    assert read_log_keys(path, passphrase) == KEYS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_passphrase_may_be_typed_composed_or_not(path: Path) -> None:
    write_log_keys(path, KEYS, OWNER, "caf\u00e9")
    assert read_log_keys(path, "cafe\u0301") == KEYS


def test_a_sealed_file_shows_no_secret(path: Path) -> None:
    write_log_keys(path, KEYS, OWNER, "correct horse")
    text = path.read_text(encoding="ascii")
    assert not any(getattr(KEYS, name).hex() in text for name in KEYS.__slots__)
    assert OWNER.origin in text


@pytest.mark.parametrize("passphrase", [None, "correct hors", "Correct horse"])
def test_a_sealed_file_needs_its_passphrase(path: Path, passphrase: str | None) -> None:
    write_log_keys(path, KEYS, OWNER, "correct horse")
    assert _code(lambda: read_log_keys(path, passphrase)) == "key-passphrase"


def test_an_empty_passphrase_is_refused(path: Path) -> None:
    assert _code(lambda: write_log_keys(path, KEYS, OWNER, "")) == "input"
    assert not path.exists()


def test_the_default_sealing_is_costly(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.undo()
    write_log_keys(path, KEYS, OWNER, "correct horse")
    sealed = json.loads(path.read_bytes())["sealed"]
    assert (sealed["kdf"], sealed["n"], sealed["r"], sealed["p"]) == ("scrypt", 1 << 17, 8, 1)
    assert read_log_keys(path, "correct horse") == KEYS


@pytest.mark.parametrize("name", ["origin", "log_id", "secp256k1", "ed25519"])
def test_sealing_covers_the_public_part(path: Path, name: str) -> None:
    write_log_keys(path, KEYS, OWNER, "correct horse")
    _edit(path, lambda document: document.update({name: document[name] + "0"}))
    assert _code(lambda: read_log_keys(path, "correct horse")) == "key-passphrase"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644, 0o610])
def test_a_file_that_others_can_reach_is_refused(path: Path, mode: int) -> None:
    write_log_keys(path, KEYS, OWNER, None)
    path.chmod(mode)
    with pytest.raises(KeyFileError) as caught:
        read_log_keys(path, None)
    assert caught.value.code == "key-permissions"
    assert caught.value.hint == f"run: chmod 600 {path}"


def test_a_file_that_nobody_may_write_is_fine(path: Path) -> None:
    write_log_keys(path, KEYS, OWNER, None)
    path.chmod(0o400)
    assert read_log_keys(path, None) == KEYS


def test_a_missing_file_a_folder_and_a_long_file_are_told_apart(path: Path) -> None:
    assert _code(lambda: read_log_keys(path, None)) == "key-missing"
    path.mkdir(mode=0o700)
    assert _code(lambda: read_log_keys(path, None)) == "key-format"
    path.rmdir()
    path.write_bytes(b" " * 20_000)
    path.chmod(0o600)
    assert _code(lambda: read_log_keys(path, None)) == "key-format"


def test_an_existing_file_is_never_overwritten(path: Path) -> None:
    path.write_bytes(b"mine")
    assert _code(lambda: write_log_keys(path, KEYS, OWNER, None)) == "already-exists"
    assert path.read_bytes() == b"mine"
    assert list(path.parent.iterdir()) == [path]


def test_no_folder_and_a_file_as_folder_are_refused(tmp_path: Path) -> None:
    nowhere = tmp_path / "absent" / "keys.json"
    assert _code(lambda: write_log_keys(nowhere, KEYS, OWNER, None)) == "store-unwritable"
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "keys.json"
    assert _code(lambda: write_log_keys(below, KEYS, OWNER, None)) == "store-unwritable"


BAD_DOCUMENTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "newer version": lambda d: d.update(version=2),
    "version as text": lambda d: d.update(version="1"),
    "other kind": lambda d: d.update(kind="next-key"),
    "no secrets": lambda d: d.pop("secrets"),
    "secrets as list": lambda d: d.update(secrets=[]),
    "a secret too few": lambda d: d["secrets"].pop("log_secret"),
    "a secret too many": lambda d: d["secrets"].update(other="00" * 32),
    "sealed and plain": lambda d: d.update(sealed={}),
    "short secret": lambda d: d["secrets"].update(log_secret="44" * 31),
    "secret not hex": lambda d: d["secrets"].update(log_secret="zz" * 32),
    "secret not text": lambda d: d["secrets"].update(log_secret=4),
    "no private key": lambda d: d["secrets"].update(secp256k1="ff" * 32),
    "another private key": lambda d: d["secrets"].update(secp256k1="12" * 32),
    "another seed": lambda d: d["secrets"].update(ed25519="34" * 32),
    "no public key": lambda d: d.pop("secp256k1"),
}


@pytest.mark.parametrize("name", BAD_DOCUMENTS)
def test_a_damaged_plain_file_is_refused(path: Path, name: str) -> None:
    write_log_keys(path, KEYS, OWNER, None)
    _edit(path, BAD_DOCUMENTS[name])
    assert _code(lambda: read_log_keys(path, None)) == "key-format"


BAD_SEALINGS: dict[str, dict[str, object]] = {
    "other kdf": {"kdf": "pbkdf2"},
    "other cipher": {"cipher": "aes-256-gcm"},
    "huge n": {"n": 1 << 30},
    "n is no power of two": {"n": 3000},
    "n is true": {"n": True},
    "n as text": {"n": "1024"},
    "huge r": {"r": 1 << 20},
    "huge p": {"p": 1 << 20},
    "short salt": {"salt": "00"},
    "no nonce": {"nonce": ""},
    "no ciphertext": {"ciphertext": ""},
}


@pytest.mark.parametrize("name", BAD_SEALINGS)
def test_a_file_does_not_choose_how_costly_it_is_to_read(path: Path, name: str) -> None:
    write_log_keys(path, KEYS, OWNER, "correct horse")
    _edit(path, lambda document: document["sealed"].update(BAD_SEALINGS[name]))
    assert _code(lambda: read_log_keys(path, "correct horse")) == "key-format"


def test_a_sealed_file_of_another_kind_is_refused(path: Path) -> None:
    write_next_key(path, SECRET, OWNER, "correct horse")
    assert _code(lambda: read_log_keys(path, "correct horse")) == "key-format"


def test_damaged_bytes_give_keys_or_one_of_our_errors(path: Path, fuzz_inputs: int) -> None:
    write_log_keys(path, KEYS, OWNER, None)
    good = path.read_bytes()
    seed = random.Random(5)
    codes = Counter[str]()
    for _ in range(fuzz_inputs // 10):
        data = bytearray(good)
        for _ in range(seed.randrange(1, 4)):
            data[seed.randrange(len(data))] = seed.randrange(256)
        path.write_bytes(data)
        try:
            # A file cannot prove whose log_secret it has, nor what log it says it belongs to.
            codes["read"] += read_log_keys(path, None).secp256k1 == KEYS.secp256k1
        except KeyFileError as error:
            codes[error.code] += 1
    assert codes.keys() == {"read", "key-format"}
    assert codes.total() == fuzz_inputs // 10


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"[" * 9000, b"\xff\xfe", b"1e999"])
def test_other_json_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)
    assert _code(lambda: read_log_keys(path, None)) == "key-format"


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_a_next_key_comes_back(path: Path, passphrase: str | None) -> None:
    secret = generate_secp256k1()
    write_next_key(path, secret, OWNER, passphrase)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_next_key(path, passphrase) == secret


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["secrets"].update(secp256k1="00" * 32),
        lambda d: d["secrets"].update(secp256k1="12" * 32),
        lambda d: d.update(kind="log-keys"),
    ],
)
def test_a_damaged_next_key_is_refused(
    path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    write_next_key(path, SECRET, OWNER, None)
    _edit(path, change)
    assert _code(lambda: read_next_key(path, None)) == "key-format"


def test_keys_are_fresh_and_never_shown() -> None:
    first, second = generate_keys(), generate_keys()
    values = [getattr(k, name) for k in (first, second) for name in LogKeys.__slots__]
    assert len(set(values)) == 6
    assert not any(value.hex() in repr(first) or repr(value) in repr(first) for value in values)
