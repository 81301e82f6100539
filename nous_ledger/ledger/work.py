"""What callers want of a ledger, and what each of them gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from nous_ledger.ledger.model import Draft, Intent
from nous_ledger.ledger.single import Unplaced
from nous_ledger.ledger.store import View
from nous_ledger.protocol.values import value


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendWork:
    """Log some receipts, all or none of them."""

    drafts: tuple[Draft, ...]


@value
class IntentWork:
    """Note that a call was admitted."""

    intent: Intent


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordWork:
    """Log one record that is no receipt.

    Attributes:
        body: its body.
        check: raises if, by all that is in the log before it, it may not be logged.
    """

    body: Unplaced
    check: Callable[[View], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsWork:
    """Log some records that are no receipts, all or none of them.

    Attributes:
        choose: returns their bodies, None for each that is left out, by all that is in
            the log before them; checks all that could keep one from being logged.
    """

    choose: Callable[[View], Sequence[Unplaced | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadWork:
    """Give a head over all leaves."""


Work: TypeAlias = Draft | AppendWork | IntentWork | RecordWork | RecordsWork | HeadWork
"""A draft is to be logged by itself."""
Outcome: TypeAlias = Any
"""In the order of the kinds of work: Appended, a tuple of Appended, None, an Entry, a tuple of
entries with None for what was left out, a head's bytes.
Or a LedgerError, for work that could not be done."""
