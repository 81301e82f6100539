"""Checkpoints: the three lines that a head's note signs.

    ledger.example.com/main                          origin
    7                                                leaf count
    AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=     root

Spec:
    PROTOCOL.md, section "The head" (HEAD-1, ID-1); C2SP tlog-checkpoint.
"""

from __future__ import annotations

import re
from typing import Final

from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.textform import format_base64, parse_base64, parse_decimal
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafCount
from nous_ledger.protocol.values import value

_ORIGIN: Final = re.compile(r"[a-z0-9]([a-z0-9._~/-]{0,253}[a-z0-9])?")


@value
class Checkpoint:
    """What a head says about the tree.

    Attributes:
        origin: name of the log: 1..255 of `[a-z0-9._~/-]`, alphanumeric at both ends.
        leaf_count: leaves of the tree, 0..2^53-1.
        root: root over these leaves, 32 bytes.
    """

    origin: str
    leaf_count: LeafCount
    root: Hash32


def is_origin(text: str) -> bool:
    """Return whether a log of this protocol may have this origin.

    Spec:
        PROTOCOL.md ID-1.
    """
    return _ORIGIN.fullmatch(text) is not None


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint in a note text.

    Spec:
        PROTOCOL.md HEAD-1.

    Args:
        text: exactly three lines, each ended by a newline.

    Raises:
        FormatError: checkpoint-format.
    """
    lines = text.split("\n", 4)
    if len(lines) != 4 or lines[3]:
        raise _wrong("a checkpoint has exactly three lines")
    leaf_count = parse_decimal(lines[1])
    if leaf_count is None:
        raise _wrong("the leaf count is not a decimal number in 0..2^53-1")
    root = parse_base64(lines[2]) or b""
    return _checked(
        Checkpoint(origin=lines[0], leaf_count=LeafCount(leaf_count), root=Hash32(root))
    )


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """Return the note text of a checkpoint.

    Raises:
        FormatError: checkpoint-format, if a value is outside its range.
    """
    _checked(checkpoint)
    root = format_base64(checkpoint.root)
    return f"{checkpoint.origin}\n{checkpoint.leaf_count}\n{root}\n"


def _checked(checkpoint: Checkpoint) -> Checkpoint:
    if not is_origin(checkpoint.origin):
        raise _wrong("the origin is not 1..255 of [a-z0-9._~/-], alphanumeric at both ends")
    if not 0 <= checkpoint.leaf_count <= MAX_UINT:
        raise _wrong("the leaf count is outside 0..2^53-1")
    if len(checkpoint.root) != 32:
        raise _wrong("the root is not canonical base64 of 32 bytes")
    return checkpoint


def _wrong(reason: str) -> FormatError:
    return FormatError("checkpoint-format", f"not a checkpoint: {reason}")
