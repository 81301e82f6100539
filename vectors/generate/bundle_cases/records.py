"""Attribution and inclusion: key histories, records, paths and pinning."""

from dataclasses import replace
from typing import Any

from vectors.generate import actors
from vectors.generate.bundle_cases.common import (
    GOOD,
    UNPINNED,
    Adder,
    Codes,
    accuracy,
    attribution,
    history_fails,
    inclusion,
    proof,
    started,
    with_body,
)
from vectors.generate.examplelog import ExampleLog, Proof, log_vkeys
from vectors.generate.rules import bodies, curve, history, note, tree
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.primitives import ZEROS, sha256
from vectors.generate.suite import Suite

ORDER = curve.SECP256K1.n


def add_all(suite: Suite, add: Adder) -> None:
    """Add all cases of the attribution and inclusion."""
    for part in (valid, histories, key_events, records, suspects, paths):
        part(add)
    pinning(suite)


def valid(add: Adder) -> None:
    """Bundles of different logs."""
    add.report("a receipt", GOOD, "Valid", proof())
    add.report("the last leaf", GOOD, "Valid", proof(index=2))
    for count in (3, 4, 7, 8, 20):
        log = started(count)
        add.report(f"a log of {count + 1} leaves", GOOD, "Valid", proof(log, count))
    for index in (1, 3):
        log = started().rotate().receipts(2)
        add.report(
            f"record {index} around a rotation",
            GOOD if index == 1 else accuracy("no-receipt"),
            "Valid",
            proof(log, index),
        )
    none = accuracy("no-receipt")
    add.report("the genesis of a log of one leaf", none, "Valid", proof(ExampleLog().genesis(), 0))
    add.report("the genesis, later", none, "Valid", proof(index=0))
    add.report("a receipt of a closed log", GOOD, "Valid", proof(started().close(), 1))
    add.report("the close", none, "Valid", proof(started().close(), 3))
    extended = actors.receipt(f64=[{1: b""}], f27={1: "s", 99: "x"}, f2000=7)
    extended[18] = [{**extended[18][0], 70: {}}, *extended[18][1:]]
    often = started(1)
    for _ in range(63):
        often.rotate()
    add.report("64 key events", GOOD, "Valid", proof(often, 1))
    add.report("extensions in every map", GOOD, "Extension", with_body(1, pack(extended)))
    add.report("a body withheld", accuracy("withheld"), "Withheld", proof(body=b""))


def edit_record(base: Proof, at: int, data: bytes) -> Proof:
    """Return a proof whose record is edited, its path and head left alone."""
    raw = base.record[:at] + data + base.record[at + len(data) :]
    return replace(base, record=raw)


def relogged(raw: bytes, body: bytes, index: int = 2) -> Proof:
    """Return a proof of a log whose last leaf is this record."""
    log = started(index - 1)
    log.leaves.append((raw, body))
    return Proof.of(log, index)


