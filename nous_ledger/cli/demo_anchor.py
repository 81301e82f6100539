"""The demo's last step: the head in the contract on a private chain, which refuses a fork."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nous_ledger.cli.exits import EXIT_GOOD
from nous_ledger.cli.files import PRIVATE, write_new
from nous_ledger.cli.terminal import printable, say
from nous_ledger.protocol.eip712 import head_digest
from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.mmr import append_nodes, next_peaks, read_root
from nous_ledger.protocol.proof import prove_consistency
from nous_ledger.protocol.record import leaf_hash
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, LogId, NodePos, UnixSeconds

if TYPE_CHECKING:
    from nous_ledger.anchor.rpc import Endpoint

CHAIN_ID: Final = 31337
EVIDENCE: Final = "receipt.anchor.json"
_PATIENCE_S: Final = 20
_LISTENING: Final = re.compile(r"Listening on 127\.0\.0\.1:(\d+)\n")
_FUNDS: Final = 10**18
# Blocks after which a block of anvil is final, with a margin.
_BLOCKS_TO_FINALITY: Final = 200

Command = Callable[..., int]


def what_is_missing(anvil: Path | None) -> str:
    """Return how to get what this step needs, in one sentence; empty if all is there."""
    if anvil is None:
        return (
            "To see the head anchored on a private chain too, get anvil: scripts/setup-contracts "
            "(Node.js 20 or later with npm) brings it for scripts/demo; or name one with --anvil."
        )
    if importlib.util.find_spec("web3") is None:
        return "To see the head anchored too: pip install 'nous-ledger[anchor]'"
    return ""


def anchor_the_head(folder: Path, anvil: Path, command: Command) -> bool:
    """Deploy the contract, register the log, anchor its head, verify; then try to anchor a fork.

    Args:
        folder: the demo's; it has ledger/, receipt.tlog-proof and trust.policy.
        anvil: program that runs the private chain.
        command: runs one command of ours and returns its exit code.

    Returns:
        Whether all of it went as it should.
    """
    from nous_ledger.anchor.rpc import Endpoint

    with _running(anvil, folder) as url:
        say(f"  a private chain at {url}")
        endpoint = Endpoint(url, CHAIN_ID)
        chain = ("--chain", CHAIN_ID, "--rpc", url)
        ledger = ("--ledger", folder / "ledger")
        paid = (*chain, *ledger, *_relayer(folder, endpoint, command))
        codes = [
            command("anchor", step, *paid, "--wait", "mined", "--poll", "0.1")
            for step in ("deploy", "register", "submit")
        ]
        endpoint.call("anvil_mine", hex(_BLOCKS_TO_FINALITY))
        proof, evidence = folder / "receipt.tlog-proof", folder / EVIDENCE
        codes += [
            command("anchor", "status", *chain, *ledger),
            command("anchor", "capture", proof, *chain, *ledger, "-o", evidence),
            command(
                *("verify", proof, "--policy", folder / "trust.policy"),
                *("--anchor", evidence, "--rpc", url),
            ),
        ]
        return codes == [EXIT_GOOD] * len(codes) and _fork_is_refused(folder, endpoint)


def _relayer(folder: Path, endpoint: Endpoint, command: Command) -> tuple[object, ...]:
    """Make an account with funds of this chain, and return the options that name it."""
    from nous_ledger.anchor.relayer import keystore_address

    key, words = folder / "relayer.json", folder / "relayer.words"
    write_new(words, secrets.token_hex(16).encode("ascii"), mode=PRIVATE)
    command("anchor", "new-relayer", key, "--relayer-passphrase-file", words)
    address = keystore_address(key)
    if address is None:
        raise UnavailableError("unreachable", f"{key} does not say whose it is")
    endpoint.call("anvil_setBalance", f"0x{address.hex()}", hex(_FUNDS))
    return "--relayer-key", key, "--relayer-passphrase-file", words, "--max-cost", "0.1"


def _fork_is_refused(folder: Path, endpoint: Endpoint) -> bool:
    """Sign, with the log's own key, a longer tree in which one record is another; offer it."""
    from nous_ledger.anchor.abi import encode_call
    from nous_ledger.anchor.artifact import load_artifact
    from nous_ledger.anchor.errors import ChainError
    from nous_ledger.anchor.state import refusal_of

    say("\n  Now the operator replaces a record, builds the tree again, and signs it:")
    data = encode_call("anchor", *_forked_head(folder))
    call = {"to": f"0x{load_artifact().address.hex()}", "data": f"0x{data.hex()}"}
    try:
        endpoint.call("eth_call", call, "latest")
    except ChainError as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        say(f"  {printable(refusal)}")
        return refusal.attrs.get("error") == "ProofRootMismatch"
    return False


def _forked_head(folder: Path) -> tuple[object, ...]:
    """Return head, r, s, v and proof of a history in which the second record is another."""
    from nous_ledger.ledger import KEYS_NAME, Ledger
    from nous_ledger.ledger.keys import read_log_keys

    with Ledger.open(folder / "ledger", read_only=True) as ledger:
        count, log_id = ledger.leaf_count(), ledger.log_id
        leaves = [leaf_hash(ledger.entry(index).record) for index in range(count)]
    leaves[1] = Hash32(bytes(reversed(leaves[1])))
    nodes = _nodes_over([*leaves, leaves[0]])

    def read(positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        return tuple(nodes[position] for position in positions)

    grown = LeafCount(count + 1)
    root, now = read_root(read, grown), UnixSeconds(int(time.time()))
    digest = head_digest(LogId(log_id), Epoch(0), grown, root, now)
    signature = read_log_keys(folder / "ledger" / KEYS_NAME, None).signing_key().sign(digest)
    return (
        (log_id, 0, grown, root, now),
        *(signature[:32], signature[32:64], signature[64]),
        prove_consistency(read, count, grown),
    )


def _nodes_over(leaves: list[Hash32]) -> list[Hash32]:
    nodes: list[Hash32] = []
    peaks: tuple[Hash32, ...] = ()
    for index, leaf in enumerate(leaves):
        added = append_nodes(LeafCount(index), leaf, peaks)
        peaks = next_peaks(peaks, added)
        nodes += added
    return nodes


@contextlib.contextmanager
def _running(anvil: Path, folder: Path) -> Iterator[str]:
    """Run a private chain on a free port of loopback; give its URL."""
    log = folder / "anvil.log"
    options = ("--host", "127.0.0.1", "--port", "0", "--chain-id", str(CHAIN_ID))
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - the program that the caller named
                [anvil, *options, "--slots-in-an-epoch", "1"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise UnavailableError(
                "unreachable",
                f"{anvil} does not run: {error.strerror}",
                hint="name another --anvil",
            ) from error
    try:
        yield f"http://127.0.0.1:{_port_of(process, log)}"
    finally:
        process.terminate()
        process.wait(timeout=_PATIENCE_S)
        log.unlink()


def _port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        found = _LISTENING.search(log.read_text("utf-8", "replace"))
        if found:
            return int(found[1])
        time.sleep(0.02)
    raise UnavailableError("unreachable", "anvil did not start", hint="run it by hand to see why")
