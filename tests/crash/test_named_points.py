"""SIGKILL at named points: whatever was promised holds, and the work can be done again."""

import random
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, migrations
from nous_ledger.ledger.files import read_private_file
from nous_ledger.ledger.keys import read_log_keys, read_next_key
from nous_ledger.ledger.publish import publish
from tests.crash.conftest import Nursery, copied, killed
from tests.crash.lives import Place, add_a_table, now_ms
from tests.crash.points import POINTS, Point
from tests.crash.survival import check_copies, check_survival, read_promises
from tests.integration.ledger_audit import error_code
from tests.integration.ledger_drafts import ORIGIN, make_draft
from tests.integration.ledger_keys import good
from tests.integration.static_log import StaticLog, from_folder

CREATE = [point for point in POINTS if point.life == "create"]
PUBLISH = [point for point in POINTS if point.life == "publish"]
OTHERS = [point for point in POINTS if point.life not in ("create", "publish")]


def test_there_are_enough_points() -> None:
    assert len({point.name for point in POINTS}) == len(POINTS) >= 25


def die_at(nursery: Nursery, place: Place, point: Point) -> None:
    codes = nursery.live(place, {"life": point.life, "point": point.name})
    assert killed(codes), f"the point was not reached: {point.name}"


@pytest.mark.sampled(3)
@pytest.mark.parametrize("point", OTHERS, ids=lambda point: point.name)
def test_killed_on_the_way(
    nursery: Nursery, place: Place, point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REC-11, REC-12: what was released is durable, and no index is used twice."""
    die_at(nursery, place, point)
    if point.life == "migrate":
        monkeypatch.setattr(migrations, "MIGRATIONS", (add_a_table,))
        Ledger.open(place.folder).close()
    with Ledger.open(place.folder, read_only=True) as ledger:
        history = ledger.key_history()
    _, promises = check_survival(place, closed=history.closed_at is not None)
    if point.life == "rotate":
        check_keys(place, history.epoch, told=bool(promises.said("rotated")))
    if point.life in ("backup", "restore"):
        check_copies(place)


def check_keys(place: Place, epoch: int, *, told: bool) -> None:
    """Check that one epoch or the other is in force, with its keys alone, and can be left."""
    assert epoch in ((1,) if told else (0, 1))
    revealed = read_next_key(place.next_key(0), None)
    inside = read_private_file(place.folder / "keys.json", 10_000)
    assert (revealed.hex().encode() in inside) == (epoch == 1)
    with Ledger.open(place.folder) as ledger:
        ledger.rotate(place.next_key(epoch), next_key_out=place.next_key(2))
        good(ledger, 1)
        good(ledger, ledger.leaf_count() - 1)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("point", CREATE, ids=lambda point: point.name)
def test_killed_while_a_log_is_made(nursery: Nursery, empty_place: Place, point: Point) -> None:
    """There is a whole ledger or none, and no file is half-written."""
    die_at(nursery, empty_place, point)
    place = empty_place
    if (place.folder / "keys.json").exists():
        read_log_keys(place.folder / "keys.json", None)
    if place.next_key(0).exists():
        read_next_key(place.next_key(0), None)
    if (place.folder / "ledger.db").exists():
        check_survival(place)
        return
    assert not read_promises(place).others
    again = Place(base=place.base / "again")
    if (place.folder / "keys.json").exists() or place.next_key(0).exists():
        # Keys are never overwritten; the hint says to choose another place.
        assert error_code(lambda: _create(place)) == "already-exists"
        again.next_key(0).parent.mkdir(parents=True)
        _create(again)
        check_survival(again)
    else:
        _create(place)
        check_survival(place)


def _create(place: Place) -> None:
    Ledger.create(place.folder, next_key_out=place.next_key(0), origin=ORIGIN).close()


@pytest.fixture(scope="module")
def published(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small ledger after it was published."""
    place = copied(template, tmp_path_factory.mktemp("published"))
    publish(place.folder, place.public, all_bodies=True)
    with Ledger.open(place.folder) as ledger:
        seed = random.Random(4)
        ledger.append_many([make_draft(seed, time_ms=now_ms()) for _ in range(270)])
        ledger.head()
    publish(place.folder, place.public, all_bodies=True)
    return place.base


@pytest.mark.sampled(3)
@pytest.mark.parametrize("point", PUBLISH, ids=lambda point: point.name)
def test_killed_while_a_log_is_published(
    nursery: Nursery, published: Path, tmp_path: Path, point: Point
) -> None:
    """SERV-6: the folder stays a readable log, and the next run completes it."""
    place = copied(published, tmp_path)
    die_at(nursery, place, point)
    _read(place)
    publish(place.folder, place.public, all_bodies=True)
    assert _read(place) == 276 + 30
    left = {path.name for path in place.public.rglob("*") if path.name.endswith("unfinished")}
    assert left == set()
    assert {path.name for path in (place.public / "tile/0").iterdir()} == {"000", "001.p"}


def _read(place: Place) -> int:
    with Ledger.open(place.folder, read_only=True) as ledger:
        policy, key = ledger.policy_text(), ledger.key_history().epochs[0].secp256k1
    log = StaticLog(from_folder(place.public), policy, key)
    log.check(random.Random(1))
    return log.count
