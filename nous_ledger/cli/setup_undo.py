"""Taking back what `nous-ledger setup` changed, file by file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from nous_ledger.cli.exits import EXIT_GOOD, EXIT_UNAVAILABLE
from nous_ledger.cli.setup_diff import format_diff
from nous_ledger.cli.setup_edits import take_back
from nous_ledger.cli.setup_files import (
    Change,
    Journal,
    check_changeable,
    decode_settings,
    hash_of,
    read_settings,
    remove_folders,
    replace_settings,
)
from nous_ledger.cli.terminal import printable, say, tell
from nous_ledger.protocol.errors import InputError, LedgerError

_UNDONE: Final = {
    "exact": "as it was before",
    "ours": "without our change",
    "gone": "nothing of ours was left",
    "blocked": "left alone",
}


def ask_for(question: str) -> None:
    """Go on only if somebody at a terminal agrees.

    Raises:
        InputError: there is no terminal.
        click.Abort: the answer is no.
    """
    if not sys.stdin.isatty():
        raise InputError(
            "input",
            "nothing was changed: there is no terminal to ask at",
            hint="add --yes to change, or --dry-run to look only",
        )
    if not click.confirm(question, err=True):
        raise click.Abort


def count_files(files: Sequence[object]) -> str:
    """Return how many files there are, in words."""
    return f"{len(files)} file{'' if len(files) == 1 else 's'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One change on its way back.

    Attributes:
        change: what was done.
        now: the file's bytes; None if it is not there.
        then: its bytes afterwards; None if it is removed, or was.
        outcome: `exact` (as it was before), `ours` (only our change goes), `gone`
            (nothing of it is left), `blocked`.
        detail: why it is blocked.
    """

    change: Change
    now: bytes | None = None
    then: bytes | None = None
    outcome: str
    detail: str = ""


def _way_back(change: Change) -> _Step:
    try:
        now = read_settings(change.path)
        if now is None or now == change.before:
            return _Step(change=change, now=now, then=now, outcome="gone")
        check_changeable(change.path)
        if hash_of(now) == change.after:
            return _Step(change=change, now=now, then=change.before, outcome="exact")
        text, found = decode_settings(now), False
        for edit in reversed(change.edits):
            without = take_back(text, edit)
            text, found = (text if without is None else without), found or without is not None
    except LedgerError as error:
        return _Step(change=change, outcome="blocked", detail=error.message)
    made = change.before is None and not text.strip()  # nothing of anybody is left in it
    then = None if made else text.encode()
    return _Step(change=change, now=now, then=then, outcome="ours" if found else "gone")


def run_undo(
    journal: Journal, only: tuple[str, ...], *, ask: bool, dry_run: bool, as_json: bool
) -> int:
    """Take changes back, the newest first; return the exit code.

    Args:
        journal: what was changed.
        only: names of the tools it is about; empty for all.
        ask: whether to ask first.
        dry_run: whether to change nothing.
        as_json: whether to print JSON.
    """
    wanted = [change for change in reversed(journal.changes) if not only or change.tool in only]
    steps = list(map(_way_back, wanted))
    if not as_json:
        say("\n".join(_render_undo(steps)) if steps else "nothing to take back")
    if steps and not dry_run:
        if ask and any(step.outcome in ("exact", "ours") for step in steps):
            ask_for(f"Take back {count_files(steps)}?")
        steps = [_undo(_way_back(change), journal) for change in wanted]
        if not as_json:
            for step in steps:
                say(f"{_UNDONE[step.outcome]:<28}{printable(step.change.path)}")
    if as_json:
        shown = {"journal": str(journal.path), "changed": not dry_run}
        say(json.dumps({**shown, "files": list(map(_undo_to_json, steps))}, indent=2))
    failed = [step for step in steps if step.outcome == "blocked"]
    for step in failed:
        path, detail = printable(step.change.path), printable(step.detail)
        tell(f"nous-ledger: warning: {path} was left alone: {detail}")
    return EXIT_UNAVAILABLE if failed else EXIT_GOOD


def _undo(step: _Step, journal: Journal) -> _Step:
    if step.outcome == "blocked":
        return step
    try:
        if step.outcome != "gone":
            replace_settings(step.change.path, step.now, step.then)
            remove_folders(step.change.folders)
    except LedgerError as error:
        return replace(step, outcome="blocked", detail=error.message)
    journal.drop(step.change)
    return step


def _render_undo(steps: list[_Step]) -> Iterator[str]:
    for step in steps:
        yield f"{step.change.tool:<12}{printable(step.change.path)}"
        if step.outcome in ("exact", "ours"):
            now, then = decode_settings(step.now), decode_settings(step.then)
            gone = step.then is None
            yield from ("", format_diff(step.change.path, now, then, new=False, gone=gone), "")


def _undo_to_json(step: _Step) -> dict[str, Any]:
    return {
        "tool": step.change.tool,
        "file": str(step.change.path),
        "outcome": step.outcome,
        "detail": step.detail,
    }
