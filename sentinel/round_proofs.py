"""Evidence for findings that cite records: read again, and put together.

It is made at the end of a round, from what the state remembers of a finding, so that
nothing is lost if the sentinel ends before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.head import decode_head_signature, only_line
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.types import LogId
from nous_ledger.protocol.vkey import head_vkey
from sentinel.ahead import NodesAhead
from sentinel.audit.findings import Finding
from sentinel.audit.prove import Case, prove
from sentinel.audit.state import SeenHead
from sentinel.errors import StateError
from sentinel.reread import Rereader

if TYPE_CHECKING:
    from sentinel.log_audit import LogAudit

AT_ONCE: Final = 100
"""Findings for which records are read again in one round."""
FAILURES: Final = 3
"""Readings that may fail in one round; after that only what is kept is proved."""
_ALL: Final = 100_000


def prove_findings(audit: LogAudit) -> None:
    """Make the evidence of findings that have none yet.

    One that cannot be read holds up no other: a log chooses what it serves again.

    Raises:
        UnavailableError: unreachable, for the first that could not be read; it is tried
            again in the next round.
    """
    memory = audit.memory
    memory.findings.flush()
    if audit.state.ring.history is None:
        return
    reader = Rereader(audit.source, memory, audit.state.audited)
    read, failures = 0, list[UnavailableError]()
    for number, finding in memory.findings.without_evidence(_ALL):
        if audit.options.stopping():
            return
        if not memory.cited.has_all(finding.cites):
            if read >= AT_ONCE or len(failures) >= FAILURES:
                continue
            read += 1
        try:
            proved = _prove(audit, finding, reader)
        except StateError:
            raise
        except UnavailableError as error:
            failures.append(error)
            continue
        if proved is not None:
            memory.findings.set_evidence(number, proved)
    left = memory.findings.without_evidence(_ALL)
    memory.keep_cited({leaf for _, finding in left for leaf in finding.cites})
    if failures:
        raise failures[0]


def _prove(audit: LogAudit, finding: Finding, reader: Rereader) -> bytes | None:
    """Return the evidence of a finding; None if what it cites does not suffice yet."""
    memory, history = audit.memory, audit.state.ring.history
    assert history is not None, "findings that cite records come after the genesis"  # noqa: S101
    notes = memory.notes_around(finding.cites[-1])
    heads = tuple(_seen_head(note, history.log_id) for note in notes)
    case = Case(
        ring=audit.state.ring,
        heads=heads,
        leaves={leaf: reader.cited(leaf) for leaf in finding.cites},
        nodes=NodesAhead(memory.read_nodes, audit.frontier),
    )
    proved = prove(finding, case).evidence
    if proved is None and audit.state.trusted is not None:
        # Of the newest head more is known than of those before it that are not audited.
        older = tuple(head for head in heads if head.leaf_count <= finding.cites[-1])
        proved = prove(finding, replace(case, heads=(*older, audit.state.trusted))).evidence
    return proved


def _seen_head(note: bytes, log_id: LogId) -> SeenHead:
    """Return a head that was accepted before."""
    parsed = parse_note(note)
    checkpoint = parse_checkpoint(parsed.text)
    line = only_line(parsed, head_vkey(checkpoint.origin, log_id))
    signature = decode_head_signature(line.payload)
    return SeenHead(
        note, checkpoint.leaf_count, checkpoint.root, signature.timestamp, signature.epoch
    )
