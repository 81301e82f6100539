"""Bodies of key events: which fields each kind has."""

from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.bodies import decode_body, encode_body
from nous_ledger.protocol.encoding import pack_checked
from nous_ledger.protocol.hashing import next_key_hash
from nous_ledger.protocol.keyevent import KeyEvent, Predecessor
from nous_ledger.protocol.signing import SigningKey
from tests.refusals import code_of

KEY = SigningKey(b"\x11" * 32).public_key
NEXT_HASH = next_key_hash(SigningKey(b"\x22" * 32).public_key)
KEYS: dict[str, Any] = {"secp256k1": KEY, "ed25519": bytes(range(32))}
GENESIS = KeyEvent(
    kind=0,
    origin="ledger.example.com/main",
    next_hash=NEXT_HASH,
    max_merge_delay_s=60,
    heartbeat_s=3_600,
    **KEYS,
)
ROTATE = KeyEvent(kind=1, next_hash=NEXT_HASH, reason=0, rotation_sig=bytes(65), **KEYS)
CLOSE = KeyEvent(kind=2, reason=4, rotation_sig=bytes(65), **KEYS)
EVENTS = {"genesis": GENESIS, "rotate": ROTATE, "close": CLOSE}
PREDECESSOR = Predecessor(log_id=bytes(32), count=41, root=bytes(32))

PRESENT: dict[str, Any] = {
    "origin": "a",
    "next_hash": NEXT_HASH,
    "max_merge_delay_s": 0,
    "heartbeat_s": 0,
    "reason": 0,
    "suspect_from": 0,
    "rotation_sig": bytes(65),
    "predecessor": PREDECESSOR,
}
MUST = {
    "genesis": {"origin", "next_hash", "max_merge_delay_s", "heartbeat_s"},
    "rotate": {"next_hash", "reason", "rotation_sig"},
    "close": {"reason"},
}
MAY = {"genesis": {"predecessor"}, "rotate": set[str](), "close": {"rotation_sig"}}


def change(event: KeyEvent, **changes: Any) -> KeyEvent:
    return replace(event, **changes)


def is_kept(event: KeyEvent) -> bool:
    """Return whether an event is read as it was written."""
    return decode_body(0, encode_body(event)) == event


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("name", PRESENT)
def test_which_fields_a_kind_has(kind: str, name: str) -> None:
    """Present and absent, both ways (BODY-7)."""
    event = EVENTS[kind]
    absent = {name: None}
    # What is there stays as it is: a close keeps its reason 4.
    present = {} if getattr(event, name) is not None else {name: PRESENT[name]}
    if name in MUST[kind]:
        assert is_kept(change(event, **present))
        assert code_of(change, event, **absent) == "field-conflict"
    elif name in MAY[kind]:
        assert is_kept(change(event, **present))
        assert is_kept(change(event, **absent))
    else:
        assert is_kept(change(event, **absent))
        assert code_of(change, event, **{name: PRESENT[name]}) == "field-conflict"


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_has_its_keys(kind: str) -> None:
    """BODY-3."""
    wire = EVENTS[kind].to_wire()
    for key in (1, 3, 4):
        rest = pack_checked({k: value for k, value in wire.items() if k != key})
        assert code_of(decode_body, 0, rest) == "missing-field"


@pytest.mark.parametrize("event", [ROTATE, CLOSE])
@pytest.mark.parametrize("reason", range(7))
@pytest.mark.parametrize("suspect_from", [None, 0, 9])
def test_reasons(event: KeyEvent, reason: int, suspect_from: int | None) -> None:
    """Suspicion names where it begins (BODY-7), a rotate is never a close (BODY-12)."""
    fields: dict[str, Any] = {"reason": reason, "suspect_from": suspect_from}
    suspected = reason in (1, 2)
    if suspected != (suspect_from is not None) or (event.kind == 1 and reason == 4):
        assert code_of(change, event, **fields) == "field-conflict"
    else:
        assert is_kept(change(event, **fields))


def test_only_a_genesis_may_commit_to_no_next_key() -> None:
    """BODY-11."""
    assert is_kept(change(GENESIS, next_hash=bytes(32)))
    assert code_of(change, ROTATE, next_hash=bytes(32)) == "field-conflict"


@pytest.mark.parametrize("kind", [3, 4, 255, 2**53 - 1])
def test_unknown_kinds_have_no_rules(kind: int) -> None:
    """They are read and kept; the key history says that it cannot go on (BODY-15, ENC-20)."""
    everything = {name: value for name, value in PRESENT.items() if name != "suspect_from"}
    for fields in ({}, everything, {"reason": 1}, {"suspect_from": 1}, {"next_hash": bytes(32)}):
        given: dict[str, Any] = {"kind": kind, **KEYS, **fields}
        assert is_kept(KeyEvent(**given))


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("origin", "", "empty-value"),
        ("origin", "Ledger", "bad-value"),
        ("origin", "a/", "bad-value"),
        ("origin", "a" * 256, "bad-value"),
        ("origin", b"a", "wrong-type"),
        ("secp256k1", b"\x04" + KEY[1:], "bad-value"),
        ("secp256k1", b"\x02" + (5).to_bytes(32, "big"), "bad-value"),
        ("secp256k1", b"\x02" + b"\xff" * 32, "bad-value"),
        ("secp256k1", KEY[1:], "bad-value"),
        ("secp256k1", b"", "empty-value"),
        ("ed25519", bytes(31), "bad-value"),
        ("next_hash", bytes(33), "bad-value"),
        ("max_merge_delay_s", 2**53, "int-range"),
        ("heartbeat_s", "60", "wrong-type"),
        ("predecessor", (bytes(32), 1, bytes(32)), "wrong-type"),
    ],
)
def test_limits_of_fields(name: str, value: Any, code: str) -> None:
    """BODY-4 to BODY-6, BODY-14, ID-1."""
    assert code_of(change, GENESIS, **{name: value}) == code


@pytest.mark.parametrize("origin", ["a", "a" * 255, "ledger.example.com/main", "0~_-/.9"])
def test_origins(origin: str) -> None:
    """ID-1."""
    assert is_kept(change(GENESIS, origin=origin))


def test_a_rotation_signature_has_65_bytes() -> None:
    """Whose they are is a question of the key history (KEY-21)."""
    assert is_kept(change(ROTATE, rotation_sig=b"\xff" * 65))
    assert code_of(change, ROTATE, rotation_sig=bytes(64)) == "bad-value"


def test_a_predecessor_is_a_row() -> None:
    """BODY-4 to BODY-6."""
    assert is_kept(change(GENESIS, predecessor=PREDECESSOR))
    assert PREDECESSOR.to_wire() == (bytes(32), 41, bytes(32))
    wire = GENESIS.to_wire()
    for value, code in (
        ((), "empty-value"),
        ((bytes(32), 41), "bad-value"),
        ((bytes(32), 41, bytes(32), 0), "bad-value"),
        ((bytes(32), bytes(32), 41), "wrong-type"),
        ((bytes(32), 41, b""), "empty-value"),
        ((bytes(31), 41, bytes(32)), "bad-value"),
        ({1: 1}, "wrong-type"),
    ):
        assert code_of(decode_body, 0, pack_checked(wire | {11: value})) == code
