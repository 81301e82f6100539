"""The audit of one log: what a round reads, in which order, and what it commits when.

Every decision is made in `sentinel.audit`; here is only what surrounds it: reading,
remembering, and sharing the work between processes. A head is trusted before its
records are read, and a record is remembered only after it was compared with a hash
that a trusted head vouches for. What was audited is committed every few seconds, so
an audit that was interrupted goes on where it was.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from nous_ledger.protocol.errors import LedgerError, UnavailableError
from nous_ledger.protocol.tiles import ENTRY_BYTES, FULL_WIDTH, Tile, decode_bodies
from nous_ledger.protocol.types import LeafCount, UnixSeconds
from sentinel.audit.compare import HeadChange, observe
from sentinel.audit.findings import Finding, Place
from sentinel.audit.fold import fold
from sentinel.audit.growth import Frontier, check_fork, check_growth, fork_tiles, growth_tiles
from sentinel.audit.heads import HeadReading, read_head
from sentinel.audit.keys import KeyRing, advance_keys, key_event_indices, settle, start_ring
from sentinel.audit.span import SpanFacts, SpanJob, check_span, make_job
from sentinel.audit.state import AuditState, SeenHead
from sentinel.audit.state_json import state_from_json, state_to_json
from sentinel.errors import StateError
from sentinel.fetching import Bundle, fetch_bundles, width_of
from sentinel.log_options import Bodies, Options
from sentinel.report import RoundReport
from sentinel.round_end import compare_claims, finish, look_at_the_clock
from sentinel.round_proofs import prove_findings
from sentinel.sources import Source
from sentinel.state import State
from sentinel.state_memory import LogMemory
from sentinel.workers import WORTH_PROCESSES, Workers

if TYPE_CHECKING:
    from sentinel.evm import AnchorContract

COMMIT_RECORDS: Final = 32_768
COMMIT_S: Final = 4.0
"""A commit is due after so many records or seconds."""
SCAN_S: Final = 3_600.0
"""Longest time that key events are looked for on behalf of a head that a known key signed."""
UNVOUCHED_SCAN_S: Final = 60.0
"""The same on behalf of a head that no known key signed: anybody may have made it up."""
ROUND_S: Final = 900.0
BUNDLE_S: Final = 5.0
"""A round ends after so many seconds, and so many more for each bundle of records that it
audited, whatever is left: nobody can hold it up for ever by answering slowly."""


class LogAudit:
    """One log, its source, and what is remembered of it."""

    def __init__(self, state: State, source: Source, options: Options) -> None:
        """Go on with what is remembered of a log, or begin.

        Args:
            state: what is remembered.
            source: where the log is read.
            options: how.

        Raises:
            UnavailableError: unknown-log, unpinned.
            StateError: what is remembered could not be read.
        """
        ring = start_ring(options.origin, options.policy)
        self._row = state.pinned_log(options.origin, ring.pinned)
        self._state_file = state
        self.options = options
        self.source = source
        self.state = _remembered(self._row.state, ring)
        self._ring = self.state.ring
        self.memory = LogMemory(state, self._row, self.state.audited)
        self.found: list[Finding] = []
        self.change = ""
        self.frontier: Frontier | None = None
        self._given: deque[SpanJob] = deque()  # spans whose facts are still to come
        self._committed = self._started = time.monotonic()
        self._before = self.state.audited

    def round(self) -> RoundReport:
        """Look at the log once, and return how that went.

        Raises:
            StateError: what is to be remembered could not be written.
        """
        self._started, self._before = time.monotonic(), self.state.audited
        now = self.now()
        self.found, self.change, self.frontier = [], "", None
        # Each step by itself: what a log refuses in one must not keep the next from being taken.
        if self._attempt(self._look):
            self._attempt(partial(compare_claims, self))
        self._attempt(partial(prove_findings, self))
        if self.options.peers:
            self._look_at_peers()
        if self.options.anchors is not None:
            self._look_at_anchors(self.options.anchors)
        look_at_the_clock(self)
        self._commit()
        return finish(self, now=now, started=self._started, before=self._before)

    def _attempt(self, step: Callable[[], None]) -> bool:
        """Take a step of the round; return whether the log let it be finished."""
        try:
            step()
        except StateError:
            raise
        except UnavailableError as error:
            # What fails because the source was closed says nothing about the log.
            if not self.options.stopping():
                self.report([_unreachable(error)])
            return False
        return True

    def _look_at_peers(self) -> None:
        """Compare with other witnesses, who are asked even if the log itself cannot be read."""
        from sentinel.peers import KeptHeads, look_at_peers  # noqa: PLC0415 - reads over HTTP

        kept = KeptHeads(self._state_file, self._row.number)
        look_at_peers(self, self.options.peers, kept)

    def _look_at_anchors(self, contract: AnchorContract) -> None:
        """Compare with what is anchored on a chain."""
        from sentinel.evm import KnownAnchors, look_at_anchors  # noqa: PLC0415 - reads over HTTP

        known = KnownAnchors(self._state_file, self._row.number, contract.name)
        look_at_anchors(self, contract, known, self.options.anchor_max_age_s)

    def in_time(self) -> bool:
        """Return whether the round may go on, for what it has done so far."""
        bundles = (self.state.audited - self._before) / FULL_WIDTH
        return time.monotonic() - self._started <= ROUND_S + BUNDLE_S * bundles

    def now(self) -> UnixSeconds:
        """Return the second by this machine's clock."""
        return UnixSeconds(int(self.options.clock()))

    def report(self, found: Iterable[Finding]) -> None:
        """Remember findings."""
        found = list(found)
        self.found += found
        self.memory.findings.add(found, self.now())

    def _look(self) -> None:
        reading = self._read_head(self.source.head())
        self.report(reading.findings)
        if reading.head is None:
            return
        observed = observe(self.state, reading.head, self.memory.read_nodes)
        self.change = observed.change.value
        self.report(observed.findings)
        if observed.change is HeadChange.GREW:
            frontier = self._accept(reading.head)
        else:
            self.state = observed.state
            self._commit(reading.head if observed.change is HeadChange.HEARTBEAT else None)
            frontier = self._go_on()
        self.frontier = frontier
        if frontier is not None and not self.options.heads_only:
            self._audit_records(frontier)

    def _read_head(self, note: bytes) -> HeadReading:
        """Read a head; of a later epoch, after looking for the key that signed it."""
        started, ring = time.monotonic(), self.state.ring
        policy, max_age = self.options.policy, self.options.max_age_s
        reading = read_head(note, ring, policy, self.now(), max_age)
        while reading.needs is not None:
            longest = SCAN_S if reading.vouched else UNVOUCHED_SCAN_S
            ring = self._scan(ring, reading, started + longest)
            reading = read_head(note, ring, policy, self.now(), max_age)
        if reading.head is not None:
            self._ring = ring
            self.state = replace(self.state, ring=ring)
        return reading

    def _scan(self, ring: KeyRing, reading: HeadReading, until: float) -> KeyRing:
        """Look for the next key event; the first one is at leaf 0 or nowhere."""
        count, epoch = reading.leaf_count, ring.epoch
        end = min(count, FULL_WIDTH) if ring.history is None else count
        for bundle in fetch_bundles(self.source, ring.scanned, end, bodies=False):
            ring = self._advance(ring, bundle, count)
            if ring.epoch > epoch or ring.broken is not None:
                return ring
            if self.options.stopping() or time.monotonic() > until:
                raise UnavailableError("unreachable", "looking for key events took too long")
        return replace(ring, scanned=count)

    def _advance(self, ring: KeyRing, bundle: Bundle, count: int) -> KeyRing:
        """Return the ring after the key events of a bundle."""
        bodies: tuple[bytes, ...] | None = None
        width = width_of(bundle.number, count)
        for index in key_event_indices(bundle.entries, bundle.first):
            if index < ring.scanned:
                continue
            if bodies is None:
                served = bundle.bodies or self.source.bodies(bundle.number, width)
                bodies = decode_bodies(served, width)
            at = index - bundle.first
            record = bundle.entries[at * ENTRY_BYTES + 2 : (at + 1) * ENTRY_BYTES]
            ring = advance_keys(ring, index, record, bodies[at])
        end = LeafCount(bundle.first + width)
        return replace(ring, scanned=max(ring.scanned, end))

    def _accept(self, head: SeenHead) -> Frontier | None:
        """Trust a larger head if its tree extends the remembered one."""
        tiles = self._fetch(growth_tiles(self.state, head))
        growth = check_growth(self.state, head, tiles, self.memory.read_nodes)
        self.report(growth.findings)
        if growth.frontier is None and not growth.findings:
            tiles = self._fetch(fork_tiles(self.state, head))
            self.report(check_fork(self.state, head, tiles))
        self.state = growth.state
        if growth.frontier is not None:
            self._commit(head)
        return growth.frontier

    def _go_on(self) -> Frontier | None:
        """Return what is left to be audited below the trusted head, if anything is."""
        trusted = self.state.trusted
        waits = trusted is not None and self.state.audited < trusted.leaf_count
        if trusted is None or not waits or self.options.heads_only:
            return None
        tiles = self._fetch(growth_tiles(self.state, trusted))
        growth = check_growth(self.state, trusted, tiles, self.memory.read_nodes)
        self.report(growth.findings)
        if growth.frontier is None and not growth.findings:
            text = "the tiles do not lead to the signed root"
            self.report(
                [
                    Finding(
                        place=Place.TREE,
                        code="root-mismatch",
                        message=text,
                        count=trusted.leaf_count,
                    )
                ]
            )
        return growth.frontier

    def _fetch(self, tiles: Iterable[Tile]) -> dict[Tile, bytes]:
        return {tile: self.source.tile(tile.level, tile.index, tile.width) for tile in tiles}

    def _audit_records(self, frontier: Frontier) -> None:
        count = frontier.leaf_count
        waiting = count - self.state.audited
        processes = self.options.processes if waiting >= WORTH_PROCESSES else 1
        self.options.progress(self.state.audited, count)
        try:
            self._given.clear()
            with closing(Workers(check_span, processes).run(self._jobs(frontier))) as spans:
                self._fold_spans(spans, count)
        finally:
            self._ring = settle(self._ring, self.state.audited)
            self.state = replace(self.state, ring=self._ring)
            self._commit()

    def _fold_spans(self, spans: Iterable[SpanFacts], count: int) -> None:
        """Fold spans as long as it goes on, and commit now and then."""
        since = self.state.audited
        for facts in spans:
            if not self._take(facts, self._given.popleft()):
                return
            self.options.progress(self.state.audited, count)
            due = self.state.audited - since >= COMMIT_RECORDS
            if due or time.monotonic() - self._committed >= COMMIT_S:
                self._commit()
                since = self.state.audited

    def _jobs(self, frontier: Frontier) -> Iterator[SpanJob]:
        count = frontier.leaf_count
        bodies = self.options.bodies is not Bodies.NONE
        state = self.state
        for bundle in fetch_bundles(self.source, state.audited, count, bodies=bodies):
            if self.options.stopping() or not self.in_time():
                return
            self._ring = self._advance(self._ring, bundle, count)
            state = replace(state, ring=self._ring)
            job = make_job(state, frontier, bundle.number, bundle.entries, bundle.bodies)
            self._given.append(job)
            yield job

    def _take(self, facts: SpanFacts, job: SpanJob) -> bool:
        """Fold the facts of the next span; return whether the audit can go on."""
        if not facts.leaves:
            self.report(facts.findings)
            return False
        state = replace(self.state, ring=self._ring)
        folded = fold(state, facts, self.memory, self.now())
        self.report(folded.findings)
        self.memory.cited.keep(folded.findings, job)
        if folded.state.audited == self.state.audited:
            return False
        self.state = folded.state
        self.report(self.memory.take(facts.leaves, folded.changes))
        return True

    def _commit(self, head: SeenHead | None = None) -> None:
        state = replace(self.state, ring=settle(self._ring, self.state.audited))
        history = state.ring.history
        self.memory.commit(
            state_to_json(state),
            head,
            log_id=b"" if history is None else history.log_id,
            address=self.source.name,
            now=self.now(),
        )
        self._committed = time.monotonic()


def _remembered(text: str, ring: KeyRing) -> AuditState:
    """Return where an audit stood; where nothing is remembered, its beginning."""
    if not text:
        return AuditState(ring=ring)
    try:
        return state_from_json(text, ring)
    except (ValueError, TypeError, KeyError, LedgerError) as error:
        text = f"what is remembered of {ring.origin} is damaged: {type(error).__name__}"
        raise StateError("state-corrupt", text) from error


def _unreachable(error: UnavailableError) -> Finding:
    return Finding(place=Place.SOURCE, code="unreachable", message=error.message)
