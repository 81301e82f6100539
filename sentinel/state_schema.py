"""Tables of what a sentinel remembers, and how one version of them becomes the next.

    logs             one row per log: where its audit stands, how the last round went
    heads            signed heads that were accepted
    tiles            hashes of the tree, 256 to a row, by log, level and number
    subjects         pseudonym -> its newest receipt
    ids              receipt id -> leaf
    places           subject -> numbers in its chain and leaves, as many as came together
    nonces, wallets  of bindings
    withheld         bodies that were not served; withheld_hashes finds receipts among them
    announced        leaves whose erasure the log announced
    claims           statements and reconciliations that are still to be compared
    findings         everything that was ever found, with its evidence
    cited            records that findings cite, until there is evidence
    peer_heads       heads that other witnesses have seen and this log has not shown here yet
    anchors          what a contract held of the log at the last look
    acknowledgements who dealt with a finding, and why
    streams          bets on streams of receipts; samples finds the stream of a leaf
    stream_services  reported output tokens by who answered; stream_sums what was taken in all

What grows with the log is written in ascending order, or in order within an era of
65,536 leaves, so that writing costs the same in a long log as in a short one.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from sentinel.state_file import Migration

ERA_BITS: Final = 16

SCHEMA: Final = """
CREATE TABLE logs (
    id INTEGER PRIMARY KEY, origin TEXT NOT NULL, log_id BLOB NOT NULL,
    address TEXT NOT NULL DEFAULT '', state TEXT, round TEXT,
    told INTEGER NOT NULL DEFAULT 0,
    UNIQUE (origin, log_id)
) STRICT;
CREATE TABLE heads (
    log INTEGER NOT NULL, leaf_count INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    seen_at INTEGER NOT NULL, note BLOB NOT NULL,
    PRIMARY KEY (log, leaf_count)
) STRICT, WITHOUT ROWID;
CREATE TABLE tiles (id INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT;
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY, log INTEGER NOT NULL, subject BLOB NOT NULL,
    seq INTEGER NOT NULL, body_hash BLOB NOT NULL, leaf INTEGER NOT NULL,
    UNIQUE (log, subject)
) STRICT;
CREATE TABLE ids (
    log INTEGER NOT NULL, id BLOB NOT NULL, leaf INTEGER NOT NULL,
    PRIMARY KEY (log, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE places (
    log INTEGER NOT NULL, era INTEGER NOT NULL, subject INTEGER NOT NULL,
    leaf INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    pairs BLOB NOT NULL,
    PRIMARY KEY (log, era, subject, leaf)
) STRICT, WITHOUT ROWID;
CREATE TABLE nonces (
    log INTEGER NOT NULL, signer BLOB NOT NULL, nonce INTEGER NOT NULL, leaf INTEGER NOT NULL,
    PRIMARY KEY (log, signer)
) STRICT, WITHOUT ROWID;
CREATE TABLE wallets (
    log INTEGER NOT NULL, subject BLOB NOT NULL, wallet BLOB,
    PRIMARY KEY (log, subject)
) STRICT, WITHOUT ROWID;
CREATE TABLE withheld (
    log INTEGER NOT NULL, leaf INTEGER NOT NULL, type INTEGER NOT NULL, body_hash BLOB NOT NULL,
    seen_at INTEGER NOT NULL, announced INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (log, leaf)
) STRICT, WITHOUT ROWID;
CREATE INDEX withheld_unannounced ON withheld (log, seen_at) WHERE announced = 0;
CREATE TABLE withheld_hashes (
    log INTEGER NOT NULL, era INTEGER NOT NULL, body_hash BLOB NOT NULL, leaf INTEGER NOT NULL,
    PRIMARY KEY (log, era, body_hash, leaf)
) STRICT, WITHOUT ROWID;
CREATE TABLE announced (
    log INTEGER NOT NULL, leaf INTEGER NOT NULL, PRIMARY KEY (log, leaf)
) STRICT, WITHOUT ROWID;
CREATE TABLE claims (
    log INTEGER NOT NULL, leaf INTEGER NOT NULL, type INTEGER NOT NULL,
    PRIMARY KEY (log, leaf)
) STRICT, WITHOUT ROWID;
CREATE TABLE findings (
    id INTEGER PRIMARY KEY AUTOINCREMENT, log INTEGER NOT NULL, same BLOB NOT NULL,
    severity TEXT NOT NULL, place TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
    leaf INTEGER, leaf_count INTEGER, attrs TEXT NOT NULL, cites TEXT NOT NULL, evidence BLOB,
    first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, times INTEGER NOT NULL
) STRICT;
CREATE INDEX findings_same ON findings (log, same);
CREATE INDEX findings_alike ON findings (log, place, code);
CREATE TABLE cited (
    log INTEGER NOT NULL, leaf INTEGER NOT NULL, record BLOB NOT NULL, body BLOB,
    PRIMARY KEY (log, leaf)
) STRICT, WITHOUT ROWID;
CREATE TABLE peer_heads (
    log INTEGER NOT NULL, peer TEXT NOT NULL, leaf_count INTEGER NOT NULL, root BLOB NOT NULL,
    note BLOB NOT NULL, seen_at INTEGER NOT NULL,
    PRIMARY KEY (log, peer, leaf_count, root)
) STRICT, WITHOUT ROWID;
CREATE TABLE anchors (
    log INTEGER NOT NULL, contract TEXT NOT NULL, block INTEGER NOT NULL,
    anchors INTEGER NOT NULL, chain BLOB NOT NULL,
    PRIMARY KEY (log, contract)
) STRICT, WITHOUT ROWID;
CREATE TABLE acknowledgements (
    finding INTEGER PRIMARY KEY, by TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;
"""
"""Version 1."""

_STREAMS: Final = """
CREATE TABLE streams (
    log INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, audit BLOB NOT NULL,
    erased INTEGER NOT NULL, PRIMARY KEY (log, number)
) STRICT;
CREATE TABLE samples (
    log INTEGER NOT NULL, leaf INTEGER NOT NULL, stream INTEGER NOT NULL,
    PRIMARY KEY (log, leaf)
) STRICT, WITHOUT ROWID;
CREATE TABLE stream_services (
    log INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, output TEXT NOT NULL,
    PRIMARY KEY (log, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE stream_sums (
    log INTEGER PRIMARY KEY, receipts TEXT NOT NULL, unread TEXT NOT NULL, beyond TEXT NOT NULL,
    output_beyond TEXT NOT NULL
) STRICT;
INSERT INTO stream_sums
    SELECT id, '0', CAST(json_extract(state, '$.totals.receipts') AS TEXT), '0', '0'
    FROM logs WHERE json_extract(state, '$.totals.receipts') > 0;
"""
"""Version 2. Receipts that were audited before there were streams: no stream took them."""


def _add_streams(connection: sqlite3.Connection) -> None:
    for statement in filter(str.strip, _STREAMS.split(";\n")):
        connection.execute(statement)


MIGRATIONS: Final[tuple[Migration, ...]] = (_add_streams,)
"""The step from version 1 to version 2, then the one to version 3, and so on."""