def histories(add: Adder) -> None:
    """Key histories that fail."""
    base = proof()
    genesis = base.entries[0]
    for comment, code, entries in (
        ("no key event", "key-event-order", []),
        ("the genesis twice", "key-event-order", [genesis, genesis]),
        ("a receipt as genesis", "key-event-order", [history.Entry(*started().leaves[1])]),
        ("an empty genesis body", "body-hash", [replace(genesis, body=b"")]),
        ("another genesis body", "body-hash", [replace(genesis, body=pack(actors.genesis(f6=61)))]),
    ):
        case = replace(base, entries=entries)
        add.report(comment, history_fails(code), "History", case)
    other = ExampleLog(log=actors.LOG_ID).genesis(f5=actors.NEXT_HASHES[2]).receipts(1)
    add.report("the genesis of another log", history_fails("log-id"), "History", proof(other, 1))
    named = ExampleLog().genesis(f2="ledger.example.com/other").receipts(1)
    add.report("a genesis of another name", history_fails("log-id"), "History", proof(named, 1))
    no_point = ExampleLog().genesis(f3=b"\x02" + bytes(31) + b"\x05").receipts(1)
    add.report(
        "a genesis key that is no point", history_fails("bad-value"), "History", proof(no_point, 1)
    )
    r, s, v = genesis.record[55:87], genesis.record[87:119], genesis.record[119]
    high = (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    for comment, code, signature in (
        ("r = n", "malformed", ORDER.to_bytes(32, "big") + s + bytes([v])),
        ("a high s", "high-s", r + high + bytes([v ^ 1])),
        ("recovery id 3", "bad-recovery-id", r + s + b"\x03"),
        ("the other recovery id", "mismatch", r + s + bytes([v ^ 1])),
    ):
        raw = genesis.record[:55] + signature
        case = replace(base, entries=[replace(genesis, record=raw)])
        add.report(f"genesis record: {comment}", history_fails(code), "History", case)


def key_events(add: Adder) -> None:
    """Rotations and closes that fail."""
    log = started()
    by_old = log.rotation_signature(1, actors.NEXT_HASHES[2], signer=0)
    for comment, code, changed in (
        (
            "by a stolen current key",
            "reveal",
            started().rotate({"secret": actors.SECRETS[0]}, f3=actors.KEYS[0], f10=by_old),
        ),
        ("signed by the replaced key", "rotation-signature", started().rotate(f10=by_old)),
        (
            "its record signed by the replaced key",
            "mismatch",
            started().rotate({"secret": actors.SECRETS[0]}),
        ),
        (
            "of a skipped epoch",
            "epoch",
            started().rotate({"epoch": 2, "secret": actors.SECRETS[1]}),
        ),
        ("that suspects the future", "index-order", started().rotate(f8=1, f9=9)),
        ("of an unknown reason and suspect_from", "field-conflict", started().rotate(f8=9, f9=1)),
        ("of an unknown kind", "unknown-kind", started().rotate(f1=3)),
        ("followed by a close, then a receipt", "after-close", started().close().receipts(1)),
    ):
        add.report(f"a rotation {comment}", history_fails(code), "History", proof(changed, 1))
    two = started().rotate().rotate()
    case = proof(two, 1)
    case.entries = [case.entries[0], case.entries[2]]
    add.report("the first of two rotations left out", history_fails("epoch"), "History", case)
    case = proof(two, 1)
    case.entries = [case.entries[0], case.entries[2], case.entries[1]]
    add.report("two rotations swapped", history_fails("epoch"), "History", case)


def records(add: Adder) -> None:
    """The record's signature, epoch and body."""
    base = proof()
    body = base.body
    leaf = ("mismatch", "root-mismatch", "not-witnessed")
    case = edit_record(base, 22, bytes([base.record[22] ^ 1]))
    add.report("logged_at altered", (*leaf, "not-recounted"), "Record", case)
    case = edit_record(base, 2, b"\x02")
    add.report("type altered", (*leaf, "unknown-field"), "Record", case)
    case = edit_record(base, 23, bytes([base.record[23] ^ 1]))
    add.report("body_hash altered", (*leaf, "undecided"), "Record", case)
    for comment, code, raw in forged(body):
        add.report(f"a leaf {comment}", attribution(code), "Record", relogged(raw, body))
    for comment, other in (
        ("altered", body[:-1] + bytes([body[-1] ^ 1])),
        ("of another", started().leaves[2][1]),
    ):
        codes = attribution("body-hash", "undecided")
        add.report(f"the body {comment}", codes, "BodyHash", replace(base, body=other))
    unbound = actors.make_record(1, b"", 2, logged_at=actors.TIME_MS + 5_000)
    add.report(
        "a record over an empty body", accuracy("withheld"), "Withheld", relogged(unbound, b"")
    )
    log = started().rotate()
    case = replace(proof(log, 3), body=b"")
    add.report(
        "a rotation, its body withheld", attribution("body-hash", "undecided"), "KeyRecord", case
    )
    case = replace(proof(log, 3), body=log.leaves[0][1])
    codes = attribution("key-event-order", "undecided")
    add.report("a rotation, the body of another event", codes, "KeyRecord", case)
    log = started(1)
    log.append(bodies.KEY, pack(actors.genesis()))
    case = Proof.of(log, 2)
    case.entries = case.entries[:1]
    codes = attribution("key-event-order", "no-receipt")
    add.report("a key event that is not in the list", codes, "KeyRecord", case)


def forged(body: bytes) -> list[tuple[str, str, bytes]]:
    """Return records that are in the tree and that the log's key never signed."""
    good = actors.make_record(1, body, 2, logged_at=actors.TIME_MS + 5_000)
    r, s, v = good[55:87], good[87:119], good[119]
    high = (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")

    def signed_by(signer: int, **how: Any) -> bytes:
        chosen = {"logged_at": actors.TIME_MS + 5_000, **how}
        return actors.make_record(1, body, 2, secret=actors.SECRETS[signer], **chosen)

    return [
        ("signed by another key", "mismatch", signed_by(2)),
        ("signed for another log", "mismatch", signed_by(0, log=sha256(b"other"))),
        ("of an epoch that is to come", "epoch", signed_by(1, epoch=1)),
        ("of epoch 2^32 - 1", "epoch", signed_by(0, epoch=2**32 - 1)),
        ("with r = 0", "malformed", good[:55] + bytes(32) + s + bytes([v])),
        ("with a high s", "high-s", good[:55] + r + high + bytes([v ^ 1])),
        ("with recovery id 27", "bad-recovery-id", good[:119] + bytes([27 + v])),
        ("with the other recovery id", "mismatch", good[:119] + bytes([v ^ 1])),
    ]


def suspects(add: Adder) -> None:
    """Records in a suspect range."""
    log = started(3).rotate(f8=2, f9=2).receipts(1)  # suspect: 2 and 3
    for index in (1, 5):
        add.report(f"record {index} outside a suspect range", GOOD, "Valid", proof(log, index))
    for index in (2, 3):
        codes = attribution("suspect")
        add.report(f"record {index} in a suspect range", codes, "Suspect", proof(log, index))
    case = replace(proof(log, 2), body=b"")
    add.report("suspect and withheld", attribution("suspect", "withheld"), "Suspect", case)
    broken = replace(proof(log, 2), body=b"\x80")
    codes = attribution("body-hash", "undecided")
    add.report("suspect, and the body is another", codes, "BodyHash", broken)


def paths(add: Adder) -> None:
    """Paths and indices."""
    base = proof(started(5), 3)
    hashes = base.log.hashes()
    for at in range(len(base.path)):
        path = list(base.path)
        path[at] = bytes([path[at][0] ^ 1]) + path[at][1:]
        case = replace(base, path=path)
        add.report(f"bit of hash {at}", inclusion("root-mismatch"), "Path", case)
    shape = inclusion("proof-shape")
    add.report("a hash missing", shape, "Path", replace(base, path=base.path[:-1]))
    add.report("no path", shape, "Path", replace(base, path=[]))
    add.report("a hash more", shape, "Path", replace(base, path=[*base.path, bytes(32)]))
    add.report("63 hashes", shape, "Path", replace(base, path=[bytes(32)] * 63))
    index = inclusion("proof-index")
    add.report("the index of the next leaf to come", index, "Path", replace(base, index=6))
    add.report("index 2^53 - 1", index, "Path", replace(base, index=2**53 - 1))
    add.report(
        "the index of its sibling", inclusion("root-mismatch"), "Path", replace(base, index=2)
    )
    moved = replace(base, index=4, path=tree.inclusion_path(4, hashes))
    add.report("the path of another leaf", inclusion("root-mismatch"), "Path", moved)
    log = started(2)
    log.append(1, log.leaves[1][1], index=1)
    codes = inclusion("record-index")
    add.report("a record that names another index", codes, "RecordIndex", Proof.of(log, 3))
    event_paths(add)


def event_paths(add: Adder) -> None:
    """The paths of key events."""
    base = proof(started().rotate().receipts(1), 4)
    first, second = base.entries

    def stops(code: str) -> Codes:
        return ("undecided", code, "not-witnessed", "undecided")

    for comment, code, entries in (
        ("a bit", "root-mismatch", [replace(first, path=(bytes(32), *first.path[1:])), second]),
        ("a hash missing", "proof-shape", [first, replace(second, path=second.path[:-1])]),
        ("a hash more", "proof-shape", [replace(first, path=(*first.path, bytes(32))), second]),
        ("no path", "proof-shape", [first, replace(second, path=())]),
        (
            "swapped paths",
            "proof-shape",
            [replace(first, path=second.path[:-1]), replace(second, path=first.path)],
        ),
    ):
        case = replace(base, entries=entries)
        add.report(f"path of a key event: {comment}", stops(code), "EventPath", case)
    late = started().rotate({"index": 9})
    add.report("a rotation beyond the head", stops("proof-index"), "EventPath", proof(late, 1))


def pinning(suite: Suite) -> None:
    """What the policy pins."""
    add = Adder(suite, UNPINNED)
    add.report("not pinned", attribution("unpinned"), "Unpinned", proof())
    frozen = ExampleLog(log=actors.FROZEN_LOG_ID).genesis(f5=ZEROS).receipts(2)
    add.report(
        "not pinned, another log of the name", attribution("unpinned"), "Unpinned", proof(frozen, 1)
    )
    body = started().leaves[1][1]
    for comment, code, raw in forged(body)[:3]:
        add.report(
            f"not pinned, a leaf {comment}", attribution(code), "Record", relogged(raw, body)
        )
    case = replace(proof(), body=b"\x80")
    codes = attribution("body-hash", "undecided")
    add.report("not pinned, another body", codes, "BodyHash", case)
    log = started(3).rotate(f8=1, f9=2)
    add.report("not pinned and suspect", attribution("unpinned"), "Unpinned", proof(log, 2))
    bare = replace(proof(), lines=lambda lines: lines[:1])
    codes = ("undecided", "undecided", "missing-kind", "undecided")
    add.report("not pinned, no 0xff line", codes, "Missing", bare)
    case = replace(proof(), path=[bytes(32)] * 2)
    codes = ("unpinned", "root-mismatch", "not-witnessed", "not-recounted")
    add.report("not pinned, another path", codes, "Path", case)
    ed25519, ours = log_vkeys()
    other = note.head_vkey(actors.ORIGIN, actors.FROZEN_LOG_ID)
    wrong = Adder(suite, f"log {ed25519}\nlog {other}\nquorum none\n")
    wrong.report("another log id is pinned", history_fails("log-id"), "History", proof())
    both = Adder(suite, f"log {ed25519}\nlog {ours}\nlog {other}\nquorum none\n")
    both.report("two log ids pinned, the first log", GOOD, "Valid", proof())
    both.report("two log ids pinned, the second log", GOOD, "Valid", proof(frozen, 1))
    closed = ExampleLog(log=actors.FROZEN_LOG_ID).genesis(f5=ZEROS).receipts(2).freeze()
    frozen_only = Adder(suite, f"log {ed25519}\nlog {other}\nquorum none\n")
    frozen_only.report("a closed log that cannot rotate", GOOD, "Valid", proof(closed, 1))
    unseen = proof(closed, 1)
    unseen.entries = unseen.entries[:1]
    frozen_only.report("its close left out: unseen", GOOD, "Valid", unseen)
    bad = Adder(suite, "log nonsense\nquorum none\n")
    bad.refused("a policy that does not parse", "policy-format", "Policy", proof())
    bad = Adder(suite, log_vkeys()[0])
    bad.refused("a vkey as policy", "policy-format", "Policy", proof())
