"""Rounds over real logs: what is read, what is remembered, and where an audit goes on."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.record import TYPE_KEY
from nous_ledger.protocol.types import LeafCount
from sentinel.audit.confirm import verify_evidence
from sentinel.http_source import HttpSource
from sentinel.log_options import Bodies
from sentinel.report import Outcome
from sentinel.state import State
from sentinel.state_findings import list_findings, read_finding
from tests.integration.gateway.rig import AUDITOR, AUDITOR_HASH
from tests.integration.ledger_drafts import Clock, make_draft
from tests.integration.ledger_keys import Keys
from tests.integration.published_log import PublishedLog, published_log
from tests.integration.sentinel.sentinel_rig import Watched, Watcher, codes, watcher_of

TWO_PROCESSES = 2


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PublishedLog]:
    with published_log(tmp_path) as made:
        made.grow(300)
        made.publish()
        yield made


@pytest.fixture
def watcher(log: PublishedLog, tmp_path: Path) -> Watcher:
    return watcher_of(log, tmp_path)


def test_the_first_round_reads_everything_and_the_next_nothing(
    log: PublishedLog, watcher: Watcher
) -> None:
    first = watcher.round()
    assert (first.outcome, codes(first), first.change) == (Outcome.GOOD, set(), "grew")
    assert (first.leaf_count, first.audited, first.new) == (300, 300, 300)
    assert first.totals.receipts == 299
    assert first.log_id == log.ledger.log_id
    assert watcher.source.bundles() == [0, 0, 1]  # the first one for its genesis, before
    again = watcher.round()
    assert (again.outcome, again.change, again.new) == (Outcome.GOOD, "unchanged", 0)
    assert watcher.source.asked == [("head",)]


def test_a_later_round_reads_what_is_new(log: PublishedLog, watcher: Watcher) -> None:
    """New records, the bundle that they stand in, and the hashes above them: no more."""
    watcher.round()
    log.grow(310)
    log.publish()
    watcher.clock_s = log.clock.now_ms / 1000
    report = watcher.round()
    assert (report.outcome, report.new, report.audited) == (Outcome.GOOD, 10, 310)
    assert len(watcher.source.asked) <= 6
    assert watcher.source.bundles() == [1]


def test_a_heartbeat_is_remembered(log: PublishedLog, watcher: Watcher) -> None:
    watcher.round()
    log.clock.now_ms += 86_400_000
    log.ledger.head()
    log.publish()
    watcher.clock_s = log.clock.now_ms / 1000
    report = watcher.round()
    assert (report.change, report.outcome) == ("heartbeat", Outcome.GOOD)
    assert report.head_time == log.clock.now_ms // 1000
    with watcher.audit() as audit:
        ((count, timestamp, _, note),) = audit.memory.heads()
    assert (count, timestamp) == (300, report.head_time)
    assert note == (log.target / "checkpoint").read_bytes()


def test_an_audit_goes_on_where_the_source_failed(watcher: Watcher) -> None:
    watcher.source.fail_from = 1
    report = watcher.round()
    assert report.outcome is Outcome.COULD_NOT_CHECK
    assert codes(report) == {"source/unreachable"}
    assert (report.audited, report.leaf_count) == (256, 300)
    watcher.source.fail_from = 10**9
    report = watcher.round()
    assert (report.outcome, report.new, report.audited) == (Outcome.GOOD, 44, 300)
    assert watcher.source.bundles() == [1]


def test_an_audit_that_is_asked_to_end_goes_on_later(watcher: Watcher) -> None:
    seen: list[int] = []
    report = watcher.round(
        progress=lambda done, _total: seen.append(done), stopping=lambda: 256 in seen
    )
    assert report.stopped
    assert report.outcome is Outcome.COULD_NOT_CHECK
    assert (report.audited, seen) == (256, [0, 256])
    rest = watcher.round()
    assert (rest.outcome, rest.audited, rest.new) == (Outcome.GOOD, 300, 44)


_KILLED = """
import os, sys
from pathlib import Path
from nous_ledger.protocol.policy import parse_policy
from sentinel import log_audit
from sentinel.log_options import Options
from sentinel.sources import open_source
from sentinel.state import State

