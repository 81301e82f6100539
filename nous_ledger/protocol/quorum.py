"""Quorum: when do the cosignatures under a head satisfy a policy?

A group stands after its members in the file, so one pass in file order decides
every group: no recursion, whatever the file says.

Spec:
    PROTOCOL.md, section "parse_policy" (POL-15, COSIG-4, COSIG-5); C2SP tlog-policy.
"""

from __future__ import annotations

from collections.abc import Mapping

from nous_ledger.protocol.errors import HeadError
from nous_ledger.protocol.policy import NO_QUORUM, Policy
from nous_ledger.protocol.types import UnixSeconds
from nous_ledger.protocol.vkey import KIND_COSIGNATURE


def witnessed_time(policy: Policy, cosigned: Mapping[bytes, UnixSeconds]) -> UnixSeconds | None:
    """Return the largest time T at which cosignatures from T on meet the quorum.

    Spec:
        PROTOCOL.md POL-15, COSIG-4, COSIG-5.

    Args:
        policy: whose quorum must be met.
        cosigned: for each witness name the time of its latest verified
            cosignature; names without one are absent. Witnesses of kind 0x06
            never count in version 1.

    Returns:
        The witnessed time; None under `quorum none`.

    Raises:
        HeadError: quorum (too few witnesses cosigned).
    """
    if policy.quorum == NO_QUORUM:
        return None
    times: dict[bytes, UnixSeconds | None] = {
        w.name: cosigned.get(w.name) if w.vkey.kind == KIND_COSIGNATURE else None
        for w in policy.witnesses
    }
    for group in policy.groups:
        seen = sorted(t for name in group.members if (t := times[name]) is not None)
        # The k-th latest member decides: from its time on, k members have witnessed.
        met = len(seen) >= group.threshold
        times[group.name] = seen[-group.threshold] if met else None
    witnessed = times[policy.quorum]
    if witnessed is None:
        raise HeadError(
            "quorum",
            f"{len(cosigned)} verified cosignatures do not meet the policy's quorum",
            cosigned=len(cosigned),
        )
    return witnessed
