"""Sums over a range of one subject's receipts: body type 4.

Spec:
    PROTOCOL.md, section "Statement" (STMT-*).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from nous_ledger.protocol.errors import BodyError
from nous_ledger.protocol.fields import Field, MapShape, RowShape, table_class
from nous_ledger.protocol.kinds import Bytes, Enum, ListOf, Nested, Text, Uint
from nous_ledger.protocol.receipt import PROVIDER_FORM
from nous_ledger.protocol.registries import KIND, SOURCE

if TYPE_CHECKING:
    from nous_ledger.protocol.strict import Value


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
