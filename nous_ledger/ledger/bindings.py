"""Which wallet is bound to which subject, read from the log's bindings.

Nothing is stored beside the log: a book in memory follows its records of type 3. It
takes in committed records only; inside a write transaction what it does not know yet is
read once more, so that of two bindings with one nonce a single one is logged, whichever
thread or process they come from.

Spec:
    PROTOCOL.md, section "Binding" (BIND-*).
"""

from __future__ import annotations

import threading
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.ledger.store import View
from nous_ledger.protocol.accuracy import verify_binding
from nous_ledger.protocol.bodies import Binding, Redaction, decode_body
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.record import TYPE_BINDING, TYPE_REDACTION
from nous_ledger.protocol.types import LeafIndex, LogId

_AT_A_TIME: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A wallet that is bound to a subject.

    Attributes:
        wallet: address, 20 bytes.
        index: leaf of the binding.
    """

    wallet: bytes
    index: LeafIndex


@dataclass(slots=True, kw_only=True)
class _State:
    """What the bindings among the leaves `[0, upto)` add up to."""

    upto: int = 0
    bound: MutableMapping[bytes, Bound] = field(default_factory=dict)
    nonces: MutableMapping[bytes, int] = field(default_factory=dict)
    leaves: set[int] = field(default_factory=set)

    def follow(self, view: View, log_id: LogId) -> None:
        end = view.leaf_count()
        for leaf in _leaves(view, TYPE_BINDING, self.upto, end):
            binding = _read(view, TYPE_BINDING, leaf)
            if isinstance(binding, Binding):
                self._note(leaf, binding, log_id)
        self.upto = end

    def _note(self, leaf: LeafIndex, binding: Binding, log_id: LogId) -> None:
        try:
            signer = verify_binding(binding, log_id)
        except LedgerError:
            return  # of no wallet; the log's audit says so
        self.leaves.add(leaf)
        self.nonces[signer] = max(binding.nonce, self.nonces.get(signer, 0))
        # A deletion would not show through a ChainMap: an unbind stands as the zero wallet.
        self.bound[binding.subject] = Bound(wallet=binding.wallet, index=leaf)


class BindingBook:
    """Follows the bindings of one log, for any thread."""

    def __init__(self, log_id: LogId) -> None:
        """Know of none yet."""
        self._log_id = log_id
        self._state = _State()
        self._lock = threading.Lock()

    def follow(self, view: View) -> None:
        """Take in what was committed since; bindings whose bodies were erased are forgotten.

        Args:
            view: a snapshot of what is durable.
        """
        with self._lock:
            before = self._state.upto
            if self._was_erased(view, before):
                self._state = _State()
            self._state.follow(view, self._log_id)

    def bound(self) -> Mapping[bytes, Bound]:
        """Return the wallet of each subject that has one, as far as the log was followed."""
        with self._lock:
            pairs = self._state.bound.items()
            return MappingProxyType({who: of for who, of in pairs if any(of.wallet)})

    def last_nonce(self, wallet: bytes) -> int | None:
        """Return the highest nonce that a wallet signed, as far as the log was followed."""
        with self._lock:
            return self._state.nonces.get(wallet)

    def check(self, binding: Binding, signer: bytes, view: View) -> None:
        """Refuse a binding that was used before, or an unbind by another wallet.

        Args:
            binding: what is to be logged.
            signer: the address that signed it.
            view: the transaction that would log it.

        Raises:
            LedgerUseError: nonce-used, not-bound.
        """
        with self._lock:
            known = self._state
            now = _State(
                upto=known.upto,
                bound=ChainMap({}, known.bound),
                nonces=ChainMap({}, known.nonces),
            )
            now.follow(view, self._log_id)
            last, bound = now.nonces.get(signer), now.bound.get(binding.subject)
        if last is not None and binding.nonce <= last:
            raise LedgerUseError(
                "nonce-used", f"the wallet signed nonce {last} before, so {binding.nonce} is over"
            )
        if not any(binding.wallet) and (bound is None or bound.wallet != signer):
            raise LedgerUseError("not-bound", "the wallet is not the one that is bound")

    def _was_erased(self, view: View, since: int) -> bool:
        for leaf in _leaves(view, TYPE_REDACTION, since, view.leaf_count()):
            redaction = _read(view, TYPE_REDACTION, leaf)
            if isinstance(redaction, Redaction) and self._state.leaves & {*redaction.indices}:
                return True
        return False


def _leaves(view: View, record_type: int, lo: int, hi: int) -> Iterator[LeafIndex]:
    while found := view.leaves_of_type(record_type, lo, hi, _AT_A_TIME):
        yield from found
        lo = found[-1] + 1


def _read(view: View, record_type: int, leaf: LeafIndex) -> object:
    """Return a body; None if it was erased or is damaged."""
    data = view.body(leaf)
    try:
        return decode_body(record_type, data) if data else None
    except LedgerError:
        return None
