"""The owner of a log who may do anything: it holds every key and chooses every byte.

Left alone it keeps an honest log. Each method takes what an honest log would write and
lets one part of it be another, so that a test deviates in exactly what it names.
"""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Self

from nous_ledger.protocol.bodies import (
    Binding,
    Body,
    Reconciliation,
    Redaction,
    decode_body,
    encode_body,
)
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.eip712 import binding_digest, rotation_digest
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.hashing import ZERO_HASH, compute_log_id, next_key_hash, sha256
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import Record, decode_record, sign_record
from nous_ledger.protocol.signing import SigningKey, address_of
from nous_ledger.protocol.types import Epoch, Hash32, LeafIndex, LogId, SubjectId, UnixMillis
from nous_ledger.protocol.types import UnixSeconds as Seconds
from nous_ledger.protocol.vkey import ed25519_vkey, format_vkey, head_vkey
from tests.zoo import samples
from tests.zoo.samples import ORIGIN, seeded, subject_of

TICK_MS: Final = 20
NO_WALLET: Final = bytes(20)


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf: 120 bytes, the body that they commit to, and what is served as that.

    Attributes:
        record: 120 bytes.
        body: what the owner wrote, and goes on to chain to.
        shown: what is served; None where that is the body.
    """

    record: bytes
    body: bytes
    shown: bytes | None = None

    @property
    def served(self) -> bytes:
        """What is served as its body; empty where it is withheld."""
        return self.body if self.shown is None else self.shown

    @property
    def decoded(self) -> Record:
        return decode_record(self.record)

    @property
    def epoch(self) -> int:
        """The epoch that it names, whatever else is wrong with it."""
        return int.from_bytes(self.record[3:7], "big")


def signing_key(*parts: object) -> SigningKey:
    """Return a key that the forger holds."""
    return SigningKey(seeded("key", *parts))


@lru_cache(maxsize=4096)
def subject_in(body: bytes) -> bytes | None:
    """Return whose receipt a body is; None if it is no receipt that an honest log would write."""
    try:
        found = decode_body(1, body)
    except LedgerError:
        return None
    return found.subject if isinstance(found, Receipt) else None


def wallet(number: int) -> SigningKey:
    """Return the key of a caller's wallet."""
    return signing_key("wallet", number)


