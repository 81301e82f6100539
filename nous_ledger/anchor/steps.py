"""What is to be sent next so that the contract holds the newest head of a ledger.

register   once
rotate     for each key epoch that the contract does not know yet, in their order
anchor     a head with a consistency proof from the head that the contract stores

A close is a rotation too. After it the contract takes no head, so the newest head before it
goes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from nous_ledger.anchor.abi import encode_call
from nous_ledger.anchor.errors import AnchorUseError, ChainContentError
from nous_ledger.anchor.state import ContractState
from nous_ledger.ledger.model import Entry
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.errors import HeadError
from nous_ledger.protocol.hashing import ZERO_HASH
from nous_ledger.protocol.head import HeadSignature, decode_head_signature, only_line
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.keyhistory import KeyHistory
from nous_ledger.protocol.mmr import NodeReader, read_root
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, LogId
from nous_ledger.protocol.vkey import head_vkey


class HeadSource(Protocol):
    """What a ledger tells about itself; `Ledger` does."""

    @property
    def log_id(self) -> LogId:
        """Identity of the log."""
        ...  # pragma: no cover

    @property
    def origin(self) -> str:
        """Name of the log."""
        ...  # pragma: no cover

    def stored_heads(self) -> tuple[bytes, ...]:
        """Return the newest signed heads, the one over the most leaves first."""
        ...  # pragma: no cover

    def leaf_count(self) -> LeafCount:
        """Return the number of leaves."""
        ...  # pragma: no cover

    def consistency(self, old: int, new: int) -> tuple[Hash32, ...]:
        """Return a consistency proof."""
        ...  # pragma: no cover

    def key_history(self) -> KeyHistory:
        """Return the log's keys by epoch."""
        ...  # pragma: no cover

    def entry(self, index: int) -> Entry:
        """Return one entry."""
        ...  # pragma: no cover

    @property
    def read_nodes(self) -> NodeReader:
        """Return nodes of the tree."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A signed head of the log.

    Attributes:
        checkpoint: its text.
        signature: the line that the contract checks.
    """

    checkpoint: Checkpoint
    signature: HeadSignature

    def arguments(self, log_id: LogId) -> tuple[object, ...]:
        """Return the head as the contract takes it: struct, r, s, v."""
        signed = self.signature
        struct = (
            *(log_id, signed.epoch, self.checkpoint.leaf_count),
            *(self.checkpoint.root, signed.timestamp),
        )
        r, s, v = signed.signature[:32], signed.signature[32:64], signed.signature[64]
        return struct, r, s, v


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of the contract.

    Attributes:
        purpose: anchor, register or rotate.
        data: calldata.
        base_count: leaves of the contract's head that it was made for.
        leaf_count: leaves of the head that it carries; 0 for none.
        root: of that head; zeros for none.
        summary: what it does, for people.
    """

    purpose: str
    data: bytes
    base_count: int = 0
    leaf_count: int = 0
    root: bytes = ZERO_HASH
    summary: str = ""


ANCHOR: Final = "anchor"
REGISTER: Final = "register"
ROTATE: Final = "rotate"


def read_head(note: bytes, log_id: LogId) -> Head:
    """Return the part of a signed head that the contract checks; it is not verified here.

    Raises:
        FormatError: note-format, checkpoint-format.
        HeadError: missing-kind, duplicate-line.
        SignatureError: malformed.
    """
    parsed = parse_note(note)
    checkpoint = parse_checkpoint(parsed.text)
    line = only_line(parsed, head_vkey(checkpoint.origin, log_id))
    return Head(checkpoint=checkpoint, signature=decode_head_signature(line.payload))


def register_step(history: KeyHistory) -> Step:
    """Return the call that makes the contract know a log."""
    genesis = history.genesis
    origin = (genesis.origin or "").encode("ascii")
    next_hash = genesis.next_hash or ZERO_HASH
    arguments = (origin, genesis.secp256k1, genesis.ed25519, next_hash)
    return Step(
        purpose=REGISTER,
        data=encode_call("register", *arguments),
        summary=f"register the log {genesis.origin}",
    )


def check_agreement(ledger: HeadSource, state: ContractState) -> None:
    """Refuse to go on where the contract holds what this ledger does not.

    Raises:
        ChainContentError: chain-ahead, chain-forked.
    """
    count = ledger.leaf_count()
    if state.leaf_count > count:
        raise ChainContentError(
            "chain-ahead",
            f"the contract holds a head of {state.leaf_count} leaves, the ledger has {count}",
        )
    if state.leaf_count and read_root(ledger.read_nodes, state.leaf_count) != state.root:
        raise ChainContentError(
            "chain-forked",
            f"the contract holds another root than the ledger has at {state.leaf_count} leaves",
        )


def next_step(ledger: HeadSource, state: ContractState) -> Step | None:
    """Return what is to be sent next; None if the contract holds all that it can.

    Args:
        ledger: the log.
        state: what the contract holds of it.

    Raises:
        ChainContentError: chain-ahead, chain-forked.
        StoreError, StoreContentError: the ledger could not be read.
    """
    check_agreement(ledger, state)
    if state.closed:
        return None
    history = ledger.key_history()
    if state.epoch < history.epoch:
        rotation = rotation_step(ledger, history, Epoch(state.epoch + 1))
        is_close = history.closed_at is not None and state.epoch + 1 == history.epoch
        last = _newest(ledger, state) if is_close else None
        return last or rotation
    return _newest(ledger, state)


def rotation_step(ledger: HeadSource, history: KeyHistory, epoch: Epoch) -> Step:
    """Return the call that takes the contract to a key epoch.

    Args:
        ledger: the log.
        history: its keys.
        epoch: the epoch that begins, at least 1.
    """
    event = _event_of(ledger, history.epochs[epoch].first_index)
    signature = event.rotation_sig or bytes(65)
    next_hash = event.next_hash or ZERO_HASH
    r, s, v = signature[:32], signature[32:64], signature[64]
    arguments = (history.log_id, epoch, event.secp256k1, next_hash, r, s, v)
    what = "the close of the log" if next_hash == ZERO_HASH else f"the key of epoch {epoch}"
    return Step(
        purpose=ROTATE, data=encode_call("rotate", *arguments), summary=f"make known {what}"
    )


def newest_head(ledger: HeadSource, epoch: Epoch) -> Head:
    """Return the newest stored head that was signed in a key epoch.

    Raises:
        AnchorUseError: rotation-missing, if there is none.
    """
    for note in ledger.stored_heads():
        head = read_head(note, ledger.log_id)
        if head.signature.epoch == epoch:
            return head
    raise AnchorUseError("rotation-missing", f"no stored head was signed in epoch {epoch}")


def _newest(ledger: HeadSource, state: ContractState) -> Step | None:
    try:
        head = newest_head(ledger, state.epoch)
    except (AnchorUseError, HeadError):
        return None
    checkpoint = head.checkpoint
    if checkpoint.leaf_count <= state.leaf_count:
        return None
    proof: tuple[Hash32, ...] = ()
    if state.leaf_count:
        proof = ledger.consistency(state.leaf_count, checkpoint.leaf_count)
    return Step(
        purpose=ANCHOR,
        data=encode_call("anchor", *head.arguments(ledger.log_id), proof),
        base_count=state.leaf_count,
        leaf_count=checkpoint.leaf_count,
        root=checkpoint.root,
        summary=f"anchor {checkpoint.leaf_count} records after {state.leaf_count}",
    )


def _event_of(ledger: HeadSource, index: int) -> KeyEvent:
    entry = ledger.entry(index)
    event = decode_body(0, entry.body)
    assert isinstance(event, KeyEvent)  # noqa: S101 - the key history was verified
    return event
