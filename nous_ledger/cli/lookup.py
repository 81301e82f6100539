"""Naming one receipt: by its id, or by the index of its record."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import click

from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.types import MAX_UINT

if TYPE_CHECKING:
    from nous_ledger.ledger import Entry, Ledger

_HINT = "see `nous-ledger receipts list`"

receipt_argument = click.argument("receipt", metavar="ID|INDEX")


def parse_target(text: str) -> int | UUID:
    """Return the index or id that some text names.

    >>> parse_target("17")
    17
    >>> str(parse_target("0199C0DE-0000-7000-8000-000000000001"))
    '0199c0de-0000-7000-8000-000000000001'

    Raises:
        InputError: it is neither.
    """
    if text.isascii() and text.isdigit() and len(text) < 32 and int(text) <= MAX_UINT:
        return int(text)
    try:
        return UUID(text)
    except ValueError as error:
        raise InputError(
            "input", f"{text[:80]} is neither a receipt id nor an index", hint=_HINT
        ) from error


def find_entry(ledger: Ledger, target: int | UUID) -> Entry:
    """Return the entry that is named.

    Raises:
        InputError: the ledger has no such receipt or record.
    """
    if isinstance(target, UUID):
        entry = ledger.find_receipt(target.bytes)
        if entry is None:
            raise InputError("input", f"no receipt {target} in {ledger.folder}", hint=_HINT)
        return entry
    leaf_count = ledger.leaf_count()
    if target >= leaf_count:
        last = f"its last record has index {leaf_count - 1}"
        raise InputError("input", f"no record {target} in {ledger.folder}: {last}", hint=_HINT)
    return ledger.entry(target)
