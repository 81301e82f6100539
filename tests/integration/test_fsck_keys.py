"""The check of ledgers whose keys changed, and of wrong key histories."""

# ruff: noqa: S608 - leaves are named in the SQL that damages them.

import random
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.creation import KEYS_NAME
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.keys import read_log_keys
from nous_ledger.ledger.publish import publish
from tests.integration.ledger_damage import alter, flip, read, sign_again
from tests.integration.ledger_drafts import ORIGIN, Clock, make_draft

ROTATIONS = (4, 8)
"""Leaves of the rotations; the second one changes the Ed25519 key too."""


@pytest.fixture
def rotated(folder: Path, tmp_path: Path, clock: Clock, seed: random.Random) -> Path:
    """A ledger of three epochs, closed at its end, with heads in each epoch."""
    keys = [tmp_path / f"next{number}.key" for number in range(3)]
    with Ledger.create(folder, next_key_out=keys[0], origin=ORIGIN, clock=clock) as ledger:
        for number in range(2):
            for _ in range(3):
                clock.now_ms += 1000
                ledger.append_receipt(make_draft(seed, time_ms=clock.now_ms))
                ledger.head()
            changed = ledger.rotate(
                keys[number], next_key_out=keys[number + 1], new_ed25519=number == 1
            )
            assert changed.index == ROTATIONS[number]
        ledger.append_receipt(make_draft(seed, time_ms=clock.now_ms))
        ledger.close_log(keys[2])
    return folder


def test_a_log_of_several_epochs_is_clean(rotated: Path, tmp_path: Path) -> None:
    """KEY-19, KEY-28, HEAD-7."""
    report = fsck(rotated)
    assert report.faults == ()
    assert report.heads > 8
    done = publish(rotated, tmp_path / "public", all_bodies=False)
    assert done.checkpoint.leaf_count == report.leaf_count


def test_the_uncounted_close_of_a_log_is_clean(
    ledger: Ledger, folder: Path, seed: random.Random
) -> None:
    """KEY-23."""
    ledger.append_receipt(make_draft(seed))
    ledger.head()
    ledger.close_log()
    ledger.close()
    assert fsck(folder).faults == ()


def _places(folder: Path) -> set[tuple[str, str, object]]:
    return {(fault.code, fault.table, fault.index) for fault in fsck(folder).faults}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"rotation_sig": bytes(31) + b"\x01" + bytes(31) + b"\x01\x00"}, "rotation-signature"),
        ({"secp256k1": None}, "reveal"),
        ({"suspect_from": 99, "reason": 1}, "index-order"),
    ],
)
def test_a_wrong_key_history(rotated: Path, changes: dict[str, Any], code: str) -> None:
    """KEY-20, KEY-21, BODY-13: what the history lacks from there on is a fault, not before."""
    if "secp256k1" in changes:
        key = read_log_keys(rotated / KEYS_NAME, None).signing_key().public_key
        changes = {"secp256k1": key}
    sign_again(rotated, ROTATIONS[0], lambda event: replace(event, **changes))
    found = _places(rotated)
    assert (code, "records", ROTATIONS[0]) in found
    assert not [place for place in found if isinstance(place[2], int) and place[2] < 4]


def test_a_rotation_that_vanished(rotated: Path) -> None:
    """The epochs after it have nothing to rest on."""
    alter(
        rotated,
        "UPDATE records SET record ="
        " CAST(substr(record, 1, 1) || x'0001' || substr(record, 4) AS BLOB) WHERE leaf = 4",
    )
    found = _places(rotated)
    assert ("epoch", "records", ROTATIONS[1]) in found
    assert ("row-leftover", "key_events", ROTATIONS[0]) in found
    assert {index for code, table, index in found if code == "epoch"} >= {5, 6, 7}


def test_a_record_after_the_close(rotated: Path) -> None:
    """KEY-24."""
    close = read(rotated, "SELECT max(leaf) FROM records")[0][0]
    alter(rotated, f"INSERT INTO records SELECT {close + 1}, record FROM records WHERE leaf = 5")
    assert ("after-close", "records", close) in _places(rotated)


def test_a_damaged_key_event(rotated: Path) -> None:
    alter(rotated, flip("bodies", "leaf", "body", 30, row=ROTATIONS[1]))
    found = _places(rotated)
    assert {
        ("body-hash", "records", ROTATIONS[1]),
        ("body-hash", "bodies", ROTATIONS[1]),
        ("mismatch", "records", ROTATIONS[1]),
    } <= found
    assert not [place for place in found if isinstance(place[2], int) and place[2] < 8]


def test_key_events_in_another_order(rotated: Path) -> None:
    """KEY-19."""
    sql = "SELECT leaf, record, body FROM records JOIN bodies USING (leaf) WHERE leaf IN (4, 8)"
    (_, record4, body4), (_, record8, body8) = read(rotated, sql)

    def swap(connection: sqlite3.Connection) -> None:
        for leaf, record, body in ((4, record8, body8), (8, record4, body4)):
            connection.execute("UPDATE records SET record = ? WHERE leaf = ?", (record, leaf))
            connection.execute("UPDATE bodies SET body = ? WHERE leaf = ?", (body, leaf))

    alter(rotated, swap)
    found = _places(rotated)
    assert {("record-index", "records", 4), ("epoch", "records", 4)} <= found
