"""Whatever a log signs, and whatever somebody on the way makes of it, the sentinel goes on.

The log's owner holds all keys: its garbage is signed. Somebody on the way holds none, and
can never make an honest log look as if it misbehaved.
"""

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.tiles import TileKind, parse_tile_path
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, LogId, UnixSeconds
from sentinel.audit.confirm import verify_evidence
from sentinel.audit.findings import Severity
from sentinel.audit.growth import MAX_NEW_LEAVES, growth_tiles
from sentinel.audit.keys import KeyRing
from sentinel.audit.state import AuditState, SeenHead
from sentinel.folder_source import FolderSource
from sentinel.log_audit import LogAudit
from sentinel.log_options import Bodies, Options
from sentinel.report import Outcome, RoundReport
from sentinel.sources import NotThereError, TileSource
from sentinel.state import State
from sentinel.state_findings import list_findings, read_finding
from tests.zoo.folders import write_folder
from tests.zoo.forger import Forger
from tests.zoo.heads import head_of
from tests.zoo.tree import tile_bytes

NOW = 1_800_000_000
DEFAULT, FULL = 6, 400


def look(log: Forger, folder: Path, state: Path, bodies: Bodies) -> RoundReport:
    options = Options(
        policy=parse_policy(log.policy()), origin=log.origin, clock=lambda: NOW, bodies=bodies
    )
    with State.held(state) as opened, FolderSource(folder) as source:
        return LogAudit(opened, source, options).round()


def mutated(draw: random.Random, data: bytes) -> bytes:
    """Return bytes with a few of them changed, added, taken away or repeated."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        at = draw.randrange(len(found) + 1)
        match draw.randrange(4):
            case 0 if at < len(found):
                found[at] ^= 1 << draw.randrange(8)
            case 1:
                found[at:at] = draw.randbytes(draw.randrange(1, 9))
            case 2:
                del found[at : at + draw.randrange(1, 40)]
            case _:
                start = draw.randrange(len(found) + 1)
                found[at : at + 122] = found[start : start + 122]
    return bytes(found)


def eventful(log: Forger) -> Forger:
    """Let a log have a record of every type."""
    for subject in (0, 1, 2, 0, 1):
        log.receipt(subject)
    log.bind(0)
    log.state(0)
    log.reconcile(1)
    log.redact(2)
    log.rotate()
    log.receipt(0)
    return log


def test_signed_garbage_is_found_and_nothing_falls_over(tmp_path: Path, *, full: bool) -> None:
    """Bodies, types, indices, epochs and times of an owner who signs anything."""
    outcomes: set[str] = set()
    for seed in range(FULL if full else DEFAULT):
        draw = random.Random(seed)
        log = eventful(Forger(NOW - 1000))
        entry = draw.choice(log.entries)
        changes = {
            "index": draw.choice((0, 1, log.count + 1, 2**53 - 1)),
            "epoch": draw.choice((0, 2, 63, 2**32 - 1)),
            "logged_at": draw.choice((0, log.now_ms - 10**6, log.now_ms + 10**9, 2**53 - 1)),
        }
        kept = {name: value for name, value in changes.items() if draw.random() < 0.2}
        log.put(
            draw.choice((entry.decoded.type, draw.randrange(8))), mutated(draw, entry.body), **kept
        )
        log.receipt(1)
        folder = tmp_path / str(seed)
        write_folder(log, folder)
        state = tmp_path / f"{seed}.sqlite"
        reports = [look(log, folder, state, Bodies.EXPECTED) for _ in range(2)]
        outcomes.add(reports[-1].outcome.value)
    assert "wrong" in outcomes


def test_damage_on_the_way_is_no_alarm(tmp_path: Path, *, full: bool) -> None:
    """Files of an honest log, altered by somebody who cannot sign; then served as they are."""
    log = eventful(Forger(NOW - 1000))
    write_folder(log, tmp_path / "before")
    look(log, tmp_path / "before", tmp_path / "known.sqlite", Bodies.OPTIONAL)
    log.wait(5)
    write_folder(eventful(log), tmp_path / "after")
    files = sorted(path for path in (tmp_path / "after").rglob("*") if path.is_file())
    for seed in range(FULL if full else DEFAULT):
        draw = random.Random(seed)
        folder, state = tmp_path / f"{seed}", tmp_path / f"{seed}.sqlite"
        shutil.copytree(tmp_path / "after", folder)
        if draw.random() < 0.5:
            shutil.copy(tmp_path / "known.sqlite", state)
        chosen = folder / draw.choice(files).relative_to(tmp_path / "after")
        chosen.write_bytes(mutated(draw, chosen.read_bytes()))
        damaged = look(log, folder, state, Bodies.OPTIONAL)
        mended = look(log, tmp_path / "after", state, Bodies.OPTIONAL)
        for report in (damaged, mended):
            severities = {found.severity for found in report.findings}
            assert Severity.ALARM not in severities, (seed, report)
        assert mended.audited == log.count
        assert Severity.FAULT not in {found.severity for found in mended.findings}, (seed, mended)


class Once(FolderSource):
    """Shows the key events, then each record and body once, and then no more."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.shown: Counter[str] = Counter()

    def entries(self, index: int, width: int) -> bytes:
        return self._once(f"entries {index}", super().entries(index, width))

    def bodies(self, index: int, width: int) -> bytes:
        return self._once(f"bodies {index}", super().bodies(index, width))

    def _once(self, name: str, data: bytes) -> bytes:
        self.shown[name] += 1
        if self.shown[name] > 2:
            raise UnavailableError("unreachable", f"{name} is not there any more")
        return data


