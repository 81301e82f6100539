"""Rounds of a sentinel with all of its memory in dicts: what the shell does, without I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.mmr import append_nodes, next_peaks
from nous_ledger.protocol.policy import Policy
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, NodePos, UnixSeconds
from sentinel.audit.claims import (
    Cited,
    check_reconciliation,
    check_statement,
    reconciled_leaf,
    summed_range,
)
from sentinel.audit.compare import HeadChange, observe
from sentinel.audit.findings import Finding
from sentinel.audit.fold import fold
from sentinel.audit.growth import Frontier, check_fork, check_growth, fork_tiles, growth_tiles
from sentinel.audit.heads import read_head
from sentinel.audit.keys import KeyRing, advance_keys, key_event_indices, settle, start_ring
from sentinel.audit.ports import ChainEnd, Changes, Claim, Used, Withheld
from sentinel.audit.prove import Case, prove
from sentinel.audit.rounds import check_freshness, check_notices
from sentinel.audit.span import check_span, is_proved, make_job
from sentinel.audit.state import AuditState, SeenHead
from tests.unit.audit_log import START, AuditLog


class DictMemory:
    """A memory in dicts."""

    def __init__(self) -> None:
        self.ids: dict[bytes, LeafIndex] = {}
        self.places: dict[tuple[bytes, int], LeafIndex] = {}
        self.ends: dict[bytes, ChainEnd] = {}
        self.used: dict[bytes, Used] = {}
        self.bound: dict[bytes, bytes | None] = {}
        self.gone: dict[LeafIndex, Withheld] = {}
        self.named: set[LeafIndex] = set()
        self.claims: list[Claim] = []

    def chain_ends(self, subjects: Collection[bytes]) -> Mapping[bytes, ChainEnd]:
        return {key: self.ends[key] for key in subjects if key in self.ends}

    def receipts(self, ids: Collection[bytes]) -> Mapping[bytes, LeafIndex]:
        return {key: self.ids[key] for key in ids if key in self.ids}

    def nonces(self, signers: Collection[bytes]) -> Mapping[bytes, Used]:
        return {key: self.used[key] for key in signers if key in self.used}

    def wallets(self, subjects: Collection[bytes]) -> Mapping[bytes, bytes | None]:
        return {key: self.bound[key] for key in subjects if key in self.bound}

    def withheld(self, hashes: Collection[bytes]) -> Mapping[bytes, LeafIndex]:
        gone = self.gone.values()
        return {item.body_hash: item.leaf for item in gone if item.body_hash in hashes}

    def unannounced(self, before: int, limit: int) -> tuple[Withheld, ...]:
        late = [self.gone[leaf] for leaf in sorted(self.gone.keys() - self.named)]
        return tuple(item for item in late if 0 < item.seen_at < before)[:limit]

    def apply(self, changes: Changes) -> None:
        for receipt in changes.receipts:
            self.ids[receipt.id] = receipt.leaf
            self.places[receipt.subject, receipt.seq] = receipt.leaf
        self.ends.update(changes.subjects)
        self.used.update(changes.nonces)
        self.bound.update(changes.wallets)
        self.gone.update({item.leaf: item for item in changes.withheld})
        self.named.update(changes.announced)
        self.claims.extend(changes.claims)


class Watcher:
    """A sentinel of one log, with the source left out.

    Attributes:
        state: where the audit stands.
        findings: everything found, in order, evidence included.
    """

    def __init__(self, policy: Policy, origin: str, *, bodies: bool = True) -> None:
        self.policy = policy
        self.bodies = bodies
        self.memory = DictMemory()
        self.state = AuditState(ring=start_ring(origin, policy))
        self.findings: list[Finding] = []
        self.change: HeadChange | None = None
        self._nodes: list[Hash32] = []
        self._peaks: tuple[Hash32, ...] = ()
        self._records: list[bytes] = []
        self._bodies: list[bytes] = []

    def nodes(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        if any(position >= len(self._nodes) for position in positions):
            raise UnavailableError("unproved", "not known yet")
        return tuple(self._nodes[position] for position in positions)

    def round(
        self,
        log: AuditLog,
        head: bytes | None = None,
        now: int | None = None,
        served: AuditLog | None = None,
    ) -> list[Finding]:
        """Look at a head and what is served with it; return what was found in this round."""
        before = len(self.findings)
        at = START + log.count if now is None else now
        self._look(served or log, head or log.head(), UnixSeconds(at))
        return self.findings[before:]

    def codes(self) -> list[tuple[str, str, str]]:
        """Return place, code and severity of all that was found but notices."""
        named = [(f.place.value, f.code, f.severity.value) for f in self.findings]
        return [item for item in named if item[2] != "notice"]

    def _look(self, served: AuditLog, note: bytes, now: UnixSeconds) -> None:
        head = self._read(served, note, now)
        if head is None:
            return
        observed = observe(self.state, head, self.nodes)
        self.change = observed.change
        self.state = observed.state
        self.findings += observed.findings
        if observed.change is HeadChange.GREW:
            frontier = self.grow(served, head)
            if frontier is not None:
                self.audit(served, frontier, now)
        self.state, found = check_freshness(self.state, now)
        self.findings += found
        self.findings += check_notices(self.state, self.memory, now, expected=self.bodies)

    def _read(self, served: AuditLog, note: bytes, now: UnixSeconds) -> SeenHead | None:
        ring = self.state.ring
        reading = read_head(note, ring, self.policy, now)
        if reading.needs is not None:
            for at in range(ring.scanned, min(reading.leaf_count, served.count)):
                if key_event_indices(b"\x00\x78" + served.records[at], LeafIndex(at)):
                    ring = self._advance(ring, served, at)
                if ring.epoch == reading.needs:
                    break
            else:
                ring = replace(ring, scanned=reading.leaf_count)
            reading = read_head(note, ring, self.policy, now)
            if reading.head is not None:
                self.state = replace(self.state, ring=settle(ring, self.state.audited))
        self.findings += reading.findings
        return reading.head

    def _advance(self, ring: KeyRing, served: AuditLog, at: int) -> KeyRing:
        return advance_keys(ring, LeafIndex(at), served.records[at], served.bodies[at])

    def grow(self, served: AuditLog, head: SeenHead) -> Frontier | None:
        tiles = {tile: served.tile(tile) for tile in growth_tiles(self.state, head)}
        growth = check_growth(self.state, head, tiles, self.nodes)
        self.state = growth.state
        self.findings += growth.findings
        if growth.frontier is None and not growth.findings:
            tiles = {tile: served.tile(tile) for tile in fork_tiles(self.state, head)}
            self.findings += check_fork(self.state, head, tiles)
        return growth.frontier

    def audit(self, served: AuditLog, frontier: Frontier, now: UnixSeconds) -> None:
        heads, found = self.state.heads, len(self.findings)
        for bundle in range(self.state.audited // 256, -(-frontier.leaf_count // 256)):
            self._span(served, frontier, bundle, now)
        claims, self.memory.claims = self.memory.claims, []
        for claim in claims:
            finding = self._claim(claim)
            self.findings += [] if finding is None else [finding]
        case = self.case(heads)
        self.findings[found:] = [prove(finding, case) for finding in self.findings[found:]]

    def case(self, heads: tuple[SeenHead, ...]) -> Case:
        leaves = {LeafIndex(at): self.cited(at) for at in range(len(self._records))}
        return Case(ring=self.state.ring, heads=heads, leaves=leaves, nodes=self.nodes)

    def cited(self, at: int) -> Cited:
        return Cited(LeafIndex(at), self._records[at], self._bodies[at] or None)

    def _span(self, served: AuditLog, frontier: Frontier, bundle: int, now: UnixSeconds) -> None:
        width = frontier.width(bundle)
        entries = served.entries(bundle, width)
        ring = self.state.ring
        if is_proved(entries, frontier.expected(bundle)):
            for at in key_event_indices(entries, LeafIndex(bundle * 256)):
                ring = self._advance(ring, served, at)
        self.state = replace(self.state, ring=ring)
        bodies = served.served_bodies(bundle, width) if self.bodies else None
        facts = check_span(make_job(self.state, frontier, bundle, entries, bodies))
        folded = fold(self.state, facts, self.memory, now)
        self.findings += folded.findings
        if folded.state.audited == self.state.audited:
            self.state = replace(self.state, ring=settle(ring, self.state.audited))
            return
        for start in range(0, len(facts.leaves), 32):
            added = append_nodes(
                LeafCount(len(self._records)), Hash32(facts.leaves[start : start + 32]), self._peaks
            )
            self._peaks = next_peaks(self._peaks, added)
            self._nodes += added
            self._records.append(served.records[len(self._records)])
            self._bodies.append(served.bodies[len(self._bodies)])
        self.memory.apply(folded.changes)
        settled = settle(folded.state.ring, folded.state.audited)
        self.state = replace(folded.state, ring=settled)

    def _claim(self, claim: Claim) -> Finding | None:
        body = self._bodies[claim.leaf]
        if claim.type == 2:
            return check_reconciliation(claim.leaf, body, self.cited(reconciled_leaf(body)))
        subject, first, last = summed_range(body)
        places = [self.memory.places.get((subject, seq)) for seq in range(first, last + 1)]
        cited = (None if place is None else self.cited(place) for place in places)
        totals = self.state.totals
        complete = not (totals.withheld or totals.garbled or totals.unread)
        return check_statement(claim.leaf, body, cited, complete=complete)


def watch(log: AuditLog, *, bodies: bool = True) -> Watcher:
    """Return a watcher that pins a log and has seen nothing yet."""
    return Watcher(log.policy(), log.origin, bodies=bodies)


def resume(watcher: Watcher, log: AuditLog) -> None:
    """Go on with the records of the trusted head."""
    head = watcher.state.trusted
    assert head is not None
    frontier = watcher.grow(log, head)
    assert frontier is not None
    watcher.audit(log, frontier, UnixSeconds(START))
