"""Bodies of all record types: decode, encode, and the rules tied to a record.

Spec:
    PROTOCOL.md, section "Bodies".
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from nous_ledger.protocol.encoding import MAX_BODY_BYTES, decode, pack_checked
from nous_ledger.protocol.errors import (
    BodyError,
    EncodingError,
    RecordError,
    UnavailableError,
)
from nous_ledger.protocol.fields import (
    MAX_EXTENSION_BYTES,
    Field,
    MapShape,
    RowShape,
    extension_bytes,
    table_class,
)
from nous_ledger.protocol.hashing import ZERO_HASH, sha256
from nous_ledger.protocol.kinds import Bytes, Enum, ListOf, Nested, Text, Uint
from nous_ledger.protocol.label import Bucket, check_usage
from nous_ledger.protocol.receipt import MAX_CLOCK_SKEW_MS, PROVIDER_FORM, Receipt
from nous_ledger.protocol.record import (
    TYPE_BINDING,
    TYPE_KEY,
    TYPE_RECEIPT,
    TYPE_RECONCILIATION,
    TYPE_REDACTION,
    TYPE_STATEMENT,
    Record,
)
from nous_ledger.protocol.registries import (
    KEY_EVENT_KIND,
    KEY_REASON,
    KIND,
    REDACTION_REASON,
    SOURCE,
)
from nous_ledger.protocol.signing import is_curve_point

if TYPE_CHECKING:
    from nous_ledger.protocol.encoding import Value

ORIGIN_FORM: Final = r"[a-z0-9](?:[a-z0-9._~/-]{0,253}[a-z0-9])?"

GENESIS: Final = 0
ROTATE: Final = 1
CLOSE: Final = 2
_SUSPECT_REASONS: Final = (1, 2)
_REASON_CLOSED: Final = 4


@table_class
class Predecessor(RowShape):
    """The log that a genesis continues, up to its last good head."""

    log_id: bytes
    count: int
    root: bytes

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(0, "log_id", Bytes(32), required=True),
        Field(1, "count", Uint(), required=True),
        Field(2, "root", Bytes(32), required=True),
    )


@table_class
class KeyEvent(MapShape):
    """Genesis, rotation or close: body type 0, always public, without salt."""

    kind: int
    origin: str | None = None
    secp256k1: bytes
    ed25519: bytes
    next_hash: bytes | None = None
    max_merge_delay_s: int | None = None
    heartbeat_s: int | None = None
    reason: int | None = None
    suspect_from: int | None = None
    rotation_sig: bytes | None = None
    predecessor: Predecessor | None = None
    extensions: tuple[tuple[int, Value], ...] = ()

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(1, "kind", Enum(KEY_EVENT_KIND), required=True),
        Field(2, "origin", Text(255, ORIGIN_FORM)),
        Field(3, "secp256k1", Bytes(33, is_curve_point), required=True),
        Field(4, "ed25519", Bytes(32), required=True),
        Field(5, "next_hash", Bytes(32)),
        Field(6, "max_merge_delay_s", Uint()),
        Field(7, "heartbeat_s", Uint()),
        Field(8, "reason", Enum(KEY_REASON)),
        Field(9, "suspect_from", Uint()),
        Field(10, "rotation_sig", Bytes(65)),
        Field(11, "predecessor", Nested(Predecessor)),
    )

    def check_rules(self) -> None:
        """Raise BodyError unless the fields fit the kind."""
        genesis_only = (self.origin, self.max_merge_delay_s, self.heartbeat_s)
        if self.kind == GENESIS:
            _demand("genesis", present=(*genesis_only, self.next_hash))
            _demand("genesis", absent=(self.reason, self.suspect_from, self.rotation_sig))
        elif self.kind in (ROTATE, CLOSE):
            name = KEY_EVENT_KIND.name_of(self.kind)
            _demand(name, present=(self.reason,), absent=(*genesis_only, self.predecessor))
            if (self.suspect_from is None) == (self.reason in _SUSPECT_REASONS):
                raise BodyError("field-conflict", "suspect_from is present iff reason is 1 or 2")
            if self.kind == ROTATE:
                self._check_rotate()
            else:
                _demand("close", absent=(self.next_hash,))

    def _check_rotate(self) -> None:
        _demand("rotate", present=(self.next_hash, self.rotation_sig))
        if self.next_hash == ZERO_HASH or self.reason == _REASON_CLOSED:
            raise BodyError("field-conflict", "a rotate commits to a next key and is not a close")


def _demand(
    name: str, *, present: tuple[object, ...] = (), absent: tuple[object, ...] = ()
) -> None:
    if any(value is None for value in present) or any(value is not None for value in absent):
        raise BodyError("field-conflict", f"the fields present do not fit a {name}")


@table_class
class Reconciliation(MapShape):
    """Later evidence for an earlier receipt: body type 2."""

    salt: bytes
    index: int
    body_hash: bytes
    usage: tuple[Bucket, ...]
    source: str | None = None
    extensions: tuple[tuple[int, Value], ...] = ()

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(0, "salt", Bytes(16), required=True),
        Field(1, "index", Uint(), required=True),
        Field(2, "body_hash", Bytes(32), required=True),
        Field(3, "usage", ListOf(Nested(Bucket), 32), required=True),
        Field(4, "source", Text(64)),
    )

    def check_rules(self) -> None:
        """Raise BodyError unless the buckets may stand together."""
        check_usage(self.usage)


@table_class
class Binding(MapShape):
    """A wallet bound to a subject, or unbound (zero wallet): body type 3."""

    salt: bytes
    subject: bytes
    wallet: bytes
    nonce: int
    deadline: int
    signature: bytes
    extensions: tuple[tuple[int, Value], ...] = ()

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(0, "salt", Bytes(16), required=True),
        Field(1, "subject", Bytes(32), required=True),
        Field(2, "wallet", Bytes(20), required=True),
        Field(3, "nonce", Uint(), required=True),
        Field(4, "deadline", Uint(), required=True),
        Field(5, "signature", Bytes(65), required=True),
    )


@table_class
class KindSums(RowShape):
    """Sums of `reported` of one kind, whole and by label."""

    kind: int
    reported: int
    exact: int
    bounded: int
    unverifiable: int

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(0, "kind", Enum(KIND), required=True),
        Field(1, "reported", Uint(), required=True),
        Field(2, "exact", Uint(), required=True),
        Field(3, "bounded", Uint(), required=True),
        Field(4, "unverifiable", Uint(), required=True),
    )


@table_class
class StatementRow(RowShape):
    """What one subject used of one model at one provider from one source."""

    provider: str
    model: str
    source: int
    calls: int
    unmetered: int
    kinds: tuple[KindSums, ...]

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(0, "provider", Text(64, PROVIDER_FORM), required=True),
        Field(1, "model", Text(256), required=True),
        Field(2, "source", Enum(SOURCE), required=True),
        Field(3, "calls", Uint(), required=True),
        Field(4, "unmetered", Uint(), required=True),
        Field(5, "kinds", ListOf(Nested(KindSums), 64, low=0), required=True),
    )

    def check_rules(self) -> None:
        """Raise BodyError if kinds are out of order or unmetered exceeds calls."""
        kinds = [row.kind for row in self.kinds]
        if any(a >= b for a, b in pairwise(kinds)):
            raise BodyError("bad-order", "the kinds of a statement row ascend strictly")
        if self.unmetered > self.calls:
            raise BodyError("field-conflict", "more calls were unmetered than made")

    def sort_key(self) -> tuple[bytes, bytes, int]:
        """Return what rows are sorted by."""
        return self.provider.encode(), self.model.encode(), self.source


@table_class
class Statement(MapShape):
    """The sums over a range of one subject's receipts: body type 4."""

    salt: bytes
    subject: bytes
    first_seq: int
    last_seq: int
    last_body_hash: bytes
    count: int
    rows: tuple[StatementRow, ...]
    extensions: tuple[tuple[int, Value], ...] = ()

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(0, "salt", Bytes(16), required=True),
        Field(1, "subject", Bytes(32), required=True),
        Field(2, "first_seq", Uint(), required=True),
        Field(3, "last_seq", Uint(), required=True),
        Field(4, "last_body_hash", Bytes(32), required=True),
        Field(5, "count", Uint(), required=True),
        Field(6, "rows", ListOf(Nested(StatementRow), 64), required=True),
    )

    def check_rules(self) -> None:
        """Raise BodyError unless the rows are sorted and cover the range."""
        if self.first_seq > self.last_seq:
            raise BodyError("field-conflict", "the range of a statement is empty")
        keys = [row.sort_key() for row in self.rows]
        if any(a >= b for a, b in pairwise(keys)):
            raise BodyError("bad-order", "rows are sorted by provider, model and source")
        calls = sum(row.calls for row in self.rows)
        if calls != self.last_seq - self.first_seq + 1:
            raise BodyError("total-mismatch", "the calls do not add up to the range")


