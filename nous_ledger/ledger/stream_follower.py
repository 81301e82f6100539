"""The audit of a ledger's streams: follows the log, and goes on from what it kept.

Nothing here is authoritative: the state is derived from the log alone, and one that is
damaged, of another log or ahead of it is dropped and made again from the first record.

Spec:
    PROTOCOL.md, section "Stream audit", AUD-3, AUD-14, AUD-15.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from nous_ledger.ledger.errors import StoreError
from nous_ledger.ledger.files import replace_file
from nous_ledger.ledger.ledger import Ledger
from nous_ledger.ledger.model import Entry
from nous_ledger.protocol.audit_kept import streams_from_text, streams_to_text
from nous_ledger.protocol.audit_report import streams_to_json
from nous_ledger.protocol.audit_streams import AuditedStreams
from nous_ledger.protocol.bodies import Body, Redaction, decode_body
from nous_ledger.protocol.errors import InputError, LedgerError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import (
    TYPE_RECEIPT,
    TYPE_REDACTION,
    decode_record,
    leaf_hash,
)
from nous_ledger.protocol.stream_audit import ALPHA
from nous_ledger.protocol.types import Hash32

MAX_KEPT_BYTES: Final = 64 << 20
"""Most bytes of a kept state: all streams and services with names of any length, and more."""
_FORM: Final = "nous-ledger/1 followed streams"
_AT_A_TIME: Final = 256


class StreamFollower:
    """The streams of one ledger; for one thread at a time.

    Attributes:
        streams: the bets.
        upto: leaves that were taken.
        erased: receipts that were taken, and erased since.
    """

    def __init__(self, ledger: Ledger, alpha: float = ALPHA, kept: Path | None = None) -> None:
        """Go on with the streams of a ledger, or begin.

        Args:
            ledger: the ledger.
            alpha: chance of any false alarm over all streams together; 0 < alpha < 1.
            kept: file to go on from and to keep the state in; None to keep nothing. What is
                not a state of this log under this alpha is made anew.

        Raises:
            InputError: alpha is not between 0 and 1.
            StoreError: store-io, the kept state is there and cannot be read.
        """
        self._ledger = ledger
        self._kept = kept
        self.upto = self.erased = 0
        self._begin(alpha)
        if kept is not None and kept.exists():
            self._go_on(kept)

    def step(self) -> bool:
        """Take the next records; return whether more are there.

        Raises:
            LedgerError: the ledger could not be read.
        """
        end = self._ledger.leaf_count()
        entries = self._ledger.read(range(self.upto, min(self.upto + _AT_A_TIME, end)))
        for entry in entries:
            self._take(entry)
        if entries:
            self.upto = entries[-1].index + 1
            self._last = leaf_hash(entries[-1].record)
        return self.upto < end

    def keep(self) -> None:
        """Write the state to its file, whole or not at all.

        Raises:
            StoreError: store-unwritable.
        """
        if self._kept is None:
            return
        text = json.dumps(
            {
                "form": _FORM,
                "log_id": self._ledger.log_id.hex(),
                "upto": self.upto,
                "leaf": self._last.hex(),
                "erased": self.erased,
                "unread": sorted(self._unread),
                "streams": streams_to_text(self.streams),
            }
        )
        replace_file(self._kept, text.encode())

    def to_json(self) -> dict[str, Any]:
        """Return every parameter and number, and how far the log was read.

        Spec:
            AUD-11, AUD-14.
        """
        place = {"records": self.upto, "erased_receipts": self.erased}
        return {"log_id": self._ledger.log_id.hex(), **place, **streams_to_json(self.streams)}

    def _begin(self, alpha: float) -> None:
        self.streams = AuditedStreams(alpha)
        self.upto = self.erased = 0
        self._last = Hash32(b"")
        self._unread: set[int] = set()  # erased before they could be taken, and not announced yet

    def _take(self, entry: Entry) -> None:
        record = decode_record(entry.record)
        if record.type == TYPE_RECEIPT:
            receipt = _decoded(TYPE_RECEIPT, entry.body)
            self.streams.take(receipt if isinstance(receipt, Receipt) else None)
            if receipt is None:
                self._unread.add(entry.index)
        elif record.type == TYPE_REDACTION:
            redaction = _decoded(TYPE_REDACTION, entry.body)
            if isinstance(redaction, Redaction):
                self._note_erased(redaction.indices)

    def _note_erased(self, leaves: Iterable[int]) -> None:
        """Count receipts that were taken and can be read no more."""
        for entry in [self._ledger.read(range(leaf, leaf + 1))[0] for leaf in leaves]:
            if entry.index in self._unread:
                self._unread.remove(entry.index)
            elif decode_record(entry.record).type == TYPE_RECEIPT:
                self.erased += 1

    def _go_on(self, kept: Path) -> None:
        try:
            with kept.open("rb") as file:
                data = file.read(MAX_KEPT_BYTES + 1)
        except OSError as error:
            text = f"{kept} cannot be read: {error.strerror or error}"
            raise StoreError("store-io", text) from error
        alpha = self.streams.alpha
        try:
            found = json.loads(data)
            self._restore(found)
        except (InputError, KeyError, TypeError, ValueError, RecursionError):
            self._begin(alpha)
        if self.streams.alpha != alpha:
            self._begin(alpha)

    def _restore(self, found: dict[str, Any]) -> None:
        """Take over a state if it is one of this log.

        Raises:
            InputError, KeyError, TypeError, ValueError: it is not.
        """
        upto, ledger = int(found["upto"]), self._ledger
        last = Hash32(bytes.fromhex(found["leaf"]))
        same = (found["form"], found["log_id"]) == (_FORM, ledger.log_id.hex())
        if not same or not 0 < upto <= ledger.leaf_count():
            raise InputError("input", "this is the state of another log")
        (record,) = ledger.read_records(upto - 1, upto)
        if leaf_hash(record) != last:
            raise InputError("input", "the log went on otherwise")
        self.streams = streams_from_text(found["streams"])
        self.upto, self._last, self.erased = upto, last, int(found["erased"])
        self._unread = set(map(int, found["unread"]))


def _decoded(type_: int, data: bytes) -> Body | None:
    """Return a body; None where it was erased or is damaged."""
    try:
        return decode_body(type_, data) if data else None
    except LedgerError:
        return None
