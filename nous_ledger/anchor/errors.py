"""Errors of anchoring: chains, their RPC servers, the contract and the outbox.

They hang below the protocol's tree, so that every caller maps them to exit codes
the same way:

    InputError
    └── AnchorUseError       anchoring was asked for something it cannot do
    UnavailableError
    └── ChainError           a chain could not be read or written
    LedgerError
    └── ChainContentError    the chain was read, and what it says is wrong
"""

# ruff: noqa: E501 - the table has one line per code.

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nous_ledger.protocol.errors import ErrorInfo, InputError, LedgerError, UnavailableError


def _hint(code: str, hint: str) -> str:
    return hint or ANCHOR_ERROR_CODES[code].hint


class AnchorUseError(InputError):
    """Anchoring was asked for something that it cannot do; nothing was sent."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


class ChainError(UnavailableError):
    """A chain could not be read or written now."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


class ChainContentError(LedgerError):
    """The chain was read, and what it says is wrong."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


_TABLE: Final[tuple[tuple[type[LedgerError], str, str, str], ...]] = (
    (AnchorUseError, "extra-missing", "what writes to a chain is not installed", "install it: pip install 'nous-ledger[anchor]'"),
    (AnchorUseError, "wrong-chain", "an RPC server serves another chain than the one that was named", "name the chain that is meant with --chain, and RPC servers of it"),
    (AnchorUseError, "no-contract", "no contract stands at the address", "deploy it: `nous-ledger anchor deploy`, or name another --contract"),
    (AnchorUseError, "wrong-contract", "another contract stands at the address", "name the address of the anchor contract of this version"),
    (AnchorUseError, "no-factory", "the chain has no CREATE2 factory", "deploy the factory first, or name a contract that stands already with --contract"),
    (AnchorUseError, "not-registered", "the contract does not know the log", "register it: `nous-ledger anchor register`"),
    (AnchorUseError, "log-closed", "the contract holds the close of the log: no head can follow", "nothing is left to be anchored"),
    (AnchorUseError, "rotation-missing", "the contract does not know the key of this epoch yet", "send the rotation first: `nous-ledger anchor rotate`"),
    (AnchorUseError, "no-fork", "the two heads do not contradict each other", "only two heads that one log can never both have are a fork"),
    (ChainError, "rpc-unreachable", "too few RPC servers answer", "check the URLs and the network, or name more servers with --rpc"),
    (ChainError, "rpc-error", "an RPC server refused a request", "check what it says, or name another server with --rpc"),
    (ChainError, "rpc-disagree", "RPC servers contradict each other", "find out which one is wrong and leave it out"),
    (ChainError, "rpc-no-history", "no RPC server serves the proofs of so old a block", "name an archive node with --rpc, or capture the evidence of a newer anchor"),
    (ChainError, "insufficient-funds", "the relayer's account does not have what the transaction may cost", "send ETH of this chain to the relayer's address"),
    (ChainError, "fee-cap", "the transaction would cost more than --max-cost allows", "wait until fees fall, or allow more"),
    (ChainError, "not-final", "what was sent is not final yet", "wait: `nous-ledger anchor submit` or `watch` goes on where it was"),
    (ChainError, "not-anchored", "no anchor that is final covers the head", "wait for the next anchor: `nous-ledger anchor submit`"),
    (ChainError, "outbox-busy", "another process sends from this outbox", "let it go on; one process sends at a time"),
    (ChainContentError, "refused", "the contract refuses the transaction", "the message names its reason"),
    (ChainContentError, "chain-ahead", "the contract holds a longer log than this ledger", "the ledger is an older copy of itself: restore the newest one; do not sign"),
    (ChainContentError, "chain-forked", "the contract holds another history than this ledger", "keep a copy of the ledger as it is, and find out who holds its key"),
    (ChainContentError, "chain-flagged", "the contract holds proof that the log forked", "find out who holds the log's key"),
    (ChainContentError, "chain-lies", "an RPC server's answer contradicts itself", "use another server"),
)  # fmt: skip

ANCHOR_ERROR_CODES: Final[Mapping[str, ErrorInfo]] = MappingProxyType(
    {
        code: ErrorInfo(family=family.__name__, meaning=meaning, hint=hint)
        for family, code, meaning, hint in _TABLE
    }
)
"""Every code of this package: its class, what it means and what to do."""
