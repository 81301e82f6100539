"""`nous-ledger verify`: check one proof offline; needs no network and no ledger."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

import click

from nous_ledger.cli.files import read_bounded, read_opening
from nous_ledger.cli.render import render_report
from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.protocol.bundle import MAX_BUNDLE_BYTES
from nous_ledger.protocol.policy import MAX_POLICY_BYTES, parse_policy
from nous_ledger.protocol.types import UnixSeconds
from nous_ledger.protocol.verify import verify_bundle

MAX_CONTENT_BYTES: Final = 256 * 1024 * 1024


@click.command(
    "verify",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger verify receipt.tlog-proof --policy trust.policy\n"
        "  nous-ledger verify receipt.tlog-proof --policy trust.policy \\\n"
        "      --opening @opening.hex --request request.json --response response.json --recount\n"
        "\n"
        "Exit codes: 0 every required answer is established, 1 something is wrong, 2 used wrongly "
        "(or a policy that cannot be parsed), 3 something required could not be checked."
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    required=True,
    help="Trust policy: keys of the log and witnesses.",
)
@click.option(
    "--opening", metavar="HEX|@FILE", help="The call's nous-opening header, to check its content."
)
@click.option("--request", type=click.Path(path_type=Path), help="Request body as it was sent.")
@click.option("--response", type=click.Path(path_type=Path), help="Response body as it came.")
@click.option(
    "--forwarded", type=click.Path(path_type=Path), help="Request body as the gateway forwarded it."
)
@click.option("--recount", is_flag=True, help="Count the visible text again (needs --response).")
@click.option(
    "--max-age",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="Oldest head to be content with.",
)
@click.option("--require-accuracy", is_flag=True, help="Let accuracy decide the exit code too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(  # noqa: PLR0913 - one parameter per option
    *,
    file: Path,
    policy_file: Path,
    opening: str | None,
    request: Path | None,
    response: Path | None,
    forwarded: Path | None,
    recount: bool,
    max_age: int | None,
    require_accuracy: bool,
    as_json: bool,
) -> int:
    """Check the receipt proof in FILE against a trust policy.

    Four questions are answered apart: attribution (did this log's key sign this
    record?), inclusion (is it in the log?), log view (does anybody else see this
    log?), accuracy (how far do the counts have ground truth?).
    """
    if recount and response is None:
        raise click.UsageError("--recount needs --response and --opening")
    policy = parse_policy(read_bounded(policy_file, MAX_POLICY_BYTES, "policy-format"))
    bodies = {
        name: read_bounded(path, MAX_CONTENT_BYTES, "input")
        for name, path in (("request", request), ("response", response), ("forwarded", forwarded))
        if path is not None
    }
    report = verify_bundle(
        read_bounded(file, MAX_BUNDLE_BYTES, "not-a-bundle"),
        policy,
        opening=read_opening(opening) if opening is not None else None,
        request=bodies.get("request"),
        response=bodies.get("response"),
        forwarded=bodies.get("forwarded"),
        recount=recount_bounds if recount else None,
        now=UnixSeconds(int(time.time())),
        max_age=max_age,
        require_accuracy=require_accuracy,
    )
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else render_report(report))
    return report.exit_code()
