"""What the receipts of a statement add up to.

The log adds up to make a statement, whoever audits it adds up to compare: with this.

Spec:
    PROTOCOL.md, section "Statement" (STMT-*).
"""

from __future__ import annotations

from typing import Final

from nous_ledger.protocol.encoding import MAX_BODY_BYTES
from nous_ledger.protocol.label import BOUNDED, EXACT, UNVERIFIABLE
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.statement import KindSums, StatementRow
from nous_ledger.protocol.types import MAX_UINT

MAX_ROWS: Final = 64
MAX_KINDS: Final = 64
NO_MODEL: Final = "unknown"

_NO_METERING: Final = 0
_SUMS: Final = {EXACT: 1, BOUNDED: 2, UNVERIFIABLE: 3}
_FIXED_BYTES: Final = 256
_ROW_BYTES: Final = 48
_KIND_BYTES: Final = 48
"""Upper bounds of what the parts of a body take, but for the names of a row."""

_RowKey = tuple[bytes, bytes, int]


def model_of(receipt: Receipt) -> str:
    """Return the model that a receipt counts for: as served, else as requested."""
    return receipt.model_served or receipt.model_requested or NO_MODEL


class StatementSums:
    """Adds receipts up, one after the other.

    Attributes:
        calls: receipts so far.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.calls = 0
        self._size = _FIXED_BYTES
        self._rows: dict[_RowKey, list[int]] = {}
        self._kinds: dict[_RowKey, dict[int, list[int]]] = {}

    def add(self, receipt: Receipt) -> bool:
        """Add a receipt; return False, and add nothing, if one statement cannot hold it too.

        That is so with more than 64 rows, more than 64 kinds in one, a sum above
        2^53-1, or a body that could exceed its limit.
        """
        key = (receipt.provider.encode(), model_of(receipt).encode(), receipt.source)
        kinds = self._kinds.get(key, {})
        usage = receipt.usage or ()
        new = [bucket.kind for bucket in usage if bucket.kind not in kinds]
        size = self._size + _KIND_BYTES * len(new)
        if key not in self._rows:
            size += _ROW_BYTES + len(key[0]) + len(key[1])
        if size > MAX_BODY_BYTES or len(kinds) + len(new) > MAX_KINDS:
            return False
        if len(self._rows.keys() | {key}) > MAX_ROWS:
            return False
        if any(kinds.get(b.kind, [0])[0] + (b.reported or 0) > MAX_UINT for b in usage):
            return False
        self._size = size
        self._count(key, receipt)
        return True

    def _count(self, key: _RowKey, receipt: Receipt) -> None:
        row = self._rows.setdefault(key, [0, 0])
        kinds = self._kinds.setdefault(key, {})
        self.calls += 1
        row[0] += 1
        row[1] += receipt.metering == _NO_METERING
        for bucket in receipt.usage or ():
            sums = kinds.setdefault(bucket.kind, [0, 0, 0, 0])
            reported = bucket.reported or 0
            sums[0] += reported
            if bucket.label in _SUMS:
                sums[_SUMS[bucket.label]] += reported

    def rows(self) -> tuple[StatementRow, ...]:
        """Return the rows in their order."""
        return tuple(
            StatementRow(
                provider=key[0].decode(),
                model=key[1].decode(),
                source=key[2],
                calls=row[0],
                unmetered=row[1],
                kinds=tuple(
                    KindSums(kind=kind, reported=n[0], exact=n[1], bounded=n[2], unverifiable=n[3])
                    for kind, n in sorted(self._kinds[key].items())
                ),
            )
            for key, row in sorted(self._rows.items())
        )
