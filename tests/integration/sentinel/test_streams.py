"""Streams of receipts, as the sentinel recomputes them from the log alone (SENT-29 to SENT-32)."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.protocol.audit_report import streams_to_json
from nous_ledger.protocol.audit_streams import AuditedStreams
from sentinel.audit.findings import Severity
from sentinel.errors import StateError
from sentinel.log_options import Bodies
from sentinel.metrics import Metrics
from sentinel.report import Outcome
from sentinel.state import State
from sentinel.state_memory import LogMemory
from sentinel.state_streams import StreamsView, read_streams
from tests.architecture.repository import ROOT
from tests.integration.published_log import PublishedLog, published_log
from tests.integration.sentinel.command_rig import Call, watching
from tests.integration.sentinel.sentinel_rig import Watcher, now_is, watcher_of
from tests.integration.sentinel.test_watching import receiver
from tests.integration.stream_receipts import bits, exact_draft, from_the_log, stream_drafts

CALLS = 270


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PublishedLog]:
    with published_log(tmp_path) as made:
        now_is(made)
        add_calls(made, CALLS)
        (tmp_path / "policy").write_bytes(made.ledger.policy_text())
        yield made


@pytest.fixture
def watcher(log: PublishedLog, tmp_path: Path) -> Watcher:
    return watcher_of(log, tmp_path)


def add_calls(log: PublishedLog, calls: int) -> None:
    log.clock.now_ms += 1_000
    log.ledger.append_many(list(stream_drafts(log.seed, calls, time_ms=log.clock.now_ms)))
    log.ledger.head()
    log.publish()


def view_of(watcher: Watcher) -> StreamsView:
    with State(watcher.state_file) as state:
        return read_streams(state, state.logs()[0])


def streams_of(watcher: Watcher) -> AuditedStreams:
    return view_of(watcher).streams


def test_from_the_log_alone_to_the_bit(log: PublishedLog, watcher: Watcher) -> None:
    """In one round or in several, the bets are those of one pass over the ledger."""
    report = watcher.round(bodies=Bodies.EXPECTED)
    assert bits(streams_of(watcher)) == bits(from_the_log(log.ledger))
    verdicts = {(f.code, f.attrs["model"]) for f in report.findings if f.place == "provider"}
    assert ("over-reported", "greedy") in verdicts
    assert ("two-sided", "swinging") in verdicts
    assert {model for _, model in verdicts} == {"greedy", "swinging"}
    for calls in (1, 300):
        add_calls(log, calls)
        watcher.clock_s = log.clock.now_ms / 1000
        watcher.round()
        assert bits(streams_of(watcher)) == bits(from_the_log(log.ledger))


def test_verdicts_are_not_about_the_log(log: PublishedLog, watcher: Watcher) -> None:
    """They change the outcome only where that is asked for, and are found once."""
    report = watcher.round()
    assert report.outcome is Outcome.GOOD
    assert report.open_findings == 0
    found = [f for f in report.findings if f.place == "provider"]
    assert {f.severity for f in found} == {Severity.VERDICT}
    again = watcher.round(require_counts=True)
    assert (again.outcome, again.otherwise) == (Outcome.WRONG, Outcome.WRONG)
    assert again.miscounted() == 2
    assert not [f for f in again.findings if f.place == "provider"]


class KilledError(Exception):
    """The end of a sentinel."""


def test_it_goes_on_with_the_same_bits(
    log: PublishedLog, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended before or after any commit, it takes no receipt twice and leaves none out."""
    monkeypatch.setattr("sentinel.log_audit.COMMIT_RECORDS", 1)
    commit, killed = LogMemory.commit, 0
    for number in range(12):
        left = [2 + number % 3]

        def dying(self: LogMemory, *args: Any, left: list[int] = left, **more: Any) -> None:
            left[0] -= 1
            if left[0]:
                commit(self, *args, **more)
            else:
                raise KilledError

        monkeypatch.setattr(LogMemory, "commit", dying)
        try:
            watcher.round()
        except KilledError:
            killed += 1
        monkeypatch.setattr(LogMemory, "commit", commit)
        if number in {3, 6}:
            add_calls(log, 300)
            watcher.clock_s = log.clock.now_ms / 1000
    watcher.round()
    assert killed > 5
    assert bits(streams_of(watcher)) == bits(from_the_log(log.ledger))


def test_killed_processes_leave_nothing_half_done(
    log: PublishedLog, watcher: Watcher, tmp_path: Path, full: bool
) -> None:
    """The command, killed at any moment, and called again."""
    add_calls(log, 3_000 if full else 300)
    command = [sys.executable, "-m", "sentinel", str(log.target)]
    command += ["--policy", str(tmp_path / "policy"), "--state", str(watcher.state_file)]
    for number in range(12 if full else 1):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT) as child:
            with suppress(subprocess.TimeoutExpired):
                child.wait(0.35 + 0.07 * number)
            child.kill()
    watcher.clock_s = log.clock.now_ms / 1000
    watcher.round()
    assert bits(streams_of(watcher)) == bits(from_the_log(log.ledger))


