"""A published folder is a complete log at every moment, and only ever moves forward."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.publish import publish
from nous_ledger.ledger.publish_files import PublishedFolder
from nous_ledger.protocol.record import TYPE_KEY, decode_record
from tests.integration.ledger_audit import error_code
from tests.integration.ledger_damage import alter
from tests.integration.ledger_drafts import make_draft
from tests.integration.published_log import PublishedLog, published_log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PublishedLog]:
    with published_log(tmp_path) as made:
        yield made


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 700])
def test_a_published_folder_is_a_complete_log(log: PublishedLog, count: int) -> None:
    """SERV-1 to SERV-5."""
    log.grow(count)
    done = log.publish()
    assert (done.checkpoint.leaf_count, done.leaf_count) == (count, count)
    records, bodies = log.check(count)
    assert records == [log.ledger.entry(i).record for i in range(count)]
    assert bodies == [log.ledger.entry(i).body for i in range(count)]
    assert (log.target / "trust.policy").read_bytes() == log.ledger.policy_text()
    assert done.written == len(log.paths())
    assert all((log.target / path).stat().st_mode & 0o444 == 0o444 for path in log.paths())


def test_bodies_are_withheld_but_those_of_key_events(log: PublishedLog) -> None:
    """SERV-6."""
    log.grow(300)
    log.publish(all_bodies=False)
    records, bodies = log.check(300)
    shown = [bool(body) for body in bodies]
    assert shown == [decode_record(record).type == TYPE_KEY for record in records]
    assert sum(shown) == 1
    log.publish(all_bodies=True)
    assert all(log.check(300)[1])
    log.publish(all_bodies=False)
    assert log.check(300)[1] == bodies


def test_a_further_run_writes_only_what_is_new(log: PublishedLog) -> None:
    log.grow(300)
    log.publish()
    before = log.stamps()
    assert log.publish().written == 0
    log.grow(310)
    done = log.publish()
    new = log.paths() - before.keys()
    assert new == {f"tile/{kind}/001.p/54" for kind in ("0", "entries", "bodies")}
    assert done.written == len(new) + 1  # and the checkpoint
    log.check(310)
    after = log.stamps()
    unchanged = before.keys() - {"checkpoint"}
    assert {path: after[path] for path in unchanged} == {path: before[path] for path in unchanged}


def test_partial_tiles_stay_until_the_next_checkpoint(log: PublishedLog) -> None:
    log.grow(300)
    log.publish()
    old = log.read()
    log.grow(600)
    assert log.publish().removed == 0
    old.check(log.seed)  # whoever read the old checkpoint finds its tiles
    log.grow(610)
    assert log.publish().removed == 3
    assert not any(path.startswith("tile/0/001.p") for path in log.paths())
    assert "tile/0/002.p/88" in log.paths()  # its tile is not full yet
    log.check(610)


def test_a_heartbeat_replaces_the_checkpoint(log: PublishedLog) -> None:
    log.grow(3)
    log.publish()
    first = (log.target / "checkpoint").read_bytes()
    log.clock.now_ms += 10**9
    assert log.ledger.head() != first
    assert log.publish().written == 1
    second = (log.target / "checkpoint").read_bytes()
    assert second != first
    alter(
        log.folder, lambda c: c.execute("UPDATE heads SET note = ? WHERE leaf_count = 3", (first,))
    )
    log.publish()
    assert (log.target / "checkpoint").read_bytes() == second  # an older head does not come back


def test_an_erased_body_is_erased_here_too(log: PublishedLog) -> None:
    log.grow(300)
    log.publish()
    log.grow(301)
    log.publish()
    for leaf in (5, 290):
        alter(log.folder, f"UPDATE bodies SET body = x'' WHERE leaf = {leaf}")  # noqa: S608 - a number
    log.publish()
    bodies = log.check(301)[1]
    assert [index for index, body in enumerate(bodies) if not body] == [5, 290]
    for path in ("tile/bodies/001.p/44", "tile/bodies/001.p/45"):
        assert b"\x00\x00" in (log.target / path).read_bytes()


def test_what_stands_there_is_never_overwritten(log: PublishedLog) -> None:
    log.grow(300)
    log.publish()
    log.grow(310)
    for name in ("tile/0/001.p/54", "tile/entries/001.p/54", "tile/bodies/001.p/54"):
        path = log.target / name
        path.write_bytes(b"something else")
        assert error_code(log.publish) == "publish-conflict"
        assert path.read_bytes() == b"something else"
        path.unlink()
    log.publish()
    log.check(310)


@pytest.mark.parametrize("name", ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"])
def test_verify_looks_at_what_was_published_before(log: PublishedLog, name: str) -> None:
    log.grow(300)
    log.publish()
    path = log.target / name
    good = path.read_bytes()
    path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    log.publish()  # does not look
    assert error_code(lambda: log.publish(verify=True)) == "publish-conflict"
    path.unlink()
    assert log.publish(verify=True).written == 1
    assert path.read_bytes() == good


def test_altered_bodies(log: PublishedLog) -> None:
    log.grow(300)
    log.publish()
    path = log.target / "tile/bodies/000"
    good = path.read_bytes()
    path.write_bytes(good[:50] + bytes([good[50] ^ 1]) + good[51:])
    assert error_code(lambda: log.publish(verify=True)) == "publish-conflict"
    path.write_bytes(good[:-1])
    assert error_code(log.publish) == "publish-conflict"
    path.write_bytes(good)
    (log.target / "tile/bodies/note").write_bytes(b"")
    assert error_code(log.publish) == "publish-conflict"


def test_another_history_is_a_fork(log: PublishedLog, tmp_path: Path) -> None:
    """HEAD-9: the ledger was copied, and both copies went on."""
    log.grow(5)
    copy = tmp_path / "copy"
    log.ledger.close()
    shutil.copytree(log.folder, copy)
    log.ledger = Ledger.open(log.folder, clock=log.clock)
    log.grow(8)
    log.publish()
    checkpoint = (log.target / "checkpoint").read_bytes()
    with Ledger.open(copy, clock=log.clock) as other:
        for count in (8, 12):
            other.append_many([make_draft(log.seed) for _ in range(count - other.leaf_count())])
            other.head()
            assert error_code(lambda: publish(copy, log.target, all_bodies=True)) == "fork"
    assert (log.target / "checkpoint").read_bytes() == checkpoint
    log.check(8)


def test_an_older_ledger_is_refused(log: PublishedLog, tmp_path: Path) -> None:
    """HEAD-10."""
    log.grow(5)
    shutil.copytree(log.folder, tmp_path / "older")
    log.grow(8)
    log.publish()
    older = tmp_path / "older"
    assert error_code(lambda: publish(older, log.target, all_bodies=True)) == "rollback"
    log.check(8)


def test_the_folder_of_another_log(log: PublishedLog, tmp_path: Path) -> None:
    log.publish()
    with Ledger.create(tmp_path / "other", next_key_out=None, clock=log.clock):
        code = error_code(lambda: publish(tmp_path / "other", log.target, all_bodies=True))
    assert code == "publish-conflict"
    (log.target / "checkpoint").write_bytes(b"no note")
    assert error_code(log.publish) == "publish-conflict"


def test_one_at_a_time(log: PublishedLog) -> None:
    with PublishedFolder(log.target).held():
        assert error_code(log.publish) == "publish-busy"
    log.publish()


def test_records_without_a_head_are_left_out(log: PublishedLog) -> None:
    """SERV-5."""
    log.grow(5)
    log.ledger.append_receipt(make_draft(log.seed))
    done = log.publish()
    assert (done.checkpoint.leaf_count, done.leaf_count) == (5, 6)
    log.check(5)


def test_where_there_are_no_hard_links(log: PublishedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, path: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    log.grow(300)
    log.publish()
    log.check(300)
