"""Whatever the files hold, `verify` ends with an answer or one line, in text and in JSON."""

import json
import random

import pytest

from nous_ledger.cli.render import render_body
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.report import verdicts_of
from tests.cli.harness import Call, Files
from tests.conformance.vector_files import NAMES, cases_of, load, unhex


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return bytes that differ from the given ones in a few places, or not at all."""
    found = bytearray(data)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(3):
            case 0:
                found[at : at + 1] = rng.randbytes(1)
            case 1:
                del found[at : at + rng.randrange(1, 40)]
            case _:
                found[at:at] = rng.randbytes(rng.randrange(1, 10))
    return bytes(found)


def test_mutated_files(nous: Call, files: Files, fuzz_inputs: int) -> None:
    rng = random.Random(11)
    paths = (files.proof, files.policy, files.opening, files.request, files.response)
    originals = {path: path.read_bytes() for path in paths}
    codes = set()
    for _ in range(fuzz_inputs // 40):
        for path, data in originals.items():
            # Mostly one file at a time: else the first bad one hides what the others do.
            path.write_bytes(mutated(data, rng) if rng.random() < 0.3 else data)
        content = (*files.content, "--recount") if rng.random() < 0.7 else ()
        as_json = rng.random() < 0.5
        found = nous(*files.check, *content, *(["--json"] if as_json else []))
        codes.add(found.code)
        if found.out:
            assert not found.err
            assert (found.out.replace("\n", "")).isprintable()
            assert not as_json or json.loads(found.out)["exit_code"] == found.code
        else:
            found.failed(found.code)
            assert "internal error" not in found.err
            assert found.err.replace("\n", "").isprintable()
    assert {0, 1, 2} <= codes <= {0, 1, 2, 3}


BODIES = [n for n in NAMES if n.startswith("bodies_") and n != "bodies_json"]


@pytest.mark.parametrize("name", BODIES)
def test_every_valid_body_can_be_shown(name: str) -> None:
    """A log's operator chooses what stands in a body; all that is allowed is shown."""
    shown = 0
    for case in cases_of(load(name), "Body"):
        if case["result"] != "valid":
            continue
        body = decode_body(case["recordType"], unhex(case["body"]))
        verdicts = verdicts_of(body) if isinstance(body, Receipt) else ()
        assert render_body(body, verdicts).replace("\n", "").isprintable()
        shown += 1
    assert shown
