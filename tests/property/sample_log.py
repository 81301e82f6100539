"""A small log built with the library: fixed keys and times, every body type, one rotation."""

from dataclasses import dataclass, field
from typing import Final

from nous_ledger.protocol.bodies import Binding, Body, Reconciliation, Redaction, encode_body
from nous_ledger.protocol.bundle import Bundle, KeyEventEntry
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.cosignature import cosign
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.eip712 import binding_digest, rotation_digest
from nous_ledger.protocol.hashing import ZERO_HASH, compute_log_id, next_key_hash, sha256
from nous_ledger.protocol.head import sign_head
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.mmr import append_nodes, next_peaks, root_from_peaks
from nous_ledger.protocol.note import NoteSignature, add_signatures, format_note, parse_note
from nous_ledger.protocol.proof import prove_inclusion
from nous_ledger.protocol.receipt import Context, ImportInfo, PolicyAction, Receipt
from nous_ledger.protocol.record import leaf_hash, sign_record
from nous_ledger.protocol.signing import SigningKey, address_of
from nous_ledger.protocol.statement import KindSums, Statement, StatementRow
from nous_ledger.protocol.types import (
    Epoch,
    Hash32,
    LeafCount,
    LeafIndex,
    LogId,
    NodePos,
    SubjectId,
    UnixMillis,
    UnixSeconds,
)
from nous_ledger.protocol.vkey import cosigner_vkey, ed25519_vkey, format_vkey, head_vkey

ORIGIN: Final = "ledger.example.com/main"
START: Final = 1_750_000_000_000
HEAD_TIME: Final = UnixSeconds(1_750_000_100)
CURRENT: Final = SigningKey(b"\x11" * 32)
NEXT: Final = SigningKey(b"\x22" * 32)
LAST: Final = SigningKey(b"\x44" * 32)
WALLET: Final = SigningKey(b"\x55" * 32)
HEADS: Final = Ed25519Key(b"\x33" * 32)
WITNESSES: Final = (Ed25519Key(b"\x61" * 32), Ed25519Key(b"\x62" * 32))
STRANGER: Final = Ed25519Key(b"\x63" * 32)
SUBJECT: Final = SubjectId(b"\x77" * 32)
SALT: Final = bytes(range(16))


