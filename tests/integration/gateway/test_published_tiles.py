"""What the gateway serves and what `publish` writes are the same files, byte for byte."""

import random
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.publish import publish
from tests.integration.gateway.rig import AUDITOR, Rig
from tests.integration.ledger_drafts import make_draft


@pytest.mark.parametrize("all_bodies", [False, True])
def test_same_bytes(
    log: Ledger, rig: Rig, tmp_path: Path, seed: random.Random, all_bodies: bool
) -> None:
    """SERV-1 to SERV-3, SERV-6."""
    log.append_many([make_draft(seed) for _ in range(600)])
    checkpoint = rig.get("/checkpoint").body
    target = tmp_path / "public"
    publish(log.folder, target, all_bodies=all_bodies)
    assert (target / "checkpoint").read_bytes() == checkpoint
    assert (target / "trust.policy").read_bytes() == rig.get("/v1/policy").body
    paths = [path for path in (target / "tile").rglob("*") if path.is_file()]
    assert len(paths) == 10
    headers = {"authorization": f"Bearer {AUDITOR}"} if all_bodies else {}
    for path in paths:
        served = rig.get(f"/{path.relative_to(target)}", **headers)
        assert (served.status, served.body) == (200, path.read_bytes()), path