folder, policy, state, at = sys.argv[1:]
log_audit.COMMIT_RECORDS = 256

def progress(done, total):
    if done >= int(at):
        os.kill(os.getpid(), 9)

with State.held(Path(state)) as memory:
    parsed = parse_policy(Path(policy).read_bytes())
    options = Options(policy=parsed, origin=parsed.logs[0].vkey.name, progress=progress)
    log_audit.LogAudit(memory, open_source(folder), options).round()
"""


def test_an_audit_that_was_killed_goes_on(
    log: PublishedLog, watcher: Watcher, tmp_path: Path
) -> None:
    """SIGKILL at 60 %, then again right behind: nothing is lost that was committed."""
    (tmp_path / "policy").write_bytes(watcher.policy)
    for at in ("256", "300"):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                _KILLED,
                log.target,
                tmp_path / "policy",
                watcher.state_file,
                at,
            ],
            check=False,
        )
        assert done.returncode == -9
    report = watcher.round()
    assert (report.outcome, report.audited, codes(report)) == (Outcome.GOOD, 300, set())
    assert 0 < report.new < 300


def test_processes_share_a_long_audit(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They find what one finds."""
    monkeypatch.setattr("sentinel.log_audit.WORTH_PROCESSES", 1)
    shared = watcher.round(processes=TWO_PROCESSES)
    watcher.state_file = tmp_path / "other.sqlite"
    alone = watcher.round()
    assert shared.totals == alone.totals
    assert (shared.audited, shared.outcome) == (300, Outcome.GOOD)


@pytest.mark.parametrize("mode", ["published without", "not asked for"])
def test_without_bodies(log: PublishedLog, watcher: Watcher, mode: str) -> None:
    """They are counted; those of key events are always read."""
    if mode == "published without":
        log.publish(all_bodies=False)
        report = watcher.round()
    else:
        report = watcher.round(bodies=Bodies.NONE)
        assert len(watcher.source.bundles("bodies")) == 1
    assert (report.outcome, codes(report)) == (Outcome.GOOD, {"body/withheld"})
    assert report.totals.unread + report.totals.withheld in (299, 300)
    assert report.audited == 300


def test_heads_only(log: PublishedLog, watcher: Watcher) -> None:
    report = watcher.round(heads_only=True)
    assert (report.outcome, report.leaf_count, report.audited) == (Outcome.GOOD, 300, 0)
    log.grow(600)
    log.publish()
    watcher.clock_s = log.clock.now_ms / 1000
    report = watcher.round(heads_only=True)
    assert (report.outcome, report.change, report.leaf_count) == (Outcome.GOOD, "grew", 600)
    assert watcher.source.bundles("bodies") == []
    everything = watcher.round()
    assert (everything.outcome, everything.audited) == (Outcome.GOOD, 600)


def test_the_age_of_a_head(log: PublishedLog, watcher: Watcher) -> None:
    assert watcher.clock_s is not None
    watcher.clock_s += 100
    assert watcher.round(max_age_s=200).outcome is Outcome.GOOD
    report = watcher.round(max_age_s=50)
    assert (report.outcome, codes(report)) == (Outcome.COULD_NOT_CHECK, {"head/too-old"})


def test_a_lagging_cache_is_no_fault(log: PublishedLog, watcher: Watcher) -> None:
    """HEAD-11: an older head is stale, and the trusted one stays."""
    older = (log.target / "checkpoint").read_bytes()
    watcher.round()
    log.grow(310)
    log.publish()
    watcher.clock_s = log.clock.now_ms / 1000
    assert watcher.round().outcome is Outcome.GOOD
    watcher.source.head_note = older
    report = watcher.round()
    assert (report.outcome, codes(report)) == (Outcome.COULD_NOT_CHECK, {"head/stale"})
    assert (report.leaf_count, report.open_findings) == (310, 0)