@pytest.mark.parametrize("crime", ["record", "body", "pair"])
def test_a_bad_record_that_is_shown_once_is_proved(crime: str, tmp_path: Path) -> None:
    """The log does not get away with refusing what the evidence needs."""
    log = Forger(NOW - 1000)
    log.receipt(0)
    match crime:
        case "record":
            log.put(1, log.draft(0), epoch=7)
        case "body":
            log.put(1, b"\xc0")
        case _:
            log.put(1, log.draft(0), logged_at=log.now_ms - 60_000)
    log.receipt(1)
    log.state(1)  # a statement, whose receipts are read again before any evidence is made
    write_folder(log, tmp_path / "log")
    policy = parse_policy(log.policy())
    options = Options(policy=policy, origin=log.origin, clock=lambda: NOW, bodies=Bodies.EXPECTED)
    with State.held(tmp_path / "state") as state, Once(tmp_path / "log") as source:
        for _ in range(2):
            report = LogAudit(state, source, options).round()
            assert report.outcome is Outcome.WRONG
        alarms = [one for one in list_findings(state) if one.severity is Severity.ALARM]
        assert alarms
        for alarm in alarms:
            evidence = read_finding(state, alarm.id)[1]
            assert evidence is not None, alarm
            verify_evidence(evidence, policy)
        assert state.connection.execute("SELECT count(*) FROM cited").fetchone() == (0,)


class Until(TileSource):
    """Serves a log of any length, and no records from some bundle on."""

    def __init__(self, log: Forger, bundles: int) -> None:
        self.name = "log"
        self._log, self._bundles, self._head = log, bundles, head_of(log)

    def close(self) -> None:
        """Nothing is open."""

    def _fetch(self, path: str, limit: int) -> bytes:  # noqa: ARG002 - the port's signature
        if path == "checkpoint":
            return self._head
        tile = parse_tile_path(path)
        data = tile_bytes(self._log.entries, tile)
        if data is None or (tile.kind is not TileKind.HASHES and tile.index >= self._bundles):
            raise NotThereError("unreachable", f"{path} is not there")
        return data


@pytest.mark.parametrize("leaves", [512, 600])
def test_a_log_that_serves_nothing_after_its_crime_is_convicted(
    leaves: int, tmp_path: Path
) -> None:
    """The path to the bad record leads through hashes that nobody has audited."""
    log = Forger(NOW - 1000)
    log.receipt(0)
    log.put(1, b"\xc0")
    log.grow(leaves - log.count)
    policy = parse_policy(log.policy())
    options = Options(policy=policy, origin=log.origin, clock=lambda: NOW, bodies=Bodies.EXPECTED)
    with State.held(tmp_path / "state") as state:
        report = LogAudit(state, Until(log, 1), options).round()
        assert (report.leaf_count, report.audited) == (leaves, 256)
        assert report.outcome is Outcome.WRONG
        (alarm,) = [one for one in list_findings(state) if one.severity is Severity.ALARM]
        evidence = read_finding(state, alarm.id)[1]
        assert evidence is not None
        assert verify_evidence(evidence, policy).counts == (leaves,)
        later = LogAudit(state, Until(log, 3), options).round()
        assert later.audited == leaves


def test_a_head_over_more_leaves_than_there_can_be_is_not_followed() -> None:
    """Its tiles alone would fill the memory."""
    ring = KeyRing(origin="a", pinned=frozenset({LogId(bytes(32))}))
    for count in (MAX_NEW_LEAVES + 1, 2**53 - 1):
        head = SeenHead(b"", LeafCount(count), Hash32(bytes(32)), UnixSeconds(NOW), Epoch(0))
        with pytest.raises(UnavailableError):
            growth_tiles(AuditState(ring=ring), head)
