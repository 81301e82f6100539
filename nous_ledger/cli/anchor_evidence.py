"""`nous-ledger anchor capture` and `verify`: evidence of an anchor in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nous_ledger.cli.anchor_options import chain_options, outbox_option, take_target
from nous_ledger.cli.anchor_trust import take_trust, trust_options
from nous_ledger.cli.files import read_bounded, read_ledger, write_output
from nous_ledger.cli.options import (
    PATH,
    force_option,
    json_option,
    ledger_folder,
    ledger_option,
    output_option,
)
from nous_ledger.cli.render import format_time, plural
from nous_ledger.cli.terminal import say
from nous_ledger.protocol.anchor_evidence import MAX_EVIDENCE_BYTES, parse_evidence
from nous_ledger.protocol.anchor_verify import verify_evidence
from nous_ledger.protocol.bundle import MAX_BUNDLE_BYTES

if TYPE_CHECKING:
    from nous_ledger.anchor.capture import Search


@click.command(
    "capture",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor capture receipt.tlog-proof -o receipt.anchor.json \\\n"
        "      --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor capture receipt.tlog-proof --chain base-sepolia \\\n"
        "      --rpc https://sepolia.base.org --block 12345678 -o receipt.anchor.json\n"
    ),
)
@click.argument("proof", type=PATH)
@ledger_option
@chain_options
@outbox_option
@click.option(
    "--block", type=click.IntRange(0), metavar="HEIGHT", help="Block of the anchor, if known."
)
@click.option(
    "--search-blocks",
    type=click.IntRange(1),
    default=50_000,
    show_default=True,
    metavar="BLOCKS",
    help="How far to look back for the anchor, if neither --block nor the outbox tells.",
)
@output_option
@force_option
def capture(
    *,
    proof: Path,
    named: Path | None,
    outbox_file: Path | None,
    block: int | None,
    search_blocks: int,
    output: Path | None,
    force: bool,
    **options: Any,  # noqa: ANN401 - click passes what the options above say
) -> None:
    """Write evidence that the receipt in PROOF existed when the log was anchored.

    It holds the proofs that nodes serve only for some weeks, so capture it soon after the
    anchor is final. It is checked before it is written; `verify --anchor` checks it again.
    """
    from nous_ledger.anchor.capture import Search
    from nous_ledger.anchor.capture import capture as capture_evidence
    from nous_ledger.protocol.anchor_evidence import format_evidence
    from nous_ledger.protocol.bundle import parse_bundle

    bundle = parse_bundle(read_bounded(proof, MAX_BUNDLE_BYTES, "not-a-bundle"))
    target = take_target(options)
    search = Search(hints=() if block is None else (block,), blocks=search_blocks)
    if block is None:
        chain_id, leaf_count = target.chain.chain_id, bundle.head.leaf_count
        search = _from_outbox(named, outbox_file, chain_id, search, leaf_count)
    with read_ledger(named) as ledger:
        evidence = capture_evidence(target.pool, target.contract, ledger, bundle.head, search)
    write_output(output, format_evidence(evidence), force=force)


def _from_outbox(
    named: Path | None, outbox_file: Path | None, chain_id: int, search: Search, leaf_count: int
) -> Search:
    from dataclasses import replace

    from nous_ledger.anchor.artifact import load_artifact
    from nous_ledger.anchor.capture import hints_of
    from nous_ledger.anchor.outbox import OUTBOX_NAME, Outbox

    path = outbox_file or ledger_folder(named) / OUTBOX_NAME
    if not path.exists():
        return search
    with Outbox(path) as outbox:
        hints = hints_of(outbox, chain_id, load_artifact().address, leaf_count)
    return replace(search, hints=hints)


@click.command(
    "verify",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor verify receipt.anchor.json \\\n"
        "      --block-hash 0x5409932f5875828820a4dda1e3e607c9e4a0277877fc32c8ec12b9f1330780c7\n"
        "  nous-ledger anchor verify receipt.anchor.json --rpc https://mainnet.base.org \\\n"
        "      --rpc https://base.example.com --rpc-quorum 2 --json\n"
        "\n"
        "Exit codes: 0 it holds, 1 it does not, 2 used wrongly, 3 it could not be checked."
    ),
)
@click.argument("file", type=PATH)
@trust_options
@json_option
def verify(*, file: Path, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - as above
    """Check anchor evidence by itself; `nous-ledger verify --anchor` ties it to a receipt.

    With --block-hash no network is needed. With --rpc all servers that are named have to
    agree on the block, or K of them with --rpc-quorum.
    """
    evidence = parse_evidence(read_bounded(file, MAX_EVIDENCE_BYTES, "anchor-format"))
    anchored = verify_evidence(evidence, take_trust(options))
    if as_json:
        shown = {
            **anchored.to_json(),
            "log_id": evidence.log_id.hex(),
            "from": {"leaf_count": evidence.from_count, "root": evidence.from_root.hex()},
        }
        say(json.dumps(shown, indent=2))
        return
    say(
        f"anchored in block {anchored.block_number} of chain {anchored.chain_id} at"
        f" {format_time(anchored.block_time)}"
    )
    say(f"contract    0x{anchored.contract.hex()}")
    say(f"block hash  0x{anchored.block_hash.hex()}")
    say(f"log id      {evidence.log_id.hex()}")
    count, first = anchored.leaf_count, evidence.from_count
    say(f"head        {count} record{plural(count)}, of which the bundle's head covers {first}")
