"""`nous-ledger head`: the newest signed head, as the log's readers get it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nous_ledger.cli.files import open_ledger, read_ledger
from nous_ledger.cli.options import json_option, ledger_option, passphrase_file_option
from nous_ledger.cli.render import format_time
from nous_ledger.cli.terminal import say, tell, warn, write_result
from nous_ledger.cli.web import fetch, parse_answer
from nous_ledger.cli.witnesses import read_witnesses, witnesses_options
from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.errors import HeadError, LedgerError, UnavailableError
from nous_ledger.protocol.head import decode_head_signature
from nous_ledger.protocol.logview import verify_witnesses
from nous_ledger.protocol.note import MAX_NOTE_BYTES, Note, parse_note
from nous_ledger.protocol.policy import Policy
from nous_ledger.protocol.quorum import witnessed_time

if TYPE_CHECKING:
    from nous_ledger.ledger.witnesses import Witness, WitnessReport


@click.command(
    "head",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger head\n"
        "  nous-ledger head --url http://127.0.0.1:8787 --json\n"
        "  nous-ledger head --sign\n"
        "  nous-ledger head --witnesses witnesses.policy\n"
    ),
)
@ledger_option
@click.option("--url", metavar="GATEWAY", help="Read it from a running gateway instead.")
@click.option("--sign", is_flag=True, help="Sign a new one first, if the log has grown.")
@witnesses_options
@passphrase_file_option
@json_option
def command(
    *,
    named: Path | None,
    url: str | None,
    sign: bool,
    witnesses_file: Path | None,
    insecure_witnesses: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Print the newest head: the signed note itself, or what it says with --json.

    Its signatures are not checked here: `verify` does that against a policy. With
    --witnesses it is signed anew if due, and every witness is asked to cosign it; if
    the file has a quorum that is not met, the exit code is 3.
    """
    policy, witnesses = read_witnesses(witnesses_file, insecure=insecure_witnesses)
    if url is not None and (sign or policy):
        raise click.UsageError("--url reads a head: it does not go with --sign or --witnesses")
    reports: tuple[WitnessReport, ...] = ()
    if url is not None:
        data = fetch(url, "/checkpoint", MAX_NOTE_BYTES)
        note, head = parse_answer(data, _parse, "a signed head")
    elif sign or policy:
        data, reports = _sign(named, passphrase_file, policy, witnesses)
        note, head = _parse(data)
    else:
        with read_ledger(named) as ledger:
            data = ledger.latest_head()
            note, head = _parse(data)
            missing = ledger.leaf_count() - head.leaf_count
        if missing > 0:
            tell(f"note: {missing} newer records are not covered yet; add --sign for a new head")
    if as_json:
        asked = {"witnesses": list(map(_report_to_json, reports))} if policy else {}
        say(json.dumps(_to_json(note, head) | asked, indent=2))
    else:
        write_result(data)
    if policy is not None:
        _check_quorum(policy, note)


def _sign(
    named: Path | None,
    passphrase_file: Path | None,
    policy: Policy | None,
    witnesses: tuple[Witness, ...],
) -> tuple[bytes, tuple[WitnessReport, ...]]:
    """Return a head over all records, with the cosignatures that could be had."""
    from nous_ledger.ledger.cosigned import split_lines
    from nous_ledger.ledger.witness_quorum import compare_with_witnesses
    from nous_ledger.ledger.witness_rounds import ask_all
    from nous_ledger.ledger.witnesses import WitnessClient

    with open_ledger(named, passphrase_file) as ledger:
        clients = [WitnessClient(ledger, witness) for witness in witnesses]
        before = ledger.latest_head()
        reports = () if policy is None else compare_with_witnesses(ledger, policy, clients)
        if (refusal := ledger.refusal) is not None:
            raise refusal
        signed = ledger.head()
        if split_lines(parse_note(signed))[0] != split_lines(parse_note(before))[0]:
            reports = ask_all(clients, signed)
        for report in reports:
            if report.is_failure:
                warn(f"witness {report.name}: {report.state}: {report.message}")
        return ledger.latest_head(), reports


def _check_quorum(policy: Policy, note: Note) -> None:
    """Fail if the file asks for more cosignatures than the head has.

    Raises:
        UnavailableError: unreachable.
    """
    cosigned = verify_witnesses(note, policy)
    try:
        witnessed_time(policy, cosigned)
    except HeadError as error:
        raise UnavailableError(
            "unreachable",
            f"the quorum is not met: {len(cosigned)} of {len(policy.witnesses)} witnesses cosigned",
            hint="see the warnings, and ask again later",
        ) from error


def _report_to_json(report: WitnessReport) -> dict[str, Any]:
    return {"name": report.name, "state": report.state, "message": report.message}


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
