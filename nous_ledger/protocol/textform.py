"""Base64 and decimal numbers that have exactly one spelling.

The text formats (notes, verifier keys, checkpoints, bundles) are compared byte
for byte, so a value may be written in one way only.

Spec:
    PROTOCOL.md, section "Conventions" (CONV-1, CONV-2).
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from nous_ledger.protocol.types import MAX_UINT

_DECIMAL: Final = re.compile("0|[1-9][0-9]{0,15}")


def format_base64(data: bytes) -> str:
    """Return standard base64 (RFC 4648, section 4) with padding."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def parse_base64(text: str) -> bytes | None:
    r"""Return the decoded bytes, or None if the text is not their one spelling.

    Refused are a missing or surplus `=`, other alphabets, white space, and bits
    set where the last character has room for more than the bytes need.

    Spec:
        PROTOCOL.md CONV-1.

    >>> parse_base64("AA=="), parse_base64("AB==")
    (b'\x00', None)
    """
    try:
        data = binascii.a2b_base64(text)
    except ValueError:  # binascii.Error, or a character that is not ASCII
        return None
    return data if format_base64(data) == text else None


def parse_decimal(text: str) -> int | None:
    """Return the number 0..2^53-1, or None if the text is not its one spelling.

    Spec:
        PROTOCOL.md CONV-2.

    >>> parse_decimal("10"), parse_decimal("010"), parse_decimal("+10")
    (10, None, None)
    """
    if not _DECIMAL.fullmatch(text):
        return None
    number = int(text)
    return number if number <= MAX_UINT else None