@table_class
class Redaction(MapShape):
    """The indices whose bodies are gone, and why: body type 5."""

    salt: bytes
    indices: tuple[int, ...]
    reason: int
    extensions: tuple[tuple[int, Value], ...] = ()

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(0, "salt", Bytes(16), required=True),
        Field(1, "indices", ListOf(Uint(), 64, ascending=True), required=True),
        Field(2, "reason", Enum(REDACTION_REASON), required=True),
    )


Body: TypeAlias = KeyEvent | Receipt | Reconciliation | Binding | Statement | Redaction

BODY_CLASSES: Final[dict[int, type[Body]]] = {
    TYPE_KEY: KeyEvent,
    TYPE_RECEIPT: Receipt,
    TYPE_RECONCILIATION: Reconciliation,
    TYPE_BINDING: Binding,
    TYPE_STATEMENT: Statement,
    TYPE_REDACTION: Redaction,
}


def encode_body(body: Body) -> bytes:
    """Return the canonical bytes of a body.

    Raises:
        EncodingError: limit (longer than 32,768 bytes, or extensions over 4,096).
    """
    data = pack_checked(body.to_wire())
    if len(data) > MAX_BODY_BYTES:
        raise EncodingError("limit", f"a body of {len(data)} bytes is too long")
    _check_extension_bytes(body, data)
    return data


