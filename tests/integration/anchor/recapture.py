"""Capture the evidence that the vectors hold again: `python -m tests.integration.anchor.recapture`.

It starts a private chain, deploys, anchors a log of its own beside other transactions, and
writes what the node serves to vectors/generate/captured/anchor.json. After it the vectors are
to be written again: `python -m vectors.generate`.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from pathlib import Path

from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.capture import Search, agreed_block_hash, capture
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.anchor_block import parse_header
from nous_ledger.protocol.anchor_evidence import format_evidence
from nous_ledger.protocol.bundle import parse_bundle
from tests.contracts.evm import running_anvil
from tests.contracts.solidity import CONTRACTS
from tests.integration.anchor.harness import Node, deploy, grow, opened

ANVIL = CONTRACTS / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
PLACE = CONTRACTS.parent / "vectors" / "generate" / "captured" / "anchor.json"


def recapture(folder: Path) -> bytes:
    """Return the file's content; needs what `scripts/setup-contracts` installs."""
    with running_anvil(str(ANVIL), "--slots-in-an-epoch", "2") as rpc:
        node = Node(rpc=rpc)
        deploy(node, folder)
        ledger = Ledger.create(folder / "ledger", next_key_out=None, origin="test.example.com/log")
        with ledger as log, opened(folder / "party", log, [node.url]) as party:
            grow(log, 4, random.Random(1))
            head = parse_bundle(log.prove(2)).head
            party.register()
            grow(log, 20, random.Random(2))
            node.automine(on=False)
            for account in rpc("eth_accounts")[3:8]:
                rpc("eth_sendTransaction", {"from": account, "to": account, "value": "0x1"})
            party.round()
            node.finalize()
            evidence = capture(party.pool, party.contract, log, head, Search())
            number = parse_header(evidence.header).number
            found = {
                "captured": f"from {rpc('web3_clientVersion')}, chain {evidence.chain_id}",
                "contract": evidence.contract.hex(),
                "codeHash": load_artifact().code_hash.hex(),
                "blockHash": agreed_block_hash(party.pool, number).hex(),
                "evidence": json.loads(format_evidence(evidence)),
            }
    return json.dumps(found, indent=1).encode("ascii") + b"\n"


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        PLACE.write_bytes(recapture(Path(folder)))
    sys.stderr.write(f"wrote {PLACE}\n")


if __name__ == "__main__":
    main()
