"""Errors of the sentinel on this machine: its memory, its options, what it was installed with.

They hang below the protocol's tree, so that exit codes come about in one way:

    InputError
    └── SentinelUseError     the sentinel was asked for something it cannot do
    UnavailableError
    ├── StateError           what it remembers could not be read or written
    ├── WitnessError         key or state of a witness could not be used
    └── MissingExtraError    a library is not installed
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nous_ledger.protocol.errors import ErrorInfo, InputError, LedgerError, UnavailableError


def _hint(code: str, hint: str) -> str:
    return hint or SENTINEL_ERROR_CODES[code].hint


class SentinelUseError(InputError):
    """The sentinel was asked for something that it cannot do; nothing was changed."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


class StateError(UnavailableError):
    """What the sentinel remembers could not be read or written."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


class WitnessError(UnavailableError):
    """Key or state of a witness could not be used; nothing was cosigned."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


class MissingExtraError(UnavailableError):
    """A library that only some users need is not installed."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


_TABLE: Final[tuple[tuple[type[LedgerError], str, str, str], ...]] = (
    (
        SentinelUseError,
        "no-such-finding",
        "no finding has this number",
        "`nous-sentinel history` lists all findings with their numbers",
    ),
    (
        SentinelUseError,
        "no-such-log",
        "the state remembers no such log, or several and none was named",
        "`nous-sentinel status` lists the logs that are remembered",
    ),
    (
        StateError,
        "state-busy",
        "another sentinel works with this state",
        "end the other one, or give this one a state of its own with --state",
    ),
    (
        StateError,
        "state-foreign",
        "the file is not the state of a sentinel",
        "name another file with --state",
    ),
    (
        StateError,
        "state-newer",
        "the state was written by a newer release",
        "update the sentinel: an older one would forget what the newer one knows",
    ),
    (
        StateError,
        "state-corrupt",
        "the state is damaged",
        "restore the file from a backup; a new state trusts the log's next head afresh",
    ),
    (
        StateError,
        "state-io",
        "the state could not be read or written",
        "check path, permissions and free space",
    ),
    (
        WitnessError,
        "witness-key",
        "the key file of the witness could not be read, written or used",
        "name the file that `nous-sentinel witness init` made, readable by its owner alone",
    ),
    (
        WitnessError,
        "witness-state",
        "the state of the witness could not be read or written, or belongs to another key",
        "look at path, rights and free space; never put an older copy there",
    ),
    (
        WitnessError,
        "witness-state-missing",
        "the witness has a key and no state",
        "restore its latest copy, or begin a new identity: a witness that forgot may cosign a fork",
    ),
    (
        MissingExtraError,
        "missing-extra",
        "a library is not installed",
        "install it with the extra: pip install 'nous-ledger[sentinel]'",
    ),
)

SENTINEL_ERROR_CODES: Final[Mapping[str, ErrorInfo]] = MappingProxyType(
    {
        code: ErrorInfo(family=family.__name__, meaning=meaning, hint=hint)
        for family, code, meaning, hint in _TABLE
    }
)
"""Every code of these classes, what it means and what to do."""
