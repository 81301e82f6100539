"""The folder of `run --save`: what is kept of each call, and the proof of its receipt.

    DIR/trust.policy                          which log the proofs are to be of
    DIR/ledger                                the log itself, unless it is elsewhere
    DIR/calls/<receipt id>/opening.hex        as `gateway.recording` says
                           request.body
                           forwarded.body
                           response.body
                           receipt.tlog-proof

All of it is for its owner alone.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nous_ledger.cli.files import PRIVATE, read_bounded, write_new
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.jsonform import format_uuid
from nous_ledger.protocol.policy import MAX_POLICY_BYTES, parse_policy

if TYPE_CHECKING:
    from nous_ledger.ledger import Ledger, ReceiptRow

POLICY_NAME: Final = "trust.policy"
LEDGER_NAME: Final = "ledger"
CALLS_NAME: Final = "calls"
PROOF_NAME: Final = "receipt.tlog-proof"

_OTHERS: Final = 0o077


def check_folder(folder: Path, *, own_ledger: bool) -> None:
    """Make the folder, or see that it is one of an earlier run.

    Args:
        folder: the folder.
        own_ledger: whether its calls are to be in a ledger within it.

    Raises:
        InputError: something else is in it, or others can enter it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = {path.name for path in folder.iterdir()}
    if not names:
        folder.chmod(0o700)
        return
    if POLICY_NAME not in names or (own_ledger and LEDGER_NAME not in names):
        what = "calls of a log that is elsewhere" if POLICY_NAME in names else "other files"
        raise InputError(
            "input", f"{folder} holds {what}", hint="name an empty folder, or a new one"
        )
    if stat.S_IMODE(folder.stat().st_mode) & _OTHERS:
        hint = f"run: chmod 700 {folder}"
        raise InputError("input", f"others than you can enter {folder}", hint=hint)


def write_policy(folder: Path, ledger: Ledger) -> None:
    """Put the trust policy into the folder: which log its proofs are to be of.

    Raises:
        InputError: the folder holds calls of another log.
    """
    path = folder / POLICY_NAME
    if path.exists():
        policy = parse_policy(read_bounded(path, MAX_POLICY_BYTES, "policy-format"))
        if ledger.log_id not in {key.log_id for key in policy.log_keys(ledger.origin)}:
            raise InputError("input", f"{folder} holds calls of another log")
    write_new(path, ledger.policy_text(), force=True, mode=PRIVATE)


def write_proofs(folder: Path, ledger: Ledger, rows: Iterable[ReceiptRow]) -> None:
    """Put the proof of each receipt beside what was kept of its call.

    Raises:
        LedgerError: a receipt cannot be proved.
    """
    for row in rows:
        if row.receipt is not None:
            call = folder / CALLS_NAME / format_uuid(row.receipt.id)
            if call.is_dir():
                proof = ledger.prove(row.index)
                write_new(call / PROOF_NAME, proof, force=True, mode=PRIVATE)
