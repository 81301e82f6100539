"""What a reader of anchor evidence takes from elsewhere: a block hash or servers, and the contract.

Neither the ledger nor the extra `anchor` is needed for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nous_ledger.cli.anchor_options import Address, Servers, Word, servers_options, take_servers

if TYPE_CHECKING:
    from nous_ledger.protocol.anchor_block import BlockHeader
    from nous_ledger.protocol.anchor_verify import AnchorTrust, TrustedBlock
    from nous_ledger.protocol.types import Hash32


def trust_options(function: click.decorators.FC) -> click.decorators.FC:
    """Add what a reader of evidence takes from elsewhere: block hash or servers, contract."""
    function = click.option(
        "--anchor-contract",
        type=Address(),
        help="Address of the anchor contract.  [default: the one address of this version]",
    )(function)
    function = servers_options(function)
    return click.option(
        "--block-hash",
        type=Word(),
        help="Hash of the anchor's block, from a source that you trust.",
    )(function)


def take_trust(options: dict[str, Any]) -> AnchorTrust:
    """Return what the options of `trust_options` say, and take them out of the rest.

    Raises:
        UsageError: --block-hash and --rpc.
    """
    from nous_ledger.anchor.artifact import load_artifact
    from nous_ledger.protocol.anchor_verify import AnchorTrust, block_hash_is
    from nous_ledger.protocol.types import Hash32

    servers, trusted = take_servers(options), options.pop("block_hash")
    address = options.pop("anchor_contract")
    artifact = load_artifact()
    if trusted is not None:
        block = block_hash_is(Hash32(trusted))
    else:
        block = _asked_from(servers) if servers.rpc else block_hash_is(None)
    return AnchorTrust(
        contract=artifact.address if address is None else address,
        code_hash=artifact.code_hash,
        block=block,
    )


def _asked_from(servers: Servers) -> TrustedBlock:
    """Return the trust in what servers of the chain agree on; all of them unless K are enough."""

    def block(chain_id: int, header: BlockHeader) -> Hash32:
        from nous_ledger.anchor.capture import agreed_block_hash

        return agreed_block_hash(servers.pool(chain_id, all_must_agree=True), header.number)

    return block
