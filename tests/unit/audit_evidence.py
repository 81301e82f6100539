"""One evidence file of each kind and code, made by the sentinel against a log that lies."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from nous_ledger.protocol.record import leaf_hash
from nous_ledger.protocol.types import Hash32, LeafIndex
from sentinel.audit.prove import prove_equivocation, prove_omission
from tests.unit.audit_crimes import CRIMES
from tests.unit.audit_log import START, AuditLog
from tests.unit.audit_round import Watcher, watch

OTHER_ROOT: Final = Hash32(b"\x01" * 32)
FURTHER: Final = (
    "fork",
    "fork-of-a-prefix",
    "rollback",
    "head-time",
    "late",
    "omission",
    "equivocation",
)
NAMES: Final = (*CRIMES, *FURTHER)


@lru_cache(maxsize=64)
def made(name: str) -> tuple[bytes, AuditLog]:
    """Return evidence by the name of what the log did, and the log."""
    log = AuditLog(receipts=9)
    watcher = watch(log)
    watcher.round(log)
    if name in CRIMES:
        CRIMES[name].commit(log)
        watcher.round(log)
        return evidence_of(watcher, CRIMES[name].code), log
    return _further(name, log, watcher), log


def evidence_of(watcher: Watcher, code: str) -> bytes:
    """Return the evidence of the newest finding with a code."""
    evidence = [f.evidence for f in watcher.findings if f.code == code][-1]
    assert evidence is not None
    return evidence


def _further(name: str, log: AuditLog, watcher: Watcher) -> bytes:
    state = watcher.state
    if name == "fork":
        watcher.round(log, log.head(root=OTHER_ROOT))
    elif name == "fork-of-a-prefix":
        watcher.round(log, log.head(7, root=OTHER_ROOT))
    elif name == "rollback":
        watcher.round(log, log.head(7, START + 99))
    elif name == "head-time":
        log.receipt()
        watcher.round(log, log.head(None, START))
    elif name == "late":
        watcher.round(log, log.head(None, START + 500))
        log.receipt()
        watcher.round(log, log.head(None, START + 501))
    else:
        other = AuditLog(receipts=6)
        other.receipt(status=1)
        if name == "equivocation":
            return prove_equivocation(state.ring, LeafIndex(7), log.records[7], other.records[7])
        assert state.trusted is not None
        there = leaf_hash(log.records[7])
        return prove_omission(state.ring, state.trusted, other.records[7], watcher.nodes, there)
    return evidence_of(watcher, "fork" if name.startswith("fork") else name)
