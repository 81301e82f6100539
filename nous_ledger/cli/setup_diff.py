"""What a change looks like: a unified diff in which secrets are not shown."""

from __future__ import annotations

import difflib
import re
from typing import Final

from nous_ledger.cli.terminal import printable

_CONTEXT: Final = 1
# What stands beside a name that sounds like a secret, and what looks like a key.
_NAMED: Final = re.compile(
    r"((?:key|token|secret|passw(?:or)?d|auth|credential)[\w.-]*[\"']?\s*[:=]\s*[\"']?)"
    r"([^\s\"',}]{4,})",
    re.IGNORECASE,
)
_LOOKS: Final = re.compile(r"\b(?:sk|pk|ghp|gho|xai|gsk|hf|AIza)[-_A-Za-z0-9]{12,}")


def format_diff(path: object, before: str, after: str, *, new: bool, gone: bool = False) -> str:
    """Return a unified diff of a file for a terminal.

    Args:
        path: the file.
        before: its text now.
        after: its text afterwards.
        new: whether the file is made.
        gone: whether the file is removed.
    """
    lines = difflib.unified_diff(
        before.splitlines(),
        after.splitlines(),
        "/dev/null" if new else str(path),
        "/dev/null" if gone else str(path),
        n=_CONTEXT,
        lineterm="",
    )
    return "\n".join(_shown(line) for line in lines)


def _shown(line: str) -> str:
    hidden = _NAMED.sub(r"\1…", line)
    return printable(_LOOKS.sub("…", hidden).replace("\t", "    "))
