"""Naming the log that a new one continues.

Spec:
    PROTOCOL.md, section "Key event".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from nous_ledger.cli.files import read_ledger
from nous_ledger.cli.terminal import warn
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.keyevent import Predecessor
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.types import MAX_UINT

_NAMED: Final = re.compile(r"([0-9a-f]{64}):([1-9][0-9]{0,15}):([0-9a-f]{64})")


def read_predecessor(text: str) -> Predecessor:
    """Return the log and last good head that some text names.

    Args:
        text: folder of a ledger, for its newest head; or `LOGID:COUNT:ROOT`, id and
            root as 64 hex digits.

    Raises:
        InputError: it is neither.
        LedgerError: the ledger cannot be read.
    """
    found = _NAMED.fullmatch(text)
    if found is not None:
        log_id, count, root = found.groups()
        if int(count) > MAX_UINT:
            raise InputError("input", f"{count} is more than a log can hold")
        return Predecessor(log_id=bytes.fromhex(log_id), count=int(count), root=bytes.fromhex(root))
    if not text or "\0" in text or not Path(text).is_dir():
        raise InputError(
            "input",
            f"{text[:200]!r} is neither a folder nor LOGID:COUNT:ROOT",
            hint="id and root have 64 lower-case hex digits: `nous-ledger head --json` and"
            " `nous-ledger key show` print them",
        )
    return _newest_head(Path(text))


def _newest_head(folder: Path) -> Predecessor:
    with read_ledger(folder) as ledger:
        head = parse_checkpoint(parse_note(ledger.latest_head()).text)
        if ledger.key_history().closed_at is None:
            warn(f"{folder} is not closed: what it logs from now on is not continued")
        return Predecessor(log_id=ledger.log_id, count=head.leaf_count, root=head.root)


def predecessor_to_json(predecessor: Predecessor) -> dict[str, Any]:
    """Return the parts of a predecessor, as the genesis's JSON form has them."""
    return {
        "log_id": predecessor.log_id.hex(),
        "count": predecessor.count,
        "root": predecessor.root.hex(),
    }
