"""Exit codes, the same for every command.

Spec:
    PROTOCOL.md VER-22 to VER-24.
"""

from __future__ import annotations

from typing import Final

from nous_ledger.protocol.errors import InputError, LedgerError, UnavailableError

EXIT_GOOD: Final = 0
EXIT_WRONG: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNAVAILABLE: Final = 3
EXIT_INTERRUPTED: Final = 130
"""After Ctrl-C, as shells have it: 128 + SIGINT."""


def exit_code_of(error: LedgerError) -> int:
    """Return what a command leaves with when this error ends it."""
    if isinstance(error, InputError) or error.code == "policy-format":
        return EXIT_USAGE
    return EXIT_UNAVAILABLE if isinstance(error, UnavailableError) else EXIT_WRONG
