"""What surrounds rounds: when the next is due, who is told, who shares the work."""

import hashlib
import hmac
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nous_ledger.protocol.errors import UnavailableError
from sentinel.audit.findings import Finding, Place
from sentinel.audit.state import Totals
from sentinel.fetching import fetch_ahead
from sentinel.metrics import Metrics, parse_address, serving
from sentinel.report import Outcome, RoundReport
from sentinel.watch import JITTER, LONGEST_S, delay_s, watch
from sentinel.webhook import MAX_WAITING, SIGNATURE, Webhook, sign
from sentinel.workers import Workers
from tests.refusals import code_of


def report(*codes: tuple[Place, str], open_findings: int = 0, stopped: bool = False) -> RoundReport:
    return RoundReport(
        origin="log.example/main",
        log_id=b"i" * 32,
        address="here",
        at=1_800_000_000,
        took_s=0.25,
        leaf_count=9,
        root=b"r" * 32,
        head_time=1_799_999_999,
        change="grew",
        audited=9,
        new=4,
        totals=Totals(receipts=8, withheld=2),
        findings=tuple(Finding(place=p, code=c, message="m") for p, c in codes),
        open_findings=open_findings,
        stopped=stopped,
    )


GONE = report((Place.SOURCE, "unreachable"))
GOOD = report((Place.HEAD, "not-witnessed"))


def test_what_a_round_comes_to() -> None:
    """An alarm stands whatever else there is; what was not required is no fault."""
    assert GOOD.outcome is Outcome.GOOD
    assert GONE.outcome is Outcome.COULD_NOT_CHECK
    assert report((Place.HEAD, "stale"), open_findings=1).outcome is Outcome.WRONG
    assert report((Place.BODY, "withheld")).outcome is Outcome.GOOD
    assert report(stopped=True).outcome is Outcome.COULD_NOT_CHECK
    assert json.loads(json.dumps(GOOD.to_json()))["outcome"] == "good"


class Rounds:
    """Gives the rounds that a test wants, then ends the watch."""

    def __init__(self, *rounds: RoundReport) -> None:
        self.rounds = list(rounds)
        self.waits: list[float] = []
        self.told: list[RoundReport] = []

    def round(self) -> RoundReport:
        return self.rounds.pop(0)

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return not self.rounds

    def watch(self, random: float = 0.5) -> RoundReport:
        return watch(
            self, interval_s=60, wait=self.wait, random=lambda: random, tell=self.told.append
        )


def test_a_watch_backs_off_while_the_log_cannot_be_read() -> None:
    rounds = Rounds(GOOD, GONE, GONE, GONE, GOOD, GONE)
    assert rounds.watch() is GONE
    assert rounds.waits == [60, 120, 240, 480, 60, 120]
    assert len(rounds.told) == 6


def test_waits_differ_and_end() -> None:
    rounds = Rounds(GOOD, GOOD)
    rounds.watch(random=0.0)
    assert rounds.waits == [60 * (1 - JITTER)] * 2
    assert delay_s(60, 10**9, 0.5) == LONGEST_S
    assert delay_s(7200, 5, 0.5) == 7200


def test_a_stopped_round_ends_the_watch() -> None:
    rounds = Rounds(report(stopped=True), GOOD)
    assert rounds.watch().stopped
    assert rounds.waits == []


@contextmanager
def receiver(*answers: int) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Take webhooks, answering with these statuses and then with 204."""
    got: list[tuple[str, bytes]] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.headers[SIGNATURE], body))
            self.send_response(left.pop(0) if left else 204)
            self.send_header("location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook?key=1", got
        server.shutdown()
        thread.join()


def test_a_webhook_is_signed_and_delivered_once() -> None:
    with receiver() as (url, got):
        with closing(Webhook(url, "secret", clock=lambda: 1_800_000_000.9)) as hook:
            for number in (3, 4, 4, 3, 5):
                assert hook.offer(number, {"id": number})
        assert hook.delivered == 5
    assert [json.loads(body)["id"] for _, body in got] == [3, 4, 5]
    for signature, body in got:
        code = hmac.new(b"secret", b"1800000000." + body, hashlib.sha256).hexdigest()
        assert signature == f"t=1800000000,v1={code}" == sign(b"secret", 1_800_000_000, body)


def test_a_webhook_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a redirect, which is not followed."""
    monkeypatch.setattr("sentinel.webhook.FIRST_DELAY_S", 0.01)
    warned: list[str] = []
    with receiver(500, 302, 429) as (url, got):
        with closing(Webhook(url, "secret", warn=warned.append)) as hook:
            hook.offer(1, {})
        assert hook.delivered == 1
    assert len(got) == 4
    assert [text.rpartition(" ")[2] for text in warned] == ["500", "302", "429"]
    assert not any("key=1" in text or "secret" in text for text in warned)


