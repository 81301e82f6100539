"""Whether the witnesses saw more of a log than its ledger holds: an old copy must not go on.

What one witness says of its size is not proved: any one of them could stop the log.
But where the operator's policy has a quorum, as many as vouch for the log together
are believed together, in this too.

Spec:
    PROTOCOL.md WIT-3, WIT-4, HEAD-15.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nous_ledger.ledger.ledger import Ledger
from nous_ledger.ledger.witness_rounds import ask_all
from nous_ledger.ledger.witnesses import WitnessClient, WitnessReport
from nous_ledger.protocol.errors import HeadError
from nous_ledger.protocol.policy import Policy
from nous_ledger.protocol.quorum import witnessed_time
from nous_ledger.protocol.types import LeafCount, UnixSeconds


def compare_with_witnesses(
    ledger: Ledger, policy: Policy, clients: Sequence[WitnessClient]
) -> tuple[WitnessReport, ...]:
    """Ask every witness about the newest stored head; sign nothing for it.

    To be called before anything is appended to a ledger that may be an older copy.

    Args:
        ledger: open for writing; it refuses to sign from now on if a quorum of the
            witnesses saw more leaves than it has.
        policy: whose quorum counts.
        clients: one for each witness of the policy.

    Returns:
        How each witness stands.
    """
    reports = ask_all(clients, ledger.latest_head())
    heed(ledger, policy, reports)
    return reports


def heed(ledger: Ledger, policy: Policy, reports: Iterable[WitnessReport]) -> None:
    """Have a ledger refuse to sign if a quorum of witnesses saw more leaves than it has."""
    size = quorum_size(policy, reports)
    if size is not None:
        ledger.note_seen(size, "what a quorum of its witnesses cosigned")


def quorum_size(policy: Policy, reports: Iterable[WitnessReport]) -> LeafCount | None:
    """Return the leaves that a quorum of witnesses saw beyond the ledger; None if none did.

    Under `quorum none` nobody is believed.
    """
    names = {w.name.decode("utf-8", "backslashreplace"): w.name for w in policy.witnesses}
    # As of times, so of sizes: the largest that enough witnesses reach.
    claimed = {
        names[report.name]: UnixSeconds(report.claimed)
        for report in reports
        if report.claimed is not None and report.name in names
    }
    try:
        reached = witnessed_time(policy, claimed)
    except HeadError:
        return None
    return None if reached is None else LeafCount(reached)
