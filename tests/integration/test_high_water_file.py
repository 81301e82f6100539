"""The high-water file by itself: it only rises, whatever is torn or who else writes."""

from multiprocessing import get_context
from pathlib import Path

import pytest

from nous_ledger.ledger import StoreError
from nous_ledger.ledger.highwater import FILE_LENGTH, HighWater, Mark
from nous_ledger.protocol.types import Hash32, LeafCount, LogId
from tests.integration.old_copies import code_of

ID = LogId(b"\1" * 32)


def root(number: int) -> Hash32:
    return Hash32(number.to_bytes(32, "big"))


class TestFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        HighWater.create(tmp_path / "mark", ID, Mark(leaf_count=LeafCount(1), root=root(1)))
        return tmp_path / "mark"

    def test_it_only_rises(self, path: Path) -> None:
        file = HighWater(path, ID)
        for count in (5, 3, 9, 9, 1):
            file.raise_to(LeafCount(count), root(count))
        assert file.read() == Mark(leaf_count=LeafCount(9), root=root(9))
        assert code_of(lambda: file.raise_to(LeafCount(9), root(8))) == "store-forked"
        file.close()
        assert path.stat().st_size == FILE_LENGTH
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_torn_slot_leaves_the_mark_before_it(self, path: Path) -> None:
        """Whatever part of the newest slot reached the disk."""
        file = HighWater(path, ID)
        file.raise_to(LeafCount(2), root(2))
        before = path.read_bytes()
        file.raise_to(LeafCount(3), root(3))
        file.close()
        after = path.read_bytes()
        changed = [at for at in range(FILE_LENGTH) if before[at] != after[at]]
        for cut in (changed[0] + 1, changed[len(changed) // 2], changed[-1]):
            path.write_bytes(after[:cut] + before[cut:])
            assert HighWater(path, ID).read().leaf_count == 2
            again = HighWater(path, ID)
            again.raise_to(LeafCount(4), root(4))
            assert HighWater(path, ID).read().leaf_count == 4

    @pytest.mark.parametrize("content", [b"", b"\0" * FILE_LENGTH, b"Z" * FILE_LENGTH])
    def test_a_damaged_file_says_so(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        assert code_of(lambda: HighWater(path, ID)) == "high-water-unusable"

    def test_the_file_of_another_log(self, path: Path) -> None:
        with pytest.raises(StoreError, match="belongs to the log 0101"):
            HighWater(path, LogId(b"\2" * 32))

    def test_a_lower_mark_needs_to_be_told(self, path: Path) -> None:
        file = HighWater(path, ID)
        file.raise_to(LeafCount(7), root(7))
        file.reset(Mark(leaf_count=LeafCount(3), root=root(3)))
        assert HighWater(path, ID).read().leaf_count == 3
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(bytes(data))  # no torn slot brings the old mark back
        assert HighWater(path, ID).read().leaf_count == 3

    def test_a_file_that_was_replaced_is_read_anew(self, path: Path, tmp_path: Path) -> None:
        file = HighWater(path, ID)
        HighWater.create(tmp_path / "new", ID, Mark(leaf_count=LeafCount(8), root=root(8)))
        (tmp_path / "new").replace(path)
        assert file.read().leaf_count == 8
        path.unlink()
        assert code_of(file.read) == "high-water-unusable"


def _raise_many(path: Path, offset: int) -> None:
    file = HighWater(path, ID)
    for step in range(400):
        count = 2 + 2 * step + offset
        file.raise_to(LeafCount(count), root(count))
        assert file.read().leaf_count >= count
    file.close()


def test_two_processes_raise_one_mark(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    HighWater.create(path, ID, Mark(leaf_count=LeafCount(1), root=root(1)))
    context = get_context("fork")
    workers = [context.Process(target=_raise_many, args=(path, offset)) for offset in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert HighWater(path, ID).read() == Mark(leaf_count=LeafCount(801), root=root(801))