def decode_body(record_type: int, data: bytes) -> Body:
    """Return the body of a known record type.

    Raises:
        EncodingError: the bytes are not canonical, or hold an unknown field.
        BodyError: a rule of the type is broken (LabelError for labels).
        UnavailableError: unknown-type.
    """
    shape = BODY_CLASSES.get(record_type)
    if shape is None:
        raise UnavailableError("unknown-type", f"bodies of type {record_type} are opaque here")
    body = shape.from_wire(decode(data))
    _check_extension_bytes(body, data)
    return body


def _check_extension_bytes(body: Body, data: bytes) -> None:
    # Extensions are part of the body: a short body cannot hold too many of them.
    if len(data) > MAX_EXTENSION_BYTES and extension_bytes(body) > MAX_EXTENSION_BYTES:
        raise EncodingError("limit", "extensions are longer than 4,096 bytes")


def check_body_hash(record: Record, body: bytes) -> bytes:
    """Return the body's bytes after comparing their hash with the record.

    Raises:
        RecordError: body-hash.
    """
    if sha256(body) != record.body_hash:
        raise RecordError("body-hash", "the body does not hash to the record's body hash")
    return body


def check_body_in_record(body: Body, record: Record) -> None:
    """Check the rules that tie a body to the index and time of its record.

    Raises:
        BodyError: time-order, index-order.
    """
    if isinstance(body, Receipt):
        if body.time > record.logged_at + MAX_CLOCK_SKEW_MS:
            raise BodyError("time-order", "the call lies more than 300 s after its logging")
    elif isinstance(body, Binding):
        if record.logged_at // 1000 > body.deadline:
            raise BodyError("time-order", "the binding was logged after its deadline")
    elif isinstance(body, KeyEvent):
        if body.suspect_from is not None and body.suspect_from > record.index:
            raise BodyError("index-order", "suspect_from lies after its own key event")
    elif isinstance(body, Statement):
        _check_below(body.count, record.index + 1, "the statement's count")
    elif isinstance(body, Reconciliation):
        _check_below(body.index, record.index, "the reconciled index")
    else:
        _check_below(body.indices[-1], record.index, "a redacted index")


def _check_below(value: int, bound: int, name: str) -> None:
    if value >= bound:
        raise BodyError("index-order", f"{name} ({value}) speaks of records that come later")
