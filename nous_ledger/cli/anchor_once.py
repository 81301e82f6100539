"""`nous-ledger anchor deploy`, `register`, `rotate`, `report-fork`, `new-relayer`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from nous_ledger.cli.anchor_options import Target
from nous_ledger.cli.anchor_sending import check_relayer, open_sending, sending_options
from nous_ledger.cli.files import read_bounded, read_ledger, read_passphrase
from nous_ledger.cli.options import PATH, json_option, ledger_option
from nous_ledger.cli.terminal import say
from nous_ledger.protocol.note import MAX_NOTE_BYTES


@click.command(
    "deploy",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor deploy --dry-run --relayer-key relayer.json --eth-price 3000 \\\n"
        "      --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor deploy --chain 31337 --relayer-key relayer.json --max-cost 0.1 \\\n"
        "      --rpc http://127.0.0.1:8545 --wait mined\n"
    ),
)
@ledger_option
@sending_options
def deploy(**options: Any) -> None:  # noqa: ANN401 - click passes what the options above say
    """Deploy the contract where it stands nowhere yet: one address on every chain.

    It has no owner and takes no arguments. Who deploys it has no rights in it, and a
    second deployment is not possible: if it is there, this says so.
    """
    from nous_ledger.anchor.artifact import load_artifact
    from nous_ledger.anchor.deploying import deploy_step, is_deployed

    artifact = load_artifact()
    with open_sending(options) as sending:
        if is_deployed(sending.target.pool):
            _say_address(sending.target, as_json=sending.as_json, there="stands already")
            return
        sending.send(deploy_step(sending.target.pool), artifact.factory)
        if not sending.payment.dry_run and sending.patience.until != "sent":
            _say_address(sending.target, as_json=False, there="stands now")


def _say_address(target: Target, *, as_json: bool, there: str) -> None:
    from nous_ledger.anchor.artifact import load_artifact

    address = f"0x{load_artifact().address.hex()}"
    if as_json:
        say(json.dumps({"contract": address, "chain_id": target.chain.chain_id}, indent=2))
    else:
        say(f"the contract {there}: {address} on {target.chain.name}")


@click.command(
    "register",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor register --relayer-key relayer.json --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor register --chain base-sepolia --relayer-key relayer.json \\\n"
        "      --rpc https://sepolia.base.org --dry-run --json\n"
    ),
)
@ledger_option
@sending_options
def register(**options: Any) -> None:  # noqa: ANN401 - as above
    """Make the contract know this log: its name, first keys and next-key commitment.

    The contract computes the log id itself, so nobody can register it with other values.
    """
    from nous_ledger.anchor.steps import register_step

    with read_ledger(options["named"]) as ledger, open_sending(options) as sending:
        sending.target.contract.check_code()
        if sending.target.contract.state(ledger.log_id) is not None:
            shown = {"log_id": ledger.log_id.hex(), "registered": True}
            say(json.dumps(shown, indent=2) if sending.as_json else "the contract knows the log")
            return
        step = register_step(ledger.key_history())
        check_relayer(ledger, sending.payment.relayer_address())
        sending.send(step, sending.target.contract.address)


@click.command(
    "rotate",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor rotate --relayer-key relayer.json --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor rotate --dry-run --relayer-key relayer.json \\\n"
        "      --rpc https://mainnet.base.org\n"
    ),
)
@ledger_option
@sending_options
def rotate(**options: Any) -> None:  # noqa: ANN401 - as above
    """Make the contract know the log's next key rotation; call it once for each.

    `submit` and `watch` do so by themselves. Before a close the last head should be
    anchored: afterwards the contract takes none.
    """
    from nous_ledger.anchor.anchorer import contract_state
    from nous_ledger.anchor.steps import check_agreement, rotation_step
    from nous_ledger.protocol.types import Epoch

    with read_ledger(options["named"]) as ledger, open_sending(options) as sending:
        contract = sending.target.contract
        contract.check_code()
        state = contract_state(contract, ledger)
        check_agreement(ledger, state)
        history = ledger.key_history()
        if state.epoch >= history.epoch:
            shown = {"epoch": state.epoch, "rotated": False}
            text = f"the contract knows the key of epoch {state.epoch}, the newest"
            say(json.dumps(shown, indent=2) if sending.as_json else text)
            return
        step = rotation_step(ledger, history, Epoch(state.epoch + 1))
        check_relayer(ledger, sending.payment.relayer_address())
        sending.send(step, contract.address)


@click.command(
    "report-fork",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor report-fork mine.note theirs.note --relayer-key relayer.json \\\n"
        "      --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor report-fork small.note large.note --prefix-proof proof.txt \\\n"
        "      --relayer-key relayer.json --rpc https://mainnet.base.org\n"
    ),
)
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.option(
    "--prefix-proof",
    type=PATH,
    help="For heads of different size: the root that the larger one's tree has at the smaller"
    " size, and the consistency proof from there, one hash in hex on each line.",
)
@click.option("--log-id", metavar="HEX", help="Log id, 64 hex digits.  [default: the ledger's]")
@ledger_option
@sending_options
def report_fork(
    *,
    first: Path,
    second: Path,
    prefix_proof: Path | None,
    log_id: str | None,
    **options: Any,  # noqa: ANN401 - as above
) -> None:
    """Show the contract two signed heads that contradict each other.

    It checks both signatures and flags their keys for ever. The flag blocks nothing: it
    tells everybody that whoever holds the log's key has signed two histories.
    """
    from nous_ledger.anchor.forking import fork_step, parse_prefix_proof

    notes = [read_bounded(path, MAX_NOTE_BYTES, "note-format") for path in (first, second)]
    proof = None
    if prefix_proof is not None:
        proof = parse_prefix_proof(read_bounded(prefix_proof, MAX_NOTE_BYTES, "input"))
    identity = _log_id(options["named"], log_id)
    with open_sending(options) as sending:
        sending.target.contract.check_code()
        step = fork_step((notes[0], notes[1]), identity, proof)
        sending.send(step, sending.target.contract.address)


def _log_id(named: Path | None, text: str | None) -> Any:  # noqa: ANN401 - LogId, imported late
    from nous_ledger.anchor.forking import parse_log_id

    if text is not None:
        return parse_log_id(text)
    with read_ledger(named) as ledger:
        return ledger.log_id


@click.command(
    "new-relayer",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor new-relayer relayer.json\n"
        "  nous-ledger anchor new-relayer relayer.json --relayer-passphrase-file pass.txt --json\n"
    ),
)
@click.argument("file", type=PATH)
@click.option(
    "--relayer-passphrase-file",
    type=PATH,
    help="File with the passphrase that seals it, readable by you alone.",
)
@json_option
def new_relayer(*, file: Path, relayer_passphrase_file: Path | None, as_json: bool) -> None:
    """Make the account that will pay: a fresh key in a keystore file, sealed.

    Send a little ETH of the chain to its address. Keep no more there than you can lose:
    it lies on a machine that is connected.
    """
    from nous_ledger.anchor.relayer import write_keystore

    passphrase = read_passphrase(relayer_passphrase_file, ask=True, confirm=True) or ""
    address = f"0x{write_keystore(file, passphrase).hex()}"
    say(json.dumps({"address": address, "file": str(file)}, indent=2) if as_json else address)
