"""A process in which the package is loaded, and which forks children that live and die.

    LD_PRELOAD=shim.so python nursery.py

Reads jobs from stdin, one line of JSON each:

    {"lives": [{"life": …, "base": …, "name": …, …}, …], "kill": seconds, path or null}

and answers each, when all children have ended, with the list of how they did, as
subprocess has it: negative for the signal that killed them. All of them are killed so
many seconds after the last has begun, or when there is a file at the path.
"""

import gc
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.crash import watched
from tests.crash.faults import CallFault, arm, lose_unsynced
from tests.crash.lives import Life, Place, run, sayer
from tests.crash.points import POINTS, Point

_LIMIT_S = 250
"""Seconds after which a child that hangs is ended."""
_POINTS = {point.name: point for point in POINTS}


def _begin(given: dict[str, Any], ready: int) -> None:
    """Arm what the test wants, and say that the life begins."""
    if "lose" in given:
        lose_unsynced(f"{given['base']}/*/*", given["lose"])
    if "point" in given:
        watched.watch(_POINTS[given["point"]])
    elif "fault" in given:
        fault = CallFault(**given["fault"])
        transaction = given.get("transaction", 0)
        if transaction:
            watched.watch(Point(name="", life="", call=fault, transaction=transaction))
        else:
            arm(replace(fault))
    os.write(ready, b".")


def _child(given: dict[str, Any], ready: int) -> None:
    place = Place(base=Path(given["base"]))
    life = Life(
        place=place,
        seed=random.Random(given["name"]),
        begin=lambda: _begin(given, ready),
        say=sayer(place),
        given=given,
    )
    signal.alarm(_LIMIT_S)
    run(life, given["life"])


def _fork(given: dict[str, Any], ready: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.dup2(os.open(Path(given["base"]) / "errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        _child(given, ready)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001 - the test shows it
        traceback.print_exc()
    finally:
        os._exit(code)


def _wait(until: float | str) -> None:
    if isinstance(until, str):
        while not Path(until).exists():
            time.sleep(0.02)
    else:
        time.sleep(until)


def _serve(job: dict[str, Any]) -> list[int]:
    reading, writing = os.pipe()
    children = [_fork(given, writing) for given in job["lives"]]
    os.close(writing)
    begun = 0
    while begun < len(children) and (piece := os.read(reading, 64)):
        begun += len(piece)
    if job["kill"] is not None:
        _wait(job["kill"])
        for child in children:
            os.kill(child, signal.SIGKILL)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    os.close(reading)
    return codes


def _warm_up() -> None:
    """Do once what Python does at the first use of something, so that no child needs to."""
    with tempfile.TemporaryDirectory() as base:
        place = Place(base=Path(base))
        place.next_key(0).parent.mkdir()
        for name in ("create", "call"):
            life = Life(
                place=place,
                seed=random.Random(name),
                begin=lambda: None,
                say=sayer(place),
                given={},
            )
            run(life, name)
    gc.freeze()


def main() -> None:
    """Serve jobs until stdin ends."""
    logging.disable()  # what a recovery tells would look like an error
    watched.install()
    _warm_up()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_serve(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
