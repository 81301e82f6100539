"""The audit of streams in the gateway, and the same bits from gateway, command and sentinel."""

import asyncio
import json
import random
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

import nous_ledger.cli.main
import sentinel.cli
from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.http_errors import HttpError
from nous_ledger.gateway.read_rights import ReadRights
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.gateway.stream_audit import KEPT_NAME, StreamAuditApi
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.errors import StoreError
from nous_ledger.ledger.publish import publish
from nous_ledger.ledger.stream_follower import StreamFollower
from nous_ledger.protocol.errors import LedgerError
from tests.integration.gateway.rig import AUDITOR, AUDITOR_HASH, Rig
from tests.integration.stream_receipts import bits, from_the_log, stream_drafts

CALLS = 270


def add_calls(ledger: Ledger, seed: random.Random, calls: int) -> None:
    now_ms = time.time_ns() // 1_000_000
    ledger.append_many(list(stream_drafts(seed, calls, time_ms=now_ms)))
    ledger.head()


@pytest.fixture
def filled(log: Ledger) -> Ledger:
    add_calls(log, random.Random(3), CALLS)
    return log


@contextmanager
def gateway_of(ledger: Ledger) -> Iterator[Rig]:
    config = AppConfig(auditor_tokens=frozenset({AUDITOR_HASH}))
    with GatewayThread(ledger, config) as thread:
        yield Rig(ledger, thread.url, exits=None)  # type: ignore[arg-type]


