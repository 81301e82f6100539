"""`nous-ledger high-water` and what a refused ledger says, as their user sees them."""

import shutil
from pathlib import Path

import pytest

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.ledger import Ledger
from tests.cli.harness import Call


@pytest.fixture
def ledger(tmp_path: Path, nous: Call) -> Path:
    """A log of 2 records whose database is that of 1 record."""
    folder = tmp_path / "ledger"
    nous("init", "--ledger", folder, "--no-rotation").good()
    shutil.copy(folder / "ledger.db", tmp_path / "old.db")
    nous("close", "--ledger", folder, "--yes").good()
    shutil.copy(tmp_path / "old.db", folder / "ledger.db")
    return folder


def test_a_ledger_in_order(nous: Call, tmp_path: Path) -> None:
    nous("init", "--ledger", tmp_path / "a", "--no-rotation").good()
    shown = nous("high-water", "show", "--ledger", tmp_path / "a").good().out
    assert "the ledger can go on" in shown
    found = nous("high-water", "show", "--ledger", tmp_path / "a", "--json").good().json
    assert (found["leaf_count"], found["mark"]["leaf_count"], found["code"]) == (1, 1, "")
    nous("high-water", "accept", "--ledger", tmp_path / "a", "--yes").failed(2, "nothing-to-accept")


def test_an_older_database(nous: Call, ledger: Path, tmp_path: Path) -> None:
    found = nous("high-water", "show", "--ledger", ledger, "--json")
    assert found.code == 1
    assert (found.json["lost"], found.json["code"]) == (1, "store-behind")
    assert "1 record\n" in nous("high-water", "show", "--ledger", ledger).out
    nous("close", "--ledger", ledger, "--yes").failed(1, "store-behind", "high-water accept")
    nous("gateway", "--ledger", ledger, "--port", 0).failed(1, "store-behind", "hint: ")
    nous("prove", 0, "--ledger", ledger, "-o", tmp_path / "proof").good()
    nous("fsck", "--ledger", ledger).out.index("store-behind  high-water: ")


def test_accepting_it(nous: Call, ledger: Path) -> None:
    accept = ("high-water", "accept", "--ledger", ledger)
    nous(*accept).failed(2, "cannot be brought back", "--yes")
    shown = nous(*accept, "--yes").good().out
    assert "the log goes on after record 0" in shown
    assert "lost: 1 record that had been logged" in shown
    nous("fsck", "--ledger", ledger).good()


def test_a_published_head_is_never_overruled(nous: Call, ledger: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    nous("init", "--ledger", folder, "--no-rotation").good()
    shutil.copy(folder / "ledger.db", tmp_path / "old-b.db")
    nous("close", "--ledger", folder, "--yes").good()
    nous("publish", tmp_path / "published", "--ledger", folder, "--bodies", "none").good()
    shutil.copy(tmp_path / "old-b.db", folder / "ledger.db")
    source = ("high-water", "set", "--ledger", folder, "--source", tmp_path / "published")
    assert str(tmp_path / "published") in nous(*source).good().out
    refused = nous("high-water", "accept", "--ledger", folder, "--yes")
    refused.failed(1, "store-behind", "make a successor", "--predecessor")
    log_id = nous("key", "show", "--ledger", folder, "--json").good().json["log_id"]
    assert f"{log_id}:1:" in refused.err
    assert "seen        2 records" in nous("high-water", "show", "--ledger", folder).out
    nous("high-water", "set", "--ledger", folder, "--no-sources").good()
    nous("high-water", "accept", "--ledger", folder, "--yes").good()
    del ledger


def test_the_file_elsewhere(nous: Call, tmp_path: Path) -> None:
    folder, place = tmp_path / "a", tmp_path / "disk" / "mark"
    place.parent.mkdir()
    nous("init", "--ledger", folder, "--no-rotation").good()
    assert str(place) in nous("high-water", "set", "--ledger", folder, "--file", place).good().out
    assert not (folder / "high-water").exists()
    nous("high-water", "show", "--ledger", folder).good()
    nous("close", "--ledger", folder, "--yes").good()
    found = nous("high-water", "show", "--ledger", folder, "--json").good().json
    assert (found["file"], found["mark"]["leaf_count"]) == (str(place), 2)
    nous("high-water", "set", "--ledger", folder).failed(2, "--file")
    nous("high-water", "set", "--ledger", folder, "--file", place).failed(2, "already-exists")
    place.unlink()
    lost = nous("high-water", "show", "--ledger", folder)
    assert (lost.code, "of no use" in lost.out) == (3, True)
    new = tmp_path / "new" / "mark"
    accept = ("high-water", "accept", "--ledger", folder, "--yes")
    place.parent.rmdir()
    nous(*accept).failed(3, "store-unwritable", str(place))
    new.parent.mkdir()
    nous("high-water", "set", "--ledger", folder, "--file", new).failed(3, "high-water-unusable")
    nous(*accept, "--file", new).good()
    found = nous("high-water", "show", "--ledger", folder, "--json").good().json
    assert (found["file"], found["code"]) == (str(new), "")


def test_init_with_the_file_elsewhere(nous: Call, tmp_path: Path) -> None:
    place = tmp_path / "mark"
    init = ("init", "--ledger", tmp_path / "a", "--no-rotation", "--high-water", place)
    nous(*init).good()
    assert place.exists()
    assert not (tmp_path / "a" / "high-water").exists()


def test_nothing_is_closed_or_accepted_under_a_gateway(nous: Call, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    nous("init", "--ledger", folder, "--no-rotation").good()
    with Ledger.open(folder) as ledger, GatewayThread(ledger, AppConfig()):
        nous("close", "--ledger", folder, "--yes").failed(3, "gateway-running", "end it first")
        accept = ("high-water", "accept", "--ledger", folder, "--yes")
        nous(*accept).failed(3, "gateway-running")
        assert ledger.leaf_count() == 1
    nous("close", "--ledger", folder, "--yes").good()
