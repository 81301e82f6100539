"""The receipt of one call: body type 1.

Spec:
    PROTOCOL.md, section "The receipt".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from nous_ledger.protocol.errors import BodyError, ReceiptError
from nous_ledger.protocol.fields import Field, MapShape, RowShape, table_class
from nous_ledger.protocol.kinds import Bytes, Enum, ListOf, Nested, Text, Uint
from nous_ledger.protocol.label import Bucket, check_exact_allowed, check_usage
from nous_ledger.protocol.registries import (
    ANOMALY,
    API,
    METERING,
    POLICY_ACTION,
    SOURCE,
    STATUS,
    TOKEN_KINDS_END,
)

if TYPE_CHECKING:
    from nous_ledger.protocol.strict import Value

MAX_CLOCK_SKEW_MS: Final = 300_000
MAX_UPSTREAM_BYTES: Final = 261

_PROXY: Final = 1
_IMPORT: Final = 3
_REFUSED: Final = 4
_NO_METERING: Final = 0
_MALFORMED: Final = 3
_USAGE_MALFORMED: Final = 1
_TOTAL_MISMATCH: Final = 11

_HOST_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_PORT: Final = (
    "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
)
UPSTREAM_FORM: Final = (
    rf"(?:(?=[^:]{{1,253}}(?:\Z|:)){_HOST_LABEL}(?:\.{_HOST_LABEL})*"
    rf"|\[(?=[^:\]]*:[^:\]]*:)[0-9a-f:.]{{2,45}}\])(?::(?:{_PORT}))?"
)
PROVIDER_FORM: Final = r"[a-z0-9._-]{1,64}"


def is_uuid7(value: bytes) -> bool:
    """Return whether 16 bytes are a UUID of version 7."""
    return value[6] >> 4 == 7 and value[8] >> 6 == 2


@table_class
class Context(MapShape):
    """What the caller said about the call; strings of 1..256 bytes."""

    session: str | None = None
    project: str | None = None
    branch: str | None = None
    commit: str | None = None
    agent: str | None = None
    tag: str | None = None
    extensions: tuple[tuple[int, Value], ...] = ()

    DEPTH: ClassVar[int] = 2
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(1, "session", Text(256)),
        Field(2, "project", Text(256)),
        Field(3, "branch", Text(256)),
        Field(4, "commit", Text(256)),
        Field(5, "agent", Text(256)),
        Field(6, "tag", Text(256)),
    )

    def check_rules(self) -> None:
        """Raise BodyError if nothing is said."""
        if not self.extensions and all(getattr(self, field.name) is None for field in self.FIELDS):
            raise BodyError("empty-value", "an empty context is left out instead")


@table_class
class ImportInfo(MapShape):
    """Where an imported receipt comes from.

    Attributes:
        importer: name of the importing program, 1..64 bytes.
        version: its version, 1..64 bytes.
        ruleset: hash of the rules used, 32 bytes.
        line_hash: hash of the imported line, 32 bytes.
        supersedes: id of the receipt that this one replaces, 16 bytes.
        occurred_at: milliseconds at which the call itself took place.
    """

    importer: str
    version: str
    ruleset: bytes | None = None
    line_hash: bytes
    supersedes: bytes | None = None
    occurred_at: int | None = None
    extensions: tuple[tuple[int, Value], ...] = ()

    DEPTH: ClassVar[int] = 2
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(1, "importer", Text(64), required=True),
        Field(2, "version", Text(64), required=True),
        Field(3, "ruleset", Bytes(32)),
        Field(4, "line_hash", Bytes(32), required=True),
        Field(5, "supersedes", Bytes(16)),
        Field(6, "occurred_at", Uint()),
    )


@table_class
class PolicyAction(RowShape):
    """How often one policy of the gateway acted on the call."""

    name: str
    action: int
    count: int

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(0, "name", Text(64), required=True),
        Field(1, "action", Enum(POLICY_ACTION), required=True),
        Field(2, "count", Uint(), required=True),
    )


@table_class
class Receipt(MapShape):
    """What became of one call.

    Field names, types, ranges and conditions are those of PROTOCOL.md's table;
    bytes are raw, times are milliseconds, money is pico-USD. `subject_seq` and
    `subject_prev` are assigned by the log's sequencer.
    """

    salt: bytes
    id: bytes
    time: int
    duration: int | None = None
    source: int
    subject: bytes
    subject_seq: int = 0
    subject_prev: bytes | None = None
    provider: str
    upstream: str | None = None
    operation: str
    api: int
    model_requested: str | None = None
    model_served: str | None = None
    status: int
    http_status: int | None = None
    streamed: int | None = None
    metering: int
    usage: tuple[Bucket, ...] | None = None
    provider_total: int | None = None
    raw_usage_hash: bytes | None = None
    reported_cost: int | None = None
    service_tier: str | None = None
    request_commitment: bytes | None = None
    response_commitment: bytes | None = None
    forwarded_commitment: bytes | None = None
    provider_request_id: str | None = None
    context: Context | None = None
    import_: ImportInfo | None = None
    policy: tuple[PolicyAction, ...] | None = None
    anomalies: tuple[int, ...] | None = None
    claimed_wallet: bytes | None = None
    extensions: tuple[tuple[int, Value], ...] = ()

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(0, "salt", Bytes(16), required=True),
        Field(1, "id", Bytes(16, is_uuid7), required=True),
        Field(2, "time", Uint(), required=True),
        Field(3, "duration", Uint()),
        Field(4, "source", Enum(SOURCE), required=True),
        Field(5, "subject", Bytes(32), required=True),
        Field(6, "subject_seq", Uint(), required=True),
        Field(7, "subject_prev", Bytes(32)),
        Field(8, "provider", Text(64, PROVIDER_FORM), required=True),
        Field(9, "upstream", Text(MAX_UPSTREAM_BYTES, UPSTREAM_FORM)),
        Field(10, "operation", Text(64), required=True),
        Field(11, "api", Enum(API), required=True),
        Field(12, "model_requested", Text(256)),
        Field(13, "model_served", Text(256)),
        Field(14, "status", Enum(STATUS), required=True),
        Field(15, "http_status", Uint(100, 599)),
        Field(16, "streamed", Uint(1, 1)),
        Field(17, "metering", Enum(METERING), required=True),
        Field(18, "usage", ListOf(Nested(Bucket), 32)),
        Field(19, "provider_total", Uint()),
        Field(20, "raw_usage_hash", Bytes(32)),
        Field(21, "reported_cost", Uint()),
        Field(22, "service_tier", Text(64)),
        Field(23, "request_commitment", Bytes(32)),
        Field(24, "response_commitment", Bytes(32)),
        Field(25, "forwarded_commitment", Bytes(32)),
        Field(26, "provider_request_id", Text(256)),
        Field(27, "context", Nested(Context)),
        Field(28, "import_", Nested(ImportInfo)),
        Field(29, "policy", ListOf(Nested(PolicyAction), 64)),
        Field(30, "anomalies", ListOf(Enum(ANOMALY), 64, ascending=True)),
        Field(31, "claimed_wallet", Bytes(20)),
    )

    def check_rules(self) -> None:
        """Raise ReceiptError or LabelError if fields contradict each other."""
        if (self.subject_prev is None) != (self.subject_seq == 0):
            raise ReceiptError("field-conflict", "subject_prev is absent iff subject_seq is 0")
        if (self.import_ is None) != (self.source != _IMPORT):
            raise ReceiptError("field-conflict", "import is present iff the source is import")
        if self.upstream is None and self.source == _PROXY and self.status != _REFUSED:
            raise ReceiptError(
                "field-conflict", "a proxied call that was not refused has an upstream"
            )
        usage = self.usage
        if self.metering == _NO_METERING and not (
            usage is None and self.provider_total is None and self.raw_usage_hash is None
        ):
            raise ReceiptError(
                "field-conflict", "an unmetered call has no usage, total or usage hash"
            )
        if usage is not None:
            check_usage(usage)
            check_exact_allowed(usage, self.status, self.api, self.anomalies or ())
        if self.provider_total is not None and self.metering != _MALFORMED:
            self._check_total(self.provider_total)

    def _check_total(self, provider_total: int) -> None:
        anomalies = self.anomalies or ()
        if _USAGE_MALFORMED in anomalies or _TOTAL_MISMATCH in anomalies:
            return
        total = 0
        for bucket in self.usage or ():
            if bucket.kind < TOKEN_KINDS_END:
                if bucket.reported is None:
                    return
                total += bucket.reported
        if total != provider_total:
            raise ReceiptError(
                "total-mismatch",
                f"provider_total is {provider_total}, the buckets sum to {total}",
            )
