"""Growth: tiles must make the signed root, or nothing of what is served is believed."""

from dataclasses import replace

import pytest

from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.tiles import Tile
from nous_ledger.protocol.types import Hash32, NodePos
from sentinel.audit.compare import HeadChange, observe
from sentinel.audit.confirm import verify_evidence
from sentinel.audit.growth import check_fork, check_growth, fork_tiles, growth_tiles
from sentinel.audit.heads import read_head
from sentinel.audit.span import check_span, make_job
from sentinel.audit.state import AuditState, SeenHead
from tests.unit.audit_log import START, AuditLog
from tests.unit.audit_round import Watcher, resume, watch


class Damaged(AuditLog):
    """A log that serves some tile with one byte changed."""

    bad: Tile | None = None
    short = False

    def tile(self, tile: Tile) -> bytes:
        data = super().tile(tile)
        if self.bad is None or (tile.level, tile.index) != (self.bad.level, self.bad.index):
            return data
        return data[:-1] if self.short else data[:-1] + bytes([data[-1] ^ 1])


def first_head(log: AuditLog) -> tuple[Watcher, SeenHead]:
    """Return a watcher that knows the genesis, and the log's head."""
    watcher = watch(log)
    watcher.round(log, log.head(1, START + 1))
    reading = read_head(log.head(), watcher.state.ring, log.policy(), START)  # type: ignore[arg-type]
    assert reading.head is not None
    return watcher, reading.head


@pytest.mark.parametrize(
    ("before", "count"),
    [(1, 2), (1, 256), (1, 520), (200, 256), (255, 257), (256, 257), (256, 512), (300, 513)],
)
def test_every_growth_is_accepted_and_its_spans_are_proved(before: int, count: int) -> None:
    """The frontier vouches for exactly the leaves that are not audited (SENT-3)."""
    log = AuditLog(receipts=before - 1)
    watcher = watch(log)
    watcher.round(log)
    for _ in range(max(count - before, 1)):
        log.receipt()
    watcher.round(log)
    assert watcher.codes() == []
    assert watcher.state.audited == log.count
    assert len(watcher.state.heads) == 1


@pytest.mark.parametrize(("level", "index"), [(1, 0), (0, 2)])
@pytest.mark.parametrize("short", [False, True])
def test_a_damaged_tile_is_no_fork(level: int, index: int, short: bool) -> None:
    """Tiles that do not make the root leave the trusted head as it is (SENT-3, SENT-5)."""
    log = Damaged(receipts=599)
    log.short = short
    watcher = watch(log)
    watcher.round(log, log.head(10))
    log.bad = Tile(level=level, index=index)
    watcher.round(log)
    assert watcher.codes() == [("tree", "root-mismatch", "fault")]
    trusted = watcher.state.trusted
    assert trusted is not None
    assert trusted.leaf_count == 10
    log.bad = None
    watcher.round(log)
    assert watcher.state.audited == 600


def test_a_damaged_tile_at_first_sight_is_told_as_such() -> None:
    log = Damaged(receipts=599)
    log.bad = Tile(level=1, index=0)
    watcher = watch(log)
    watcher.round(log)
    assert watcher.codes() == [("tree", "root-mismatch", "fault")]


@pytest.mark.parametrize("level", [0, 1])
def test_a_proof_from_damaged_tiles_accuses_nobody(level: int) -> None:
    """Only a proof that leads to the seen root speaks against the log (SENT-5)."""
    log = Damaged(receipts=599)
    watcher = watch(log)
    watcher.round(log, log.head(300))
    _, head = first_head(log)
    for index in range(3):
        log.bad = Tile(level=level, index=index)
        tiles = {tile: log.tile(tile) for tile in fork_tiles(watcher.state, head)}
        assert [f.code for f in check_fork(watcher.state, head, tiles)] == ["root-mismatch"]
        short = {tile: data[:-1] for tile, data in tiles.items()}
        assert [f.code for f in check_fork(watcher.state, head, short)] == ["root-mismatch"]


@pytest.mark.parametrize("served", ["other record", "fewer", "swapped"])
def test_entries_that_are_not_the_signed_ones_are_not_believed(served: str) -> None:
    """A bundle that does not hash to what was signed adds nothing (SENT-4)."""
    log, other = AuditLog(receipts=20), AuditLog(receipts=20)
    if served == "swapped":
        other.records[3:5] = reversed(other.records[3:5])
    elif served == "fewer":
        other.records.pop()
    else:
        other.records[4] = AuditLog("other.example", receipts=5).records[4]
    watcher = watch(log)
    watcher.round(log, served=other)
    assert watcher.codes() == [("tree", "root-mismatch", "fault")]
    assert watcher.state.audited == 0
    assert watcher.memory.ids == {}
    trusted = watcher.state.trusted
    assert trusted is not None
    watcher.round(log)
    assert watcher.change is HeadChange.UNCHANGED
    resume(watcher, log)
    assert watcher.state.audited == 21


