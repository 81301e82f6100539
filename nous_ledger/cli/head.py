"""`nous-ledger head`: the newest signed head, as the log's readers get it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nous_ledger.cli.files import ledger_option, read_ledger
from nous_ledger.cli.render import format_time
from nous_ledger.cli.web import MAX_NOTE_BYTES, fetch
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.head import decode_head_signature
from nous_ledger.protocol.note import parse_note


@click.command(
    "head",
    epilog=(
        "\b\nExamples:\n  nous-ledger head\n  nous-ledger head --url http://127.0.0.1:8787 --json\n"
    ),
)
@ledger_option
@click.option("--url", metavar="GATEWAY", help="Read it from a running gateway instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(*, folder: Path, url: str | None, as_json: bool) -> None:
    """Print the newest head: the signed note itself, or what it says with --json.

    Its signatures are not checked here: `verify` does that against a policy.
    """
    if url is not None:
        data = fetch(f"{url.rstrip('/')}/checkpoint", MAX_NOTE_BYTES)
    else:
        with read_ledger(folder) as ledger:
            data = ledger.latest_head()
    note = parse_note(data)
    if not as_json:
        click.echo(data.decode("utf-8"), nl=False)
        return
    head = parse_checkpoint(note.text)
    timestamp, epoch = None, None
    for line in note.signatures:
        try:
            signature = decode_head_signature(line.payload)
        except LedgerError:
            continue
        if line.name == head.origin:
            timestamp, epoch = signature.timestamp, signature.epoch
    shown = {
        "origin": head.origin,
        "leaf_count": head.leaf_count,
        "root": head.root.hex(),
        "timestamp": timestamp,
        "time": format_time(timestamp),
        "epoch": epoch,
        "signatures": len(note.signatures),
    }
    click.echo(json.dumps(shown, indent=2))
