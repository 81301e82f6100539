"""`nous-ledger anchor`: a log's heads in a contract on an EVM chain, and evidence of it."""

from __future__ import annotations

import click

from nous_ledger.cli.anchor_calldata import calldata
from nous_ledger.cli.anchor_evidence import capture, verify
from nous_ledger.cli.anchor_once import deploy, new_relayer, register, report_fork, rotate
from nous_ledger.cli.anchor_status import status
from nous_ledger.cli.anchor_submit import submit, watch
from nous_ledger.cli.options import show_help_of_group


@click.group(
    "anchor",
    invoke_without_command=True,
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
@click.pass_context
def command(context: click.Context) -> None:
    """Anchor the log's heads on Base or another EVM chain."""
    show_help_of_group(context)


for member in (
    *(deploy, register, submit, watch, status),
    *(verify, capture, rotate, report_fork, calldata, new_relayer),
):
    command.add_command(member)