def test_bodies_that_are_no_bundle_are_could_not_check() -> None:
    log = AuditLog(receipts=5)
    watcher, head = first_head(log)
    tiles = {tile: log.tile(tile) for tile in growth_tiles(watcher.state, head)}
    growth = check_growth(watcher.state, head, tiles, watcher.nodes)
    assert growth.frontier is not None
    job = make_job(growth.state, growth.frontier, 0, log.entries(0, 6), b"\x00")
    facts = check_span(job)
    assert (facts.leaves, [f.code for f in facts.findings]) == (b"", ["unreachable"])


def behind(log: AuditLog, audited: int, counts: tuple[int, ...]) -> tuple[Watcher, AuditState]:
    """Return a watcher that accepted heads whose records it has not read."""
    watcher = watch(log)
    watcher.round(log, log.head(audited))
    state = watcher.state
    for count in counts:
        reading = read_head(log.head(count), state.ring, log.policy(), START)  # type: ignore[arg-type]
        assert reading.head is not None
        tiles = {tile: log.tile(tile) for tile in growth_tiles(state, reading.head)}
        growth = check_growth(state, reading.head, tiles, watcher.nodes)
        assert growth.frontier is not None
        state = growth.state
    return watcher, state


def test_heads_go_on_while_records_cannot_be_read() -> None:
    log = AuditLog(receipts=520)
    watcher, state = behind(log, 100, (200, 256, 513, 521))
    assert [head.leaf_count for head in state.heads] == [100, 200, 256, 513, 521]
    watcher.state = state
    resume(watcher, log)
    assert [head.leaf_count for head in watcher.state.heads] == [521]
    assert watcher.codes() == []


def test_a_head_that_contradicts_one_whose_records_were_not_read_is_a_fork() -> None:
    log, other = AuditLog(receipts=600), AuditLog(receipts=500)
    other.receipt(status=1)
    for _ in range(300):
        other.receipt()
    watcher, state = behind(log, 100, (300, 601))
    reading = read_head(other.head(), state.ring, log.policy(), START)  # type: ignore[arg-type]
    assert reading.head is not None
    head = reading.head
    tiles = {tile: other.tile(tile) for tile in growth_tiles(state, head)}
    growth = check_growth(state, head, tiles, watcher.nodes)
    assert (growth.frontier, growth.findings) == (None, ())
    tiles = {tile: other.tile(tile) for tile in fork_tiles(state, head)}
    (found,) = check_fork(state, head, tiles)
    assert found.evidence is not None
    assert verify_evidence(found.evidence, log.policy()).counts == (601, 802)


@pytest.mark.parametrize(("count", "change"), [(300, HeadChange.STALE), (200, HeadChange.UNPROVED)])
def test_smaller_heads_are_compared_as_far_as_the_tree_is_known(
    count: int, change: HeadChange
) -> None:
    log = AuditLog(receipts=600)
    watcher, state = behind(log, 100, (300, 601))
    reading = read_head(log.head(count), state.ring, log.policy(), START)  # type: ignore[arg-type]
    assert reading.head is not None
    observed = observe(state, reading.head, watcher.nodes)
    assert observed.change is change
    assert [f.code for f in observed.findings] == [change.value]


def test_a_fork_below_records_that_were_not_read_has_no_evidence_yet() -> None:
    log = AuditLog(receipts=600)
    watcher, state = behind(log, 100, (601,))
    told = log.head(50, root=Hash32(sha256(b"other")))
    reading = read_head(told, state.ring, log.policy(), START)  # type: ignore[arg-type]
    assert reading.head is not None
    state = replace(state, heads=state.heads[1:])
    observed = observe(state, reading.head, watcher.nodes)
    assert observed.change is HeadChange.FORKED
    assert observed.findings[0].evidence is None


def test_a_smaller_head_that_is_later_needs_no_tree_to_convict() -> None:
    log = AuditLog(receipts=600)
    watcher, state = behind(log, 100, (300, 601))
    told = log.head(200, START + 9_000)
    reading = read_head(told, state.ring, log.policy(), START)  # type: ignore[arg-type]
    assert reading.head is not None
    observed = observe(state, reading.head, watcher.nodes)
    assert observed.change is HeadChange.ROLLED_BACK
    assert observed.findings[0].evidence is not None
    assert verify_evidence(observed.findings[0].evidence, log.policy()).counts == (200, 601)


def test_more_leaves_than_anybody_has_could_not_be_checked() -> None:
    log = AuditLog(receipts=2)
    watcher, head = first_head(log)
    for count in ((1 << 28) + 2, (1 << 53) - 1):
        with pytest.raises(UnavailableError, match="beyond what can be read"):
            growth_tiles(watcher.state, head._replace(leaf_count=count))  # type: ignore[arg-type]
    most = head._replace(leaf_count=(1 << 28) + 1)  # type: ignore[arg-type]
    assert len(growth_tiles(watcher.state, most)) == 4_098


def test_nodes_that_are_not_remembered_are_could_not_check() -> None:
    log = AuditLog(receipts=20)
    watcher = watch(log)
    watcher.round(log)
    reading = read_head(log.head(7), watcher.state.ring, log.policy(), START)  # type: ignore[arg-type]
    assert reading.head is not None

    def forgetful(positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        raise UnavailableError("unproved", f"{len(positions)} nodes are gone")

    assert observe(watcher.state, reading.head, forgetful).change is HeadChange.UNPROVED