def test_a_webhook_that_nobody_takes_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentinel.webhook._LAST_S", 0.1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    started = time.monotonic()
    hook = Webhook(url, "secret")
    taken = sum(hook.offer(number, {}) for number in range(1, 2 * MAX_WAITING))
    hook.close()
    assert time.monotonic() - started < 5
    assert hook.delivered == 0
    assert MAX_WAITING <= taken <= MAX_WAITING + 1


@pytest.mark.parametrize(
    "url", ["http://log.example/", "ftp://x/", "https://u:p@x/", "https://x/#f", "x", "http://[::1"]
)
def test_addresses_of_webhooks_that_are_refused(url: str) -> None:
    assert code_of(Webhook, url, "secret") == "input"


def get(url: str, path: str | None = None) -> tuple[int, str]:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=10)) as connection:
        connection.request("GET", path or parts.path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def samples(text: str) -> dict[str, float]:
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in rows}


def test_metrics() -> None:
    metrics = Metrics()
    with serving("127.0.0.1:0", metrics) as url:
        assert samples(get(url)[1]) == {
            'nous_sentinel_rounds_total{outcome="good"}': 0,
            'nous_sentinel_rounds_total{outcome="wrong"}': 0,
            'nous_sentinel_rounds_total{outcome="could-not-check"}': 0,
        }
        metrics.note(GONE)
        metrics.note(report(open_findings=3))
        status, text = get(url)
        assert status == 200
        found = samples(text)
        assert found['nous_sentinel_rounds_total{outcome="wrong"}'] == 1
        assert found['nous_sentinel_rounds_total{outcome="could-not-check"}'] == 1
        labels = '{origin="log.example/main"}'
        assert found[f"nous_sentinel_open_findings{labels}"] == 3
        assert found[f"nous_sentinel_up{labels}"] == 1
        assert found[f"nous_sentinel_audited_leaves{labels}"] == 9
        assert get(url, "/")[0] == 404
        with pytest.raises(UnavailableError), serving(urlsplit(url).netloc, metrics):
            pass
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names)) == len(samples(text)) - 2


def test_whoever_is_slow_at_the_metrics_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentinel.metrics._Handler.timeout", 0.05)
    with serving("[::1]:0", Metrics()) as url:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port)) as slow:
            slow.sendall(b"GET /metr")
            assert get(url)[0] == 200


@pytest.mark.parametrize("text", ["", "9464", "localhost:1", "127.0.0.1:", "127.0.0.1:99999", ":1"])
def test_addresses_that_are_none(text: str) -> None:
    assert code_of(parse_address, text) == "input"


def test_what_is_fetched_ahead_comes_in_order() -> None:
    asked: list[int] = []

    def fetch(number: int) -> int:
        asked.append(number)
        time.sleep(0.001 * (number % 3))
        return number

    assert list(fetch_ahead(range(5, 40), fetch)) == list(range(5, 40))
    assert list(fetch_ahead(range(2), fetch)) == [0, 1]
    asked.clear()
    some = fetch_ahead(range(1_000), fetch)
    assert next(some) == 0
    some.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(asked) < 20


def test_what_cannot_be_fetched_fails_when_it_is_due() -> None:
    def fetch(number: int) -> int:
        if number == 3:
            raise UnavailableError("unreachable", "gone")
        return number

    got: list[int] = []
    with pytest.raises(UnavailableError):
        got.extend(fetch_ahead(range(100), fetch))
    assert got == [0, 1, 2]


def test_work_is_shared_and_comes_back_in_order() -> None:
    jobs = [b"%d" % number for number in range(40)]
    expected = [hashlib.sha256(job).digest() for job in jobs]
    assert list(Workers(_digest, 1).run(jobs)) == expected
    assert list(Workers(_digest, 2).run(jobs)) == expected


def _digest(job: bytes) -> bytes:
    return hashlib.sha256(job).digest()


def _dies_elsewhere(job: tuple[int, bytes]) -> bytes:
    """Kill the process that was started for the work, and none else."""
    parent, data = job
    if os.getpid() != parent:
        os.kill(os.getpid(), 9)
    return _digest(data)


def test_what_a_lost_process_owed_is_done_here() -> None:
    jobs = [(os.getpid(), b"%d" % number) for number in range(20)]
    assert list(Workers(_dies_elsewhere, 2).run(jobs)) == [_digest(data) for _, data in jobs]


_PARENT = """
import os, sys, time
from tests.integration.sentinel.test_watching import _pid_slowly
from sentinel.workers import Workers

if __name__ == "__main__":
    for pid in Workers(_pid_slowly, 2).run(range(10**6)):
        print(pid, flush=True)
"""


def _pid_slowly(_: int) -> int:
    time.sleep(0.01)
    return os.getpid()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks at processes in /proc")
def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(_PARENT)
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(
        [sys.executable, program], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        workers = {int(parent.stdout.readline()) for _ in range(20)}
        parent.kill()
    until = time.monotonic() + 10
    while time.monotonic() < until and any(map(_is_alive, workers)):
        time.sleep(0.05)
    assert workers
    assert not any(map(_is_alive, workers))


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False
