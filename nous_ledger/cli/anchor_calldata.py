"""`nous-ledger anchor calldata put` and `verify`: a record kept by a chain itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nous_ledger.cli.anchor_options import Word, chain_options, take_target
from nous_ledger.cli.anchor_sending import check_relayer, open_sending, sending_options
from nous_ledger.cli.files import read_bounded, read_ledger
from nous_ledger.cli.options import PATH, json_option, ledger_option, show_help_of_group
from nous_ledger.cli.render import format_time
from nous_ledger.cli.terminal import say, warn
from nous_ledger.protocol.bundle import MAX_BUNDLE_BYTES
from nous_ledger.protocol.errors import AnchorError

if TYPE_CHECKING:
    from nous_ledger.protocol.anchor_calldata import CalldataRecord


@click.group(
    "calldata",
    invoke_without_command=True,
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor calldata put 12 --relayer-key relayer.json \\\n"
        "      --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor calldata verify --proof receipt.tlog-proof \\\n"
        "      0x165d439b6f1e36ee238d5f36b4e353ac54d1fe36f6d5848ddb202a211d700cb7 \\\n"
        "      --rpc https://mainnet.base.org\n"
    ),
)
@click.pass_context
def calldata(context: click.Context) -> None:
    """Store single records or statements in a chain, and read them back."""
    show_help_of_group(context)


@calldata.command(
    "put",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor calldata put 12 --dry-run --relayer-key relayer.json \\\n"
        "      --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor calldata put 40 --with-body --relayer-key relayer.json \\\n"
        "      --rpc https://mainnet.base.org --wait mined\n"
    ),
)
@click.argument("index", type=click.IntRange(0))
@click.option(
    "--with-body",
    is_flag=True,
    help="Store the body too, as a statement needs. It is public then, and can never be erased.",
)
@ledger_option
@sending_options
def put(*, index: int, with_body: bool, **options: Any) -> None:  # noqa: ANN401 - as above
    """Store the record at INDEX as calldata of a transaction to the relayer itself.

    The 120 bytes of a record say when it was logged and what its body hashes to, no more.
    """
    from nous_ledger.anchor.calldata import calldata_step
    from nous_ledger.protocol.anchor_calldata import CalldataRecord

    with read_ledger(options["named"]) as ledger, open_sending(options) as sending:
        entry = ledger.entry(index)
        if with_body:
            warn("a body in a chain is public and cannot be erased, by nobody, ever")
        content = CalldataRecord(
            log_id=ledger.log_id,
            record=entry.record,
            body=entry.body if with_body else b"",
        )
        address = sending.payment.relayer_address()
        check_relayer(ledger, address)
        sending.send(calldata_step(content), address)


@calldata.command(
    "verify",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor calldata verify --proof receipt.tlog-proof \\\n"
        "      0x165d439b6f1e36ee238d5f36b4e353ac54d1fe36f6d5848ddb202a211d700cb7 \\\n"
        "      --rpc https://mainnet.base.org --rpc https://base.example.com\n"
        "\n"
        "Exit codes: 0 it is the record, 1 it is not, 2 used wrongly, 3 it could not be checked."
    ),
)
@click.argument("transaction", type=Word())
@click.option(
    "--proof",
    type=PATH,
    help="Proof file of the record to compare with; check it by `verify`.  [default: the ledger]",
)
@ledger_option
@chain_options
@json_option
def verify(
    *,
    transaction: bytes,
    proof: Path | None,
    named: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - as above
) -> None:
    """Read the record in TRANSACTION back, and compare it with a proof or the ledger.

    The transaction is hashed again, and servers have to agree that it is final.
    """
    from nous_ledger.anchor.calldata import read_stored
    from nous_ledger.protocol.record import decode_record

    target = take_target(options)
    stored = read_stored(target.pool, transaction)
    index = decode_record(stored.content.record).index
    _compare(stored.content, _expected(named, proof, index))
    if as_json:
        shown = {
            "log_id": stored.content.log_id.hex(),
            "index": index,
            "body": bool(stored.content.body),
            "chain_id": target.chain.chain_id,
            "block_number": stored.block_number,
            "block_hash": f"0x{stored.block_hash.hex()}",
            "block_time": stored.block_time,
        }
        say(json.dumps(shown, indent=2))
        return
    say(
        f"record {index} stands in block {stored.block_number} of {target.chain.name} at"
        f" {format_time(stored.block_time)}: it existed before"
    )
    say(f"body        {'there too' if stored.content.body else 'not there'}")


def _expected(named: Path | None, proof: Path | None, index: int) -> tuple[bytes, bytes]:
    """Return record and body from the proof that was named, or from the ledger."""
    from nous_ledger.protocol.bundle import parse_bundle

    if proof is not None:
        bundle = parse_bundle(read_bounded(proof, MAX_BUNDLE_BYTES, "not-a-bundle"))
        return bundle.record, bundle.body
    with read_ledger(named) as ledger:
        entry = ledger.entry(index)
        return entry.record, entry.body


def _compare(found: CalldataRecord, expected: tuple[bytes, bytes]) -> None:
    """Refuse calldata of another record or body.

    Raises:
        AnchorError: anchor-event.
        RecordError: body-hash.
    """
    from nous_ledger.protocol.bodies import check_body_hash
    from nous_ledger.protocol.record import decode_record

    if found.record != expected[0]:
        raise AnchorError("anchor-event", "the transaction holds another record")
    if found.body:
        check_body_hash(decode_record(found.record), found.body)