@dataclass(slots=True)
class SampleLog:
    """Signed records with their tree."""

    origin: str = ORIGIN
    log_id: LogId = field(default=LogId(b""))
    records: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    nodes: list[Hash32] = field(default_factory=list)
    peaks: tuple[Hash32, ...] = ()
    key_events: list[int] = field(default_factory=list)
    epoch: Epoch = field(default=Epoch(0))
    key: SigningKey = CURRENT

    @property
    def count(self) -> LeafCount:
        return LeafCount(len(self.records))

    def read(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        return tuple(self.nodes[position] for position in positions)

    def append(self, record_type: int, body: Body) -> int:
        """Append a record; return its index."""
        index = len(self.records)
        encoded = encode_body(body)
        record = sign_record(
            self.key,
            self.log_id,
            type=record_type,
            epoch=self.epoch,
            index=LeafIndex(index),
            logged_at=UnixMillis(START + index),
            body_hash=sha256(encoded),
        )
        added = append_nodes(self.count, leaf_hash(record), self.peaks)
        self.peaks = next_peaks(self.peaks, added)
        self.nodes += added
        self.records.append(record)
        self.bodies.append(encoded)
        if record_type == 0:
            self.key_events.append(index)
        return index

    def start(self, next_key: SigningKey | None = NEXT) -> None:
        """Append the genesis."""
        next_hash = next_key_hash(next_key.public_key) if next_key else ZERO_HASH
        keys = (CURRENT.public_key, HEADS.public_key)
        self.log_id = compute_log_id(self.origin, *keys, next_hash)
        genesis = KeyEvent(
            kind=0,
            origin=self.origin,
            secp256k1=keys[0],
            ed25519=keys[1],
            next_hash=next_hash,
            max_merge_delay_s=60,
            heartbeat_s=3600,
        )
        self.append(0, genesis)

    def rotate(
        self, revealed: SigningKey, next_key: SigningKey, suspect_from: int | None = None
    ) -> None:
        """Append a rotation to the key that was committed before.

        Args:
            revealed: that key.
            next_key: the key to commit to now.
            suspect_from: first index not to rely on; None if there is no suspicion.
        """
        self.epoch = Epoch(self.epoch + 1)
        self.key = revealed
        next_hash = next_key_hash(next_key.public_key)
        signature = revealed.sign(rotation_digest(self.log_id, self.epoch, next_hash))
        rotation = KeyEvent(
            kind=1,
            secp256k1=revealed.public_key,
            ed25519=HEADS.public_key,
            next_hash=next_hash,
            reason=0 if suspect_from is None else 1,
            suspect_from=suspect_from,
            rotation_sig=signature,
        )
        self.append(0, rotation)

    def head(self, *lines: NoteSignature) -> bytes:
        """Return the head over all records, with further signature lines."""
        root = root_from_peaks(self.count, self.peaks)
        note = sign_head(
            Checkpoint(origin=self.origin, leaf_count=self.count, root=root),
            log_id=self.log_id,
            epoch=self.epoch,
            timestamp=HEAD_TIME,
            key=self.key,
            ed25519=HEADS,
        )
        return format_note(add_signatures(parse_note(note), *lines))

    def bundle(self, index: int, *lines: NoteSignature) -> Bundle:
        """Return the bundle of a record under the head over all records."""
        events = tuple(
            KeyEventEntry(
                record=self.records[at],
                body=self.bodies[at],
                path=prove_inclusion(self.read, LeafIndex(at), self.count),
            )
            for at in self.key_events
        )
        return Bundle(
            index=LeafIndex(index),
            path=prove_inclusion(self.read, LeafIndex(index), self.count),
            checkpoint=self.head(*lines),
            record=self.records[index],
            body=self.bodies[index],
            key_events=events,
        )


def receipt(sequence: int = 0, previous: bytes | None = None) -> Receipt:
    """Return a typical receipt with four buckets."""
    return Receipt(
        salt=SALT,
        id=bytes.fromhex("01977420dc007abc8def0123456789ab"),
        time=START,
        duration=812,
        source=1,
        subject=SUBJECT,
        subject_seq=sequence,
        subject_prev=previous,
        provider="anthropic",
        upstream="api.anthropic.com:443",
        operation="chat",
        api=7,
        model_requested="claude-3-5-haiku-latest",
        model_served="claude-3-5-haiku",
        status=0,
        http_status=200,
        streamed=1,
        metering=1,
        usage=(
            Bucket(kind=1, reported=120, label=3),
            Bucket(kind=2, reported=1000, label=3),
            Bucket(kind=3, reported=7, label=3),
            Bucket(kind=16, reported=40, label=2, lower=1, upper=176, method="bytes/1"),
        ),
        provider_total=1167,
        raw_usage_hash=sha256(b"usage"),
        request_commitment=sha256(b"request"),
        response_commitment=sha256(b"response"),
        provider_request_id="req_01AbCdEf",
    )


def full_receipt() -> Receipt:
    """Return a receipt in which every field that may stand beside the others does."""
    return Receipt(
        salt=SALT,
        id=bytes.fromhex("01977420dc007abc8def0123456789ac"),
        time=START,
        source=3,
        subject=SUBJECT,
        subject_seq=2**53 - 1,
        subject_prev=bytes(32),
        provider="custom",
        upstream="[2001:db8::1]:8443",
        operation="chat ünïcode ✓",
        api=1,
        status=0,
        metering=1,
        usage=(
            Bucket(
                kind=16,
                reported=40,
                label=1,
                lower=39,
                upper=41,
                method="o200k_base/1",
                vocab=sha256(b"vocabulary"),
                count=40,
            ),
            Bucket(kind=40, reported=0, label=77, extensions=((64, b""), (1000, (1, "x")))),
        ),
        provider_total=40,
        reported_cost=123_456_789,
        service_tier="priority",
        forwarded_commitment=sha256(b"forwarded"),
        context=Context(session="s", project="p", branch="b", commit="c", agent="a", tag="t"),
        import_=ImportInfo(
            importer="files",
            version="1",
            ruleset=sha256(b"rules"),
            line_hash=sha256(b"line"),
            supersedes=SALT,
            occurred_at=START - 1,
        ),
        policy=(PolicyAction(name="budget", action=1, count=2),),
        anomalies=(4, 10),
        claimed_wallet=address_of(WALLET.public_key),
        extensions=((64, {1: "a", 2: (b"\x00", 7)}), (200, 2**53 - 1)),
    )


def other_bodies(log_id: LogId) -> dict[int, Body]:
    """Return one body of each type from 2 on."""
    wallet = address_of(WALLET.public_key)
    deadline = START // 1000 + 600
    signature = WALLET.sign(binding_digest(log_id, SUBJECT, wallet, 1, UnixSeconds(deadline)))
    sums = KindSums(kind=1, reported=120, exact=0, bounded=0, unverifiable=120)
    return {
        2: Reconciliation(
            salt=SALT,
            index=1,
            body_hash=sha256(b"body"),
            usage=(Bucket(kind=16, label=2, lower=1, upper=9, method="bytes/1"),),
            source="invoice",
        ),
        3: Binding(
            salt=SALT,
            subject=SUBJECT,
            wallet=wallet,
            nonce=1,
            deadline=deadline,
            signature=signature,
        ),
        4: Statement(
            salt=SALT,
            subject=SUBJECT,
            first_seq=0,
            last_seq=2,
            last_body_hash=sha256(b"last"),
            count=3,
            rows=(
                StatementRow(
                    provider="anthropic", model="m", source=1, calls=2, unmetered=1, kinds=(sums,)
                ),
                StatementRow(
                    provider="openai", model="unknown", source=1, calls=1, unmetered=1, kinds=()
                ),
            ),
        ),
        5: Redaction(salt=SALT, indices=(1, 2), reason=1),
    }


def sample_log(*, rotated: bool = False, suspect_from: int | None = None) -> SampleLog:
    """Return a log with records of every type: key events, receipts at 1, 2 and later, others.

    Args:
        rotated: whether a rotation stands at index 3.
        suspect_from: what the rotation says of the records before it.
    """
    log = SampleLog()
    log.start()
    first = receipt()
    log.append(1, first)
    log.append(1, receipt(1, sha256(log.bodies[1])))
    if rotated:
        log.rotate(NEXT, LAST, suspect_from)
    log.append(1, full_receipt())
    for record_type, body in other_bodies(log.log_id).items():
        log.append(record_type, body)
    return log


def cosignatures(log: SampleLog) -> tuple[NoteSignature, ...]:
    """Return lines of both witnesses of the policy, then of a stranger."""
    text = parse_note(log.head()).text
    known = (
        cosign(f"witness.example/w{number}", key, text, UnixSeconds(HEAD_TIME + number))
        for number, key in enumerate(WITNESSES, 1)
    )
    return (*known, cosign("stranger.example/w", STRANGER, text, UnixSeconds(HEAD_TIME + 9)))


def policy_text(log: SampleLog, quorum: str = "any", *, pinned: bool = True) -> bytes:
    """Return a policy with the log's keys and two witnesses.

    Args:
        log: the log to trust.
        quorum: threshold of the group of both witnesses, or "none".
        pinned: whether the log id is pinned, or the Ed25519 key listed alone.
    """
    head_key = format_vkey(head_vkey(log.origin, log.log_id))
    witnesses = [
        format_vkey(cosigner_vkey(f"witness.example/w{number}", key.public_key))
        for number, key in enumerate(WITNESSES, 1)
    ]
    lines = [
        f"log {format_vkey(ed25519_vkey(log.origin, HEADS.public_key))}",
        *([f"log {head_key} https://{log.origin}"] if pinned else []),
        *(f"witness w{number} {key}" for number, key in enumerate(witnesses, 1)),
        *([] if quorum == "none" else [f"group both {quorum} w1 w2"]),
        f"quorum {'none' if quorum == 'none' else 'both'}",
    ]
    return "".join(f"{line}\n" for line in lines).encode()
