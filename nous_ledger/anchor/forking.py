"""Two heads that one log can never both have, as the contract takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nous_ledger.anchor.abi import encode_call
from nous_ledger.anchor.errors import AnchorUseError
from nous_ledger.anchor.steps import Head, Step, read_head
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.types import Hash32, LogId


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixProof:
    """What the larger tree is at the smaller size.

    Attributes:
        root: its root there, 32 bytes.
        path: consistency proof from there to the larger head.
    """

    root: Hash32
    path: tuple[Hash32, ...]


def parse_log_id(text: str) -> LogId:
    """Return a log id from 64 hex digits.

    Raises:
        InputError: the text is none.
    """
    return LogId(_hash(text, "a log id"))


def parse_prefix_proof(data: bytes) -> PrefixProof:
    """Return the proof in a file: a root, then the hashes of a proof, one in hex on each line.

    Raises:
        InputError: it is no such file.
    """
    lines = data.decode("ascii", "replace").split()
    if not lines:
        raise InputError("input", "the prefix proof is empty")
    root, *path = (Hash32(_hash(line, "a line of the prefix proof")) for line in lines)
    return PrefixProof(root=root, path=tuple(path))


def fork_step(notes: Sequence[bytes], log_id: LogId, proof: PrefixProof | None) -> Step:
    """Return the call that reports two heads of one log; signatures are the contract's to check.

    Args:
        notes: two signed heads.
        log_id: the log.
        proof: of the larger tree at the smaller size; None for heads of one size.

    Raises:
        AnchorUseError: no-fork.
        InputError: a proof is missing, or not needed.
        FormatError, HeadError, SignatureError: a note is no head of this log.
    """
    smaller, larger = sorted(
        (read_head(note, log_id) for note in notes), key=lambda head: head.checkpoint.leaf_count
    )
    same_size = smaller.checkpoint.leaf_count == larger.checkpoint.leaf_count
    if same_size != (proof is None):
        raise InputError(
            "input",
            "heads of different size need the proof of a prefix, heads of one size none",
            hint="--prefix-proof FILE",
        )
    prefix = PrefixProof(root=larger.checkpoint.root, path=()) if proof is None else proof
    if prefix.root == smaller.checkpoint.root:
        raise AnchorUseError("no-fork", "the smaller head is a prefix of the larger one")
    arguments = (_struct(smaller, log_id), _struct(larger, log_id), prefix.root, prefix.path)
    return Step(
        purpose="report-fork",
        data=encode_call("reportFork", *arguments),
        summary=f"report two histories at {smaller.checkpoint.leaf_count} records",
    )


def _struct(head: Head, log_id: LogId) -> tuple[object, ...]:
    return head.arguments(log_id)


def _hash(text: str, what: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != 32 or len(text) != 64:
        raise InputError("input", f"{what} is 64 hex digits")
    return data