class Forger:
    """One log and all that its owner has.

    Attributes:
        now_ms: the log's clock; a record moves it on.
        keys: secp256k1 keys by epoch, those not yet revealed too.
        ed25519: the key of its heads.
        entries: the leaves.
        epoch: of the next record.
    """

    def __init__(
        self,
        now_s: int,
        *,
        name: str = "zoo",
        origin: str = ORIGIN,
        rotates: bool = True,
        merge_delay_s: int = 60,
        heartbeat_s: int = 3600,
    ) -> None:
        """Start a log with its genesis.

        Args:
            now_s: what its clock says, seconds.
            name: makes its keys.
            origin: of the log.
            rotates: whether it committed to a next key.
            merge_delay_s: what the genesis promises.
            heartbeat_s: what the genesis promises.
        """
        self.origin, self.now_ms, self.epoch = origin, now_s * 1000, 0
        self.keys = [signing_key(name, number) for number in range(6)]
        self.ed25519 = Ed25519Key(seeded("ed25519", name))
        self.seed = random.Random(name)
        self.entries: list[Entry] = []
        self.nonces: dict[int, int] = {}
        next_hash = next_key_hash(self.keys[1].public_key) if rotates else Hash32(ZERO_HASH)
        own = (self.keys[0].public_key, self.ed25519.public_key)
        self.log_id = LogId(compute_log_id(origin, *own, next_hash))
        self._genesis: dict[str, Any] = {
            "next_hash": next_hash,
            "max_merge_delay_s": merge_delay_s,
            "heartbeat_s": heartbeat_s,
        }
        self.genesis()

    @property
    def count(self) -> int:
        return len(self.entries)

    @property
    def key(self) -> SigningKey:
        """The key of the epoch."""
        return self.keys[self.epoch]

    def fork(self) -> Self:
        """Return a second history that begins like this one."""
        other = copy.copy(self)
        other.entries, other.nonces = list(self.entries), dict(self.nonces)
        other.seed = random.Random(self.seed.random())
        return other

    def policy(self) -> bytes:
        """Return what a careful reader trusts: both keys of this log, no witness."""
        vkeys = (
            ed25519_vkey(self.origin, self.ed25519.public_key),
            head_vkey(self.origin, self.log_id),
        )
        return "".join(f"log {format_vkey(key)}\n" for key in vkeys).encode() + b"quorum none\n"

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.now_ms += int(seconds * 1000)

    def make(
        self,
        type: int,
        body: Body | bytes,
        *,
        index: int | None = None,
        epoch: int | None = None,
        logged_at: int | None = None,
        key: SigningKey | None = None,
        log_id: bytes | None = None,
        body_hash: bytes | None = None,
    ) -> Entry:
        """Return a signed leaf; what is not given is what an honest log would write."""
        data = body if isinstance(body, bytes) else encode_body(body)
        record = sign_record(
            key or self.key,
            LogId(log_id or self.log_id),
            type=type,
            epoch=Epoch(self.epoch if epoch is None else epoch),
            index=LeafIndex(self.count if index is None else index),
            logged_at=UnixMillis(self.now_ms if logged_at is None else logged_at),
            body_hash=Hash32(body_hash or sha256(data)),
        )
        return Entry(record, data)

    def put(self, type: int, body: Body | bytes, **changes: Any) -> int:
        """Append a leaf made so; return its index."""
        return self.take(self.make(type, body, **changes))

    def take(self, entry: Entry) -> int:
        """Append any leaf; return its index."""
        self.entries.append(entry)
        self.now_ms += TICK_MS
        return self.count - 1

    def genesis(self, **changes: Any) -> int:
        """Append a genesis: the only honest one is the first leaf."""
        event: dict[str, Any] = {
            "kind": 0,
            "origin": self.origin,
            "secp256k1": self.key.public_key,
            "ed25519": self.ed25519.public_key,
        }
        return self.put(0, KeyEvent(**(event | self._genesis | changes)))

    def draft(self, subject: int = 0, **changes: Any) -> Receipt:
        """Return the next receipt of a caller."""
        found = self.receipts(subject)
        links: dict[str, Any] = {"subject": subject_of(subject), "subject_seq": len(found)}
        if found:
            links["subject_prev"] = sha256(self.entries[found[-1]].body)
        return samples.receipt(self.seed, self.now_ms, **(links | changes))

    def receipt(self, subject: int = 0, **changes: Any) -> int:
        """Append the next receipt of a caller; the changes are its fields."""
        return self.put(1, self.draft(subject, **changes))

    def grow(self, records: int, subjects: int = 3) -> Self:
        """Append receipts of several callers in turn."""
        for number in range(records):
            self.receipt(number % subjects)
        return self

    def receipts(self, subject: int) -> list[int]:
        """Return the indices of a caller's receipts."""
        wanted = subject_of(subject)
        return [
            index for index, entry in enumerate(self.entries) if subject_in(entry.body) == wanted
        ]

    def rotate(self, *, suspect_from: int | None = None, **changes: Any) -> int:
        """Append a rotation to the key that was committed before; it is in force from here."""
        self.epoch += 1
        next_hash = next_key_hash(self.keys[self.epoch + 1].public_key)
        event = self._change(1, next_hash, 0 if suspect_from is None else 1, suspect_from)
        return self.put(0, replace(event, **({"next_hash": next_hash} | changes)))

    def close(self, **changes: Any) -> int:
        """Append the close of a log that could have rotated."""
        self.epoch += 1
        return self.put(0, replace(self._change(2, Hash32(ZERO_HASH), 4, None), **changes))

    def _change(self, kind: int, next_hash: Hash32, reason: int, suspect: int | None) -> KeyEvent:
        digest = rotation_digest(self.log_id, Epoch(self.epoch), next_hash)
        return KeyEvent(
            kind=kind,
            secp256k1=self.key.public_key,
            ed25519=self.ed25519.public_key,
            next_hash=None if kind == 2 else next_hash,
            reason=reason,
            suspect_from=suspect,
            rotation_sig=self.key.sign(digest),
        )

    def binding(
        self,
        subject: int = 0,
        signer: int = 0,
        *,
        unbind: bool = False,
        nonce: int | None = None,
        deadline: int | None = None,
        signed_by: int | None = None,
    ) -> Binding:
        """Return a binding of a caller to a wallet, or its end."""
        self.nonces[signer] = self.nonces.get(signer, 0) + 1
        number = self.nonces[signer] if nonce is None else nonce
        until = self.now_ms // 1000 + 600 if deadline is None else deadline
        bound = NO_WALLET if unbind else address_of(wallet(signer).public_key)
        key = wallet(signer if signed_by is None else signed_by)
        who = SubjectId(subject_of(subject))
        digest = binding_digest(self.log_id, who, bound, number, Seconds(until))
        return Binding(
            salt=self.seed.randbytes(16),
            subject=who,
            wallet=bound,
            nonce=number,
            deadline=until,
            signature=key.sign(digest),
        )

    def bind(self, subject: int = 0, signer: int = 0, **changes: Any) -> int:
        """Append a binding."""
        return self.put(3, self.binding(subject, signer, **changes))

    def state(self, subject: int = 0, **changes: Any) -> int:
        """Append the statement over all receipts of a caller."""
        found = self.receipts(subject)
        last = sha256(self.entries[found[-1]].body)
        bodies = [self._body(index) for index in found]
        made = samples.statement(bodies, last, self.count, self.seed.randbytes(16))
        return self.put(4, replace(made, **changes))

    def reconcile(self, index: int, **changes: Any) -> int:
        """Append later evidence for a receipt."""
        made = Reconciliation(
            salt=self.seed.randbytes(16),
            index=index,
            body_hash=sha256(self.entries[index].body),
            usage=(Bucket(kind=16, reported=45, label=2, lower=1, upper=90, method="bytes/1"),),
            source="invoice",
        )
        return self.put(2, replace(made, **changes))

    def redact(self, *indices: int, reason: int = 1, withhold: bool = True) -> int:
        """Append the notice that bodies are gone, and let them go."""
        if withhold:
            self.withhold(*indices)
        salt = self.seed.randbytes(16)
        return self.put(5, Redaction(salt=salt, indices=tuple(indices), reason=reason))

    def withhold(self, *indices: int) -> None:
        """Let bodies go without a word."""
        for index in indices:
            self.show(index, b"")

    def show(self, index: int, body: bytes) -> None:
        """Serve something else as a body than what was signed."""
        self.entries[index] = replace(self.entries[index], shown=body)

    def change(self, index: int, **fields: Any) -> None:
        """Sign a receipt again with other fields, and chain every later one to it anew."""
        who = subject_in(self.entries[index].body)
        self._again(index, replace(self._body(index), **fields))
        before = sha256(self.entries[index].body)
        for at in range(index + 1, self.count):
            if subject_in(self.entries[at].body) == who:
                self._again(at, replace(self._body(at), subject_prev=before))
                before = sha256(self.entries[at].body)

    def edit(self, index: int, work: Callable[[bytes], bytes]) -> None:
        """Put another record in the place of one; its body stays."""
        entry = self.entries[index]
        self.entries[index] = replace(entry, record=work(entry.record))

    def _again(self, index: int, body: Body) -> None:
        old = self.entries[index].decoded
        self.entries[index] = self.make(
            old.type,
            body,
            index=index,
            epoch=old.epoch,
            logged_at=old.logged_at,
            key=self.keys[old.epoch],
        )

    def _body(self, index: int) -> Receipt:
        found = decode_body(1, self.entries[index].body)
        assert isinstance(found, Receipt)
        return found
