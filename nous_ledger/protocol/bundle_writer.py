"""Bundles of many records under one head: what they share is checked and encoded once.

Spec:
    PROTOCOL.md, section "Bundles" (BNDL-1 to BNDL-5).
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Sequence

from nous_ledger.protocol.bundle import Bundle, KeyEventEntry, format_bundle
from nous_ledger.protocol.encoding import encode_uint, pack_checked
from nous_ledger.protocol.types import Hash32, LeafIndex


class BundleWriter:
    """Writes what `format_bundle` writes, of one head."""

    def __init__(self, checkpoint: bytes, key_events: Sequence[KeyEventEntry]) -> None:
        """Take what all bundles have in common.

        Args:
            checkpoint: the head's note, verbatim.
            key_events: the key events among the head's leaves, 1..64.

        Raises:
            FormatError: not-a-bundle.
            UnavailableError: newer-version, if a record has a version above 1.
        """
        genesis = key_events[0]
        first = Bundle(
            index=LeafIndex(0),
            path=genesis.path,
            checkpoint=checkpoint,
            record=genesis.record,
            body=genesis.body,
            key_events=tuple(key_events),
        )
        self._first_line = format_bundle(first).partition(b"\n")[0]
        self._checkpoint = checkpoint
        self._events = pack_checked(
            tuple([(event.record, event.body, event.path) for event in key_events])
        )

    def write(self, index: LeafIndex, path: Sequence[Hash32], record: bytes, body: bytes) -> bytes:
        """Return the file form of the bundle of one record, all of which is known to be valid.

        Args:
            index: leaf index of the record.
            path: its inclusion path, its sibling first, at most 63 hashes.
            record: the record, 120 bytes.
            body: its body; empty when withheld.
        """
        version = encode_uint(1)
        extra = b"\x94" + version + pack_checked(record) + pack_checked(body) + self._events
        hashes = b"".join(map(b2a_base64, path))  # each with its newline
        head = b"%b\nextra %bindex %d\n" % (self._first_line, b2a_base64(extra), index)
        return b"%b%b\n%b" % (head, hashes, self._checkpoint)
