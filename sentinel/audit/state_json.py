"""The state of an audit as text, for whoever keeps it from one round to the next.

What the key events say is not stored but computed again from their bytes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, LeafIndex, UnixMillis, UnixSeconds
from sentinel.audit.keys import BrokenEvent, KeyRing, history_of
from sentinel.audit.state import AuditState, Freshness, SeenHead, Totals


def state_to_json(state: AuditState) -> str:
    """Return a state as text; names and log ids stand in the policy and are left out."""
    ring = state.ring
    return json.dumps(
        {
            "events": [[record.hex(), body.hex()] for record, body in ring.events],
            "scanned": ring.scanned,
            "broken": None if ring.broken is None else list(ring.broken),
            "heads": [
                [h.note.decode("utf-8"), h.leaf_count, h.root.hex(), h.timestamp, h.epoch]
                for h in state.heads
            ],
            "audited": state.audited,
            "last_logged_at": state.last_logged_at,
            "totals": state.totals._asdict(),
            "freshness": state.freshness._asdict(),
        }
    )


def state_from_json(text: str, ring: KeyRing) -> AuditState:
    """Return the state that a text says.

    Args:
        text: what `state_to_json` returned.
        ring: as `start_ring` makes it for the log.

    Raises:
        ValueError, TypeError, KeyError: the text says something else.
        LedgerError: its key events are not those of the log that the policy pins.
    """
    stored: dict[str, Any] = json.loads(text)
    events = tuple(
        (bytes.fromhex(record), bytes.fromhex(body)) for record, body in stored["events"]
    )
    broken = stored["broken"]
    return AuditState(
        ring=replace(
            ring,
            events=events,
            scanned=LeafCount(stored["scanned"]),
            broken=None if broken is None else BrokenEvent(LeafIndex(broken[0]), *broken[1:]),
            history=history_of(ring.origin, ring.pinned, events) if events else None,
        ),
        heads=tuple(map(_head, stored["heads"])),
        audited=LeafCount(stored["audited"]),
        last_logged_at=UnixMillis(stored["last_logged_at"]),
        totals=Totals(**stored["totals"]),
        freshness=Freshness(**stored["freshness"]),
    )


def _head(stored: list[Any]) -> SeenHead:
    note, leaf_count, root, timestamp, epoch = stored
    return SeenHead(
        note=note.encode("utf-8"),
        leaf_count=LeafCount(leaf_count),
        root=Hash32(bytes.fromhex(root)),
        timestamp=UnixSeconds(timestamp),
        epoch=Epoch(epoch),
    )