def test_a_rewritten_log_is_a_fork_with_evidence(
    log: PublishedLog, watcher: Watcher, tmp_path: Path
) -> None:
    """HEAD-9: the copy of a ledger went on by itself; the alarm stays when the log is back."""
    watcher.round()
    honest, log.target = log.target, tmp_path / "forked"
    log.ledger.close()
    shutil.copytree(log.folder, tmp_path / "copy")
    log.ledger = Ledger.open(log.folder, clock=log.clock)
    log.grow(310)
    published, log.target = log.target, honest
    log.publish()
    watcher.clock_s = log.clock.now_ms / 1000
    assert watcher.round().outcome is Outcome.GOOD
    with Ledger.open(tmp_path / "copy", clock=log.clock) as copy:
        seed = Random(77)
        copy.append_many([make_draft(seed) for _ in range(50)])
        copy.head()
        log.folder, log.target = tmp_path / "copy", published
        log.publish()
    good = watcher.source
    watcher.source = Watched(type(good.source)(published))  # type: ignore[call-arg]
    report = watcher.round()
    assert (report.outcome, codes(report)) == (Outcome.WRONG, {"head/fork"})
    assert report.leaf_count == 310
    watcher.source = good
    report = watcher.round()
    assert (report.outcome, codes(report), report.open_findings) == (Outcome.WRONG, set(), 1)
    with State(watcher.state_file) as state:
        (found,) = [found for found in list_findings(state) if found.is_open]
        evidence = read_finding(state, found.id)[1]
    assert evidence is not None
    confirmed = verify_evidence(evidence, parse_policy(watcher.policy))
    assert (confirmed.code, confirmed.log_id) == ("fork", log.ledger.log_id)


def test_a_rotation_and_redactions(
    rotating: Ledger, keys: Keys, tmp_path: Path, clock: Clock
) -> None:
    """A head of a later epoch is checked with the key that its own records reveal."""
    log = PublishedLogOf(rotating, tmp_path, clock)
    watcher = watcher_of(log, tmp_path)
    assert watcher.round().outcome is Outcome.GOOD
    rotating.rotate(keys[0], next_key_out=keys[1])
    log.grow(300)
    rotating.rotate(keys[1], next_key_out=keys[2])
    log.grow(400)
    rotating.redact([5, 250], "data_subject_request")
    rotating.head()
    log.publish()
    watcher.clock_s = log.clock.now_ms / 1000
    report = watcher.round(bodies=Bodies.EXPECTED)
    assert (report.outcome, codes(report)) == (Outcome.GOOD, {"body/withheld"})
    assert (report.totals.withheld, report.audited) == (2, 401)
    fresh = Watcher(watcher.policy, tmp_path / "fresh.sqlite", watcher.source, watcher.clock_s)
    report = fresh.round(bodies=Bodies.EXPECTED)
    assert (report.outcome, report.audited) == (Outcome.GOOD, 401)
    with fresh.audit() as audit:
        assert audit.state.ring.epoch == 2
        assert audit.state.ring.scanned == 401


class PublishedLogOf(PublishedLog):
    """The published folder of a ledger that a fixture made."""

    def __init__(self, ledger: Ledger, base: Path, clock: Clock) -> None:
        self.base, self.target = base, base / "public"
        self.ledger, self.seed = ledger, Random(55)
        self.folder = base / "ledger"
        self.clock = clock
        self.publish()