def test_several_processes_come_to_the_same(
    log: PublishedLog, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentinel.log_audit.WORTH_PROCESSES", 1)
    watcher.round(processes=2)
    assert bits(streams_of(watcher)) == bits(from_the_log(log.ledger))


def test_what_was_erased_since_is_said(log: PublishedLog, watcher: Watcher, tmp_path: Path) -> None:
    """The bets stay as they were; how many a first pass today would miss is counted."""
    watcher.round()
    before = bits(streams_of(watcher))["streams"]
    rows = log.ledger.receipts(hi=log.ledger.leaf_count())
    greedy = [r.index for r in rows if r.receipt and r.receipt.model_served == "greedy"][:7]
    log.ledger.redact(greedy, reason="retention")
    log.ledger.head()
    log.publish()
    watcher.round(bodies=Bodies.EXPECTED)
    view = view_of(watcher)
    assert bits(view.streams)["streams"] == before
    assert {key.service.model: n for key, n in view.erased.items() if n} == {"greedy": 7}
    watcher.round()
    assert view_of(watcher).to_json()["erased_samples"] == 7  # counted once
    fresh = watcher_of(log, tmp_path / "fresh")
    report = fresh.round(bodies=Bodies.EXPECTED)
    assert bits(streams_of(fresh)) == bits(from_the_log(log.ledger))
    assert report.streams is not None
    assert (report.streams["unread_receipts"], report.streams["erased_samples"]) == (7, 0)


def test_samples_of_too_many_streams_are_counted(
    log: PublishedLog, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is beyond the limit is taken by nobody here either (AUD-13)."""
    monkeypatch.setattr("nous_ledger.protocol.audit_streams.MAX_STREAMS", 2)
    monkeypatch.setattr("nous_ledger.protocol.audit_streams.MAX_SERVICES", 3)
    watcher.round()
    found = streams_of(watcher)
    assert bits(found) == bits(from_the_log(log.ledger))
    assert found.beyond > 100
    assert found.output_beyond > 0


def test_damaged_streams_are_said_to_be(log: PublishedLog, watcher: Watcher) -> None:
    """They are not begun anew: what was erased since could not be read again."""
    assert log.ledger.leaf_count() > 1
    watcher.round()
    with State(watcher.state_file) as state:
        state.connection.execute("UPDATE streams SET audit = x'00' WHERE number = 2")
    with pytest.raises(StateError) as caught:
        watcher.round()
    assert caught.value.code == "state-corrupt"


def test_without_bodies_it_could_not_check(log: PublishedLog, watcher: Watcher) -> None:
    log.publish(all_bodies=False)
    report = watcher.round(bodies=Bodies.NONE)
    assert report.outcome is Outcome.GOOD
    assert report.streams is not None
    assert (report.streams["samples"], report.streams["unread_receipts"]) == (0, CALLS)
    required = watcher.round(require_counts=True)
    assert required.outcome is Outcome.COULD_NOT_CHECK
    assert required.uncounted() == CALLS


def test_what_people_are_shown(log: PublishedLog, call: Call, tmp_path: Path) -> None:
    """Verdict, bound, coverage, parameters and assumptions; one word decides, if asked."""
    common = (log.target, "--policy", tmp_path / "policy", "--state", tmp_path / "memory")
    first = call(*common)
    assert first.code == 0
    assert "counts      " in first.out
    assert "verdict     provider/over-reported: openai greedy at api.openai.com" in first.out
    strict = call(*common, "--require-consistent-counts")
    assert strict.code == 1
    assert "wrong: 2 streams of receipts" in strict.out
    shown = call("status", "--state", tmp_path / "memory")
    assert shown.code == 1  # of the last round
    for part in ("kappa 0.02, rho 0.001", "nothing of the answers is missing", "excess above"):
        assert part in shown.out
    assert "nothing can be said of the provider" in shown.out
    result = json.loads(call("status", "--state", tmp_path / "memory", "--json").out)
    stated = streams_to_json(from_the_log(log.ledger))
    for row in stated["streams"]:
        row["erased_samples"] = 0
    assert result["streams"] == json.loads(json.dumps(stated | {"erased_samples": 0}))
    history = call("history", "--state", tmp_path / "memory")
    assert "provider/two-sided" in history.out
    for word in ("fraud", "cheat", "lie"):
        assert word not in (first.out + shown.out + history.out).split()
    assert call(*common, "--heads-only", "--require-consistent-counts").code == 2


def test_metrics_and_the_webhook(log: PublishedLog, watcher: Watcher, tmp_path: Path) -> None:
    """A new verdict is told once, as one, and never counts as a finding that is open."""
    (tmp_path / "secret").write_text("s" * 32)
    (tmp_path / "secret").chmod(0o600)
    metrics = Metrics()
    metrics.note(watcher.round())
    assert "nous_sentinel_open_findings{" in metrics.text()
    assert 'nous_sentinel_streams_speaking{origin="ledger.example.com/main"} 2' in metrics.text()
    assert "greedy" not in metrics.text()
    with receiver() as (url, got):
        more = ("--webhook", url, "--webhook-secret-file", str(tmp_path / "secret"))
        with watching(log, tmp_path, *more) as child:
            assert child.readline()["outcome"] == "good"
            add_calls_of_one_more(log)
            while "under-reported" not in str(line := child.readline()):
                assert line["outcome"] == "good"
            child.process.terminate()
            child.process.wait(20)
    told = [json.loads(body) for _, body in got]
    assert {found["severity"] for found in told} == {"verdict"}
    models = [found["attrs"]["model"] for found in told]
    assert models.count("short") == len({found["code"] for found in told if "short" in str(found)})


def add_calls_of_one_more(log: PublishedLog) -> None:
    seed = random.Random(9)
    log.clock.now_ms += 1_000
    drafts = [exact_draft(seed, "short", 200, 150, time_ms=log.clock.now_ms) for _ in range(40)]
    log.ledger.append_many(drafts)
    log.ledger.head()
    log.publish()
