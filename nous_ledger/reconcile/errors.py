"""Errors of counting again, of prices and of what other systems say about calls.

They hang below the protocol's tree, so that every caller maps them to exit codes
the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nous_ledger.protocol.errors import ErrorInfo, UnavailableError


class _ReconcileError(UnavailableError):
    """One of the codes of this package, with its hint."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of its class."""
        super().__init__(code, message, hint=hint or RECONCILE_ERROR_CODES[code].hint, **attrs)


class RecountError(_ReconcileError):
    """Tokens could not be counted again; nothing is said about the count."""


class PriceError(_ReconcileError):
    """Prices could not be had; nothing is said about costs."""


class ExportError(_ReconcileError):
    """What was imported could not be read or kept."""


RECONCILE_ERROR_CODES: Final[Mapping[str, ErrorInfo]] = MappingProxyType(
    {
        code: ErrorInfo(family=family.__name__, meaning=meaning, hint=hint)
        for family, code, meaning, hint in (
            (
                RecountError,
                "no-tokenizer",
                "no engine here counts in this encoding",
                "pip install 'nous-ledger[exact]'",
            ),
            (
                RecountError,
                "wrong-vocabulary",
                "the engine has another vocabulary than the table names",
                "install the release of the engine that nous-ledger[exact] names",
            ),
            (
                RecountError,
                "counter-busy",
                "more texts wait for the counting process than it may hold",
                "give the machine more room, or use more than one gateway",
            ),
            (
                RecountError,
                "counter-late",
                "the counting process did not answer in time",
                "see that the machine is not overloaded",
            ),
            (
                RecountError,
                "counter-ended",
                "the counting process ended before it answered",
                "it is started anew; if it keeps ending, see that there is enough memory",
            ),
            (
                PriceError,
                "no-prices",
                "no price table of that kind is installed",
                "pip install 'nous-ledger[prices]', or give a table with --prices FILE",
            ),
            (
                ExportError,
                "exports-unusable",
                "the file of imported statements cannot be used",
                "check its permissions and space, or name another with --imports FILE",
            ),
        )
    }
)
"""Code to family, meaning and hint, in the order in which families are listed."""
