"""`nous-ledger reconcile attach`: later evidence for receipts, from texts that were kept.

Spec:
    PROTOCOL.md, section "Reconciliation" (RCON-1 to RCON-5), LBL-6.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.exits import EXIT_GOOD, EXIT_UNAVAILABLE, EXIT_WRONG
from nous_ledger.cli.files import check_there, open_ledger, read_ledger
from nous_ledger.cli.options import PATH, json_option, ledger_option, passphrase_file_option
from nous_ledger.cli.progress import progress_bar
from nous_ledger.cli.render import plural
from nous_ledger.cli.terminal import printable, say, tell
from nous_ledger.protocol.registries import KIND, LABEL

if TYPE_CHECKING:
    from nous_ledger.gateway.attaching import Attached
    from nous_ledger.gateway.call_texts import Kept
    from nous_ledger.ledger import Ledger

LONG_SOURCE: Final = 16 * 1024 * 1024
"""Bytes of a file from which on a terminal gets a progress bar."""
LONG_FOLDER: Final = 500
"""Calls of a folder from which on it gets one."""
_START_BYTES: Final = 1024 * 1024


@click.command(
    "attach",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger reconcile attach ./session\n"
        "  nous-ledger reconcile attach bedrock.jsonl --dry-run\n"
        "  nous-ledger reconcile attach texts.jsonl --format jsonl --json\n"
        "\b\n"
        'A line of jsonl: {"receipt_id" or "request_id", "request", "response", "opening"};\n'
        "bodies as text are taken byte for byte, the opening may be missing.\n"
        "\n"
        "Exit codes: 0 every row was understood, 1 some rows are in error, 3 tokens could not "
        "be counted here, or the ledger could not be used."
    ),
)
@click.argument("source", type=PATH)
@click.option(
    "--format",
    "form",
    type=click.Choice(("folder", "jsonl", "bedrock", "litellm")),
    help="What kept the texts; told by the source unless given.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be logged, and log nothing.")
@ledger_option
@passphrase_file_option
@json_option
def command(
    *,
    source: Path,
    form: str | None,
    dry_run: bool,
    named: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> int:
    """Log evidence for earlier receipts from texts of their calls.

    A text is compared with the receipt's commitments where its opening was kept; where
    they disagree it is refused. Then its tokens are counted, or bounded, as the gateway
    does it, under the conditions of the receipt. What comes of it is logged beside the
    receipt, which stays as it is; the text is not kept. The same evidence twice adds
    nothing.
    """
    with _opened(named, passphrase_file, dry_run=dry_run) as ledger:
        done = _attach(ledger, source, form, dry_run=dry_run)
    if as_json:
        say(json.dumps(_to_json(done, dry_run=dry_run), indent=2))
    else:
        say("\n".join(_lines(done, dry_run=dry_run)))
        for fault in done.faults:
            tell(printable(f"line {fault.line}: {fault.code}: {fault.message}"))
        if done.fault_count > len(done.faults):
            tell(f"… and {done.fault_count - len(done.faults)} more rows in error")
    if done.fault_count:
        return EXIT_WRONG
    return EXIT_UNAVAILABLE if done.uncounted else EXIT_GOOD


@contextmanager
def _opened(named: Path | None, passphrase_file: Path | None, *, dry_run: bool) -> Iterator[Ledger]:
    with read_ledger(named) if dry_run else open_ledger(named, passphrase_file) as ledger:
        yield ledger


def _attach(ledger: Ledger, source: Path, form: str | None, *, dry_run: bool) -> Attached:
    from nous_ledger.gateway.attaching import Attacher

    attacher = Attacher(ledger, dry_run=dry_run)
    for kept in _texts(source, form):
        attacher.take(kept)
    return attacher.finish()


def _texts(source: Path, form: str | None) -> Iterator[Kept]:
    check_there(source)
    if source.is_dir():
        if form not in (None, "folder"):
            raise click.UsageError(f"{printable(source)} is a folder: --format folder")
        yield from _of_folder(source)
    elif form == "folder":
        raise click.UsageError(f"{printable(source)} is no folder")
    else:
        yield from _of_file(source, form)


def _of_folder(source: Path) -> Iterator[Kept]:
    from nous_ledger.gateway.call_texts import list_calls, read_folder

    total = len(list_calls(source))
    with progress_bar("attaching", "calls", at_least=LONG_FOLDER) as progress:
        for kept in read_folder(source):
            yield kept
            progress(kept.line, total)


def _of_file(source: Path, form: str | None) -> Iterator[Kept]:
    from nous_ledger.gateway.call_texts import guess_text_format, read_texts

    with source.open("rb") as stream:
        total = source.stat().st_size
        if form is None and (form := guess_text_format(stream.read(_START_BYTES))) is None:
            raise click.UsageError("what wrote this file cannot be told: name it with --format")
        stream.seek(0)
        with progress_bar("attaching", "B", at_least=LONG_SOURCE) as progress:
            for kept in read_texts(stream, form):
                yield kept
                progress(stream.tell(), total)


def _lines(done: Attached, *, dry_run: bool) -> Iterator[str]:
    would = "would be logged" if dry_run else "logged"
    rows = f"{done.rows} row{plural(done.rows)}"
    yield f"{rows}: evidence for {done.receipts} {would}, {done.known} known"
    for (kind, label, method), count in sorted(done.buckets.items()):
        yield f"  {count} × {KIND.name_of(kind)} {LABEL.name_of(label)} by {method}"
    if done.indices is not None:
        yield f"  records {done.indices[0]} to {done.indices[1]}"
    if done.unchecked:
        yield f"  {done.unchecked} of texts that no opening came with, so no commitment was checked"
    for what, reasons in (("nothing to say", done.silent), ("not matched", done.unmatched)):
        for reason, count in sorted(reasons.items()):
            yield printable(f"{what}: {count} ({reason})")
    if done.uncounted:
        yield f"not counted: {done.uncounted} (no tokenizer: pip install 'nous-ledger[exact]')"
    if not done.receipts and done.known and not done.fault_count:
        yield "nothing new: all of it was logged before"


def _to_json(done: Attached, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "rows": done.rows,
        "receipts": done.receipts,
        "known": done.known,
        "unchecked": done.unchecked,
        "uncounted": done.uncounted,
        "records": None if done.indices is None else list(done.indices),
        "buckets": [
            {
                "kind": KIND.name_of(kind),
                "label": LABEL.name_of(label),
                "method": method,
                "count": count,
            }
            for (kind, label, method), count in sorted(done.buckets.items())
        ],
        "nothing_to_say": dict(done.silent),
        "unmatched": dict(done.unmatched),
        "fault_count": done.fault_count,
        "faults": [
            {"line": fault.line, "code": fault.code, "message": fault.message}
            for fault in done.faults
        ],
    }
