"""Evidence for findings that cite records: read again, and put together.

It is made at the end of a round, from what the state remembers of a finding, so that
nothing is lost if the sentinel ends before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.head import decode_head_signature, only_line
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.types import LogId
from nous_ledger.protocol.vkey import head_vkey
from sentinel.audit.prove import Case, prove
from sentinel.audit.state import SeenHead
from sentinel.reread import Rereader

if TYPE_CHECKING:
    from sentinel.log_audit import LogAudit

AT_ONCE: Final = 100
"""Findings that are proved in one round."""


def prove_findings(audit: LogAudit) -> None:
    """Make the evidence of findings that have none yet.

    Raises:
        UnavailableError: unreachable; the rest is tried again in the next round.
    """
    memory, history = audit.memory, audit.state.ring.history
    memory.findings.flush()
    if history is None:
        return
    reader = Rereader(audit.source, memory, audit.state.audited)
    for number, finding in memory.findings.without_evidence(AT_ONCE):
        if audit.options.stopping():
            return
        last = finding.cites[-1]
        notes = memory.notes_around(last)
        case = Case(
            ring=audit.state.ring,
            heads=tuple(_seen_head(note, history.log_id) for note in notes),
            leaves={leaf: reader.cited(leaf) for leaf in finding.cites},
            nodes=memory.read_nodes,
        )
        proved = prove(finding, case).evidence
        if proved is not None:
            memory.findings.set_evidence(number, proved)


def _seen_head(note: bytes, log_id: LogId) -> SeenHead:
    """Return a head that was accepted before."""
    parsed = parse_note(note)
    checkpoint = parse_checkpoint(parsed.text)
    line = only_line(parsed, head_vkey(checkpoint.origin, log_id))
    signature = decode_head_signature(line.payload)
    return SeenHead(
        note, checkpoint.leaf_count, checkpoint.root, signature.timestamp, signature.epoch
    )
