"""Bodies of all record types: decode, encode, and the rules tied to a record.

Spec:
    PROTOCOL.md, section "Bodies".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from nous_ledger.protocol.encoding import MAX_BODY_BYTES, decode, pack_checked, read_leniently
from nous_ledger.protocol.errors import (
    BodyError,
    EncodingError,
    RecordError,
    UnavailableError,
)
from nous_ledger.protocol.extensions import MAX_EXTENSION_BYTES, extension_bytes
from nous_ledger.protocol.fields import Field, MapShape, table_class
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.kinds import Bytes, Enum, ListOf, Nested, Text, Uint
from nous_ledger.protocol.label import Bucket, check_usage
from nous_ledger.protocol.receipt import MAX_CLOCK_SKEW_MS, Receipt
from nous_ledger.protocol.record import (
    TYPE_BINDING,
    TYPE_KEY,
    TYPE_RECEIPT,
    TYPE_RECONCILIATION,
    TYPE_REDACTION,
    TYPE_STATEMENT,
    Record,
)
from nous_ledger.protocol.registries import KEY_EVENT_KIND, REDACTION_REASON
from nous_ledger.protocol.statement import Statement

if TYPE_CHECKING:
    from nous_ledger.protocol.strict import Value


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
    return pack_body(body, body.to_wire())


def pack_body(body: Body, wire: dict[int, Any]) -> bytes:
    """Return the canonical bytes of a body's map.

    Raises:
        EncodingError: limit, as `encode_body`.
    """
    data = pack_checked(wire)
    if len(data) > MAX_EXTENSION_BYTES:  # nearly none is as long as what its extensions may take
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
    body = _read_quickly(shape, data)
    if body is None:
        body = shape.from_wire(decode(data))
    _check_extension_bytes(body, data)
    return body


def _read_quickly(shape: type[Body], data: bytes) -> Body | None:
    """Return the body that a lenient reader finds, if its encoding is these very bytes.

    The field tables check types, texts and the order of keys; that every header is
    the shortest one, and every key stands there once, shows when it is encoded again.
    """
    if len(data) > MAX_BODY_BYTES:
        return None
    try:
        value = read_leniently(data)
        body = shape.from_wire(value)
        return body if pack_checked(value) == data else None
    except Exception:  # noqa: BLE001 - the strict reader names the fault
        return None


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
        suspect_from = body.suspect_from if body.kind in KEY_EVENT_KIND else None
        if suspect_from is not None and suspect_from > record.index:
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
