"""Measure the protocol core against the bare cryptography that it cannot do without.

receipt  build, validate, encode, hash and sign one receipt (24 fields, 4 buckets),
         against a bare `sign_recoverable` of the same key
bundle   parse and verify a bundle (20-hash path, one key event, both head lines),
         against its three bare recoveries and one bare Ed25519 verification
import   import `nous_ledger`, against importing the cryptography it stands on;
         what an idle interpreter takes is taken off both
"""

import sys

from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bench._harness import IDLE_PYTHON, Figure, compare, compare_commands, run
from nous_ledger.protocol.bodies import encode_body
from nous_ledger.protocol.bundle import Bundle, KeyEventEntry, format_bundle
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.hashing import compute_log_id, next_key_hash, sha256
from nous_ledger.protocol.head import sign_head
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE, Bucket
from nous_ledger.protocol.mmr import append_nodes, bag_peaks, next_peaks
from nous_ledger.protocol.policy import Policy, parse_policy
from nous_ledger.protocol.proof import prove_inclusion
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import leaf_hash, sign_record
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import (
    Epoch,
    Hash32,
    LeafCount,
    LeafIndex,
    NodePos,
    UnixMillis,
    UnixSeconds,
)
from nous_ledger.protocol.verify import verify_bundle
from nous_ledger.protocol.vkey import ed25519_vkey, format_vkey, head_vkey

SECRET = b"\x11" * 32
KEY = SigningKey(SECRET)
ED25519 = Ed25519Key(b"\x33" * 32)
ORIGIN = "ledger.example.com/main"
NEXT_HASH = next_key_hash(SigningKey(b"\x22" * 32).public_key)
LOG_ID = compute_log_id(ORIGIN, KEY.public_key, ED25519.public_key, NEXT_HASH)
NOW = UnixMillis(1_750_000_000_000)
LEAVES = LeafCount(1 << 20)
INDEX = LeafIndex(7)

CRYPTO_IMPORTS = (
    "import coincurve, msgpack, sha3, cryptography.hazmat.primitives.asymmetric.ed25519"
)


def make_receipt() -> Receipt:
    """Return a typical receipt: 24 fields, 4 buckets."""
    return Receipt(
        salt=b"s" * 16,
        id=bytes.fromhex("0190163d8694739b9d5c8a7e3f1c2b4a"),
        time=NOW,
        duration=900,
        source=1,
        subject=b"s" * 32,
        subject_seq=4,
        subject_prev=b"p" * 32,
        provider="openai",
        upstream="api.openai.com",
        operation="chat",
        api=1,
        model_requested="gpt-4o",
        model_served="gpt-4o-2024-08-06",
        status=0,
        http_status=200,
        metering=1,
        usage=(
            Bucket(kind=1, reported=100, label=UNVERIFIABLE),
            Bucket(kind=2, reported=1024, label=UNVERIFIABLE),
            Bucket(kind=16, reported=99, label=BOUNDED, lower=1, upper=416, method="bytes/1"),
            Bucket(kind=17, reported=0, label=UNVERIFIABLE),
        ),
        provider_total=1223,
        raw_usage_hash=b"h" * 32,
        service_tier="default",
        request_commitment=b"r" * 32,
        response_commitment=b"q" * 32,
        provider_request_id="req_7c2f0e9d4b1a4c55",
    )


def seal_receipt() -> bytes:
    """Return the record of a receipt that is built, checked, encoded, hashed and signed."""
    return _sign(1, INDEX, encode_body(make_receipt()))


def _sign(record_type: int, index: LeafIndex, body: bytes) -> bytes:
    return sign_record(
        KEY,
        LOG_ID,
        type=record_type,
        epoch=Epoch(0),
        index=index,
        logged_at=NOW,
        body_hash=sha256(body),
    )


def make_bundle() -> bytes:
    """Return a bundle under a head over 2^20 leaves: 20-hash paths, both head lines."""
    genesis = encode_body(
        KeyEvent(
            kind=0,
            origin=ORIGIN,
            secp256k1=KEY.public_key,
            ed25519=ED25519.public_key,
            next_hash=NEXT_HASH,
            max_merge_delay_s=60,
            heartbeat_s=86_400,
        )
    )
    first, body = _sign(0, LeafIndex(0), genesis), encode_body(make_receipt())
    record = _sign(1, INDEX, body)
    known = {0: leaf_hash(first), INDEX: leaf_hash(record)}
    nodes: list[Hash32] = []
    peaks: tuple[Hash32, ...] = ()
    for index in range(LEAVES):
        leaf = known.get(index) or sha256(index.to_bytes(8, "big"))
        new = append_nodes(LeafCount(index), leaf, peaks)
        peaks = next_peaks(peaks, new)
        nodes.extend(new)

    def read(positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        return tuple(nodes[position] for position in positions)

    note = sign_head(
        Checkpoint(origin=ORIGIN, leaf_count=LEAVES, root=bag_peaks(peaks)),
        log_id=LOG_ID,
        epoch=Epoch(0),
        timestamp=UnixSeconds(NOW // 1000),
        key=KEY,
        ed25519=ED25519,
    )
    event = KeyEventEntry(
        record=first, body=genesis, path=prove_inclusion(read, LeafIndex(0), LEAVES)
    )
    return format_bundle(
        Bundle(
            index=INDEX,
            path=prove_inclusion(read, INDEX, LEAVES),
            checkpoint=note,
            record=record,
            body=body,
            key_events=(event,),
        )
    )


def make_policy() -> Policy:
    """Return the policy that pins the log, without witnesses."""
    vkeys = (ed25519_vkey(ORIGIN, ED25519.public_key), head_vkey(ORIGIN, LOG_ID))
    lines = [*(f"log {format_vkey(vkey)}" for vkey in vkeys), "quorum none", ""]
    return parse_policy("\n".join(lines).encode())


def measure(seconds: float) -> list[Figure]:
    """Return the three figures."""
    digest = sha256(b"digest")
    signature = KEY.sign(digest)
    text_signature = ED25519.sign(digest)
    bare_key = PrivateKey(SECRET)
    bundle, policy = make_bundle(), make_policy()
    report = verify_bundle(bundle, policy)
    if report.inclusion.outcome is not Outcome.ESTABLISHED or report.exit_code() != 0:
        raise SystemExit("the benchmark's own bundle does not verify")

    def bare_sign() -> object:
        return bare_key.sign_recoverable(digest, hasher=None)

    def bare_checks() -> None:
        for _ in range(3):
            PublicKey.from_signature_and_message(signature, digest, hasher=None).format()
        Ed25519PublicKey.from_public_bytes(ED25519.public_key).verify(text_signature, digest)

    def verify() -> object:
        return verify_bundle(bundle, policy)

    sealing = compare(seal_receipt, bare_sign, seconds=seconds / 3)
    verifying = compare(verify, bare_checks, seconds=seconds / 3)
    importing = compare_commands(
        (sys.executable, "-I", "-c", "import nous_ledger"),
        (sys.executable, "-I", "-c", CRYPTO_IMPORTS),
        without=IDLE_PYTHON,
        seconds=seconds / 3,
    )
    return [
        sealing.rate("receipt", at_least=0.5),
        verifying.time("bundle", at_most=1.5),
        importing.time("import", at_most=3.0, unit="ms"),
    ]


if __name__ == "__main__":
    sys.exit(run(measure))
