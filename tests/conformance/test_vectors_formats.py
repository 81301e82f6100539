"""Notes, vkeys, heads, cosignatures and policies: the library against the vectors."""

from nous_ledger.protocol.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from nous_ledger.protocol.cosignature import cosign, verify_cosignature
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.head import SignedHead, verify_head
from nous_ledger.protocol.head_compare import compare_heads, verify_merge_delay
from nous_ledger.protocol.logview import verify_witnesses
from nous_ledger.protocol.note import (
    Note,
    NoteSignature,
    add_signatures,
    find_signatures,
    format_note,
    parse_note,
)
from nous_ledger.protocol.policy import Policy, PolicyWitness, format_policy, parse_policy
from nous_ledger.protocol.quorum import witnessed_time
from nous_ledger.protocol.record import Record
from nous_ledger.protocol.types import (
    Epoch,
    Hash32,
    LeafCount,
    LeafIndex,
    LogId,
    UnixMillis,
    UnixSeconds,
)
from nous_ledger.protocol.vkey import format_vkey, make_vkey, parse_vkey
from tests.conformance.vector_files import Case, cases, filled, meet, unhex


@cases("notes", "Note")
def test_note(case: Case) -> None:
    raw = unhex(case["hex"]) if "hex" in case else case["note"].encode()
    fill = case.get("repeat", {"text": "", "count": 0})
    raw = fill["text"].encode() * fill["count"] + raw

    def run() -> None:
        note = parse_note(raw)
        assert format_note(note) == raw
        lines = [
            {"name": s.name, "keyId": s.key_id.hex(), "payload": s.payload.hex()}
            for s in note.signatures
        ]
        assert lines == case["lines"]
        if "text" in case:
            assert note.text == case["text"]

    meet(case, run)


@cases("vkeys", "Form")
def test_make_vkey(case: Case) -> None:
    key = make_vkey(case["name"], case["keyType"], unhex(case["material"]))
    assert format_vkey(key) == case["vkey"]


@cases("vkeys", "Parse")
def test_parse_vkey(case: Case) -> None:
    def run() -> None:
        key = parse_vkey(case["vkey"])
        found = (key.name, key.key_id.hex(), key.kind, key.material.hex())
        assert found == (case["name"], case["keyId"], case["keyType"], case["material"])
        assert format_vkey(key) == case["vkey"]

    meet(case, run)


@cases("heads", "Checkpoint")
def test_checkpoint(case: Case) -> None:
    def run() -> None:
        found = parse_checkpoint(case["text"])
        assert (found.origin, str(found.leaf_count), found.root.hex()) == (
            case["origin"],
            case["leafCount"],
            case["root"],
        )
        assert format_checkpoint(found) == case["text"]

    meet(case, run)


@cases("heads", "Head")
def test_head(case: Case) -> None:
    def run() -> None:
        found = verify_head(
            case["note"].encode(),
            origin=case["origin"],
            log_id=LogId(unhex(case["logId"])),
            epoch=Epoch(case["epoch"]),
            public_key=unhex(case["secp256k1"]),
            ed25519=unhex(case["ed25519"]),
        )
        point = found.checkpoint
        assert (str(point.leaf_count), point.root.hex(), str(found.timestamp)) == (
            case["leafCount"],
            case["root"],
            case["timestamp"],
        )

    meet(case, run)


def signed_head(leaf_count: str, root: bytes, timestamp: str) -> SignedHead:
    point = Checkpoint(
        origin="ledger.example.com/main", leaf_count=LeafCount(int(leaf_count)), root=Hash32(root)
    )
    return SignedHead(checkpoint=point, epoch=Epoch(0), timestamp=UnixSeconds(int(timestamp)))


@cases("heads", "Compare")
def test_compare_heads(case: Case) -> None:
    trusted, seen = (
        signed_head(h["leafCount"], unhex(h["root"]), h["timestamp"])
        for h in (case["trusted"], case["seen"])
    )
    own = Hash32(unhex(case["ownRoot"]))

    def run() -> None:
        assert compare_heads(trusted, seen, lambda _: own) == case["finding"]

    meet(case, run)


@cases("heads", "MergeDelay")
def test_merge_delay(case: Case) -> None:
    record = Record(
        version=1,
        type=1,
        epoch=Epoch(0),
        index=LeafIndex(int(case["index"])),
        logged_at=UnixMillis(int(case["loggedAt"])),
        body_hash=Hash32(bytes(32)),
        signature=bytes(65),
    )
    head = signed_head(case["leafCount"], bytes(32), case["timestamp"])

    def run() -> None:
        assert verify_merge_delay(record, head, int(case["maxMergeDelay"])) is head

    meet(case, run)


@cases("cosignatures", "Cosignature")
def test_cosignature(case: Case) -> None:
    key = parse_vkey(case["vkey"])
    line = NoteSignature(name=key.name, key_id=key.key_id, payload=unhex(case["payload"]))

    def run() -> None:
        assert str(verify_cosignature(key, case["text"], line)) == case["timestamp"]

    meet(case, run)


@cases("cosignatures", "Sign")
def test_cosign(case: Case) -> None:
    key = Ed25519Key(unhex(case["seed"]))
    line = cosign(case["name"], key, case["text"], UnixSeconds(int(case["timestamp"])))
    note = add_signatures(Note(text=case["text"], signatures=()), line)
    assert format_note(note).decode().endswith("\n\n" + case["line"])


@cases("cosignatures", "Latest")
def test_latest_cosignature(case: Case) -> None:
    """All lines of a witness verify, and the latest time counts (COSIG-3)."""
    key = parse_vkey(case["vkey"])
    witness = PolicyWitness(name=b"W", vkey=key)
    policy = Policy(logs=(), witnesses=(witness,), groups=(), quorum=b"W")
    note = parse_note(case["note"].encode())
    assert find_signatures(note, key.name, key.key_id) == note.signatures

    def run() -> None:
        assert {n: str(t) for n, t in verify_witnesses(note, policy).items()} == {
            b"W": case["timestamp"]
        }

    meet(case, run)


def name(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


@cases("policies", "Policy")
def test_policy(case: Case) -> None:
    raw = unhex(case["hex"]) if "hex" in case else filled(case, case["policy"]).encode()

    def run() -> None:
        policy = parse_policy(raw)
        assert [log.vkey.name for log in policy.logs] == case["logs"]
        assert [name(witness.name) for witness in policy.witnesses] == case["witnesses"]
        groups = {
            name(group.name): {
                "threshold": group.threshold,
                "members": [name(member) for member in group.members],
            }
            for group in policy.groups
        }
        assert groups == case["groups"]
        assert name(policy.quorum) == case["quorum"]
        assert parse_policy(format_policy(policy)) == policy

    meet(case, run)


@cases("policies", "Quorum")
def test_quorum(case: Case) -> None:
    policy = parse_policy(case["policy"].encode())
    times = {key.encode(): UnixSeconds(time) for key, time in case["cosigned"].items()}

    def run() -> None:
        found = witnessed_time(policy, times)
        assert (None if found is None else str(found)) == case["witnessedTime"]

    meet(case, run)
