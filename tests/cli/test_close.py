"""`nous-ledger close` and the successor of a log, as their user sees them."""

from pathlib import Path

import pytest

from tests.cli.harness import Call


@pytest.fixture
def ledger(tmp_path: Path, nous: Call) -> Path:
    nous("init", "--ledger", tmp_path / "ledger", "--next-key-out", tmp_path / "next").good()
    return tmp_path / "ledger"


def test_a_close_is_for_good(nous: Call, tmp_path: Path, ledger: Path) -> None:
    close = ("close", "--ledger", ledger, "--next-key", tmp_path / "next")
    nous(*close).failed(2, "cannot be undone", "--yes")
    shown = nous(*close, "--yes").good().out
    assert "closed by record 1, in epoch 1" in shown
    assert "--predecessor" in shown
    assert f"The key in {tmp_path / 'next'}" in shown
    assert "closed at record 1" in nous("key", "show", "--ledger", ledger).good().out
    nous(*close, "--yes").failed(2, "log-closed", "--predecessor")
    rotate = ("key", "rotate", "--ledger", ledger, "--next-key", tmp_path / "next")
    nous(*rotate, "--next-key-out", tmp_path / "next-2").failed(2, "log-closed")
    assert not (tmp_path / "next-2").exists()


def test_a_log_that_cannot_rotate(nous: Call, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    nous("init", "--ledger", folder, "--no-rotation").good()
    made = nous("close", "--ledger", folder, "--yes", "--json").good().json
    assert (made["index"], made["epoch"]) == (1, 0)


def test_a_log_with_a_next_key_needs_it(nous: Call, ledger: Path) -> None:
    nous("close", "--ledger", ledger, "--yes").failed(2, "--next-key FILE")


def test_a_successor(nous: Call, tmp_path: Path, ledger: Path) -> None:
    head = nous("head", "--ledger", ledger, "--json").good().json
    log_id = nous("key", "show", "--ledger", ledger, "--json").good().json["log_id"]
    expected = {"log_id": log_id, "count": head["leaf_count"], "root": head["root"]}
    named = f"{log_id}:{head['leaf_count']}:{head['root']}"
    init = ("init", "--no-rotation", "--json", "--ledger")
    by_name = nous(*init, tmp_path / "b", "--predecessor", named).good()
    assert by_name.json["predecessor"] == expected
    by_folder = nous(*init, tmp_path / "c", "--predecessor", ledger).good()
    assert by_folder.json["predecessor"] == expected
    assert "is not closed" in by_folder.err
    shown = nous("receipts", "show", "0", "--ledger", tmp_path / "c", "--json").good().json
    assert shown["body"]["predecessor"] == expected
    printed = nous("init", "--no-rotation", "--ledger", tmp_path / "d", "--predecessor", named)
    assert "up to its head over 1 record\n" in printed.good().out


@pytest.mark.parametrize("text", ["", "nowhere", f"{'0' * 64}:0:{'0' * 64}", "a:1:b"])
def test_what_names_no_log(nous: Call, tmp_path: Path, text: str) -> None:
    found = nous("init", "--ledger", tmp_path / "b", "--no-rotation", "--predecessor", text)
    found.failed(2, "neither a folder nor")
    assert not (tmp_path / "b").exists()
