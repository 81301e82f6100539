"""What the pure decisions ask of whoever keeps the sentinel's memory.

The shell implements `Memory` over its store. All questions come in batches, one of each
kind per span of records, and nothing is written but by the `Changes` that a fold returns.

Nodes of the tree are asked for through the protocol's `NodeReader`: a function from node
positions to hashes, which raises `UnavailableError` for what is not remembered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from nous_ledger.protocol.audit_streams import Service, StreamKey
from nous_ledger.protocol.types import LeafIndex, TokenCount


class ChainEnd(NamedTuple):
    """The newest receipt of a subject: its number in the chain, body hash and leaf."""

    seq: int
    body_hash: bytes
    leaf: LeafIndex


class Used(NamedTuple):
    """The largest nonce of a signer, and the leaf of its binding."""

    nonce: int
    leaf: LeafIndex


class Withheld(NamedTuple):
    """A record whose body could not be read.

    Attributes:
        leaf: where it stands.
        type: its record type.
        body_hash: hash that its record names.
        seen_at: second by this machine's clock at which the body was asked for and not
            served; 0 if one was served, which was not the signed one or broke a rule.
    """

    leaf: LeafIndex
    type: int
    body_hash: bytes
    seen_at: int


class Receipt(NamedTuple):
    """A receipt to be remembered under its id and under (subject, seq)."""

    id: bytes
    leaf: LeafIndex
    subject: bytes
    seq: int


class Claim(NamedTuple):
    """A statement or reconciliation, to be compared with the records it speaks of.

    Attributes:
        leaf: where it stands.
        type: its record type, 2 or 4.
    """

    leaf: LeafIndex
    type: int


class Sample(NamedTuple):
    """A receipt that a stream audits.

    Attributes:
        leaf: where it stands.
        stream: its stream.
        reported: tokens that were reported.
        counted: tokens that the re-count found.
    """

    leaf: LeafIndex
    stream: StreamKey
    reported: TokenCount
    counted: TokenCount


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a fold adds to the memory; to be stored together with the new state.

    Attributes:
        receipts: new receipts; an id that is known already is not among them.
        subjects: newest receipt by subject.
        nonces: largest nonce by signer, 20 bytes.
        wallets: wallet bound last by subject; None after an unbind.
        withheld: bodies that could not be read.
        announced: leaves that redactions name; those of them that are withheld, now or
            from earlier spans, are so with notice.
        claims: to be compared later.
        samples: of the audit of streams, in the order of the log.
        outputs: reported output tokens by who answered, in the order of first receipts.
        read: receipts whose bodies were read.
        unread: receipts whose bodies were not.
    """

    receipts: tuple[Receipt, ...] = ()
    subjects: Mapping[bytes, ChainEnd] = field(default_factory=dict)
    nonces: Mapping[bytes, Used] = field(default_factory=dict)
    wallets: Mapping[bytes, bytes | None] = field(default_factory=dict)
    withheld: tuple[Withheld, ...] = ()
    announced: tuple[LeafIndex, ...] = ()
    claims: tuple[Claim, ...] = ()
    samples: tuple[Sample, ...] = ()
    outputs: tuple[tuple[Service, int], ...] = ()
    read: int = 0
    unread: int = 0


class Memory(Protocol):
    """What was remembered of the records folded so far."""

    def chain_ends(self, subjects: Collection[bytes]) -> Mapping[bytes, ChainEnd]:
        """Return the newest receipt of each subject that has one."""
        ...

    def receipts(self, ids: Collection[bytes]) -> Mapping[bytes, LeafIndex]:
        """Return the leaf of each receipt id that is known."""
        ...

    def nonces(self, signers: Collection[bytes]) -> Mapping[bytes, Used]:
        """Return the largest nonce of each signer that has one."""
        ...

    def wallets(self, subjects: Collection[bytes]) -> Mapping[bytes, bytes | None]:
        """Return the wallet bound last of each subject that was ever bound."""
        ...

    def withheld(self, hashes: Collection[bytes]) -> Mapping[bytes, LeafIndex]:
        """Return the leaf of each receipt whose body could not be read, by its body hash."""
        ...

    def unannounced(self, before: int, limit: int) -> tuple[Withheld, ...]:
        """Return withheld bodies that no redaction names, in ascending order of leaves.

        Args:
            before: only those with a `seen_at` above 0 and below this second.
            limit: most to return.
        """
        ...
