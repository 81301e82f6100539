"""Secrets that let somebody in: read from text, checked, and kept only as hashes."""

from __future__ import annotations

import hashlib
from typing import Final

from nous_ledger.protocol.errors import InputError

MIN_TOKEN_LENGTH: Final = 16
MAX_TOKENS: Final = 10_000

_FEWEST_CHARACTERS: Final = 6
_LONGEST_UNIT: Final = 8
# What manuals, templates and other gateways have where a secret is to be put.
_WELL_KNOWN: Final = (
    *("changeme", "change-me", "change_me", "change-this", "changethis", "replaceme"),
    *("replace-me", "replace-with", "your-", "your_", "yourtoken", "yoursecret", "placeholder"),
    *("password", "passw0rd", "supersecret", "super-secret", "mysecret", "my-secret", "secret-"),
    *("default", "example", "insert-", "sk-1234", "sk-test", "sk-xxx", "sk-your", "admin"),
    *("todo", "dummy", "foobar", "qwerty", "letmein", "nous-ledger", "nousledger", "litellm"),
    *("test-token", "testtoken", "token-here", "secret-token", "client-token", "operator-token"),
)
_RUNS: Final = (
    "01234567890123456789012345678901234567890123456789",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
    "12345678901234567890",
    "qwertyuiopasdfghjklzxcvbnm",
)


def hash_tokens(text: bytes, kind: str) -> frozenset[bytes]:
    """Return the SHA-256 of each token of a text, one token a line.

    Args:
        text: the lines; empty ones do not count.
        kind: what the tokens are, for messages, as "a client token".

    Raises:
        InputError: there is none, or one is too short, not printable ASCII, or one that
            anybody would try.
    """
    tokens = [line.strip() for line in text.split(b"\n") if line.strip()]
    if not tokens or any(len(token) < MIN_TOKEN_LENGTH for token in tokens):
        found = "a shorter one" if tokens else "none"
        raise _refused(
            f"{kind} has at least {MIN_TOKEN_LENGTH} characters, and its file holds {found}"
        )
    if len(tokens) > MAX_TOKENS:
        raise _refused(f"the file holds more than {MAX_TOKENS} tokens")
    for token in tokens:
        if not token.isascii() or not all(0x21 <= byte <= 0x7E for byte in token):
            raise _refused(f"{kind} is of printable ASCII without spaces")
        if is_well_known(token.decode("ascii")):
            raise _refused(f"{kind} in its file is one that anybody would try")
    return frozenset(hashlib.sha256(token).digest() for token in tokens)


def is_well_known(token: str) -> bool:
    """Return whether a token is none that only its owner knows.

    >>> is_well_known("changeme-changeme"), is_well_known("abcabcabcabcabcabc")
    (True, True)
    >>> is_well_known("f3a9c27e51b84d06a17c")
    False
    """
    text = token.lower()
    if len(set(text)) < _FEWEST_CHARACTERS or text.startswith(_WELL_KNOWN):
        return True
    if any(text in run or text in run[::-1] for run in _RUNS):
        return True
    return any(
        text == (text[:length] * len(text))[: len(text)] for length in range(1, _LONGEST_UNIT + 1)
    )


def _refused(message: str) -> InputError:
    # Of the token itself nothing is repeated.
    return InputError("input", message, hint="make one with: openssl rand -hex 32")
