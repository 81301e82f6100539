"""What is remembered of one log, as the audit asks for it and adds to it.

What the audit adds is gathered in memory and written by `commit` in one short
transaction, together with where the audit then stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeVar

from nous_ledger.protocol.record import TYPE_RECEIPT
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, NodePos
from sentinel.audit.findings import Finding
from sentinel.audit.ports import ChainEnd, Changes, Claim, Used, Withheld
from sentinel.audit.state import SeenHead
from sentinel.state import LogRow, State
from sentinel.state_cited import CitedRecords
from sentinel.state_findings import Findings
from sentinel.state_streams import StreamMemory
from sentinel.state_tables import ChangeWriter, LogTables, unpack
from sentinel.state_tree import Tiles

_CACHED: Final = 20_000
"""Subjects whose newest receipt is kept at hand."""

_BY_HASH: Final = (
    "SELECT body_hash, leaf FROM withheld_hashes WHERE log = ? AND era = ? AND body_hash IN ({})"
)

_T = TypeVar("_T")


class LogMemory:
    """One log; implements the port `sentinel.audit.ports.Memory`.

    Attributes:
        row: the log.
        findings: what was found in it.
        cited: records that findings cite.
        streams: the audit of streams of receipts.
    """

    def __init__(self, state: State, row: LogRow, audited: LeafCount) -> None:
        """Go on with a log.

        Args:
            state: the file.
            row: the log.
            audited: how many leaves were committed.
        """
        self.row = row
        self.findings = Findings(state, row.number)
        self._state = state
        self._tables = LogTables(state, row)
        self._writer = ChangeWriter(self._tables)
        self.cited = CitedRecords(self._tables)
        self.streams = StreamMemory(self._tables)
        self._tiles = Tiles(state.connection, row.number, audited)
        self._changes: list[Changes] = []
        self._ends: dict[bytes, ChainEnd] = {}
        self._ids: dict[bytes, LeafIndex] = {}
        newest = self._tables.execute("SELECT max(id) FROM ids WHERE log = ?", (row.number,))
        self._newest_id: bytes = newest.fetchone()[0] or b""

    def read_nodes(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        """Return hashes of nodes of the tree over the leaves that were taken.

        Raises:
            UnavailableError: undecided, a node is not known.
        """
        return self._tiles.read_nodes(positions)

    def take(self, leaves: bytes, changes: Changes) -> list[Finding]:
        """Remember the next records; durable with the next commit.

        Args:
            leaves: their leaf hashes, 32 bytes each.
            changes: what else the fold of them adds.

        Returns:
            Verdicts that streams of receipts lead to.
        """
        self._tiles.append(leaves)
        self._changes.append(changes)
        self._ends.update(changes.subjects)
        for receipt in changes.receipts:
            self._ids[receipt.id] = receipt.leaf
        self._newest_id = max(self._newest_id, *(r.id for r in changes.receipts), b"")
        return self.streams.take(changes)

    def commit(
        self, state: str, head: SeenHead | None = None, *, log_id: bytes, address: str, now: int
    ) -> None:
        """Make everything that was taken durable, and where the audit stands with it.

        Args:
            state: where it stands, as text.
            head: a head that was accepted since the last commit.
            log_id: identity of the log; empty as long as it is not known.
            address: where the log was read.
            now: second by this machine's clock.
        """
        with self._state.writing():
            self._tables.execute(
                "UPDATE logs SET state = ?, address = ?, log_id = max(log_id, ?) WHERE id = ?",
                (state, address, log_id, self.row.number),
            )
            if head is not None:
                self._writer.write_head(head, now)
            self._tiles.write()
            self._writer.write(self._changes)
            self.cited.write()
            self.streams.write()
            self.findings.write()
        self._changes.clear()
        self._ids.clear()
        if len(self._ends) > _CACHED:
            self._ends.clear()
            self._writer.numbers.clear()

    def finish_round(self, report: str) -> None:
        """Remember how a round went, as JSON."""
        with self._state.writing():
            self.findings.write()
            self._tables.execute(
                "UPDATE logs SET round = ? WHERE id = ?", (report, self.row.number)
            )

    def keep_cited(self, leaves: Collection[int]) -> None:
        """Let go of cited records but those of some leaves."""
        with self._state.writing():
            self.cited.keep_only(leaves)

    def forget_claims(self, compared: Iterable[LeafIndex]) -> None:
        """Strike claims off the list once they were compared; what was found is kept first."""
        with self._state.writing():
            self.findings.write()
            self._tables.write_rows(
                "DELETE FROM claims WHERE log = ? AND leaf = ?",
                [(self.row.number, leaf) for leaf in compared],
            )

    def heads(self, limit: int = 100) -> tuple[tuple[int, int, int, bytes], ...]:
        """Return the newest heads: leaf count, timestamp, when it was seen, note."""
        rows = self._tables.execute(
            "SELECT leaf_count, timestamp, seen_at, note FROM heads WHERE log = ?"
            " ORDER BY leaf_count DESC LIMIT ?",
            (self.row.number, limit),
        )
        return tuple(rows)

    def notes_around(self, leaf: LeafIndex) -> tuple[bytes, ...]:
        """Return the newest head that does not cover a leaf, and the first one that does."""
        log = self.row.number
        rows = self._tables.execute(
            "SELECT note FROM (SELECT leaf_count, note FROM heads WHERE log = ?"
            " AND leaf_count <= ? ORDER BY leaf_count DESC LIMIT 1) UNION ALL SELECT note FROM"
            " (SELECT leaf_count, note FROM heads WHERE log = ? AND leaf_count > ?"
            " ORDER BY leaf_count LIMIT 1)",
            (log, leaf, log, leaf),
        )
        return tuple(note for (note,) in rows)

    def chain_ends(self, subjects: Collection[bytes]) -> Mapping[bytes, ChainEnd]:
        """Return the newest receipt of each subject that has one."""
        unknown = [subject for subject in subjects if subject not in self._ends]
        rows = self._tables.select(
            "SELECT subject, id, seq, body_hash, leaf FROM subjects"
            " WHERE log = ? AND subject IN ({})",
            unknown,
        )
        for subject, number, *end in rows:
            self._writer.numbers[subject] = number
            self._ends[subject] = ChainEnd._make(end)
        return {subject: self._ends[subject] for subject in subjects if subject in self._ends}

    def receipts(self, ids: Collection[bytes]) -> Mapping[bytes, LeafIndex]:
        """Return the leaf of each receipt id that is known."""
        found = {id_: self._ids[id_] for id_ in ids if id_ in self._ids}
        # Ids begin with a time, so most are above all earlier ones, which need no look.
        older = [id_ for id_ in ids if id_ not in found and id_ <= self._newest_id]
        sql = "SELECT id, leaf FROM ids WHERE log = ? AND id IN ({})"
        return found | dict(self._tables.select(sql, older))

    def nonces(self, signers: Collection[bytes]) -> Mapping[bytes, Used]:
        """Return the largest nonce of each signer that has one."""
        sql = "SELECT signer, nonce, leaf FROM nonces WHERE log = ? AND signer IN ({})"
        found = {signer: Used._make(used) for signer, *used in self._tables.select(sql, signers)}
        return _with_pending(found, [c.nonces for c in self._changes], signers)

    def wallets(self, subjects: Collection[bytes]) -> Mapping[bytes, bytes | None]:
        """Return the wallet bound last of each subject that was ever bound."""
        sql = "SELECT subject, wallet FROM wallets WHERE log = ? AND subject IN ({})"
        found: dict[bytes, bytes | None] = dict(self._tables.select(sql, subjects))
        return _with_pending(found, [c.wallets for c in self._changes], subjects)

    def withheld(self, hashes: Collection[bytes]) -> Mapping[bytes, LeafIndex]:
        """Return the leaf of each withheld receipt body, announced or not, by body hash."""
        found = {
            body.body_hash: body.leaf
            for changes in self._changes
            for body in changes.withheld
            if body.type == TYPE_RECEIPT and body.body_hash in hashes
        }
        missing = [hash_ for hash_ in hashes if hash_ not in found]
        for era in self._tables.eras("withheld_hashes") if missing else ():
            found |= dict(self._tables.select(_BY_HASH, missing, era))
        return found

    def announced(self, indices: Collection[LeafIndex]) -> Collection[LeafIndex]:
        """Return those of the leaves that a redaction names."""
        named = {index for changes in self._changes for index in changes.announced}
        sql = "SELECT leaf FROM announced WHERE log = ? AND leaf IN ({})"
        named.update(index for (index,) in self._tables.select(sql, indices))
        return named.intersection(indices)

    def unannounced(self, before: int, limit: int) -> tuple[Withheld, ...]:
        """Return bodies first seen withheld before a second, that no redaction names."""
        rows = self._tables.execute(
            "SELECT leaf, type, body_hash, seen_at FROM withheld"
            " WHERE log = ? AND announced = 0 AND seen_at > 0 AND seen_at < ?"
            " ORDER BY seen_at, leaf LIMIT ?",
            (self.row.number, before, limit),
        )
        return tuple(Withheld._make(row) for row in rows)

    def no_longer_missed(self, leaf: LeafIndex) -> None:
        """Note that a body which had not been served is served now."""
        with self._state.writing():
            self._tables.execute(
                "UPDATE withheld SET seen_at = 0 WHERE log = ? AND leaf = ?",
                (self.row.number, leaf),
            )

    def claims(self, limit: int) -> tuple[Claim, ...]:
        """Return claims that are still to be compared, the oldest first."""
        sql = "SELECT leaf, type FROM claims WHERE log = ? ORDER BY leaf LIMIT ?"
        return tuple(
            Claim._make(row) for row in self._tables.execute(sql, (self.row.number, limit))
        )

    def receipt_leaves(self, subject: bytes, first: int, last: int) -> Mapping[int, LeafIndex]:
        """Return the leaves of a subject's receipts, by number in its chain.

        Args:
            subject: 32 bytes.
            first: number of the first receipt.
            last: number of the last one.
        """
        number = self._tables.execute(
            "SELECT id FROM subjects WHERE log = ? AND subject = ?", (self.row.number, subject)
        ).fetchone()
        found: dict[int, LeafIndex] = {}
        for era in self._tables.eras("places") if number else ():
            rows = self._tables.execute(
                "SELECT pairs FROM places WHERE log = ? AND era = ? AND subject = ?"
                " AND first_seq <= ? AND last_seq >= ? ORDER BY leaf",
                (self.row.number, era, number[0], last, first),
            )
            for (pairs,) in rows:
                numbers = unpack(pairs)
                for seq, leaf in zip(numbers[::2], numbers[1::2], strict=True):
                    if first <= seq <= last:  # of two that contradict each other the first counts
                        found.setdefault(seq, LeafIndex(leaf))
        return found


def _with_pending(
    found: dict[bytes, _T], pending: Iterable[Mapping[bytes, _T]], wanted: Collection[bytes]
) -> dict[bytes, _T]:
    """Return what was found, with what is newer and still to be written."""
    for newer in pending:
        found |= {key: newer[key] for key in wanted if key in newer}
    return found