def test_a_gateway_over_http(log: PublishedLog, tmp_path: Path) -> None:
    """With the right to read bodies each must be there; without it they are counted."""
    config = AppConfig(auditor_tokens=frozenset({AUDITOR_HASH}))
    policy, now_s = log.ledger.policy_text(), log.clock.now_ms / 1000
    watcher = watcher_of(log, tmp_path)
    modes = ((AUDITOR, Bodies.EXPECTED, 0), (None, Bodies.OPTIONAL, 1))
    with GatewayThread(log.ledger, config) as running:
        for token, bodies, withheld in modes:
            with HttpSource(running.url, auditor_token=token) as source:
                watcher = Watcher(policy, tmp_path / f"{bodies}.sqlite", Watched(source), now_s)
                report = watcher.round(bodies=bodies)
                assert report.outcome is Outcome.GOOD
                assert report.audited == log.ledger.leaf_count()
                assert report.totals.withheld == withheld * (report.audited - 1)
                log.grow(report.audited + 3)
                assert watcher.round(bodies=bodies).new == 3
        url = running.url
    with HttpSource(url) as source:
        watcher.source = Watched(source)
        report = watcher.round()
    assert (report.outcome, report.audited) == (Outcome.COULD_NOT_CHECK, 306)
    assert codes(report) == {"source/unreachable", "body/withheld"}


def test_genesis_alone(tmp_path: Path) -> None:
    with published_log(tmp_path) as log:
        log.publish()
        watcher = watcher_of(log, tmp_path)
        report = watcher.round()
        assert (report.outcome, report.audited) == (Outcome.GOOD, LeafCount(1))
        with watcher.audit() as audit:
            (event,) = audit.state.ring.events
        assert event[0][1:3] == TYPE_KEY.to_bytes(2, "big")


def test_the_memory_is_bound_to_the_pinned_log(log: PublishedLog, watcher: Watcher) -> None:
    """Another log of the same name is another log, and nothing is mixed up."""
    watcher.round()
    with published_log(watcher.state_file.parent / "other") as other:
        other.grow(20)
        other.publish()
        watcher.policy = other.ledger.policy_text()
        report = watcher.round()
        assert report.outcome is Outcome.WRONG
        watcher.source = Watched(type(watcher.source.source)(other.target))  # type: ignore[call-arg]
        watcher.clock_s = other.clock.now_ms / 1000
        watcher.round()
    with State(watcher.state_file) as state:
        assert [row.log_id for row in state.logs()] == [log.ledger.log_id, other.ledger.log_id]


def test_a_body_that_a_cache_left_out_for_a_while(log: PublishedLog, watcher: Watcher) -> None:
    """It is read once more before the log is accused of withholding it, and checked then."""

    def an_hour_later(count: int, *, all_bodies: bool) -> None:
        log.clock.now_ms += 3_600_000
        log.grow(count)
        log.publish(all_bodies=all_bodies)
        watcher.clock_s = log.clock.now_ms / 1000

    log.publish(all_bodies=False)
    watcher.options["bodies"] = Bodies.EXPECTED
    assert codes(watcher.round()) == {"body/withheld"}
    an_hour_later(301, all_bodies=True)
    report = watcher.round()
    assert (report.outcome, codes(report)) == (Outcome.GOOD, {"body/withheld"})
    an_hour_later(302, all_bodies=False)
    assert watcher.round().outcome is Outcome.GOOD
    an_hour_later(303, all_bodies=False)
    report = watcher.round()
    assert report.outcome is Outcome.WRONG
    assert codes(report) == {"body/withheld", "body/withheld-unannounced"}
    assert [f.index for f in report.findings if f.code == "withheld-unannounced"] == [301]


def test_a_round_that_takes_too_long_goes_on_later(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers slowly holds up nothing but itself."""
    monkeypatch.setattr("sentinel.log_audit.ROUND_S", -1.0)
    monkeypatch.setattr("sentinel.log_audit.BUNDLE_S", 0.0)
    report = watcher.round()
    assert (report.outcome, codes(report)) == (Outcome.COULD_NOT_CHECK, set())
    assert (report.audited, report.waiting) == (0, 300)
    monkeypatch.undo()
    report = watcher.round()
    assert (report.outcome, report.audited, report.waiting) == (Outcome.GOOD, 300, 0)
