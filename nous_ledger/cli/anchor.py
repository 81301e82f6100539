"""`nous-ledger anchor`: a log's heads in a contract on an EVM chain, and evidence of it."""

from __future__ import annotations

import click

from nous_ledger.cli.anchor_calldata import calldata
from nous_ledger.cli.anchor_evidence import capture, verify
from nous_ledger.cli.anchor_once import deploy, new_relayer, register, report_fork, rotate
from nous_ledger.cli.anchor_status import status
from nous_ledger.cli.anchor_submit import submit, watch


@click.group(
    "anchor",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor new-relayer relayer.json\n"
        "  nous-ledger anchor register --relayer-key relayer.json --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor submit --relayer-key relayer.json --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor status --rpc https://mainnet.base.org\n"
        "\n"
        "The account that pays, the relayer, has a key of its own: never the log's. Anybody may "
        "relay a head; only the log's key can sign one."
    ),
)
def command() -> None:
    """Anchor the log's heads on Base or another EVM chain."""


for member in (
    *(deploy, register, submit, watch, status),
    *(verify, capture, rotate, report_fork, calldata, new_relayer),
):
    command.add_command(member)
