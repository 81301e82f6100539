"""`nous-ledger head`: the newest signed head, as the log's readers get it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from nous_ledger.cli.files import read_ledger
from nous_ledger.cli.options import json_option, ledger_option
from nous_ledger.cli.render import format_time
from nous_ledger.cli.terminal import say, tell, write_result
from nous_ledger.cli.web import fetch, parse_answer
from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.head import decode_head_signature
from nous_ledger.protocol.note import MAX_NOTE_BYTES, Note, parse_note


@click.command(
    "head",
    epilog=(
        "\b\nExamples:\n  nous-ledger head\n  nous-ledger head --url http://127.0.0.1:8787 --json\n"
    ),
)
@ledger_option
@click.option("--url", metavar="GATEWAY", help="Read it from a running gateway instead.")
@json_option
def command(*, named: Path | None, url: str | None, as_json: bool) -> None:
    """Print the newest head: the signed note itself, or what it says with --json.

    Its signatures are not checked here: `verify` does that against a policy.
    """
    if url is not None:
        data = fetch(url, "/checkpoint", MAX_NOTE_BYTES)
        note, head = parse_answer(data, _parse, "a signed head")
    else:
        with read_ledger(named) as ledger:
            data = ledger.latest_head()
            note, head = _parse(data)
            missing = ledger.leaf_count() - head.leaf_count
        if missing > 0:
            tell(f"note: {missing} newer records are not covered yet; `prove` signs a new head")
    if as_json:
        say(json.dumps(_to_json(note, head), indent=2))
    else:
        write_result(data)


def _parse(data: bytes) -> tuple[Note, Checkpoint]:
    note = parse_note(data)
    return note, parse_checkpoint(note.text)


def _to_json(note: Note, head: Checkpoint) -> dict[str, Any]:
    timestamp, epoch = None, None
    for line in note.signatures:
        try:
            signature = decode_head_signature(line.payload)
        except LedgerError:
            continue  # of another kind
        if line.name == head.origin:
            timestamp, epoch = signature.timestamp, signature.epoch
    return {
        "origin": head.origin,
        "leaf_count": head.leaf_count,
        "root": head.root.hex(),
        "timestamp": timestamp,
        "time": format_time(timestamp),
        "epoch": epoch,
        "signatures": [{"name": s.name, "key_id": s.key_id.hex()} for s in note.signatures],
    }
