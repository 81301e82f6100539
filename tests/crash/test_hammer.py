"""Readers that verify all they are shown, while writers write as fast as they can."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.ledger import Ledger
from tests.crash.conftest import Nursery
from tests.crash.follower import Follower, HttpReader
from tests.crash.lives import Place
from tests.crash.survival import check_survival

SECONDS, SECONDS_FULL = 2.0, 120.0
NOWHERE = "http://127.0.0.1:9"
WRITERS = [{"life": "write", "threads": 2, "calls": 1_000_000, "name": f"w{n}"} for n in (1, 2)]
READERS = [{"life": "read", "name": f"r{n}"} for n in (1, 2)]


def test_readers_and_writers(nursery: Nursery, place: Place, full: bool) -> None:
    """SERV-5, HEAD-15: four writers in two processes; two readers on the file, two over HTTP."""
    seconds = SECONDS_FULL if full else SECONDS
    with Ledger.open(place.folder) as ledger:
        config = AppConfig(upstreams={"openai": NOWHERE})
        with GatewayThread(ledger, config) as gateway, ThreadPoolExecutor(2) as pool:
            over = threading.Event()
            reading = [pool.submit(follow, ledger, gateway.url, over, n) for n in range(2)]
            codes = nursery.live(place, *WRITERS, *READERS, kill_after=seconds)
            over.set()
            heads = [future.result(60) for future in reading]
    assert codes == [-9] * 4
    _, promises = check_survival(place)
    assert len({line["reader"] for line in promises.said("read")}) == 2
    assert all(count > 0 for count in heads)
    assert len(promises.logged) > 4


def follow(ledger: Ledger, url: str, over: threading.Event, number: int) -> int:
    """Read over HTTP until it is over; return how many heads followed each other."""
    follower = Follower(ledger.policy_text(), ledger.key_history().epochs[0].secp256k1)
    reader, seed = HttpReader(url, follower), random.Random(number)
    while not over.is_set():
        reader.step(seed)
    reader.close()
    return follower.heads
