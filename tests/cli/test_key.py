"""`nous-ledger key`: rotate, revoke and show, as their user sees them."""

import json
from pathlib import Path

import pytest

from tests.cli.harness import Call


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    place = tmp_path / "offline"
    place.mkdir()
    return place


@pytest.fixture
def ledger(tmp_path: Path, nous: Call, offline: Path) -> Path:
    """A new ledger that can rotate."""
    folder = tmp_path / "ledger"
    nous("init", "--ledger", folder, "--next-key-out", offline / "0").good()
    return folder


def test_a_rotation_says_what_to_do_with_the_files(nous: Call, ledger: Path, offline: Path) -> None:
    rotate = ("key", "rotate", "--ledger", ledger, "--next-key", offline / "0")
    shown = nous(*rotate, "--next-key-out", offline / "1").good().out
    assert "epoch      1, from record 1 on" in shown
    assert "Move the new next key to a place that this machine cannot read." in shown
    assert f"The key in {offline / '0'} signs the log from now on" in shown
    assert (offline / "0").exists(), "the old file is the user's to destroy"
    nous("receipts", "list", "--ledger", ledger).good()
    assert nous("head", "--ledger", ledger, "--json").good().json["epoch"] == 1


def test_as_json(nous: Call, ledger: Path, offline: Path) -> None:
    before = nous("key", "show", "--ledger", ledger, "--json").good().json
    asked = ("--next-key", offline / "0", "--next-key-out", offline / "1", "--json")
    made = nous("key", "rotate", "--ledger", ledger, "--new-ed25519", *asked).good().json
    assert (made["index"], made["epoch"]) == (1, 1)
    assert (made["old_next_key"], made["next_key"]) == (str(offline / "0"), str(offline / "1"))
    assert made["ed25519"] != before["ed25519"]
    shown = nous("key", "show", "--ledger", ledger, "--json").good().json
    assert (shown["secp256k1"], shown["ed25519"]) == (made["secp256k1"], made["ed25519"])
    assert [event["kind"] for event in shown["events"]] == ["genesis", "rotate"]


def test_revoke_names_the_suspect_records(nous: Call, ledger: Path, offline: Path) -> None:
    files = ("--next-key", offline / "0", "--next-key-out", offline / "1")
    asked = ("key", "revoke", "--ledger", ledger, *files, "--reason", "compromised")
    nous(*asked).failed(2, "needs --suspect-from")
    assert not (offline / "1").exists()
    nous(*asked, "--suspect-from", "1200").failed(2, "--suspect-from 1200 lies beyond")
    assert not (offline / "1").exists()
    nous(*asked, "--suspect-from", "0").good()
    shown = nous("key", "show", "--ledger", ledger).good().out
    assert "rotate, compromised, suspect from record 0" in shown
    proof, policy = offline / "p", offline / "policy"
    nous("prove", "0", "--ledger", ledger, "-o", proof).good()
    nous("policy", "export", "--ledger", ledger, "-o", policy).good()
    checked = nous("verify", proof, "--policy", policy, "--json")
    assert checked.code == 3
    assert "suspect" in checked.out


def test_a_next_key_that_is_not_there(nous: Call, ledger: Path, offline: Path) -> None:
    asked = ("--next-key", offline / "none", "--next-key-out", offline / "1")
    nous("key", "rotate", "--ledger", ledger, *asked).failed(2, "none does not exist")


def test_lost_keys_need_the_next_key_alone(nous: Call, ledger: Path, offline: Path) -> None:
    (ledger / "keys.json").unlink()
    asked = ("--next-key", offline / "0", "--next-key-out", offline / "1")
    nous("key", "rotate", "--ledger", ledger, *asked).failed(3, "key-missing")
    found = nous("key", "revoke", "--ledger", ledger, "--reason", "lost", *asked).good()
    assert "Ed25519 key and pseudonyms are new" in found.err
    assert (ledger / "keys.json").exists()
    events = nous("key", "show", "--ledger", ledger, "--json").good().json["events"]
    assert events[-1]["reason"] == "lost"


def test_encrypted_keys_stay_encrypted(
    nous: Call, tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nous_ledger.ledger.keys.SCRYPT_N", 1 << 10)
    passphrase, folder = offline / "passphrase", tmp_path / "sealed"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)
    sealed = ("--ledger", folder, "--passphrase-file", passphrase)
    nous("init", *sealed, "--next-key-out", offline / "0").good()
    files = ("--next-key", offline / "0", "--next-key-out", offline / "1")
    nous("key", "rotate", "--ledger", folder, *files).failed(3, "key-passphrase")
    nous("key", "rotate", *sealed, *files).good()
    for path in (folder / "keys.json", offline / "1"):
        assert "sealed" in json.loads(path.read_bytes())


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """Let somebody sit there who types this, unseen, when asked."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: typed)


def test_the_key_is_typed_unseen(
    nous: Call, ledger: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate = ("key", "rotate", "--ledger", ledger, "--next-key-out", offline / "1")
    at_a_terminal(monkeypatch, "not a key")
    refused = nous(*rotate)
    assert (refused.code, refused.out) == (2, "")
    assert "a private key has 64 hex digits" in refused.err
    secret = json.loads((offline / "0").read_bytes())["secrets"]["secp256k1"]
    at_a_terminal(monkeypatch, secret)
    done = nous(*rotate)
    assert done.code == 0
    assert "The key that was typed signs the log from now on" in done.out
    assert secret not in done.out + done.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--next-key-out", "-"), "not written to stdout"),
        (("--next-key-out", "out"), "no terminal to ask for the next key"),
        (("--next-key-out", "out", "--next-key", "-"), "not read from stdin"),
    ],
)
def test_what_is_no_file(nous: Call, ledger: Path, words: tuple[str, ...], text: str) -> None:
    nous("key", "rotate", "--ledger", ledger, *words).failed(2, text)


def test_the_wrong_key(nous: Call, ledger: Path, offline: Path) -> None:
    files = ("--next-key", ledger / "keys.json", "--next-key-out", offline / "1")
    nous("key", "rotate", "--ledger", ledger, *files).failed(3, "not a next-key file")
    other = ("--ledger", offline / "other", "--next-key-out", offline / "other.key")
    nous("init", *other).good()
    files = ("--next-key", offline / "other.key", "--next-key-out", offline / "1")
    nous("key", "rotate", "--ledger", ledger, *files).failed(3, "committed to", "key show")
    assert not (offline / "1").exists()


@pytest.mark.parametrize("reason", ["suspected", "compromised"])
def test_from_where_on_the_key_is_suspect(nous: Call, tmp_path: Path, reason: str) -> None:
    """Said in terms of the options, and before any key is asked for."""
    folder = tmp_path / "trial"
    nous("init", "--ledger", folder, "--next-key-out", tmp_path / "n0").good()
    revoke = ("key", "revoke", "--ledger", folder, "--next-key-out", tmp_path / "n1")
    text = f"--reason {reason} needs --suspect-from"
    nous(*revoke, "--reason", reason).failed(2, text, "first record that somebody else")
    nous("close", "--ledger", folder, "--reason", reason, "--yes").failed(2, text)
    lost = nous(*revoke, "--reason", "lost", "--suspect-from", 0)
    lost.failed(2, "--reason lost does not go with --suspect-from")
    assert not (tmp_path / "n1").exists()
