"""Other witnesses of a log: their newest heads are read, compared, and kept while they are ahead.

Spec:
    PROTOCOL.md, section "Peers" (WIT-15 to WIT-18).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.note import MAX_NOTE_BYTES
from sentinel.audit.findings import Finding, Place
from sentinel.audit.peers import PeerHead, Standing, compare_peer, read_peer_head
from sentinel.http_source import HttpSource, Patience
from sentinel.sources import NotThereError
from sentinel.state_file import state_errors
from sentinel.witness_wire import origin_hash

if TYPE_CHECKING:
    from sentinel.log_audit import LogAudit
    from sentinel.state import State

MAX_PEERS: Final = 32
MAX_KEPT: Final = 64
"""Heads of one peer that are kept until the log shows as much."""

HIDDEN_S: Final = 3_600
"""Seconds for which a log may show less here than another witness has seen."""

_PATIENCE: Final = Patience(idle_s=5.0, total_s=10.0, connections=1)
_WAITING: Final = frozenset({Standing.AHEAD, Standing.UNPROVED})


class Peer(HttpSource):
    """The monitoring endpoint of another witness."""

    def __init__(self, url: str) -> None:
        """Name the witness's monitoring prefix; nothing is asked yet.

        Args:
            url: http or https, without credentials, query or fragment.

        Raises:
            InputError: the URL is not of that form.
            MissingExtraError: missing-extra.
        """
        super().__init__(url, patience=_PATIENCE)

    def latest(self, origin: str) -> bytes:
        """Return the note that the witness serves as the latest of a log.

        Raises:
            UnavailableError: unreachable.
        """
        return self._fetch(f"{origin_hash(origin)}/checkpoint", MAX_NOTE_BYTES)


class KeptHeads:
    """Heads of one log that peers have seen and the log has not shown here yet."""

    def __init__(self, state: State, log: int) -> None:
        """Name the log."""
        self._state = state
        self._log = log

    def all(self) -> tuple[tuple[str, bytes, int], ...]:
        """Return (peer, note, second at which it was seen first) of all, the smallest first.

        Raises:
            StateError: state-corrupt, state-io.
        """
        with state_errors(self._state.path):
            return tuple(
                self._state.connection.execute(
                    "SELECT peer, note, seen_at FROM peer_heads WHERE log = ?"
                    " ORDER BY leaf_count, peer",
                    (self._log,),
                ).fetchall()
            )

    def keep(self, peer: str, head: PeerHead, now: int) -> None:
        """Remember a head; of one peer the smallest `MAX_KEPT` stay."""
        with self._state.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO peer_heads VALUES (?, ?, ?, ?, ?, ?)",
                (
                    self._log,
                    peer,
                    head.checkpoint.leaf_count,
                    head.checkpoint.root,
                    head.note,
                    now,
                ),
            )
            connection.execute(
                "DELETE FROM peer_heads WHERE log = ? AND peer = ? AND leaf_count > (SELECT"
                " leaf_count FROM peer_heads WHERE log = ? AND peer = ? ORDER BY leaf_count"
                " LIMIT 1 OFFSET ?)",
                (self._log, peer, self._log, peer, MAX_KEPT - 1),
            )

    def forget(self, peer: str, head: PeerHead) -> None:
        """Let go of a head that has been compared."""
        with self._state.writing() as connection:
            connection.execute(
                "DELETE FROM peer_heads WHERE log = ? AND peer = ? AND leaf_count = ? AND root = ?",
                (self._log, peer, head.checkpoint.leaf_count, head.checkpoint.root),
            )


def look_at_peers(audit: LogAudit, peers: Sequence[Peer], kept: KeptHeads) -> list[Finding]:
    """Compare what all peers serve now, and what they served before, with the log.

    What is found is reported and durable before any head is let go of.

    Args:
        audit: the log, after its records were read.
        peers: other witnesses of it.
        kept: what is remembered of them.

    Returns:
        What was found, about each peer by itself.

    Raises:
        StateError: what is remembered could not be read or written.
    """
    with ThreadPoolExecutor(max(len(peers), 1), "peer") as pool:
        answers = list(pool.map(lambda peer: _ask(peer, audit.options.origin), peers))
    found = [answer for answer in answers if isinstance(answer, Finding)]
    notes = {
        (peer.name, _text(answer)): answer
        for peer, answer in zip(peers, answers, strict=True)
        if isinstance(answer, bytes)
    }
    since: dict[tuple[str, str], int] = {}
    for name, note, seen_at in kept.all():
        notes.setdefault((name, _text(note)), note)
        since[name, _text(note)] = seen_at
    done: list[tuple[str, PeerHead]] = []
    for (name, text), note in notes.items():
        waited_s = audit.now() - since.get((name, text), audit.now())
        found += _compare(audit, name, note, kept, done, waited_s)
    audit.report(found)
    audit.memory.findings.flush()
    for name, head in done:
        kept.forget(name, head)
    return found


def _ask(peer: Peer, origin: str) -> bytes | Finding:
    try:
        return peer.latest(origin)
    except NotThereError:
        return _unreachable(f"{peer.name} has cosigned no head of {origin}")
    except LedgerError as error:
        return _unreachable(error.message)


def _compare(  # noqa: PLR0917 - one head, and where it goes
    audit: LogAudit,
    peer: str,
    note: bytes,
    kept: KeptHeads,
    done: list[tuple[str, PeerHead]],
    waited_s: int,
) -> list[Finding]:
    policy = audit.options.policy
    try:
        head = read_peer_head(note, audit.options.origin, policy)
    except LedgerError as error:
        return [_unreachable(f"{peer} serves no head that can be used: {error.message}")]
    compared = compare_peer(head, audit.state, policy, audit.memory.read_nodes, audit.now())
    if compared.standing not in _WAITING:
        done.append((peer, head))
    else:
        kept.keep(peer, head, audit.now())
        if compared.standing is Standing.AHEAD and waited_s > HIDDEN_S:
            return [_hidden(peer, head, waited_s)]
    return [replace(found, message=f"{peer}: {found.message}") for found in compared.findings]


def _text(note: bytes) -> str:
    """Return the part of a note that says what the tree is, in whatever form it came."""
    return note.partition(b"\n\n")[0].decode("utf-8", "replace")


def _hidden(peer: str, head: PeerHead, waited_s: int) -> Finding:
    count = head.checkpoint.leaf_count
    text = f"{peer}: {count} leaves were seen there {waited_s} s ago, and are not shown here yet"
    return Finding(place=Place.PEER, code="hidden", message=text, count=count)


def _unreachable(text: str) -> Finding:
    return Finding(place=Place.PEER, code="unreachable", message=text)