def asked(rig: Rig) -> dict[str, Any]:
    answer = rig.get("/v1/audit", authorization=f"Bearer {AUDITOR}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


Capture = pytest.CaptureFixture[str]


def by_command(folder: Path, capsys: Capture, *more: str) -> dict[str, Any]:
    capsys.readouterr()
    assert nous_ledger.cli.main.run(["audit", "--ledger", str(folder), "--json", *more]) == 1
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


class Sentinel:
    """A sentinel that reads the published log, begun anew for each look."""

    def __init__(self, ledger: Ledger, base: Path, capsys: Capture) -> None:
        self.ledger, self.base, self.capsys = ledger, base, capsys
        (base / "policy").write_bytes(ledger.policy_text())

    def __call__(self) -> dict[str, Any]:
        publish(self.ledger.folder, self.base / "public", all_bodies=True)
        state = ["--state", str(self.base / "memory")]
        policy = ["--policy", str(self.base / "policy")]
        assert sentinel.cli.run([str(self.base / "public"), *policy, *state]) == 0
        self.capsys.readouterr()
        assert sentinel.cli.run(["status", *state, "--json"]) == 0
        found: dict[str, Any] = json.loads(self.capsys.readouterr().out)["streams"]
        return found


def doubles(found: Any) -> Any:
    """Return a result with every double as its bits, without what only one of them knows."""
    if isinstance(found, float):
        return struct.pack(">d", found).hex()
    if isinstance(found, list):
        return [doubles(item) for item in found]
    if isinstance(found, dict):
        own = {"erased_samples", "erased_receipts", "records", "log_id"}
        return {name: doubles(value) for name, value in found.items() if name not in own}
    return found


def test_gateway_command_and_sentinel_agree_to_the_bit(
    filled: Ledger, tmp_path: Path, capsys: Capture
) -> None:
    """On several interleaved streams, one of which reports too much; also after each began anew."""
    seed, by_sentinel = random.Random(8), Sentinel(filled, tmp_path, capsys)
    state = ("--state", str(tmp_path / "command.state"))
    reference = None
    for _ in range(2):  # the second time all of them go on from what they kept
        with gateway_of(filled) as rig:
            results = [asked(rig), by_command(filled.folder, capsys, *state), by_sentinel()]
            reference = by_command(filled.folder, capsys)
            assert [doubles(found) for found in results] == [doubles(reference)] * 3
            add_calls(filled, seed, 90)
            assert doubles(asked(rig)) == doubles(by_command(filled.folder, capsys, *state))
    assert reference is not None
    states = {stream["model"]: stream["state"] for stream in reference["streams"]}
    assert (states["greedy"], states["honest"]) == ("over-reported", "consistent")
    assert len(states) == 4
    streams = from_the_log(filled).streams
    for found, audit in zip(
        by_command(filled.folder, capsys)["streams"], streams.values(), strict=True
    ):
        for name in ("over", "under", "evidence"):
            assert doubles(found[name]) == doubles(list(getattr(audit, name)()))


def test_only_who_may_see_usage(filled: Ledger) -> None:
    with gateway_of(filled) as rig:
        answer = rig.get("/v1/audit")
        assert answer.status == 403
        assert json.loads(answer.body)["error"]["code"] == "not-published"
        found = asked(rig)
        assert 0 < found["samples"] < found["receipts"] == CALLS
        assert found["parameters"]["kappa"] == 0.02


def test_metrics_follow_and_name_nobody(filled: Ledger) -> None:
    with gateway_of(filled) as rig:
        seen = {"nous_ledger_audit_records 0"}
        deadline = time.monotonic() + 20
        while f"nous_ledger_audit_records {CALLS + 1}" not in seen:
            assert time.monotonic() < deadline
            text = rig.get("/metrics").body.decode()
            seen = set(text.splitlines())
        summary = asked(rig)
        assert f"nous_ledger_audit_samples {summary['samples']}" in seen
        assert f"nous_ledger_audit_speaking {summary['speaking']}" in seen
        audit_lines = [line for line in seen if line.startswith("nous_ledger_audit_")]
        assert not any("{" in line for line in audit_lines)


def test_a_gateway_that_nobody_asks_reads_nothing(filled: Ledger) -> None:
    with gateway_of(filled) as rig:
        assert rig.get("/healthz").status == 200
    assert not (filled.folder / KEPT_NAME).exists()
    with gateway_of(filled) as rig:
        asked(rig)
    assert (filled.folder / KEPT_NAME).stat().st_mode & 0o777 == 0o600


def followed(ledger: Ledger, kept: Path | None = None) -> StreamFollower:
    follower = StreamFollower(ledger, kept=kept)
    while follower.step():
        continue
    return follower


def change(kept: Path, **fields: object) -> Callable[[], object]:
    return lambda: kept.write_text(json.dumps(json.loads(kept.read_text()) | fields))


def test_what_is_kept_fits_this_log_or_is_dropped(filled: Ledger, tmp_path: Path) -> None:
    """Damaged, of another log, of another history or ahead: all is read again (AUD-15)."""
    kept, whole = tmp_path / "kept", from_the_log(filled)
    followed(filled, kept).keep()
    good = kept.read_text()
    assert StreamFollower(filled, kept=kept).upto == CALLS + 1
    assert StreamFollower(filled, 0.01, kept).upto == 0
    for damage in (
        lambda: kept.write_text("{"),
        lambda: kept.write_bytes(b"\xff"),
        lambda: kept.write_text(good[: len(good) // 2]),
        change(kept, log_id="00" * 32),
        change(kept, leaf="00" * 32),
        change(kept, upto=CALLS + 2),
        change(kept, upto=CALLS),
        change(kept, streams="[]"),
        change(kept, unread=["x"]),
    ):
        kept.write_text(good)
        damage()
        assert StreamFollower(filled, kept=kept).upto == 0
        assert bits(followed(filled, kept).streams) == bits(whole)
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError):
        StreamFollower(filled, kept=tmp_path / "folder")
    with pytest.raises(LedgerError):
        StreamFollower(filled, kept=tmp_path / "folder" / "x" / "y").keep()
    assert not any((tmp_path / "folder").iterdir())


def test_erased_receipts_are_counted_once(filled: Ledger, tmp_path: Path) -> None:
    """Those that were taken before, and those that never could be, are told apart (AUD-14)."""
    kept = tmp_path / "kept"
    followed(filled, kept).keep()
    filled.redact([3, 9, 12], reason="retention")
    late, fresh = followed(filled, kept), followed(filled)
    assert (late.erased, late.streams.unread) == (3, 0)
    assert (fresh.erased, fresh.streams.unread) == (0, 3)
    assert bits(fresh.streams) == bits(from_the_log(filled))
    late.keep()
    assert followed(filled, kept).erased == 3


def anybody() -> Request:
    return Request({"type": "http", "method": "GET", "path": "/v1/audit", "headers": []})


def test_who_is_too_early_is_told_to_ask_again(
    filled: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long log is read beside the calls, and kept on the way; nobody waits for ever."""
    monkeypatch.setattr("nous_ledger.gateway.stream_audit.KEEP_S", 0.0)
    rights = ReadRights(filled, frozenset(), publish_usage=True)

    async def ask() -> None:
        api = StreamAuditApi(filled, rights, patience_s=0.0)
        with pytest.raises(HttpError) as caught:
            await api.stream_audit(anybody())
        assert (caught.value.status, caught.value.code) == (503, "index-building")
        for _ in range(1_000):
            await asyncio.sleep(0.01)
            if api.gauges()["nous_ledger_audit_records"][1] > CALLS:
                break
        assert (await api.stream_audit(anybody())).status_code == 200
        assert (filled.folder / KEPT_NAME).exists()
        await api.close()

    asyncio.run(ask())


def test_a_log_that_cannot_be_read_is_said_to_be(
    filled: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asks is told; who looks at figures sees those from before, and the log a line."""

    def fail(_: StreamFollower) -> bool:
        raise StoreError("store-io", "the disk is gone")

    rights = ReadRights(filled, frozenset(), publish_usage=True)

    async def ask() -> None:
        api = StreamAuditApi(filled, rights)
        await api.stream_audit(anybody())
        monkeypatch.setattr(StreamFollower, "step", fail)
        filled.append_many(list(stream_drafts(random.Random(4), 2)))
        with pytest.raises(StoreError):
            await api.stream_audit(anybody())
        assert api.gauges()["nous_ledger_audit_records"][1] == CALLS + 1
        await api.close()

    with caplog.at_level("WARNING", "nous_ledger.gateway"):
        asyncio.run(ask())
    assert "the audit of streams could not go on: the disk is gone" in caplog.text
