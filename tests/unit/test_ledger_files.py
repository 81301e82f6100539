"""Private files where the file system has no hard links, and the lock of a folder."""

import errno
import os
import shutil
import stat
from multiprocessing import get_context
from pathlib import Path

import pytest

from nous_ledger.ledger.errors import LedgerUseError, StoreError
from nous_ledger.ledger.files import only_one, write_new_file


@pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def no_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("no_links")
class TestWithoutLinks:
    def test_a_file_is_written(self, tmp_path: Path) -> None:
        write_new_file(tmp_path / "next.key", b"secret")
        assert (tmp_path / "next.key").read_bytes() == b"secret"
        assert stat.S_IMODE((tmp_path / "next.key").stat().st_mode) == 0o600
        assert [path.name for path in tmp_path.iterdir()] == ["next.key"]

    def test_nothing_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "next.key").write_bytes(b"older")
        with pytest.raises(LedgerUseError) as found:
            write_new_file(tmp_path / "next.key", b"secret")
        assert found.value.code == "already-exists"
        assert (tmp_path / "next.key").read_bytes() == b"older"
        assert [path.name for path in tmp_path.iterdir()] == ["next.key"]

    def test_a_failure_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(StoreError):
            write_new_file(tmp_path / "next.key", b"secret")
        assert list(tmp_path.iterdir()) == []


def test_another_error_of_linking_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreError) as found:
        write_new_file(tmp_path / "next.key", b"secret")
    assert found.value.code == "store-unwritable"


def _hold(folder: Path) -> None:
    with only_one(folder):
        pass


def test_only_one_holds_a_folder(tmp_path: Path) -> None:
    """Also when everything in it is removed meanwhile, and another process tries."""
    folder = tmp_path / "ledger"
    folder.mkdir()
    (folder / "gateway.lock").touch()
    with only_one(folder):
        (folder / "gateway.lock").unlink()
        with pytest.raises(StoreError, match="another gateway") as found:
            _hold(folder)
        assert found.value.code == "gateway-running"
        child = get_context("fork").Process(target=_hold, args=(folder,))
        child.start()
        child.join()
        assert child.exitcode == 1
    _hold(folder)
    shutil.rmtree(folder)
    with pytest.raises(StoreError) as found:
        _hold(folder)
    assert found.value.code == "store-unwritable"


def test_an_error_within_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), only_one(tmp_path):
        raise BlockingIOError
