"""`init`: where the keys go, and what it refuses (KEY-1, KEY-2)."""

import json
import os
import re
import stat
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, keys
from nous_ledger.protocol.policy import parse_policy
from tests.cli.harness import Call, call_process


@pytest.fixture(autouse=True)
def cheap_sealing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal at the least cost that is read: what it costs is tested with the keys."""
    monkeypatch.setattr(keys, "SCRYPT_N", 1 << 10)


def secrets_of(path: Path) -> list[str]:
    document = json.loads(path.read_text("ascii"))
    return list(document.get("secrets", {}).values())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_ledger(nous: Call, tmp_path: Path) -> None:
    folder, next_key = tmp_path / "ledger", tmp_path / "next.key"
    before = os.umask(0)  # even so, nobody else gets at the keys
    try:
        found = nous("init", "--ledger", folder, "--next-key-out", next_key).good()
    finally:
        os.umask(before)
    assert mode_of(folder) == 0o700
    for path in (folder / "keys.json", folder / "ledger.db", next_key):
        assert mode_of(path) == 0o600
    printed = found.out + found.err
    for secret in (*secrets_of(folder / "keys.json"), *secrets_of(next_key)):
        assert len(secret) == 64
        assert secret not in printed
    assert re.search(r"^origin    nous\.invalid/[0-9a-f]{32}$", found.out, re.MULTILINE)  # ID-4
    assert "not encrypted" in found.out
    assert f"nous-ledger gateway --ledger {folder}" in found.out


def test_json_of_a_new_ledger(nous: Call, tmp_path: Path) -> None:
    arguments = ("--ledger", tmp_path / "l", "--origin", "ledger.example.com/a", "--no-rotation")
    made = nous("init", *arguments, "--json").good().json
    assert set(made) >= {"ledger", "origin", "log_id", "vkeys", "next_key", "encrypted"}
    assert (made["origin"], made["next_key"], made["encrypted"]) == (
        "ledger.example.com/a",
        None,
        False,
    )
    policy = "".join(f"log {vkey}\n" for vkey in made["vkeys"]) + "quorum none\n"
    assert parse_policy(policy.encode()).logs[1].vkey.log_id == bytes.fromhex(made["log_id"])
    assert nous("policy", "export", "--ledger", tmp_path / "l").good().out == policy


def test_the_promises_stand_in_the_genesis(nous: Call, tmp_path: Path) -> None:
    promises = ("--max-merge-delay", 5, "--heartbeat", 600)
    nous("init", "--ledger", tmp_path / "l", "--no-rotation", *promises).good()
    shown = nous("receipts", "show", 0, "--ledger", tmp_path / "l", "--json").good().json
    assert (shown["body"]["max_merge_delay_s"], shown["body"]["heartbeat_s"]) == (5, 600)
    for wrong in (("--heartbeat", 0), ("--max-merge-delay", 0), ("--heartbeat", 10**9)):
        nous("init", "--ledger", tmp_path / "m", "--no-rotation", *wrong).failed(2)
    assert not (tmp_path / "m").exists()


def test_a_place_for_the_next_key_or_none_must_be_said(nous: Call, tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    for arguments in ((), ("--no-rotation", "--next-key-out", tmp_path / "next.key")):
        nous("init", "--ledger", folder, *arguments).failed(2, "either --next-key-out FILE")
    assert not folder.exists()


def test_the_next_key_stays_outside_the_ledger(nous: Call, tmp_path: Path) -> None:
    folder, link = tmp_path / "ledger", tmp_path / "link"
    link.symlink_to(folder)
    for place in (
        folder / "next.key",
        folder / "deep" / "next.key",
        tmp_path / "x" / ".." / "ledger" / "next.key",
        link / "next.key",
    ):
        found = nous("init", "--ledger", folder, "--next-key-out", place)
        found.failed(2, "outside the ledger folder")
    assert not folder.exists()


@pytest.mark.parametrize("place", ["-", "missing/next.key", "file/next.key"])
def test_places_where_no_key_can_be_written(nous: Call, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    path = place if place == "-" else tmp_path / place
    nous("init", "--ledger", tmp_path / "l", "--next-key-out", path).failed(2, "hint: ")
    assert not (tmp_path / "l").exists()


def test_nothing_is_overwritten(nous: Call, tmp_path: Path) -> None:
    folder, next_key = tmp_path / "ledger", tmp_path / "next.key"
    nous("init", "--ledger", folder, "--next-key-out", next_key).good()
    kept = {path: path.read_bytes() for path in (folder / "keys.json", next_key)}
    nous("init", "--ledger", folder, "--no-rotation").failed(2, "[already-exists]")
    other = tmp_path / "other"
    nous("init", "--ledger", other, "--next-key-out", next_key).failed(2, "[already-exists]")
    assert {path: path.read_bytes() for path in kept} == kept
    assert not other.exists() or not any(other.iterdir())


def test_a_folder_that_others_can_enter(nous: Call, tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    folder.mkdir(0o755)
    (folder / "file").touch()
    found = nous("init", "--ledger", folder, "--no-rotation")
    found.failed(3, "[key-permissions]", "chmod 700")


def test_keys_that_others_can_read_are_not_used(nous: Call, tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    nous("init", "--ledger", folder, "--no-rotation").good()
    (folder / "keys.json").chmod(0o640)
    found = nous("gateway", "--ledger", folder, "--port", 0)
    found.failed(3, "[key-permissions]", "hint: run: chmod 600")


@pytest.mark.parametrize("origin", ["", "Upper.example", "a b", "x" * 256, "-a", "a\x1b[2J"])
def test_origins(nous: Call, tmp_path: Path, origin: str) -> None:
    found = nous("init", "--ledger", tmp_path / "l", "--no-rotation", "--origin", origin)
    found.failed(2, "origin")
    assert "\x1b" not in found.err


def test_a_passphrase_from_a_file(nous: Call, tmp_path: Path) -> None:
    folder, next_key, secret = tmp_path / "ledger", tmp_path / "next.key", tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("correct horse\n", "utf-8")
    arguments = ("--ledger", folder, "--next-key-out", next_key, "--passphrase-file", secret)
    made = nous("init", *arguments, "--json").good()
    assert made.json["encrypted"]
    assert secrets_of(folder / "keys.json") == secrets_of(next_key) == []
    with Ledger.open(folder, passphrase="correct horse") as ledger:
        assert ledger.leaf_count() == 1
    gateway = ("gateway", "--ledger", folder, "--port", 0)
    nous(*gateway).failed(3, "[key-passphrase]", "hint: ")
    secret.write_text("wrong", "utf-8")
    nous(*gateway, "--passphrase-file", secret).failed(3, "[key-passphrase]")
    secret.chmod(0o644)
    nous(*gateway, "--passphrase-file", secret).failed(3, "[key-permissions]")


def test_a_passphrase_from_a_pipe(tmp_path: Path) -> None:
    arguments = ("--ledger", tmp_path / "l", "--no-rotation", "--passphrase-file", "-")
    found = call_process("init", *arguments, input="correct horse\n").good()
    assert "correct horse" not in found.out + found.err
    call_process("init", *arguments, input="").failed(2, "the passphrase is empty")


def test_no_terminal_to_ask_at(tmp_path: Path) -> None:
    arguments = ("--ledger", tmp_path / "l", "--no-rotation", "--passphrase")
    call_process("init", *arguments, input="").failed(2, "no terminal", "--passphrase-file")
    assert not (tmp_path / "l").exists()


def test_the_list_of_keys_that_cannot_be_written(
    nous: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fresh keys cannot be in use; that they were not noted is said."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    found = nous("init", "--ledger", tmp_path / "l", "--no-rotation", "--json")
    assert found.code == 0
    assert found.json["log_id"]
    assert found.err.startswith("nous-ledger: warning: these keys were not noted")


def test_the_folder_from_the_environment(
    nous: Call, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOUS_LEDGER_DIR", str(tmp_path / "chosen"))
    assert nous("init", "--no-rotation", "--json").good().json["ledger"].endswith("/chosen")
    monkeypatch.delenv("NOUS_LEDGER_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = nous("init", "--no-rotation", "--json").good().json
    assert made["ledger"] == str(tmp_path / "data" / "nous-ledger")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    made = nous("init", "--no-rotation", "--json").good().json
    assert made["ledger"] == str(home / ".local" / "share" / "nous-ledger")
