"""The example of the embedding document runs, twice on one folder, and its proof verifies."""

import os
import subprocess
import sys
from pathlib import Path

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.fsck import fsck
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.verify import verify_bundle
from tests.architecture.repository import ROOT


def test_the_example_logs_and_proves(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    outputs = [
        subprocess.run(
            [sys.executable, ROOT / "examples/embed_ledger.py", folder],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for _ in range(2)
    ]
    assert "of 11 is proved" in outputs[0]
    assert "the log of 11 grew to 21" in outputs[1]
    policy = parse_policy((folder / "policy.txt").read_bytes())
    report = verify_bundle((folder / "receipt.tlog-proof").read_bytes(), policy)
    assert report.exit_code() == 0
    assert report.inclusion.outcome is Outcome.ESTABLISHED
    with Ledger.open(folder / "ledger", read_only=True) as ledger:
        subjects = {row.receipt.subject for row in ledger.receipts() if row.receipt}
    assert len(subjects) == 2
    assert fsck(folder / "ledger").fault_count == 0
