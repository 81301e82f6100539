"""How a log is audited."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from nous_ledger.protocol.policy import Policy

if TYPE_CHECKING:
    from sentinel.evm import AnchorContract
    from sentinel.peers import Peer


class Bodies(StrEnum):
    """What is done about bodies."""

    EXPECTED = "expected"
    OPTIONAL = "optional"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a log is audited.

    Attributes:
        policy: whom to trust.
        origin: name of the log.
        bodies: whether to read bodies, and whether each must be there.
        heads_only: whether to leave records alone.
        max_age_s: oldest acceptable head in seconds; None for any.
        processes: how many may share the work; below 2 it is done here.
        clock: this machine's time in seconds.
        peers: other witnesses of the log, to compare heads with.
        anchors: the contract that the log's heads are anchored in; None for no look.
        require_counts: whether what streams of receipts show decides how a round comes out.
        anchor_max_age_s: longest time in seconds that records may wait for an anchor.
        progress: is told how many leaves of how many were audited.
        stopping: whether to end early.
    """

    policy: Policy
    origin: str
    bodies: Bodies = Bodies.OPTIONAL
    heads_only: bool = False
    max_age_s: int | None = None
    processes: int = 1
    clock: Callable[[], float] = time.time
    peers: tuple[Peer, ...] = ()
    anchors: AnchorContract | None = None
    anchor_max_age_s: int | None = None
    require_counts: bool = False
    progress: Callable[[int, int], None] = field(default=lambda _done, _total: None)
    stopping: Callable[[], bool] = field(default=lambda: False)
