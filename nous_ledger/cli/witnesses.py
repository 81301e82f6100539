"""Options that name the witnesses of a log, for the commands that sign its heads.

Spec:
    PROTOCOL.md POL-1 to POL-13, WIT-6.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nous_ledger.cli.files import read_bounded
from nous_ledger.cli.options import PATH
from nous_ledger.protocol.policy import MAX_POLICY_BYTES, Policy

if TYPE_CHECKING:
    from nous_ledger.ledger.witnesses import Witness


def witnesses_options(function: click.decorators.FC) -> click.decorators.FC:
    """Add --witnesses and --insecure-witnesses."""
    insecure = click.option(
        "--insecure-witnesses",
        is_flag=True,
        help="Ask witnesses on other machines over plain http too.",
    )
    file = click.option(
        "--witnesses",
        "witnesses_file",
        type=PATH,
        help="File with a line `witness NAME VKEY URL` for each witness that is asked to cosign.",
    )
    return file(insecure(function))


def read_witnesses(
    path: Path | None, *, insecure: bool
) -> tuple[Policy | None, tuple[Witness, ...]]:
    """Return the policy in the file that was named, and who is to be asked.

    Raises:
        InputError, UnavailableError, FormatError: as `read_bounded` and `parse_witnesses`.
        UsageError: --insecure-witnesses without --witnesses.
    """
    from nous_ledger.ledger.witnesses import parse_witnesses

    if path is None:
        if insecure:
            raise click.UsageError("--insecure-witnesses goes with --witnesses")
        return None, ()
    data = read_bounded(path, MAX_POLICY_BYTES, "policy-format")
    return parse_witnesses(data, insecure=insecure)
