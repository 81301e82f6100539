"""Ways to damage a ledger, and with which codes each of them is to be found."""

# ruff: noqa: S608 - tables and rows are named in the SQL that damages them.

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from nous_ledger.ledger.creation import KEYS_NAME
from nous_ledger.ledger.keys import read_log_keys
from nous_ledger.protocol.bodies import decode_body, encode_body
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.record import decode_record, sign_record
from nous_ledger.protocol.types import LogId

Edit = Callable[[sqlite3.Connection], object]


def alter(folder: Path, edit: Edit | str) -> None:
    with closing(sqlite3.connect(folder / "ledger.db")) as connection, connection:
        if isinstance(edit, str):
            assert connection.execute(edit).rowcount != 0, "nothing was altered"
        else:
            edit(connection)


def read(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        return connection.execute(sql).fetchall()


def sign_again(folder: Path, leaf: int, change: Callable[[Any], Any]) -> None:
    """Change a body, and sign its record with the log's key, as a dishonest log could."""
    ((record, body, log_id),) = read(
        folder,
        "SELECT record, body, log_id FROM records JOIN bodies USING (leaf), log"
        f" WHERE leaf = {leaf}",
    )
    old = decode_record(record)
    altered = encode_body(change(decode_body(old.type, body)))
    signed = sign_record(
        read_log_keys(folder / KEYS_NAME, None).signing_key(),
        LogId(log_id),
        type=old.type,
        epoch=old.epoch,
        index=old.index,
        logged_at=old.logged_at,
        body_hash=sha256(altered),
    )

    def edit(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE bodies SET body = ? WHERE leaf = ?", (altered, leaf))
        connection.execute("UPDATE records SET record = ? WHERE leaf = ?", (signed, leaf))

    alter(folder, edit)


def flip(table: str, key: str, column: str, at: int, row: object = None) -> Edit:
    """Return an edit that flips one bit of one value."""

    def edit(connection: sqlite3.Connection) -> None:
        where = f"WHERE {key} = ?" if row is not None else ""
        (found,) = connection.execute(
            f"SELECT {key}, {column} FROM {table} {where} LIMIT 1",
            () if row is None else (row,),
        )
        value = bytearray(found[1])
        value[at] ^= 1
        connection.execute(
            f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (bytes(value), found[0])
        )

    return edit


CASES: dict[str, tuple[Edit | str, set[tuple[str, str]]]] = {
    "record's signature": (
        flip("records", "leaf", "record", 60, row=5),
        {("mismatch", "records"), ("root-mismatch", "nodes")},
    ),
    "record's version": (
        flip("records", "leaf", "record", 0, row=5),
        {("record-version", "records"), ("root-mismatch", "nodes")},
    ),
    "record's epoch": (
        flip("records", "leaf", "record", 6, row=5),
        {("epoch", "records"), ("mismatch", "records"), ("root-mismatch", "nodes")},
    ),
    "record's body hash": (
        flip("records", "leaf", "record", 30, row=13),
        {("body-hash", "bodies"), ("mismatch", "records"), ("root-mismatch", "nodes")},
    ),
    "record's length": (
        "UPDATE records SET record = substr(record, 1, 119) WHERE leaf = 5",
        {("record-length", "records")},
    ),
    "body": (flip("bodies", "leaf", "body", 40, row=4), {("body-hash", "bodies")}),
    "body of the genesis": (
        flip("bodies", "leaf", "body", 20, row=0),
        {("body-hash", "bodies"), ("body-hash", "records")},
    ),
    "leaf node": (
        flip("nodes", "position", "hash", 3, row=4),
        {("root-mismatch", "nodes")},
    ),
    "peak": (
        flip("nodes", "position", "hash", 3, row=14),
        {("root-mismatch", "nodes"), ("fork", "heads")},
    ),
    "subject's head": (
        flip("subjects", "subject", "last_body_hash", 3),
        {("row-mismatch", "subjects")},
    ),
    "subject's count": (
        (
            "UPDATE subjects SET next_seq = next_seq - 1"
            " WHERE subject = (SELECT min(subject) FROM subjects)"
        ),
        {("row-mismatch", "subjects")},
    ),
    "subject's count, too high": (
        (
            "UPDATE subjects SET next_seq = next_seq + 1"
            " WHERE subject = (SELECT min(subject) FROM subjects)"
        ),
        {("row-mismatch", "subjects"), ("subject-chain", "subjects")},
    ),
    "raw usage": (
        flip("raw_usage", "leaf", "usage", 9),
        {("usage-hash", "raw_usage")},
    ),
    "draft of an intent": (flip("intents", "id", "draft", 0), {("limit", "intents")}),
    "head's time": (
        "UPDATE heads SET timestamp = timestamp + 1 WHERE leaf_count = 14",
        {("row-mismatch", "heads")},
    ),
    "log id": (flip("log", "id", "log_id", 0), {("log-id", "log")}),
    "origin": ("UPDATE log SET origin = 'else.example.com'", {("log-id", "log")}),
    "no record": (
        "DELETE FROM records WHERE leaf = 6",
        {
            *(("row-missing", "records"), ("row-leftover", "bodies")),
            *(("row-leftover", "receipts"), ("subject-chain", "bodies")),
            ("row-mismatch", "subjects"),
        },
    ),
    "no node": ("DELETE FROM nodes WHERE position = 9", {("row-missing", "nodes")}),
    "no receipt id": (
        "DELETE FROM receipts WHERE leaf = 6",
        {("row-missing", "receipts")},
    ),
    "no subject": (
        "DELETE FROM subjects WHERE subject = (SELECT max(subject) FROM subjects)",
        {("row-missing", "subjects")},
    ),
    "no key event": ("DELETE FROM key_events", {("row-missing", "key_events")}),
    "no head": ("DELETE FROM heads", {("row-missing", "heads")}),
    "no body of a key event": (
        "DELETE FROM bodies WHERE leaf = 0",
        {("row-missing", "bodies"), ("body-hash", "records")},
    ),
    "no body": ("DELETE FROM bodies WHERE leaf = 13", {("row-missing", "bodies")}),
    "an erased body of a key event": (
        "UPDATE bodies SET body = x'' WHERE leaf = 0",
        {("row-missing", "bodies"), ("body-hash", "records")},
    ),
    "an erased body that no redaction names": (
        "UPDATE bodies SET body = x'' WHERE leaf = 5",
        {("row-missing", "bodies"), ("row-leftover", "receipts")},
    ),
    "usage of an erased body": (
        "UPDATE bodies SET body = x'' WHERE leaf = 1",
        {("row-missing", "bodies"), ("row-leftover", "raw_usage")},
    ),
    "no log": ("DELETE FROM log", {("store-corrupt", "database")}),
    "no table": ("DROP TABLE receipts", {("store-corrupt", "database")}),
    "truncated nodes": (
        "DELETE FROM nodes WHERE position >= 20",
        {("row-missing", "nodes")},
    ),
    "truncated heads": ("DELETE FROM heads WHERE leaf_count > 3", set()),
    "a record of another index": (
        "UPDATE records SET leaf = 99 WHERE leaf = 13",
        {
            *(("record-index", "records"), ("row-leftover", "records"), ("rollback", "heads")),
            *(("row-leftover", "nodes"), ("row-leftover", "bodies")),
            *(("row-leftover", "receipts"), ("row-mismatch", "subjects")),
            ("row-missing", "bodies"),
        },
    ),
    "a receipt id of another index": (
        "UPDATE receipts SET leaf = leaf + 1 WHERE leaf = 5",
        {("row-mismatch", "receipts"), ("row-leftover", "receipts")},
    ),
    "a receipt id too many": (
        "INSERT INTO receipts VALUES (x'00', 0, NULL)",
        {("row-leftover", "receipts")},
    ),
    "an opening hash cut short": (
        "UPDATE receipts SET opening_hash = x'0011' WHERE leaf = 5",
        {("row-mismatch", "receipts")},
    ),
    "a subject too many": (
        "INSERT INTO subjects VALUES (zeroblob(31), 1, zeroblob(32))",
        {("subject-chain", "subjects"), ("row-mismatch", "subjects")},
    ),
    "a key event too many": ("INSERT INTO key_events VALUES (3)", {("row-leftover", "key_events")}),
    "a body too many": (
        "INSERT INTO bodies VALUES (1000, x'80')",
        {("row-leftover", "bodies")},
    ),
    "usage beside the genesis": (
        "INSERT INTO raw_usage VALUES (0, x'80')",
        {("row-leftover", "raw_usage")},
    ),
    "a node too many": (
        "INSERT INTO nodes VALUES (100, zeroblob(32))",
        {("row-leftover", "nodes")},
    ),
    "an intent of a logged call": (
        (
            "INSERT INTO intents SELECT id, body, NULL FROM receipts JOIN bodies USING (leaf)"
            " WHERE leaf = 6"
        ),
        {("row-leftover", "intents")},
    ),
    "an intent of another id": (
        "UPDATE intents SET id = zeroblob(16)",
        {("row-mismatch", "intents")},
    ),
    "a trigger": (
        lambda connection: connection.execute(
            "CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM bodies; END"
        ),
        {("row-leftover", "sqlite_schema")},
    ),
}
NOT_SHOWN = {"truncated heads"}
"""Older heads may be thrown away: nothing then is wrong."""
