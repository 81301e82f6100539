"""`nous-ledger policy`: which logs and witnesses a verifier trusts.

Spec:
    PROTOCOL.md POL-1 to POL-14.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from nous_ledger.cli.files import read_bounded, read_ledger, write_output
from nous_ledger.cli.options import (
    PATH,
    force_option,
    json_option,
    ledger_option,
    output_option,
    show_help_of_group,
)
from nous_ledger.cli.terminal import printable, say, tell
from nous_ledger.cli.web import fetch, parse_answer
from nous_ledger.protocol.policy import MAX_POLICY_BYTES, Policy, format_policy, parse_policy
from nous_ledger.protocol.vkey import KIND_ED25519, KIND_HEAD, format_vkey

KIND_NAMES = {KIND_ED25519: "Ed25519", KIND_HEAD: "log id (0xff)"}


@click.group(
    "policy",
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger policy export -o trust.policy\n"
        "  nous-ledger policy show trust.policy\n"
        "  nous-ledger policy fetch http://127.0.0.1:8787\n"
    ),
)
@click.pass_context
def command(context: click.Context) -> None:
    """Show, export or fetch trust policies."""
    show_help_of_group(context)


@command.command(
    "show",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger policy show trust.policy\n"
        "  nous-ledger policy show --ledger ./ledger --json\n"
    ),
)
@click.argument("file", required=False, type=PATH)
@ledger_option
@json_option
def show(*, file: Path | None, named: Path | None, as_json: bool) -> None:
    """Show what FILE trusts, or the policy of the ledger on this machine."""
    policy = parse_policy(
        _own(named) if file is None else read_bounded(file, MAX_POLICY_BYTES, "policy-format")
    )
    say(json.dumps(_policy_to_json(policy), indent=2) if as_json else _render(policy))


@command.command(
    "export",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger policy export -o trust.policy\n"
        "  nous-ledger policy export --c2sp > other-tools.policy\n"
    ),
)
@ledger_option
@click.option("--c2sp", is_flag=True, help="Leave out the 0xff keys, which other tools refuse.")
@output_option
@force_option
def export(*, named: Path | None, c2sp: bool, output: Path | None, force: bool) -> None:
    """Write the trust policy of the ledger on this machine: both vkeys, no witnesses."""
    data = format_policy(parse_policy(_own(named)), c2sp=c2sp)
    write_output(output, data, force=force)


@command.command(
    "fetch",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger policy fetch http://127.0.0.1:8787\n"
        "  nous-ledger policy fetch http://127.0.0.1:8787 --yes -o trust.policy\n"
    ),
)
@click.argument("url")
@output_option
@click.option("--yes", is_flag=True, help="You compared the keys out of band: write the policy.")
@force_option
@json_option
def fetch_command(*, url: str, output: Path | None, yes: bool, force: bool, as_json: bool) -> None:
    """Get the policy that the gateway at URL offers, and show what to compare.

    Keys from the host under audit prove nothing by themselves: compare log id
    and vkeys with what the operator published elsewhere. Only then say --yes:
    without it nothing is written, neither to FILE nor to stdout.
    """
    if yes and as_json:
        raise click.UsageError("--json shows what to compare; --yes writes the policy instead")
    data = fetch(url, "/v1/policy", MAX_POLICY_BYTES)
    policy = parse_answer(data, parse_policy, "a trust policy")
    if yes:
        tell(_render(policy))
        write_output(output, format_policy(policy), force=force)
        return
    say(json.dumps(_policy_to_json(policy), indent=2) if as_json else _render(policy))
    tell("\nNothing was written. Compare log id and vkeys with another source, then add --yes.")


def _own(named: Path | None) -> bytes:
    with read_ledger(named) as ledger:
        return ledger.policy_text()


def _render(policy: Policy) -> str:
    lines: list[str] = []
    for log in policy.logs:
        kind = KIND_NAMES.get(log.vkey.kind, f"kind {log.vkey.kind:#04x}")
        lines.append(f"log       {printable(log.vkey.name)}  {kind}")
        if log.vkey.log_id is not None:
            lines.append(f"  log id  {log.vkey.log_id.hex()}")
        lines.append(f"  vkey    {printable(format_vkey(log.vkey))}")
    for witness in policy.witnesses:
        lines.append(f"witness   {_shown(witness.name)}")
        lines.append(f"  vkey    {printable(format_vkey(witness.vkey))}")
    for group in policy.groups:
        members = " ".join(map(_shown, group.members))
        lines.append(f"group     {_shown(group.name)}: {group.threshold} of {members}")
    quorum = _shown(policy.quorum)
    lines.append(f"quorum    {quorum}" + ("  (not witnessed)" if quorum == "none" else ""))
    return "\n".join(lines)


def _policy_to_json(policy: Policy) -> dict[str, object]:
    return {
        "logs": [
            {
                "name": log.vkey.name,
                "kind": log.vkey.kind,
                "vkey": format_vkey(log.vkey),
                "log_id": log.vkey.log_id.hex() if log.vkey.log_id else None,
                "url": _text(log.url) or None,
            }
            for log in policy.logs
        ],
        "witnesses": [
            {"name": _text(w.name), "vkey": format_vkey(w.vkey), "url": _text(w.url) or None}
            for w in policy.witnesses
        ],
        "groups": [
            {
                "name": _text(g.name),
                "threshold": g.threshold,
                "members": [_text(m) for m in g.members],
            }
            for g in policy.groups
        ],
        "quorum": _text(policy.quorum),
    }


def _shown(octets: bytes) -> str:
    return printable(_text(octets))


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
