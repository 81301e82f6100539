"""Readers that verify all they are shown, while writers write as fast as they can."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.ledger import Ledger
from tests.crash.conftest import Nursery
from tests.crash.follower import Follower, HttpReader
from tests.crash.lives import Place
from tests.crash.survival import check_survival, read_promises

SECONDS, SECONDS_FULL = 2.0, 120.0
PATIENCE_S = 60.0
"""Further seconds that a slow machine gets."""
NOWHERE = "http://127.0.0.1:9"
WRITERS = [{"life": "write", "threads": 2, "calls": 1_000_000, "name": f"w{n}"} for n in (1, 2)]
READERS = [{"life": "read", "name": f"r{n}"} for n in (1, 2)]


def test_readers_and_writers(nursery: Nursery, place: Place, full: bool) -> None:
    """SERV-5, HEAD-15: four writers in two processes; two readers on the file, two over HTTP."""
    ends = time.monotonic() + (SECONDS_FULL if full else SECONDS)
    over, enough = threading.Event(), [threading.Event(), threading.Event()]
    with (
        Ledger.open(place.folder) as ledger,
        GatewayThread(ledger, AppConfig(upstreams={"openai": NOWHERE})) as gateway,
        ThreadPoolExecutor(3) as pool,
    ):
        living = pool.submit(nursery.live, place, *WRITERS, *READERS, kill=place.base / "end")
        reading = [pool.submit(follow, ledger, gateway.url, over, one) for one in enough]
        try:
            while time.monotonic() < ends or not (all(e.is_set() for e in enough) and read(place)):
                assert time.monotonic() < ends + PATIENCE_S, "a reader saw no head follow another"
                for future in reading:
                    if future.done():
                        future.result()  # raises what went wrong
                time.sleep(0.1)
        finally:
            (place.base / "end").touch()
            over.set()
        for future in reading:
            future.result(60)
        assert living.result(60) == [-9] * 4
    _, promises = check_survival(place)
    assert promises.logged


def read(place: Place) -> bool:
    """Whether both readers of the file have seen heads follow each other."""
    readers = {line["reader"] for line in read_promises(place).said("read")}
    return len(readers) == len(READERS)


def follow(ledger: Ledger, url: str, over: threading.Event, enough: threading.Event) -> None:
    """Read over HTTP until it is over; say when heads have followed each other."""
    follower = Follower(ledger.policy_text(), ledger.key_history().epochs[0].secp256k1)
    reader, seed = HttpReader(url, follower), random.Random(url)
    while not over.is_set():
        reader.step(seed)
        if follower.heads > 1:
            enough.set()
    reader.close()
