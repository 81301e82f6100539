"""What a contract on a chain holds of the log, beside what the log shows here.

A server of a chain is believed for nothing that the log has not signed: an anchored head
accuses the log only with the log's own signature from the event that announced it. What
servers alone say, and cannot be true, is reported as what it is: wrong, and nobody's proof.

Spec:
    PROTOCOL.md, section "Anchors on a chain" (SENT-24 to SENT-28).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from nous_ledger.protocol.anchor_contract import AnchoredEvent, LogState, next_chain
from nous_ledger.protocol.errors import LedgerError, UnavailableError
from nous_ledger.protocol.mmr import NodeReader
from nous_ledger.protocol.signing import verify_signature
from nous_ledger.protocol.types import Hash32, LeafCount, UnixSeconds
from sentinel.audit.compare import root_at
from sentinel.audit.findings import Finding, Place
from sentinel.audit.state import AuditState

STALE_S: Final = 7200
"""Age of a final block from which on a server is behind its chain."""


class ChainLook(NamedTuple):
    """What the servers of a chain agree on, at one final block.

    Attributes:
        block: its height.
        time: its time, seconds.
        log: the first word of the log; None where it is not registered.
        root: root of the anchored head.
        chain: running hash over all anchored heads.
        forked: whether the contract holds proof of a fork under the key in force.
        since: height behind which events were asked for.
        events: of the log, from there to the block, in their order.
    """

    block: int
    time: UnixSeconds
    log: LogState | None
    root: Hash32
    chain: Hash32
    forked: bool
    since: int
    events: tuple[AnchoredEvent, ...]


class KnownAnchor(NamedTuple):
    """What is remembered of the last look.

    Attributes:
        block: height of the final block that was looked at.
        anchors: heads that the contract had taken.
        chain: running hash over them.
    """

    block: int
    anchors: int
    chain: Hash32


class AnchorsChecked(NamedTuple):
    """What became of a look.

    Attributes:
        known: what is to be remembered; None where nothing could be learned.
        findings: what was found.
    """

    known: KnownAnchor | None
    findings: tuple[Finding, ...]


def check_anchors(
    look: ChainLook,
    known: KnownAnchor | None,
    state: AuditState,
    nodes: NodeReader,
    *,
    now: UnixSeconds,
    max_age_s: int | None,
) -> AnchorsChecked:
    """Compare what a contract holds with what the log shows here.

    Spec:
        PROTOCOL.md SENT-24 to SENT-28.

    Args:
        look: what servers agree on.
        known: what is remembered; None at the first look.
        state: where the audit stands.
        nodes: the remembered tree over `state.audited` leaves.
        now: second by this machine's clock.
        max_age_s: longest time that newer records may wait for an anchor; None for any.
    """
    if now - look.time > STALE_S:
        text = f"the newest final block is {now - look.time} seconds old: the servers are behind"
        return AnchorsChecked(None, (_found("unreachable", text),))
    if look.log is None:
        text = "the contract does not know the log"
        code = "not-registered" if known is None else "rewound"
        return AnchorsChecked(None, (_found(code, text),))
    found = [*_check_chain(look, look.log, known)]
    usable = not found  # what contradicts itself is not remembered
    if look.log.leaf_count:
        found += _check_head(look, look.log, state, nodes)
    found += _check_flags(look, look.log, state, max_age_s)
    learned = KnownAnchor(look.block, look.log.anchors, look.chain) if usable else None
    return AnchorsChecked(learned, tuple(found))


def _check_chain(look: ChainLook, log: LogState, known: KnownAnchor | None) -> tuple[Finding, ...]:
    """Compare the running hash with the one remembered and the events since."""
    if known is None:
        return ()
    if look.block < known.block or log.anchors < known.anchors:
        text = f"the contract holds {log.anchors} anchors, and held {known.anchors} before"
        return (_found("rewound", text),)
    chain = known.chain
    events = look.events if look.since == known.block else ()
    for event in events:
        chain = next_chain(chain, event.head.digest(event.log_id))
    if chain == look.chain and len(events) == log.anchors - known.anchors:
        return ()
    if look.since != known.block:
        text = "there are more blocks since the last look than events are asked for"
        return (_found("unproved", text),)
    text = f"{len(events)} events were shown of {log.anchors - known.anchors} since the last look"
    return (_found("event-missing", text, LeafCount(log.leaf_count)),)


def _check_head(
    look: ChainLook, log: LogState, state: AuditState, nodes: NodeReader
) -> list[Finding]:
    """Compare every head that was seen with the log's own tree."""
    stored = (log.leaf_count, look.root)
    signed = {(event.head.leaf_count, event.head.root): event for event in look.events}
    found: list[Finding] = []
    for count, root in sorted({stored, *signed}):
        trusted = state.trusted
        if trusted is None or count > trusted.leaf_count:
            text = f"the contract holds a head of {count} leaves, more than are shown here"
            found.append(_found("ahead", text, count))
            continue
        try:
            ours = root_at(state, nodes, count)
        except UnavailableError:
            text = f"the anchored head of {count} leaves cannot be compared yet"
            found.append(_found("unproved", text, count))
            continue
        if ours != root:
            found.append(_contradiction(count, ours, root, signed.get((count, root)), state))
    return found


def _contradiction(
    count: LeafCount, ours: Hash32, root: Hash32, event: AnchoredEvent | None, state: AuditState
) -> Finding:
    """Return what it means that an anchored root is not the log's."""
    if event is None or not _is_signed(event, state):
        text = (
            f"servers say that a head of {count} leaves and another root is anchored, and show no"
            " signature of the log for it"
        )
        return _found("unproved", text, count)
    attrs = {
        "anchored_root": root.hex(),
        "our_root": ours.hex(),
        "epoch": event.head.epoch,
        "timestamp": event.head.timestamp,
        "signature": event.signature.hex(),
    }
    text = f"the log signed, and somebody anchored, a head of {count} leaves of another tree"
    return _found("contradiction", text, count, attrs)


def _is_signed(event: AnchoredEvent, state: AuditState) -> bool:
    history = state.ring.history
    if history is None or event.head.epoch >= len(history.epochs):
        return False
    if event.log_id != history.log_id:
        return False
    key = history.epochs[event.head.epoch].secp256k1
    try:
        verify_signature(event.head.digest(event.log_id), event.signature, key)
    except LedgerError:
        return False
    return True


def _check_flags(
    look: ChainLook, log: LogState, state: AuditState, max_age_s: int | None
) -> list[Finding]:
    found = []
    if look.forked:
        text = f"the contract holds proof that the log forked under the key of epoch {log.epoch}"
        found.append(_found("forked", text))
    trusted = state.trusted
    behind = trusted is not None and trusted.leaf_count > log.leaf_count
    old = max_age_s is not None and look.time - log.timestamp > max_age_s
    if behind and old and not log.closed:
        text = f"newer records wait, and the anchored head of {log.leaf_count} leaves is too old"
        found.append(_found("stopped", text, LeafCount(log.leaf_count)))
    return found


def _found(
    code: str, text: str, count: LeafCount | None = None, attrs: dict[str, object] | None = None
) -> Finding:
    return Finding(place=Place.ANCHOR, code=code, message=text, count=count, attrs=attrs or {})
