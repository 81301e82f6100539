"""Log ids, key histories, EIP-712 digests and commitments: the library against the vectors."""

from hmac import compare_digest

from nous_ledger.protocol.accuracy import Content, check_commitments
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.eip712 import (
    DOMAIN_SEPARATOR,
    DOMAIN_TYPE,
    binding_digest,
    head_digest,
    rotation_digest,
)
from nous_ledger.protocol.errors import KeyHistoryError, UnavailableError
from nous_ledger.protocol.hashing import (
    commit_forwarded,
    commit_request,
    commit_response,
    compute_log_id,
    keccak256,
    next_key_hash,
    opening_hash,
    raw_usage_hash,
    subject_id,
)
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.keyhistory import KeyHistory, verify_key_history
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import decode_record, verify_record
from nous_ledger.protocol.signing import SigningKey, address_of
from nous_ledger.protocol.types import (
    Epoch,
    Hash32,
    LeafCount,
    LogId,
    SubjectId,
    UnixSeconds,
)
from tests.conformance.vector_files import Case, cases, cases_of, load, meet, unhex

COMMIT = {"request": commit_request, "response": commit_response, "forwarded": commit_forwarded}


@cases("log_ids", "NextHash")
def test_next_key_hash(case: Case) -> None:
    assert next_key_hash(unhex(case["secp256k1"])).hex() == case["nextHash"]


@cases("log_ids", "LogId")
def test_compute_log_id(case: Case) -> None:
    keys = [unhex(case[name]) for name in ("secp256k1", "ed25519", "nextHash")]

    def run() -> None:
        assert compute_log_id(case["origin"], *keys).hex() == case["logId"]

    meet(case, run)


@cases("log_ids", "Genesis")
def test_pinned_genesis(case: Case) -> None:
    """Another genesis is another log: its body alone gives the log id (ID-3)."""
    body = decode_body(0, unhex(case["body"]))
    assert isinstance(body, KeyEvent)
    found = compute_log_id(body.origin or "", body.secp256k1, body.ed25519, body.next_hash or b"")
    same = body.origin == case["origin"] and found.hex() == case["logId"]
    assert same == (case["result"] == "valid")


def read_history(case: Case) -> KeyHistory:
    return verify_key_history(
        [(unhex(entry["record"]), unhex(entry["body"])) for entry in case["entries"]],
        leaf_count=LeafCount(case["leafCount"]),
        origin=case["origin"],
        pinned=frozenset(LogId(unhex(item)) for item in case["pinned"]),
    )


@cases("key_histories", "KeyHistory")
def test_key_history(case: Case) -> None:
    def run() -> None:
        found = read_history(case)
        epochs = [
            {
                "firstIndex": epoch.first_index,
                "secp256k1": epoch.secp256k1.hex(),
                "ed25519": epoch.ed25519.hex(),
            }
            for epoch in found.epochs
        ]
        assert found.log_id.hex() == case["logId"]
        assert epochs == case["epochs"]
        assert [list(span) for span in found.suspect] == case["suspect"]
        assert (found.closed_at is not None) == case["closed"]
        assert found.epoch == len(epochs) - 1

    meet(case, run)


@cases("key_histories", "RecordInHistory")
def test_record_in_history(case: Case) -> None:
    """A record's epoch is the one in force at its index (KEY-28, KEY-29)."""
    history, data = read_history(case), unhex(case["record"])

    def run() -> None:
        record = decode_record(data)
        epoch = history.epoch_at(record.index)
        if record.epoch != epoch:
            raise KeyHistoryError("epoch", "another epoch was in force")
        verify_record(data, history.log_id, history.epochs[epoch].secp256k1)
        if history.is_suspect(record.index):
            raise UnavailableError("suspect", "reported as suspect")
        assert epoch == case["epoch"]

    meet(case, run)


@cases("eip712", "TypeHash")
def test_type_hash(case: Case) -> None:
    assert keccak256(case["typeString"].encode()).hex() == case["typeHash"]


def test_domain_separator() -> None:
    """The separator of the design's known answers holds (KEY-13)."""
    types = {c["typeString"]: c["typeHash"] for c in cases_of(load("eip712"), "TypeHash")}
    parts = unhex(types[DOMAIN_TYPE]) + keccak256(b"nous-ledger") + keccak256(b"1")
    assert keccak256(parts) == DOMAIN_SEPARATOR
    known = "e3127a2c29f5d1a95fb1b4f1204eca75729f4c639f4c240d669d22e1902bf85c"
    assert DOMAIN_SEPARATOR.hex() == known


@cases("eip712", "HeadDigest")
def test_head_digest(case: Case) -> None:
    found = head_digest(
        LogId(unhex(case["logId"])),
        Epoch(case["epoch"]),
        LeafCount(int(case["leafCount"])),
        Hash32(unhex(case["root"])),
        UnixSeconds(int(case["timestamp"])),
    )
    assert found.hex() == case["digest"]


@cases("eip712", "RotationDigest")
def test_rotation_digest(case: Case) -> None:
    log_id, next_hash = LogId(unhex(case["logId"])), unhex(case["nextHash"])
    assert rotation_digest(log_id, Epoch(case["epoch"]), next_hash).hex() == case["digest"]


@cases("eip712", "BindingDigest")
def test_binding_digest(case: Case) -> None:
    found = binding_digest(
        LogId(unhex(case["logId"])),
        SubjectId(unhex(case["subject"])),
        unhex(case["wallet"]),
        int(case["nonce"]),
        UnixSeconds(int(case["deadline"])),
    )
    assert found.hex() == case["digest"]


@cases("eip712", "Address")
def test_address(case: Case) -> None:
    key = SigningKey(unhex(case["privateKey"]))
    assert key.public_key.hex() == case["publicKey"]
    assert f"0x{address_of(key.public_key).hex()}" == case["address"]


@cases("commitments", "Commit")
def test_commit(case: Case) -> None:
    found = COMMIT[case["which"]](unhex(case["opening"]), unhex(case["body"]))
    assert found.hex() == case["commitment"]


@cases("commitments", "OpeningHash")
def test_opening_hash(case: Case) -> None:
    assert opening_hash(unhex(case["opening"])).hex() == case["openingHash"]


@cases("commitments", "Subject")
def test_subject(case: Case) -> None:
    found = subject_id(unhex(case["logSecret"]), case["kind"], unhex(case["credential"]))
    assert found.hex() == case["subject"]


@cases("commitments", "RawUsageHash")
def test_raw_usage_hash(case: Case) -> None:
    found = raw_usage_hash([text.encode() for text in case["values"]])
    assert found is not None
    assert compare_digest(found.hex(), case["rawUsageHash"])


def committed(which: str, commitment: bytes) -> Receipt:
    """Return a receipt with one commitment."""
    receipt = next(c for c in cases_of(load("bodies_receipt")) if c["result"] == "valid")
    body = decode_body(1, unhex(receipt["body"]))
    assert isinstance(body, Receipt)
    values = {field.name: getattr(body, field.name) for field in Receipt.FIELDS}
    values |= {f"{name}_commitment": None for name in COMMIT}
    return Receipt(**{**values, f"{which}_commitment": commitment})


@cases("commitments", "Verify")
def test_commitment_is_compared(case: Case) -> None:
    receipt = committed(case["which"], unhex(case["commitment"]))

    def run() -> None:
        given = {case["which"]: unhex(case["body"])}
        content = Content(opening=unhex(case["opening"]), **given)
        assert check_commitments(receipt, content) == ()

    meet(case, run)
